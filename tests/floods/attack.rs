//! What a flood is made of: threads that send, connections that are held, and a count of both.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Neither connecting nor sending waits longer before the stop is looked at.
const PATIENCE: Duration = Duration::from_millis(500);

/// A flood under way. It ends when this is dropped.
#[derive(Default)]
pub(crate) struct Attack {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
    threads: Vec<std::thread::JoinHandle<()>>,
    held: Vec<TcpStream>,
}

/// What an attacker's thread knows.
#[derive(Clone)]
pub(crate) struct Orders {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
}

/// Connects to a port of loopback.
pub(crate) fn connect(port: u16) -> std::io::Result<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Attack {
    /// Adds an attacker, which goes on until it is told to stop. It gets what processor time is
    /// left, or little where there is no `chrt`: that of a flood from elsewhere would not be ours
    /// at all.
    pub(crate) fn spawn(&mut self, act: impl FnOnce(Orders) + Send + 'static) {
        let [sent, refused] = [&self.sent, &self.refused].map(Arc::clone);
        let orders = Orders { stop: Arc::clone(&self.stop), sent, refused };
        self.threads.push(std::thread::spawn(move || {
            let _ = rustix::process::nice(19);
            let thread = rustix::thread::gettid().as_raw_nonzero().to_string();
            let _ = Command::new("chrt").args(["--idle", "--pid", "0", &thread]).status();
            act(orders);
        }));
    }

    /// Adds connections that are held open and say what they have said.
    pub(crate) fn hold(&mut self, streams: impl IntoIterator<Item = TcpStream>) {
        self.held.extend(streams);
    }

    /// Returns how much was sent, in whatever the flood counts.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed) + self.held.len() as u64
    }

    /// Returns how many requests were refused because too much is held.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

impl Orders {
    pub(crate) fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(crate) fn count(&self, sent: u64) {
        self.sent.fetch_add(sent, Ordering::Relaxed);
    }

    /// Counts those connections that were told this, and keeps those that were told nothing.
    pub(crate) fn count_refused(&self, streams: &mut Vec<TcpStream>, refusal: &[u8]) {
        let mut buffer = vec![0; refusal.len()];
        streams.retain_mut(|stream| {
            let read = stream.set_nonblocking(true).and_then(|()| stream.read(&mut buffer));
            let is_refused = read.as_ref().is_ok_and(|read| buffer[..*read] == *refusal);
            self.refused.fetch_add(u64::from(is_refused), Ordering::Relaxed);
            read.is_err_and(|error| is_timeout(&error))
        });
    }

    /// Waits, unless it is over.
    pub(crate) fn wait(&self, time: Duration) {
        let steps = time.as_millis().div_ceil(50);
        for _ in 0..steps {
            if self.is_over() {
                return;
            }
            std::thread::sleep(time.min(Duration::from_millis(50)));
        }
    }

    /// Sends all of it, however slowly it is taken; false if the connection is gone, or it is over.
    pub(crate) fn send(&self, stream: &mut TcpStream, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() && !self.is_over() {
            match stream.write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if is_timeout(&error) => {}
                Err(_) => return false,
            }
        }
        bytes.is_empty()
    }

    /// Reads until so many line ends have come; false if the connection is gone, or it is over.
    pub(crate) fn read_lines(&self, stream: &mut TcpStream, mut lines: usize) -> bool {
        let mut buffer = [0; 16 << 10];
        while lines > 0 && !self.is_over() {
            match stream.read(&mut buffer) {
                Ok(0) => return false,
                Ok(read) => {
                    let ends = buffer[..read].iter().filter(|byte| **byte == b'\n').count();
                    lines = lines.saturating_sub(ends);
                }
                Err(error) if is_timeout(&error) => {}
                Err(_) => return false,
            }
        }
        lines == 0
    }

    /// Sends the same again and again, on a new connection whenever one is gone; what comes back is
    /// read if it must be.
    pub(crate) fn repeat(&self, port: u16, opening: &[u8], again: &[u8], count: u64, drain: bool) {
        while !self.is_over() {
            let Ok(mut stream) = connect(port) else {
                self.wait(Duration::from_millis(50));
                continue;
            };
            if drain && let Ok(reader) = stream.try_clone() {
                std::thread::spawn(move || discard(reader));
            }
            let mut is_open = self.send(&mut stream, opening);
            while is_open && !self.is_over() {
                is_open = self.send(&mut stream, again);
                self.count(if is_open { count } else { 0 });
            }
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }

    /// Sends the same again and again, each time on a new connection, and waits until it is closed.
    pub(crate) fn reconnect(&self, port: u16, bytes: &[u8]) {
        while !self.is_over() {
            let Ok(mut stream) = connect(port) else {
                self.wait(Duration::from_millis(50));
                continue;
            };
            if self.send(&mut stream, bytes) {
                self.count(u64::from(self.read_lines(&mut stream, 1)));
                // Then comes the end.
                self.read_lines(&mut stream, usize::MAX);
            }
        }
    }
}

fn discard(mut stream: TcpStream) {
    let mut buffer = [0; 16 << 10];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Err(error) if !is_timeout(&error) => return,
            _ => {}
        }
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
