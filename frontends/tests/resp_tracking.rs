//! CLIENT TRACKING, byte for byte: whole conversations as Redis has them, and what only shows when
//! things happen at the same time.
//!
//! `tracking/conversations.txt` is what redis-server 7.0 answers, and what is answered here. It is
//! compared with a redis-server where there is one; after a deliberate change of the questions
//! `UPDATE_GOLDENFILES=1` has one write the answers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use raftkv_frontends::resp::{Options, Server, serve};
use support::{Memory, words};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

const PATIENCE: Duration = Duration::from_secs(20);

fn conversations() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/tracking/conversations.txt")
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// A connection to either server, that knows where an answer ends.
struct Client {
    stream: Box<dyn Stream>,
    input: Vec<u8>,
    id: String,
}

impl Client {
    fn new(stream: Box<dyn Stream>) -> Self {
        let mut client = Self { stream, input: Vec::new(), id: String::new() };
        client.id = client.ask("CLIENT ID").trim_matches([':', '\r', '\n']).to_owned();
        client
    }

    /// Sends a line, and returns all that comes up to its reply.
    fn ask(&mut self, line: &str) -> String {
        self.stream.write_all(format!("{line}\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        loop {
            let is_push = self.peek(1).starts_with(b">");
            let length = self.frame(0);
            answer.push_str(&String::from_utf8(self.input.drain(..length).collect()).unwrap());
            if !is_push {
                return answer;
            }
        }
    }

    /// Returns what comes unasked.
    fn pushes(&mut self) -> String {
        let answer = self.ask("PING");
        answer.strip_suffix("+PONG\r\n").unwrap().to_owned()
    }

    fn peek(&mut self, length: usize) -> &[u8] {
        while self.input.len() < length {
            let mut bytes = [0; 4096];
            let read = self.stream.read(&mut bytes).unwrap();
            assert!(read > 0, "the server closed");
            self.input.extend_from_slice(&bytes[..read]);
        }
        &self.input
    }

    /// Returns where the frame ends that begins at a place.
    fn frame(&mut self, start: usize) -> usize {
        let mut end = start + 2;
        while !self.peek(end).get(start..end).unwrap().ends_with(b"\r\n") {
            end += 1;
        }
        let line = String::from_utf8(self.input[start..end - 2].to_vec()).unwrap();
        let number = || line[1..].parse::<i64>().unwrap();
        let parts = match &line[..1] {
            "$" | "=" if number() >= 0 => {
                end += number() as usize + 2;
                self.peek(end);
                0
            }
            "*" | "~" | ">" => number().max(0),
            "%" => number() * 2,
            _ => 0,
        };
        (0..parts).fold(end, |end, _| self.frame(end))
    }
}

/// Holds the conversations that the text asks for, and returns the text with the answers.
fn converse(text: &str, connect: &dyn Fn() -> Box<dyn Stream>) -> String {
    // So that no client's number looks like another reply.
    (0..100).for_each(|_| drop(connect()));
    let mut admin = Client::new(connect());
    let mut clients = BTreeMap::<String, Client>::new();
    let mut ids = BTreeMap::new();
    let mut shown = String::new();
    for line in text.lines().filter(|line| !line.contains("< ")) {
        writeln!(shown, "{line}").unwrap();
        let Some((name, command)) = line.split_once("> ") else {
            clients.clear();
            ids.clear();
            admin.ask("FLUSHALL");
            continue;
        };
        let client = clients.entry(name.to_owned()).or_insert_with(|| Client::new(connect()));
        let own = format!("${name}");
        let mut command = command.replace(&own, &client.id);
        for (name, client) in &clients {
            command = command.replace(&format!("${name}"), &client.id);
        }
        let mut answers = BTreeMap::from([(name, clients.get_mut(name).unwrap().ask(&command))]);
        ids.insert(name.to_owned(), clients[name].id.clone());
        if command == "QUIT" {
            let gone = clients.remove(name).unwrap();
            let deadline = Instant::now() + PATIENCE;
            while admin.ask(&format!("CLIENT LIST ID {}", gone.id)).contains("id=") {
                assert!(Instant::now() < deadline, "{name} stays");
            }
        }
        for (name, client) in &mut clients {
            *answers.entry(name).or_default() += &client.pushes();
        }
        for (name, answer) in answers {
            let answer = readable(&command, &answer, &ids);
            if !answer.is_empty() {
                writeln!(shown, "{name}< {answer}").unwrap();
            }
        }
    }
    shown
}

/// Shows an answer in one line, without what is another each time.
fn readable(command: &str, answer: &str, ids: &BTreeMap<String, String>) -> String {
    if command.starts_with("HELLO") {
        return String::new();
    }
    if command == "CLIENT INFO" && answer.contains("flags=") {
        let tracking = ["flags=", "redir="];
        let fields =
            answer.split(' ').filter(|field| tracking.iter().any(|t| field.starts_with(t)));
        // That the connection is no TCP connection is of no interest.
        let fields = fields.map(|field| field.replace("=U", "=N").replace('U', ""));
        let fields = fields.collect::<Vec<_>>().join(" ");
        return ids.iter().fold(fields, |text, (name, id)| {
            text.replace(&format!("redir={id}"), &format!("redir=${name}"))
        });
    }
    let answer = ids.iter().fold(answer.to_owned(), |text, (name, id)| {
        text.replace(&format!(":{id}\r\n"), &format!(":${name}\r\n"))
    });
    answer.escape_debug().to_string().replace("\\'", "'").replace("\\\"", "\"")
}

fn assert_same(text: &str, answers: &str) {
    for (at, (one, other)) in (1..).zip(text.lines().zip(answers.lines())) {
        assert_eq!(other, one, "line {at}");
    }
    assert_eq!(answers, text);
}

#[test]
fn conversations_are_as_in_redis() {
    let text = std::fs::read_to_string(conversations()).unwrap();
    let (address, listening) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            address.send(listener.local_addr().unwrap()).unwrap();
            let forever = std::future::pending();
            serve(listener, Memory::new(), Options::default(), forever).await.unwrap();
        });
    });
    let address = listening.recv().unwrap();
    let answers = converse(&text, &|| {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Box::new(stream)
    });
    assert_same(&text, &answers);
}

