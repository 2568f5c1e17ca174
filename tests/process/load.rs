//! Clients that write, and the ledger of what they were told.
//!
//! Every write is of a key of its own, with a value that follows from the key, and is sent once.
//! So each answer can be checked afterwards: what was acknowledged is there, what was refused is
//! not, and what nobody knows is there as it was sent or not at all. A shared counter shows what
//! was done twice. RESP clients send pipelines, HTTP clients one request at a time; all follow the
//! leader.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock, RwLockWriteGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use super::client::{Resp, Value, encode, http};
use super::{Cluster, wait_for};

/// The wait of a client that was refused or cut off, before it tries again.
const RETRY: Duration = Duration::from_millis(5);

/// Who writes, and how hard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mix {
    /// Clients that speak RESP.
    pub(crate) resp: usize,
    /// Clients that speak HTTP.
    pub(crate) http: usize,
    /// The most writes in one pipeline.
    pub(crate) pipeline: usize,
    /// Bytes that each pipeline writes over the last: the log grows by them, and the data does not.
    pub(crate) ballast: usize,
    /// How long a client waits between an answer and its next request.
    pub(crate) pause: Duration,
}

impl Mix {
    /// Returns so many RESP clients, which send a write and an increment and wait for both.
    pub(crate) const fn plain(resp: usize) -> Self {
        Self { resp, http: 0, pipeline: 1, ballast: 0, pause: Duration::ZERO }
    }
}

/// What a client knows of one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was acknowledged.
    Done,
    /// It was refused: nothing was done.
    NotDone,
    /// Nobody knows.
    Unknown,
}

/// What all clients were told.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    /// For each client, what became of its writes, in order.
    writes: Vec<Vec<Outcome>>,
    acknowledged: usize,
    /// Increments of the counter that were acknowledged.
    increments: i64,
    /// Increments of which nobody knows.
    unknown_increments: i64,
    /// Refusals by their first word, or status.
    refusals: BTreeMap<String, usize>,
}

fn key(client: usize, number: usize) -> String {
    format!("w{client}:{number}")
}

/// Returns the value that goes with a key: mostly short, some longer than a sector, a few longer
/// than a page.
fn value(client: usize, number: usize) -> String {
    let padding = match (client + number) % 40 {
        0 => 6000,
        1..6 => 700,
        other => other,
    };
    format!("v{client}:{number}:{}", "x".repeat(padding))
}

impl Ledger {
    fn new(clients: usize) -> Self {
        Self {
            writes: vec![Vec::new(); clients],
            acknowledged: 0,
            increments: 0,
            unknown_increments: 0,
            refusals: BTreeMap::new(),
        }
    }

    fn record(&mut self, client: usize, outcome: Outcome) {
        self.writes[client].push(outcome);
        self.acknowledged += usize::from(outcome == Outcome::Done);
    }

    fn refuse(&mut self, why: &str) {
        *self.refusals.entry(why.split(' ').next().unwrap().to_owned()).or_default() += 1;
    }

    /// Returns how many writes were acknowledged.
    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged
    }

    /// Returns how often clients were refused with this word or status.
    pub(crate) fn refused(&self, why: &str) -> usize {
        self.refusals.get(why).copied().unwrap_or_default()
    }

    /// Returns how many writes of each client there are, for a check of those after them.
    pub(crate) fn position(&self) -> Vec<usize> {
        self.writes.iter().map(Vec::len).collect()
    }

    /// Checks on the leader that all of it is true.
    pub(crate) fn check(&self, cluster: &Cluster) {
        assert!(self.acknowledged > 50, "too few writes to say anything: {}", self.acknowledged);
        self.check_after(cluster, &vec![0; self.writes.len()]);
    }

    /// Checks on the leader that what was told after this position is true, and the counter.
    pub(crate) fn check_after(&self, cluster: &Cluster, position: &[usize]) {
        for (client, (writes, from)) in self.writes.iter().zip(position).enumerate() {
            let numbers: Vec<usize> = (*from..writes.len()).collect();
            for numbers in numbers.chunks(256) {
                let keys = numbers.iter().map(|number| key(client, *number));
                let request: Vec<String> = ["MGET".to_owned()].into_iter().chain(keys).collect();
                let Value::Array(found) = ask_leader(cluster, &request) else {
                    panic!("MGET returns an array")
                };
                for (number, found) in numbers.iter().zip(&found) {
                    check_one(client, *number, writes[*number], found.text());
                }
            }
        }
        let counter = ask_leader(cluster, &["GET".to_owned(), "counter".to_owned()]);
        let counter: i64 = counter.text().map_or(0, |counter| counter.parse().unwrap());
        let (least, unknown) = (self.increments, self.unknown_increments);
        assert!(
            (least..=least + unknown).contains(&counter),
            "{counter} is not within {least} acknowledged and {unknown} unknown increments"
        );
    }
}

