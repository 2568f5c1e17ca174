//! Clients: each a thread with one connection, some by RESP with pipelines, some by HTTP.
//!
//! Most follow the leader. Some wander: they ask a node by lot, and so now and then one that
//! believes that it leads and does not. All know three outcomes, and never take one for another:
//! done, not done, and unknown, which is also what a lost connection leaves.

mod http;
mod resp;
mod workload;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::linearizability::{Op, OpId, Reply};
use crate::process::client::{Http, Resp, Value, encode};
use crate::record::{Protocol, Shared};
use workload::Workload;

pub(crate) use workload::Round;

/// How many clients of each kind there are.
const RESP: u32 = 8;
const HTTP: u32 = 4;
/// One in so many wanders.
const WANDERS_ONE_IN: u32 = 3;
/// The longest pipeline.
const PIPELINE: u64 = 8;
/// How long clients wait for an answer, by turns. Some are patient enough for most elections;
/// others are soon elsewhere, so that there is something that a leader of old does not know.
const PATIENCE: [Duration; 4] = [
    Duration::from_millis(2500),
    Duration::from_millis(250),
    Duration::from_millis(1000),
    Duration::from_millis(500),
];
/// The same for those who wander, and for who reads everything at the end.
const PATIENCE_WANDERING: Duration = Duration::from_millis(250);
const PATIENCE_READING: Duration = Duration::from_secs(5);
/// How long a client thinks before it asks again, and how much longer when it was refused.
const THINK_MS: u64 = 6;
const BACKOFF_MS: u64 = 60;
/// How many keys are read at once at the end.
const READ_AT_ONCE: usize = 64;

/// How an operation ended.
#[derive(Debug)]
enum Outcome {
    Done(Reply),
    NotDone,
    Unknown,
}

/// Where clients reach each node, in the order of the nodes.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) resp: Vec<SocketAddr>,
    pub(crate) http: Vec<SocketAddr>,
}

/// All clients of a round.
pub(crate) struct Clients {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Clients {
    /// Lets clients ask until they are stopped.
    pub(crate) fn start(seed: u64, round: Round, places: &Places, record: &Shared) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..RESP + HTTP).map(|number| {
            let workload = Workload::new(seed, round, number);
            let client = Client {
                number,
                places: places.clone(),
                target: number as usize % places.resp.len(),
                wanders: number % WANDERS_ONE_IN == 0,
                workload,
                record: record.clone(),
                versions: BTreeMap::new(),
            };
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                if number < RESP { client.speak_resp(&stop) } else { client.speak_http(&stop) }
            })
        });
        Self { threads: threads.collect(), stop }
    }

    /// Lets every client finish what it asks, and waits for all of them.
    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a client may see wrong things, but not fail");
        }
    }
}

struct Client {
    number: u32,
    places: Places,
    target: usize,
    wanders: bool,
    workload: Workload,
    record: Shared,
    /// The newest version of a key that it was told.
    versions: BTreeMap<u32, u64>,
}

impl Client {
    fn patience(&self) -> Duration {
        let patience = PATIENCE[self.number as usize % PATIENCE.len()];
        if self.wanders { PATIENCE_WANDERING } else { patience }
    }

    /// Waits before the next request; longer after a refusal.
    fn think(&mut self, refused: bool) {
        let most = if refused { BACKOFF_MS } else { THINK_MS };
        let time = 1 + self.workload.random.below(most);
        std::thread::sleep(Duration::from_millis(time));
    }

    /// Chooses whom to ask next; `told` is where the last answer pointed.
    fn choose(&mut self, told: Option<usize>, is_well: bool) {
        let nodes = self.places.resp.len();
        self.target = match told {
            _ if self.wanders => self.workload.random.below(nodes as u64) as usize,
            Some(leader) => leader,
            None if is_well => self.target,
            None => (self.target + 1) % nodes,
        };
    }

    /// Records how an operation ended, and returns whether it was done.
    fn end(&mut self, id: OpId, key: u32, op: &Op, outcome: Outcome, by: Protocol) -> bool {
        let mut record = self.record.lock();
        match outcome {
            Outcome::Done(reply) => {
                if let Reply::Found { version: Some(version), .. }
                | Reply::Written { version: Some(version) } = reply
                {
                    self.versions.insert(key, version);
                }
                record.ok(id, key, op, reply, by);
                return true;
            }
            Outcome::NotDone => record.fail(id),
            Outcome::Unknown => record.unknown(id, key, op),
        }
        false
    }

    fn speak_resp(mut self, stop: &AtomicBool) {
        // By node: who wanders comes back to connections that are still open.
        let mut connections: BTreeMap<usize, Resp> = BTreeMap::new();
        while !stop.load(Ordering::Relaxed) {
            let target = self.target;
            let connection = connections.remove(&target).map_or_else(
                || Resp::connect_within(self.places.resp[target], self.patience()),
                Ok,
            );
            let Ok(mut connection) = connection else {
                self.choose(None, false);
                self.think(true);
                continue;
            };
            let (told, is_well, is_open) = self.pipeline(&mut connection);
            if is_open {
                connections.insert(target, connection);
            }
            self.choose(told, is_well);
            self.think(!is_well && told.is_none());
        }
    }

