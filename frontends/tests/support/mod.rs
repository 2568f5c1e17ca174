//! A store in memory, and a client that speaks bytes: what the protocol tests are written with.

#![allow(dead_code, clippy::unwrap_used)]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use raftkv_frontends::resp::{Options, Server};
use raftkv_frontends::{
    Cluster, Error, Follower, Followers, Kv, Member, Observer, PeerStatus, Role, Status,
};
use raftkv_storage::keyspace::changes::Change;
use raftkv_storage::keyspace::command::{Batch, Stamp, time_entry};
use raftkv_storage::keyspace::waits::{self, Call};
use raftkv_storage::keyspace::{Keyspace, Reply};
use raftkv_storage::types::{ClusterId, NodeId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{oneshot, watch};

/// A store whose state of the cluster and whose failures a test decides.
#[derive(Clone)]
pub(crate) struct Memory(Arc<Inner>);

struct Inner {
    mode: Mode,
    keyspace: Mutex<Keyspace>,
    index: AtomicU64,
    replies: Mutex<VecDeque<Reply>>,
    failures: Mutex<VecDeque<Error>>,
    batches: Mutex<Vec<usize>>,
    status: Mutex<Status>,
    followers: watch::Sender<Vec<Follower>>,
    cluster: watch::Sender<Arc<Cluster>>,
    observer: Mutex<Option<Arc<dyn Observer>>>,
    time_ms: AtomicU64,
    /// Whether the replies to reads are held back.
    held: watch::Sender<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// A keyspace.
    Real,
    /// The first command ever gets 1, the next one 2, and so on: order can be read from the
    /// replies.
    Counting,
    /// What the test has laid down.
    Scripted,
}

impl Memory {
    /// A leader with a keyspace.
    pub(crate) fn new() -> Self {
        Self::with(Mode::Real)
    }

    /// A leader that answers every command with its number.
    pub(crate) fn counting() -> Self {
        Self::with(Mode::Counting)
    }

    /// A leader that answers with these, one after the other.
    pub(crate) fn scripted(replies: impl IntoIterator<Item = Reply>) -> Self {
        let memory = Self::with(Mode::Scripted);
        memory.0.replies.lock().unwrap().extend(replies);
        memory
    }

    fn with(mode: Mode) -> Self {
        Self(Arc::new(Inner {
            mode,
            keyspace: Mutex::default(),
            index: AtomicU64::new(0),
            replies: Mutex::default(),
            failures: Mutex::default(),
            batches: Mutex::default(),
            status: Mutex::new(status()),
            followers: watch::Sender::new(Vec::new()),
            cluster: watch::Sender::new(Arc::new(cluster())),
            observer: Mutex::default(),
            time_ms: AtomicU64::new(1_700_000_000_000),
            held: watch::Sender::new(false),
        }))
    }

    /// Lets the next batches fail, one by one.
    pub(crate) fn fail(&self, errors: impl IntoIterator<Item = Error>) {
        self.0.failures.lock().unwrap().extend(errors);
    }

    /// Changes what the node knows of its cluster.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Cluster)) {
        self.0.cluster.send_modify(|cluster| change(Arc::make_mut(cluster)));
        self.publish_followers();
    }

    /// Changes the figures.
    pub(crate) fn change_status(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.0.status.lock().unwrap());
        self.publish_followers();
    }

    fn publish_followers(&self) {
        let is_leader = self.0.cluster.borrow().role == Role::Leader;
        let status = self.0.status.lock().unwrap();
        let follower = |peer: &PeerStatus| Follower {
            live: peer.live,
            match_index: peer.match_index.unwrap(),
        };
        let peers = status.peers.iter().filter(|_| is_leader);
        self.0.followers.send_replace(peers.map(follower).collect());
    }

    /// Holds the replies to reads back, or lets them go.
    pub(crate) fn hold(&self, held: bool) {
        self.0.held.send_replace(held);
    }

    /// Lets the time in the log pass.
    pub(crate) fn pass(&self, milliseconds: u64) {
        self.0.time_ms.fetch_add(milliseconds, Ordering::Relaxed);
        self.apply(0, &time_entry(self.stamp()));
    }

    /// Says that the node no longer leads: what changes from now on is not known here.
    pub(crate) fn depose(&self) {
        let observer = self.0.observer.lock().unwrap().clone().unwrap();
        observer.changed(&[Change { key: None, origin: 0 }]);
    }

    fn stamp(&self) -> Stamp {
        Stamp { time_ms: self.0.time_ms.load(Ordering::Relaxed), seed: 7 }
    }

    fn apply(&self, origin: u64, entry: &Bytes) -> Vec<Reply> {
        let observer = self.0.observer.lock().unwrap().clone();
        let observer = observer.filter(|observer| observer.is_watching());
        let mut keyspace = self.0.keyspace.lock().unwrap();
        let index = self.0.index.fetch_add(1, Ordering::Relaxed) + 1;
        keyspace.changes().want(observer.is_some());
        keyspace.changes().attribute(origin);
        let replies = keyspace.apply(index, entry);
        if let Some(observer) = observer {
            observer.changed(&keyspace.changes().take());
        }
        replies
    }

    /// How many commands each batch had so far.
    pub(crate) fn batches(&self) -> Vec<usize> {
        self.0.batches.lock().unwrap().clone()
    }

    /// The last index of the log.
    pub(crate) fn index(&self) -> u64 {
        self.0.index.load(Ordering::Relaxed)
    }
}

