//! The load whose latency counts: few requests, sent when they are due, whether or not the ones
//! before them were answered in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use crate::process::client::{Resp, Value};

/// How many connections there are, and how often each sends.
const CONNECTIONS: u32 = 4;
const PERIOD: Duration = Duration::from_millis(20);

/// Clients that write and read, and say how long each took.
pub(crate) struct Foreground {
    stop: Arc<AtomicBool>,
    took: Receiver<(Instant, Result<Duration, String>)>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

/// What was measured in some time.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) worst: Duration,
}

impl Foreground {
    /// Starts the load on the leader.
    pub(crate) fn start(port: u16) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, took) = channel();
        let start = |number: u32| {
            let (stop, sender) = (Arc::clone(&stop), sender.clone());
            std::thread::spawn(move || ask(number, port, &stop, &sender))
        };
        Self { threads: (0..CONNECTIONS).map(start).collect(), stop, took }
    }

    /// Measures for some time.
    pub(crate) fn measure(&self, time: Duration) -> Result<Measured, String> {
        let begin = Instant::now();
        std::thread::sleep(time);
        let measured = self.took.try_iter().filter(|(due, _)| *due >= begin);
        let mut took = measured.map(|(_, took)| took).collect::<Result<Vec<_>, _>>()?;
        took.sort_unstable();
        let due = time.as_millis() / PERIOD.as_millis() * u128::from(CONNECTIONS);
        // Who is not answered at all would not be noticed otherwise.
        if (took.len() as u128) < due / 2 {
            return Err(format!("{} of {due} requests were answered", took.len()));
        }
        let at = |share: usize| took[took.len() * share / 1000];
        Ok(Measured { p50: at(500), p99: at(990), worst: at(999) })
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

fn ask(
    number: u32,
    port: u16,
    stop: &AtomicBool,
    took: &Sender<(Instant, Result<Duration, String>)>,
) {
    // What measures is not to wait for what floods.
    let _ = rustix::process::nice(-10);
    let mut client = Resp::connect(port).expect("the leader accepts before the flood");
    // Not all at once.
    let mut due = Instant::now() + PERIOD * number / CONNECTIONS;
    let key = format!("foreground{number}");
    for turn in 0.. {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let value = turn.to_string();
        let reply = if turn % 2 == 0 {
            client.call(&["SET", &key, &value])
        } else {
            client.call(&["GET", &key])
        };
        let is_right = match &reply {
            Ok(Value::Simple(text)) => text == "OK",
            Ok(Value::Bulk(read)) => *read == (turn - 1).to_string().as_bytes(),
            _ => false,
        };
        let measured = if is_right { Ok(due.elapsed()) } else { Err(format!("{reply:?}")) };
        let is_over = measured.is_err();
        if took.send((due, measured)).is_err() || is_over {
            return;
        }
        due += PERIOD;
    }
}