/// Ends with its owner.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn conversations_are_what_redis_answers() {
    let version = Command::new("redis-server").arg("--version").output();
    let version = version.map(|output| output.stdout).unwrap_or_default();
    if !String::from_utf8_lossy(&version).contains("v=7.0.") {
        println!("SKIPPED: no redis-server 7.0 on the PATH to compare with");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("redis.sock");
    let process = Command::new("redis-server")
        .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
        .arg(&socket)
        .stdout(Stdio::null())
        .spawn();
    let _process = Process(process.unwrap());
    let deadline = Instant::now() + PATIENCE;
    while UnixStream::connect(&socket).is_err() {
        assert!(Instant::now() < deadline, "redis-server does not listen");
        std::thread::yield_now();
    }
    let text = std::fs::read_to_string(conversations()).unwrap();
    let answers = converse(&text, &|| {
        let stream = UnixStream::connect(&socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Box::new(stream)
    });
    if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
        std::fs::write(conversations(), &answers).unwrap();
    } else {
        assert_same(&text, &answers);
    }
}

/// A client of a server in this test, in RESP3.
struct Talk(DuplexStream);

impl Talk {
    async fn with(server: &Arc<Server<Memory>>) -> Self {
        let (near, far) = tokio::io::duplex(4096);
        let (reader, writer) = tokio::io::split(far);
        let (peer, local) = ("127.0.0.1:5000".to_owned(), "127.0.0.1:7001".to_owned());
        tokio::spawn(Arc::clone(server).converse(reader, writer, peer, local));
        let mut talk = Self(near);
        talk.say("HELLO 3").await;
        talk.hear_until("modules\r\n*0\r\n").await;
        talk
    }

    async fn say(&mut self, command: &str) {
        self.0.write_all(&words(command)).await.unwrap();
    }

    async fn hear_until(&mut self, end: &str) -> String {
        let mut heard = Vec::new();
        while !heard.ends_with(end.as_bytes()) {
            let byte = tokio::time::timeout(PATIENCE, self.0.read_u8()).await;
            heard.push(byte.unwrap_or_else(|_| panic!("{} bytes", heard.len())).unwrap());
        }
        String::from_utf8(heard).unwrap()
    }

    /// Expects exactly these bytes next.
    async fn hear(&mut self, expected: &str) {
        let mut heard = vec![0; expected.len()];
        let read = tokio::time::timeout(PATIENCE, self.0.read_exact(&mut heard)).await;
        let heard = String::from_utf8_lossy(&heard).into_owned();
        assert_eq!(heard, expected);
        read.expect("in time").unwrap();
    }

    async fn ask(&mut self, command: &str, answer: &str) {
        self.say(command).await;
        self.hear(answer).await;
    }
}

fn changed(key: &str) -> String {
    format!(">2\r\n$10\r\ninvalidate\r\n*1\r\n${}\r\n{key}\r\n", key.len())
}

const ALL_CHANGED: &str = ">2\r\n$10\r\ninvalidate\r\n_\r\n";

fn server(kv: &Memory) -> Arc<Server<Memory>> {
    Server::new(kv.clone(), Options::default(), 7001)
}