    /// Sends some operations at once. Returns who leads, if another node was named, whether all
    /// went well, and whether the connection still can be used.
    fn pipeline(&mut self, connection: &mut Resp) -> (Option<usize>, bool, bool) {
        let count = 1 + self.workload.random.below(PIPELINE);
        let ops: Vec<(u32, Op)> =
            (0..count).map(|_| self.workload.next(Protocol::Resp, |_| None)).collect();
        let mut request = Vec::new();
        ops.iter().for_each(|(key, op)| resp::write(*key, op, &mut request));
        // What nobody else says must come back to nobody else.
        let echo = self.workload.unique();
        encode(&[b"ECHO", echo.as_slice()], &mut request);
        let ids: Vec<OpId> = {
            let mut record = self.record.lock();
            ops.iter().map(|(key, op)| record.call(self.number, *key, op)).collect()
        };
        let (mut told, mut is_well) = (None, true);
        let mut is_open = connection.send_raw(&request).is_ok();
        for (id, (key, op)) in ids.into_iter().zip(&ops) {
            let reply = if is_open { connection.receive() } else { Err(lost()) };
            let outcome = match &reply {
                Ok(reply) => {
                    told = told.or(self.moved_to(reply));
                    resp::read(op, reply).unwrap_or_else(|| {
                        self.is_wrong(&format!("{reply:?} in answer to {op:?} of key {key}"));
                        Outcome::Unknown
                    })
                }
                Err(_) => Outcome::Unknown,
            };
            is_open &= reply.is_ok();
            is_well &= self.end(id, *key, op, outcome, Protocol::Resp);
        }
        if is_open {
            match connection.receive() {
                Ok(Value::Bulk(back)) if back == echo => {}
                Ok(other) => self.is_wrong(&format!("{other:?} in answer to ECHO {echo:?}")),
                Err(_) => is_open = false,
            }
        }
        (told, is_well, is_open)
    }

    fn moved_to(&self, reply: &Value) -> Option<usize> {
        let Value::Error(error) = reply else { return None };
        let address = error.strip_prefix("MOVED ")?.split(' ').nth(1)?.parse().ok()?;
        self.places.resp.iter().position(|place| *place == address)
    }

    fn speak_http(mut self, stop: &AtomicBool) {
        let mut connections: BTreeMap<usize, Http> = BTreeMap::new();
        while !stop.load(Ordering::Relaxed) {
            let target = self.target;
            let connection = connections.remove(&target).map_or_else(
                || Http::connect_within(self.places.http[target], self.patience()),
                Ok,
            );
            let Ok(mut connection) = connection else {
                self.choose(None, false);
                self.think(true);
                continue;
            };
            let (versions, workload) = (&self.versions, &mut self.workload);
            let (key, op) = workload.next(Protocol::Http, |key| versions.get(&key).copied());
            let id = self.record.lock().call(self.number, key, &op);
            let answer = http::call(&mut connection, key, &op);
            let (mut told, mut outcome) = (None, Outcome::Unknown);
            if let Ok((status, body)) = answer {
                connections.insert(target, connection);
                told = body["leader"]["id"].as_str().and_then(position);
                match http::read(key, &op, status, &body) {
                    Some(read) => outcome = read,
                    None => self.is_wrong(&format!("{status} {body} in answer to {op:?} of {key}")),
                }
            }
            let is_well = self.end(id, key, &op, outcome, Protocol::Http);
            self.choose(told, is_well);
            self.think(!is_well && told.is_none());
        }
    }

    fn is_wrong(&self, what: &str) {
        self.record.lock().is_wrong(format!("client {}: {what}", self.number));
    }
}

fn lost() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

/// Returns the place of a node by its name.
fn position(id: &str) -> Option<usize> {
    let letter = id.bytes().next()?;
    letter.checked_sub(b'A').map(usize::from)
}

/// Reads every key from whoever leads, as part of the history, and returns what they hold.
pub(crate) fn read_all(
    places: &Places,
    record: &Shared,
    deadline: Instant,
) -> Result<BTreeMap<u32, Option<Vec<u8>>>, String> {
    let keys = record.lock().keys();
    let mut found = BTreeMap::new();
    let mut target = 0;
    while found.len() < keys.len() {
        if Instant::now() > deadline {
            return Err(format!("only {} of {} keys could be read", found.len(), keys.len()));
        }
        let read = Resp::connect_within(places.resp[target % places.resp.len()], PATIENCE_READING);
        let read = read.map_err(|_| ()).and_then(|mut connection| {
            while let Some(at) = (found.len() < keys.len()).then_some(found.len()) {
                let some = &keys[at..keys.len().min(at + READ_AT_ONCE)];
                found.extend(read_some(&mut connection, some, record)?);
            }
            Ok(())
        });
        if read.is_err() {
            target += 1;
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(found)
}

/// A key, and what it was found to hold.
type Found = (u32, Option<Vec<u8>>);

/// Reads some keys, or none if this is not who can tell.
fn read_some(connection: &mut Resp, keys: &[u32], record: &Shared) -> Result<Vec<Found>, ()> {
    let mut request = Vec::new();
    keys.iter().for_each(|key| resp::write(*key, &Op::Get, &mut request));
    let ids: Vec<OpId> = {
        let mut record = record.lock();
        keys.iter().map(|key| record.call(RESP + HTTP, *key, &Op::Get)).collect()
    };
    connection.send_raw(&request).map_err(drop)?;
    let mut found = Vec::new();
    for (key, id) in keys.iter().zip(ids) {
        let value = match connection.receive().map_err(drop)? {
            Value::Bulk(value) => Some(value),
            Value::Null => None,
            _ => return Err(()),
        };
        record.lock().ok(id, *key, &Op::Get, Reply::found(value.as_deref()), Protocol::Resp);
        found.push((*key, value));
    }
    Ok(found)
}