fn check_one(client: usize, number: usize, outcome: Outcome, found: Option<&str>) {
    let (key, sent) = (key(client, number), value(client, number));
    let is_there = found == Some(sent.as_str());
    match outcome {
        Outcome::Done => assert!(is_there, "{key} was acknowledged, and is {found:?}"),
        Outcome::NotDone => assert!(found.is_none(), "{key} was refused, and is {found:?}"),
        Outcome::Unknown => assert!(is_there || found.is_none(), "{key} is {found:?}"),
    }
}

/// Asks the leader, whoever that is, until it answers.
fn ask_leader(cluster: &Cluster, request: &[String]) -> Value {
    wait_for("an answer of the leader", || {
        let mut client = cluster.nodes[cluster.leader()].try_resp()?;
        client.call(request).ok().filter(|reply| !matches!(reply, Value::Error(_)))
    })
}

/// Clients at work.
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

struct Shared {
    ledger: Mutex<Ledger>,
    stop: AtomicBool,
    /// Held for reading by whoever has a request under way.
    gate: RwLock<()>,
    /// The ports of each node, RESP and HTTP.
    ports: Vec<(u16, u16)>,
    /// Which node is thought to lead.
    leader: AtomicUsize,
    mix: Mix,
}

impl Load {
    /// Starts clients of a cluster that has a leader.
    pub(crate) fn start(cluster: &Cluster, mix: Mix) -> Self {
        let shared = Arc::new(Shared {
            ledger: Mutex::new(Ledger::new(mix.resp + mix.http)),
            stop: AtomicBool::new(false),
            gate: RwLock::new(()),
            ports: cluster.nodes.iter().map(|node| (node.resp, node.http)).collect(),
            leader: AtomicUsize::new(cluster.leader()),
            mix,
        });
        let clients = (0..mix.resp + mix.http).map(|client| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || match client < shared.mix.resp {
                true => shared.write_resp(client),
                false => shared.write_http(client),
            })
        });
        Self { clients: clients.collect(), shared }
    }

    /// Returns the ledger as it is now.
    pub(crate) fn ledger(&self) -> Ledger {
        self.shared.ledger.lock().unwrap().clone()
    }

    /// Returns how many writes were acknowledged.
    pub(crate) fn acknowledged(&self) -> usize {
        self.shared.ledger.lock().unwrap().acknowledged
    }

    /// Waits until more writes have been acknowledged.
    pub(crate) fn wait_for_progress(&self) {
        let before = self.acknowledged();
        wait_for("more acknowledged writes", || (self.acknowledged() > before + 50).then_some(()));
    }

    /// Waits until no request is under way, and lets none begin before the guard is dropped.
    pub(crate) fn pause(&self) -> RwLockWriteGuard<'_, ()> {
        self.shared.gate.write().unwrap()
    }

    /// Ends the clients, and returns what they were told.
    pub(crate) fn stop(mut self) -> Ledger {
        self.shared.stop.store(true, Ordering::Release);
        for client in self.clients.drain(..) {
            client.join().unwrap();
        }
        self.shared.ledger.lock().unwrap().clone()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
    }
}

impl Shared {
    fn is_on(&self) -> bool {
        !self.stop.load(Ordering::Acquire)
    }

    fn ports(&self) -> (u16, u16) {
        self.ports[self.leader.load(Ordering::Relaxed)]
    }

    /// Has the next request go to another node.
    fn look_elsewhere(&self) {
        let next = (self.leader.load(Ordering::Relaxed) + 1) % self.ports.len();
        self.leader.store(next, Ordering::Relaxed);
        std::thread::sleep(RETRY);
    }