/// A change that comes while the reply to an earlier read is still on its way: the reply shows the
/// old value, so the change has to be told behind it.
#[tokio::test(start_paused = true)]
async fn a_change_is_told_behind_the_reply_that_does_not_show_it() {
    let kv = Memory::new();
    let server = server(&kv);
    let (mut a, mut b) = (Talk::with(&server).await, Talk::with(&server).await);
    a.ask("CLIENT TRACKING on", "+OK\r\n").await;
    b.ask("SET k old", "+OK\r\n").await;
    kv.hold(true);
    a.say("GET k").await;
    // What is asked is with the store before another has been answered twice.
    b.ask("PING", "+PONG\r\n").await;
    b.ask("PING", "+PONG\r\n").await;
    b.ask("SET k new", "+OK\r\n").await;
    kv.hold(false);
    a.hear(&format!("$3\r\nold\r\n{}", changed("k"))).await;
    a.ask("PING", "+PONG\r\n").await;
}

/// In one pipeline, reads behind a write are told of what comes after them, and the pushes stand
/// behind all replies.
#[tokio::test(start_paused = true)]
async fn a_pipeline_is_told_behind_its_replies() {
    let kv = Memory::new();
    let server = server(&kv);
    let mut a = Talk::with(&server).await;
    a.ask("CLIENT TRACKING on", "+OK\r\n").await;
    let pipeline = ["GET k", "SET k 1", "GET k", "PING", "SET k 2", "GET k"];
    a.0.write_all(&pipeline.map(words).concat()).await.unwrap();
    a.hear("_\r\n+OK\r\n$1\r\n1\r\n+PONG\r\n+OK\r\n$1\r\n2\r\n").await;
    a.hear(&changed("k")).await;
    a.ask("CLIENT TRACKING on NOLOOP", "+OK\r\n").await;
    // Its own changes are not told, and do not make it deaf to those of others.
    a.0.write_all(&pipeline.map(words).concat()).await.unwrap();
    a.hear("$1\r\n2\r\n+OK\r\n$1\r\n1\r\n+PONG\r\n+OK\r\n$1\r\n2\r\n").await;
    Talk::with(&server).await.ask("SET k 3", "+OK\r\n").await;
    a.hear(&changed("k")).await;
}

/// What a client asks while something is on its way to it is answered, though nothing more comes
/// from it.
#[tokio::test(start_paused = true)]
async fn what_is_asked_while_a_push_is_on_its_way_is_answered() {
    let kv = Memory::new();
    let server = server(&kv);
    let (mut a, mut b) = (Talk::with(&server).await, Talk::with(&server).await);
    a.ask("CLIENT TRACKING on BCAST", "+OK\r\n").await;
    let key = "k".repeat(10_000);
    b.ask(&format!("SET {key} 1"), "+OK\r\n").await;
    b.ask("PING", "+PONG\r\n").await;
    a.say("PING").await;
    // It is read while the push waits for its reader.
    b.ask("PING", "+PONG\r\n").await;
    assert!(a.hear_until("+PONG\r\n").await.starts_with(">2\r\n"));
    // The same with a reply in place of the push.
    a.ask("CLIENT TRACKING off", "+OK\r\n").await;
    b.ask(&format!("SET k {key}"), "+OK\r\n").await;
    a.say("GET k").await;
    b.ask("GET none", "_\r\n").await;
    b.ask("PING", "+PONG\r\n").await;
    a.say("PING").await;
    b.ask("PING", "+PONG\r\n").await;
    assert!(a.hear_until("+PONG\r\n").await.starts_with("$10000\r\n"));
}

#[tokio::test(start_paused = true)]
async fn death_and_lost_leadership_are_changes() {
    let kv = Memory::new();
    let server = server(&kv);
    let (mut a, mut b) = (Talk::with(&server).await, Talk::with(&server).await);
    a.ask("CLIENT TRACKING on NOLOOP", "+OK\r\n").await;
    b.ask("CLIENT TRACKING on BCAST PREFIX k", "+OK\r\n").await;
    a.ask("SET k v PX 100", "+OK\r\n").await;
    b.hear(&changed("k")).await;
    a.ask("GET k", "$1\r\nv\r\n").await;
    kv.pass(99);
    a.ask("PING", "+PONG\r\n").await;
    kv.pass(1);
    a.hear(&changed("k")).await;
    b.hear(&changed("k")).await;
    kv.depose();
    a.hear(ALL_CHANGED).await;
    b.hear(ALL_CHANGED).await;
}

