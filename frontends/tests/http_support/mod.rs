//! A store in memory behind a real listener, and a client that sends bytes as they stand.

#![allow(dead_code, unreachable_pub, reason = "each test program uses its part")]
#![allow(clippy::unwrap_used, reason = "a test may stop anywhere")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use raftkv_frontends::http::{Options, serve};
use raftkv_frontends::{Cluster, Error, Followers, Kv, Member, Observer, PeerStatus, Role, Status};
use raftkv_storage::keyspace::command::{Batch, Stamp};
use raftkv_storage::keyspace::waits::{self, Call};
use raftkv_storage::keyspace::{Keyspace, Reply};
use raftkv_storage::types::{ClusterId, NodeId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// What the clock of the store says, always.
pub const CLOCK_MS: u64 = 1_700_000_000_000;

/// A store of one process. Entries have the indexes 1, 2, 3 …
#[derive(Clone)]
pub struct Memory(Arc<Inner>);

struct Inner {
    keyspace: Mutex<(Keyspace, u64)>,
    cluster: watch::Sender<Arc<Cluster>>,
    /// What the next calls answer instead.
    override_with: Mutex<Option<Result<Vec<Reply>, Error>>>,
    /// Whether calls wait.
    held: watch::Sender<bool>,
    /// How many calls have come.
    calls: watch::Sender<usize>,
}

pub fn node(name: &str) -> NodeId {
    name.parse().unwrap()
}

fn member(name: &str, resp_host: &str, port: u16) -> Member {
    let http_url = format!("http://127.0.0.1:{port}");
    let (resp_host, resp_port) = (resp_host.to_owned(), port - 1000);
    Member { id: node(name), resp_host, resp_port, http_url, live: true }
}

impl Memory {
    pub fn new() -> Self {
        let cluster = Cluster {
            node: node("A"),
            role: Role::Leader,
            term: 7,
            leader: Some(node("A")),
            last_leader: Some(node("A")),
            loading: false,
            cluster: Some(ClusterId(0xabc)),
            members: vec![member("A", "127.0.0.1", 8001), member("B", "::1", 8002)],
        };
        Self(Arc::new(Inner {
            keyspace: Mutex::default(),
            cluster: watch::Sender::new(Arc::new(cluster)),
            override_with: Mutex::default(),
            held: watch::Sender::new(false),
            calls: watch::Sender::new(0),
        }))
    }

    pub fn change(&self, change: impl FnOnce(&mut Cluster)) {
        self.0.cluster.send_modify(|cluster| change(Arc::make_mut(cluster)));
    }

    /// All calls from now on answer this.
    pub fn answer(&self, answer: Result<Vec<Reply>, Error>) {
        *self.0.override_with.lock().unwrap() = Some(answer);
    }

    pub fn hold(&self, held: bool) {
        self.0.held.send_replace(held);
    }

    /// Returns once so many calls have come in all.
    pub async fn called(&self, times: usize) {
        let mut calls = self.0.calls.subscribe();
        patiently(calls.wait_for(|calls| *calls >= times)).await.unwrap();
    }

    async fn arrive(&self) -> Option<Result<Vec<Reply>, Error>> {
        self.0.calls.send_modify(|calls| *calls += 1);
        let mut held = self.0.held.subscribe();
        held.wait_for(|held| !held).await.unwrap();
        self.0.override_with.lock().unwrap().clone()
    }
}

impl Kv for Memory {
    async fn execute(&self, batch: Batch) -> Result<Vec<Reply>, Error> {
        if let Some(answer) = self.arrive().await {
            return answer;
        }
        let (keyspace, index) = &mut *self.0.keyspace.lock().unwrap();
        let (reads, entry) = batch.into_parts(Stamp { time_ms: CLOCK_MS, seed: 1 });
        let mut replies = keyspace.read(&reads, CLOCK_MS);
        if let Some(entry) = entry {
            *index += 1;
            replies.extend(keyspace.apply(*index, &entry));
        }
        Ok(replies)
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

    async fn followers(&self) -> Result<Followers, Error> {
        let (_, followers) = watch::channel(Vec::new());
        Ok(Followers { commit_index: 42, followers })
    }

    async fn status(&self, digest: bool) -> Result<Status, Error> {
        if let Some(Err(error)) = self.arrive().await {
            return Err(error);
        }
        let mut peer = PeerStatus {
            id: node("B"),
            live: true,
            match_index: Some(40),
            behind: Some(2),
            state: Some("replicate"),
        };
        if self.0.cluster.borrow().role != Role::Leader {
            (peer.match_index, peer.behind, peer.state) = (None, None, None);
        }
        Ok(Status {
            commit_index: 42,
            applied_index: 41,
            last_log_index: 43,
            snapshot_index: 30,
            log_bytes: 999,
            recovering: false,
            lease: None,
            keys: 5,
            expiring_keys: 1,
            peers: vec![peer],
            digest: digest.then_some(0xfeed),
        })
    }

    fn observe(&self, _observer: Arc<dyn Observer>) {}
}

/// Waits, but not for ever: a test that hangs should say where.
pub async fn patiently<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_secs(20), future).await.expect("this should have come long ago")
}

