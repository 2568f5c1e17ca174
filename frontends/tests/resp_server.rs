//! The listener: real sockets on the loopback.

#![allow(clippy::unwrap_used)]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use raftkv_frontends::resp::{Options, Server, serve};
use support::{Memory, words};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

async fn start(kv: Memory, options: Options) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(serve(listener, kv, options, async {
        let _ = stopped.await;
    }));
    Running { address, stop, task }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn stop(self) {
        let _ = self.stop.send(());
        self.task.await.unwrap().unwrap();
    }
}

/// Sends a request and returns an answer of so many bytes.
async fn exchange(stream: &mut TcpStream, command: &str, length: usize) -> String {
    stream.write_all(&words(command)).await.unwrap();
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let end = stream.read_to_end(&mut answer);
    tokio::time::timeout(Duration::from_secs(30), end).await.expect("the end comes").unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn clients_are_served_until_the_end_and_then_closed() {
    let server = start(Memory::new(), Options::default()).await;
    let (mut one, mut two) = (server.connect().await, server.connect().await);
    assert_eq!(exchange(&mut one, "SET a 1", 5).await, "+OK\r\n");
    assert_eq!(exchange(&mut two, "GET a", 7).await, "$1\r\n1\r\n");
    assert_eq!(exchange(&mut two, "CLIENT ID", 4).await, ":2\r\n");
    let address = server.address;
    server.stop().await;
    assert_eq!(rest(&mut one).await, "");
    assert_eq!(rest(&mut two).await, "");
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn one_client_too_many_is_told_so() {
    let options = Options { max_connections: 2, ..Options::default() };
    let server = start(Memory::new(), options).await;
    let (mut one, mut two) = (server.connect().await, server.connect().await);
    assert_eq!(exchange(&mut one, "PING", 7).await, "+PONG\r\n");
    assert_eq!(exchange(&mut two, "PING", 7).await, "+PONG\r\n");
    let mut three = server.connect().await;
    assert_eq!(rest(&mut three).await, "-ERR max number of clients reached\r\n");
    // When one leaves there is room again.
    one.write_all(&words("QUIT")).await.unwrap();
    assert_eq!(rest(&mut one).await, "+OK\r\n");
    loop {
        let mut next = server.connect().await;
        next.write_all(&[words("PING"), words("QUIT")].concat()).await.unwrap();
        let mut answer = Vec::new();
        // A refused client may also see a reset: it wrote to a socket that was already closed.
        let ended = next.read_to_end(&mut answer).await;
        if ended.is_ok() && answer == b"+PONG\r\n+OK\r\n" {
            break;
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_client_can_end_another() {
    let server = start(Memory::new(), Options::default()).await;
    let (mut one, mut two) = (server.connect().await, server.connect().await);
    assert_eq!(exchange(&mut one, "CLIENT ID", 4).await, ":1\r\n");
    assert_eq!(exchange(&mut two, "PING", 7).await, "+PONG\r\n");
    let one_address = one.local_addr().unwrap();
    assert_eq!(exchange(&mut two, &format!("CLIENT KILL ADDR {one_address}"), 4).await, ":1\r\n");
    assert_eq!(rest(&mut one).await, "");
    assert_eq!(exchange(&mut two, "PING", 7).await, "+PONG\r\n");
    server.stop().await;
}

#[tokio::test]
async fn an_error_reaches_a_client_that_is_still_sending() {
    let server = start(Memory::new(), Options::default()).await;
    let mut client = server.connect().await;
    let garbage = b"*1\r\n".repeat(10 * (1 << 20) / 4);
    client.write_all(&garbage).await.unwrap();
    assert_eq!(rest(&mut client).await, "-ERR Protocol error: expected '$', got '*'\r\n");
    // Others never noticed.
    let mut other = server.connect().await;
    assert_eq!(exchange(&mut other, "PING", 7).await, "+PONG\r\n");
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_does_not_keep_the_server_from_stopping() {
    let options = Options { stop_timeout: Duration::from_millis(50), ..Options::default() };
    let server = start(Memory::new(), options).await;
    let mut client = server.connect().await;
    let value = "v".repeat(1 << 20);
    assert_eq!(exchange(&mut client, &format!("SET a {value}"), 5).await, "+OK\r\n");
    client.write_all(&words("GET a").repeat(100)).await.unwrap();
    let mut other = server.connect().await;
    assert_eq!(exchange(&mut other, "PING", 7).await, "+PONG\r\n");
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_stops_waits_for_no_request_that_is_half_sent() {
    // With this much time, whatever was waited for would not come.
    let options = Options { stop_timeout: Duration::from_secs(3600), ..Options::default() };
    let server = start(Memory::new(), options).await;
    let mut clients = Vec::new();
    for half in ["", "*", "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$9\r\nha", "SET a"] {
        let mut client = server.connect().await;
        client.write_all(&[&words("PING")[..], half.as_bytes()].concat()).await.unwrap();
        let mut pong = [0; 7];
        client.read_exact(&mut pong).await.unwrap();
        clients.push(client);
    }
    tokio::time::timeout(Duration::from_secs(20), server.stop()).await.expect("no wait");
    for mut client in clients {
        assert_eq!(rest(&mut client).await, "");
    }
}

/// What only waits is answered at once, and says what was done.
#[tokio::test(start_paused = true)]
async fn a_server_that_stops_ends_what_only_waits() {
    let stopping = "-CLUSTERDOWN The node is shutting down\r\n";
    for (input, answer) in [
        (words("WAIT 2 0"), ":1\r\n".to_owned()),
        ([words("CLIENT PAUSE 100000"), words("GET a")].concat(), format!("+OK\r\n{stopping}")),
        (
            [words("CLIENT PAUSE 9999"), words("GET a"), words("CLIENT ID"), words("GET a")]
                .concat(),
            format!("+OK\r\n{stopping}:1\r\n{stopping}"),
        ),
        (
            [words("CLIENT PAUSE 100000 WRITE"), words("SET a 1"), words("WAIT 2 0")].concat(),
            format!("+OK\r\n{stopping}:1\r\n"),
        ),
    ] {
        let begun = tokio::time::Instant::now();
        let server = Server::new(Memory::new(), Options::default(), 7001);
        let (mut client, near) = tokio::io::duplex(1 << 10);
        let (reader, writer) = tokio::io::split(near);
        let name = || "127.0.0.1:5000".to_owned();
        let task = tokio::spawn(Arc::clone(&server).converse(reader, writer, name(), name()));
        client.write_all(&input).await.unwrap();
        // As long as there is something to do the clock stands still.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        server.stop();
        let mut answered = String::new();
        client.read_to_string(&mut answered).await.unwrap();
        assert_eq!(answered, answer);
        task.await.unwrap().unwrap();
        assert_eq!(begun.elapsed(), Duration::ZERO, "{answer}");
    }
}