#[tokio::test(start_paused = true)]
async fn who_asked_for_silence_is_told_all_the_same() {
    let server = server(&Memory::new());
    let (mut a, mut b) = (Talk::with(&server).await, Talk::with(&server).await);
    a.ask("CLIENT TRACKING on", "+OK\r\n").await;
    a.say("CLIENT REPLY off").await;
    a.say("GET k").await;
    // In Redis a silent client's reads are remembered too; it shows when both are carried out.
    wait_for(&mut b, "tracking_total_items:1\r\n").await;
    b.ask("SET k 1", "+OK\r\n").await;
    a.hear(&changed("k")).await;
}

async fn info(talk: &mut Talk, section: &str) -> String {
    talk.say(&format!("INFO {section}")).await;
    talk.hear_until("\r\n\r\n").await
}

/// Asks until the statistics say so.
async fn wait_for(talk: &mut Talk, line: &str) {
    for _ in 0..1000 {
        if info(talk, "stats").await.contains(line) {
            return;
        }
    }
    panic!("waited in vain for {line:?}");
}

#[tokio::test(start_paused = true)]
async fn info_counts_what_is_tracked() {
    let server = server(&Memory::new());
    let (mut a, mut b) = (Talk::with(&server).await, Talk::with(&server).await);
    let figures = |stats: &str, clients: &str| {
        let field = |text: &str, name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap().parse::<usize>().unwrap()
        };
        [
            field(clients, "tracking_clients:"),
            field(stats, "tracking_total_keys:"),
            field(stats, "tracking_total_items:"),
            field(stats, "tracking_total_prefixes:"),
        ]
    };
    a.ask("CLIENT TRACKING on", "+OK\r\n").await;
    a.ask("MGET k l", "*2\r\n_\r\n_\r\n").await;
    b.ask("CLIENT TRACKING on", "+OK\r\n").await;
    b.ask("MGET l m", "*2\r\n_\r\n_\r\n").await;
    let mut c = Talk::with(&server).await;
    c.ask("CLIENT TRACKING on BCAST PREFIX x PREFIX y", "+OK\r\n").await;
    assert_eq!(figures(&info(&mut a, "stats").await, &info(&mut a, "clients").await), [3, 3, 4, 2]);
    b.ask("SET l 1", &format!("+OK\r\n{}", changed("l"))).await;
    a.hear(&changed("l")).await;
    drop(c);
    wait_for(&mut a, "tracking_total_prefixes:0\r\n").await;
    assert_eq!(figures(&info(&mut a, "stats").await, &info(&mut a, "clients").await), [2, 2, 2, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_full_table_forgets_and_says_so() {
    let server = server(&Memory::new());
    let mut a = Talk::with(&server).await;
    a.ask("CLIENT TRACKING on", "+OK\r\n").await;
    a.ask("CONFIG SET tracking-table-max-keys 2", "+OK\r\n").await;
    a.ask("MGET a b", "*2\r\n_\r\n_\r\n").await;
    a.ask("GET c", &format!("_\r\n{}", changed("a"))).await;
    a.ask("GET d", &format!("_\r\n{}", changed("b"))).await;
    // What was forgotten is not told again.
    a.ask("MSET a 1 b 1 c 1", &format!("+OK\r\n{}", changed("c"))).await;
    a.ask("GET e", "_\r\n").await;
    a.ask("CONFIG SET tracking-table-max-keys 1", &format!("+OK\r\n{ALL_CHANGED}")).await;
    a.ask("SET e 1", "+OK\r\n").await;
}

/// A client that does not read has nothing pile up for it, and is cut off like any other that
/// leaves its replies unread.
#[tokio::test(start_paused = true)]
async fn who_does_not_read_is_told_that_all_has_changed() {
    let server = server(&Memory::new());
    let (mut a, mut b) = (Talk::with(&server).await, Talk::with(&server).await);
    a.ask("CLIENT TRACKING on BCAST", "+OK\r\n").await;
    let key = "k".repeat(1000);
    for _ in 0..1000 {
        b.ask(&format!("SET {key} 1"), "+OK\r\n").await;
    }
    let heard = a.hear_until(ALL_CHANGED).await;
    assert!(heard.len() < 500_000, "{} bytes waited", heard.len());
    // And then it goes on.
    let mut before = String::new();
    while !before.ends_with("+PONG\r\n") {
        a.say("PING").await;
        before = a.hear_until("+PONG\r\n").await;
    }
    b.ask("SET x 1", "+OK\r\n").await;
    a.hear(&changed("x")).await;
    for _ in 0..20 {
        b.ask(&format!("SET {key} 1"), "+OK\r\n").await;
    }
    tokio::time::sleep(Options::default().write_timeout * 2).await;
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, a.0.read_to_end(&mut rest)).await;
    ended.expect("the connection is closed").unwrap();
}