    fn write_resp(&self, client: usize) {
        let mut connection: Option<Resp> = None;
        for turn in 0.. {
            if !self.is_on() {
                return;
            }
            // Poisoned: the test has failed that holds it.
            let Ok(open) = self.gate.read() else { return };
            let connected = match connection.take() {
                Some(connected) => Ok(connected),
                None => Resp::connect(self.ports().0),
            };
            match connected {
                Ok(mut connected) => {
                    if self.write_pipeline(&mut connected, client, 1 + turn % self.mix.pipeline) {
                        connection = Some(connected);
                    }
                }
                Err(_) => self.look_elsewhere(),
            }
            drop(open);
            std::thread::sleep(self.mix.pause);
        }
    }

    /// Sends so many writes and an increment at once, and takes down what is said of each. Returns
    /// whether the connection is good for more.
    fn write_pipeline(&self, connection: &mut Resp, client: usize, count: usize) -> bool {
        let first = self.ledger.lock().unwrap().writes[client].len();
        let mut request = Vec::new();
        for number in first..first + count {
            encode(&["SET", &key(client, number), &value(client, number)], &mut request);
        }
        let ballast = usize::from(self.mix.ballast > 0);
        if ballast > 0 {
            encode(&["SET", "ballast", &"b".repeat(self.mix.ballast)], &mut request);
        }
        encode(&["INCR", "counter"], &mut request);
        let sent = connection.send_raw(&request);
        let mut refusal = None;
        let mut is_broken = false;
        for at in 0..=count + ballast {
            let reply = if sent.is_ok() && !is_broken { connection.receive().ok() } else { None };
            is_broken |= reply.is_none();
            let outcome = match &reply {
                Some(Value::Error(error)) if !error.starts_with("TIMEOUT") => Outcome::NotDone,
                Some(Value::Simple(_) | Value::Integer(_)) => Outcome::Done,
                _ => Outcome::Unknown,
            };
            let mut ledger = self.ledger.lock().unwrap();
            match outcome {
                _ if at < count => ledger.record(client, outcome),
                _ if at < count + ballast => {}
                Outcome::Done => ledger.increments += 1,
                Outcome::NotDone => {}
                Outcome::Unknown => ledger.unknown_increments += 1,
            }
            if let (Outcome::NotDone, Some(reply)) = (outcome, reply) {
                ledger.refuse(reply.text().unwrap_or_default());
                refusal = Some(reply);
            }
        }
        match refusal {
            Some(reply) => {
                self.follow(&reply);
                false
            }
            None => !is_broken,
        }
    }

    /// Goes where a refusal says, if it says so.
    fn follow(&self, refusal: &Value) {
        let to = refusal.moved_to();
        match self.ports.iter().position(|(resp, _)| Some(*resp) == to) {
            Some(leader) => self.leader.store(leader, Ordering::Relaxed),
            // It leads, and takes no writes now.
            None if refusal.text().is_some_and(|text| text.starts_with("MISCONF")) => {
                std::thread::sleep(RETRY);
            }
            None => self.look_elsewhere(),
        }
    }

    fn write_http(&self, client: usize) {
        for number in 0.. {
            if !self.is_on() {
                return;
            }
            // Poisoned: the test has failed that holds it.
            let Ok(open) = self.gate.read() else { return };
            let path = format!("/kv/{}", key(client, number));
            let body = format!("{{\"value\":\"{}\"}}", value(client, number));
            let status = http(self.ports().1, "PUT", &path, body.as_bytes()).map(|reply| reply.0);
            let outcome = match status {
                Ok(200) => Outcome::Done,
                Ok(409 | 503 | 507) => Outcome::NotDone,
                _ => Outcome::Unknown,
            };
            let mut ledger = self.ledger.lock().unwrap();
            ledger.record(client, outcome);
            if let (Outcome::NotDone, Ok(status)) = (outcome, &status) {
                ledger.refuse(&status.to_string());
            }
            drop(ledger);
            match status {
                Ok(200) => {}
                Ok(507) => std::thread::sleep(RETRY),
                _ => self.look_elsewhere(),
            }
            drop(open);
            std::thread::sleep(self.mix.pause);
        }
    }
}