impl Kv for Memory {
    async fn execute(&self, batch: Batch) -> Result<Vec<Reply>, Error> {
        // As in a real store, the answer does not come in the same breath.
        tokio::task::yield_now().await;
        self.0.batches.lock().unwrap().push(batch.len());
        if let Some(error) = self.0.failures.lock().unwrap().pop_front() {
            return Err(error);
        }
        match self.0.mode {
            Mode::Counting => {
                let next =
                    || Reply::Integer(self.0.index.fetch_add(1, Ordering::Relaxed) as i64 + 1);
                Ok((0..batch.len()).map(|_| next()).collect())
            }
            Mode::Scripted => {
                let mut replies = self.0.replies.lock().unwrap();
                Ok(replies.drain(..batch.len()).collect())
            }
            Mode::Real => {
                let (origin, stamp) = (batch.origin(), self.stamp());
                let (reads, entry) = batch.into_parts(stamp);
                let mut replies = self.0.keyspace.lock().unwrap().read(&reads, stamp.time_ms);
                if let Some(entry) = entry {
                    replies.extend(self.apply(origin, &entry));
                } else {
                    let mut held = self.0.held.subscribe();
                    held.wait_for(|held| !held).await.unwrap();
                }
                Ok(replies)
            }
        }
    }

    /// Nothing ever comes here for those who wait.
    async fn wait(
        &self,
        call: Call,
        origin: u64,
        begun: oneshot::Sender<()>,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<Reply, Error> {
        let mut batch = Batch::new();
        batch.push(call.spec, &call.args());
        batch.set_origin(origin);
        let reply = self.execute(batch).await?.pop().unwrap();
        if waits::is_nothing(&reply) {
            let _ = begun.send(());
            stop.await;
        }
        Ok(reply)
    }

    fn cluster(&self) -> watch::Receiver<Arc<Cluster>> {
        self.0.cluster.subscribe()
    }

    async fn status(&self, _digest: bool) -> Result<Status, Error> {
        Ok(self.0.status.lock().unwrap().clone())
    }

    async fn followers(&self) -> Result<Followers, Error> {
        let followers = self.0.followers.subscribe();
        self.publish_followers();
        let commit_index = self.0.status.lock().unwrap().commit_index;
        Ok(Followers { commit_index, followers })
    }

    fn observe(&self, observer: Arc<dyn Observer>) {
        *self.0.observer.lock().unwrap() = Some(observer);
    }
}

pub(crate) fn id(name: &str) -> NodeId {
    name.parse().unwrap()
}

fn cluster() -> Cluster {
    let member = |name: &str, port: u16| Member {
        id: id(name),
        resp_host: "127.0.0.1".to_owned(),
        resp_port: port,
        http_url: format!("http://127.0.0.1:{}", port + 1000),
        live: true,
    };
    Cluster {
        node: id("A"),
        role: Role::Leader,
        term: 3,
        leader: Some(id("A")),
        last_leader: Some(id("A")),
        loading: false,
        cluster: Some(ClusterId(0xfeed)),
        members: vec![member("A", 7001), member("B", 7002), member("C", 7003)],
    }
}

fn status() -> Status {
    let peer = |name: &str, index: u64| PeerStatus {
        id: id(name),
        live: true,
        match_index: Some(index),
        behind: Some(10 - index),
        state: Some("replicate"),
    };
    Status {
        commit_index: 10,
        applied_index: 10,
        last_log_index: 10,
        snapshot_index: 4,
        log_bytes: 1000,
        recovering: false,
        lease: None,
        keys: 2,
        expiring_keys: 1,
        peers: vec![peer("B", 10), peer("C", 9)],
        digest: None,
    }
}

/// A request as clients send it.
pub(crate) fn request(args: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        bytes.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        bytes.extend_from_slice(arg);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// As [`request`], of words.
pub(crate) fn words(text: &str) -> Vec<u8> {
    request(&text.split(' ').map(str::as_bytes).collect::<Vec<_>>())
}

/// Sends all bytes to a server at once, and returns all that it answers until it closes.
pub(crate) async fn talk(kv: &Memory, input: &[u8]) -> Vec<u8> {
    talk_to(&Server::new(kv.clone(), Options::default(), 7001), &[input]).await
}

/// As [`talk`], with the input in pieces of which each is taken in before the next one comes.
pub(crate) async fn talk_to(server: &Arc<Server<Memory>>, pieces: &[&[u8]]) -> Vec<u8> {
    let (client, near) = tokio::io::duplex(1 << 20);
    let (reader, writer) = tokio::io::split(near);
    let (peer, local) = ("127.0.0.1:5000".to_owned(), "127.0.0.1:7001".to_owned());
    let conversation = tokio::spawn(Arc::clone(server).converse(reader, writer, peer, local));
    let (mut from, mut to) = tokio::io::split(client);
    let answers = tokio::spawn(async move {
        let mut answers = Vec::new();
        from.read_to_end(&mut answers).await.map(|_| answers)
    });
    for piece in pieces {
        // A server that has closed takes nothing more; what it said is what counts.
        if to.write_all(piece).await.is_err() {
            break;
        }
        if pieces.len() > 1 {
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
        }
    }
    let _ = to.shutdown().await;
    conversation.await.unwrap().unwrap();
    answers.await.unwrap().unwrap()
}

/// Returns the text of [`talk`] with words.
pub(crate) async fn ask(kv: &Memory, command: &str) -> String {
    String::from_utf8(talk(kv, &words(command)).await).unwrap()
}