pub struct Server {
    pub kv: Memory,
    pub address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    pub async fn start() -> Self {
        Self::with(Options::default()).await
    }

    pub async fn with(options: Options) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, kv) = (listener.local_addr().unwrap(), Memory::new());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve(listener, kv.clone(), options, async {
            let _ = stopped.await;
        }));
        Self { kv, address, stop, task }
    }

    pub async fn connect(&self) -> Client {
        Client(TcpStream::connect(self.address).await.unwrap())
    }

    /// Sends a request on a connection of its own and returns the response.
    pub async fn ask(&self, request: impl AsRef<[u8]>) -> String {
        let mut client = self.connect().await;
        client.send(request).await;
        client.response().await
    }

    /// Sends a request without a body.
    pub async fn get(&self, target: &str, headers: &[&str]) -> String {
        self.ask(request("GET", target, headers, "")).await
    }

    /// Sends a request with a JSON body.
    pub async fn put(&self, target: &str, headers: &[&str], json: &str) -> String {
        let mut all = vec!["content-type: application/json"];
        all.extend(headers);
        self.ask(request("PUT", target, &all, json)).await
    }

    pub async fn stop(self) {
        self.stop.send(()).unwrap();
        patiently(self.task).await.unwrap().unwrap();
    }

    pub fn ask_to_stop(self) -> JoinHandle<std::io::Result<()>> {
        self.stop.send(()).unwrap();
        self.task
    }
}

/// Returns the bytes of a request.
pub fn request(method: &str, target: &str, headers: &[&str], body: &str) -> Vec<u8> {
    let mut text = format!("{method} {target} HTTP/1.1\r\nhost: a\r\n");
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    if !body.is_empty() {
        text.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    (text + "\r\n" + body).into_bytes()
}

/// Base64 once more, so that the frontend is not checked with its own.
pub fn unbase64(text: &str) -> Vec<u8> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0u32, 0);
    for byte in text.bytes().filter(|byte| *byte != b'=') {
        let digit = alphabet.iter().position(|known| *known == byte).expect("base64");
        (bits, held) = (bits << 6 | digit as u32, held + 6);
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    bytes
}

/// Returns the text of a response with a JSON body, without its date.
pub fn json(status: &str, headers: &[&str], body: &str) -> String {
    let mut text = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\n");
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text.push_str("cache-control: no-store\r\nx-content-type-options: nosniff\r\n");
    text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    text
}

pub struct Client(pub TcpStream);

impl Client {
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        patiently(self.0.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Returns the next response without its date.
    pub async fn response(&mut self) -> String {
        let (head, length) = self.head().await;
        let mut body = vec![0; length];
        patiently(self.0.read_exact(&mut body)).await.unwrap();
        head + &String::from_utf8_lossy(&body)
    }

    /// Returns the next response's body, as bytes.
    pub async fn body(&mut self) -> Vec<u8> {
        let (_, length) = self.head().await;
        let mut body = vec![0; length];
        patiently(self.0.read_exact(&mut body)).await.unwrap();
        body
    }

    /// Reads the head of a response; returns it without its date, and the length of the body.
    pub async fn head(&mut self) -> (String, usize) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = patiently(self.0.read_u8()).await;
            head.push(byte.unwrap_or_else(|error| panic!("{error} after {head:?}")));
        }
        let head = String::from_utf8(head).unwrap();
        let lines = head.split_inclusive("\r\n");
        let length = lines.clone().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map_or(0, |length| length.trim().parse().unwrap());
        (lines.filter(|line| !line.starts_with("date: ")).collect(), length)
    }

    /// As [`Client::rest`], without dates.
    pub async fn rest_undated(&mut self) -> String {
        let rest = self.rest().await;
        let lines = rest.split_inclusive("\r\n");
        lines.filter(|line| !line.starts_with("date: ")).collect()
    }

    /// Returns all that still comes until the server closes. A reset counts as a close.
    pub async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        let _ = patiently(self.0.read_to_end(&mut rest)).await;
        String::from_utf8_lossy(&rest).into_owned()
    }
}
