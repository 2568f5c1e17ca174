//! The floods: what a client can do that means no good, or has a bug.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use super::attack::{Attack, Orders, connect};
use super::http2;
use crate::process::Cluster;
use crate::process::client::{Resp, Value, encode};

/// How large a flood is: full, or short beside other tests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub(crate) idle: usize,
    pub(crate) many: usize,
    pub(crate) few: usize,
}

/// A flood: its name, and how it begins.
pub(crate) struct Flood {
    pub(crate) name: &'static str,
    /// Whether others must not notice. Else, what floods is served like them, and all wait longer.
    pub(crate) is_cheap: bool,
    /// What it must have sent at its full scale, in whatever it counts: less than a tenth of what
    /// it sends on two cores that do nothing else; all of it, where connections are held.
    pub(crate) least: u64,
    /// What a node may hold of it beside the usual, in MiB. More is refused, and must be.
    pub(crate) held_mib: u64,
    pub(crate) start: Start,
}

pub(crate) const ALL: [Flood; 13] = [
    dear("redirects", 2_000_000, redirects),
    dear("pipelines", 300_000, pipelines),
    dear("slow-readers", 100, slow_readers),
    cheap("idle", 10_000, idle),
    cheap("slow-loris", 500, slow_loris),
    cheap("nothings", 2_000_000, nothings),
    cheap("bombs", 150_000, bombs),
    Flood { held_mib: 1024, ..dear("half-requests", 100, half_requests) },
    cheap("http2-settings", 2_000_000, http2_settings),
    cheap("http2-pings", 2_000_000, http2_pings),
    cheap("http2-continuations", 300_000, http2_continuations),
    cheap("http2-resets", 5_000_000, http2_resets),
    cheap("http2-connections", 125, http2_connections),
];

type Start = fn(&Cluster, usize, Scale) -> Result<Attack, String>;

const fn cheap(name: &'static str, least: u64, start: Start) -> Flood {
    Flood { name, is_cheap: true, least, held_mib: 0, start }
}

const fn dear(name: &'static str, least: u64, start: Start) -> Flood {
    Flood { is_cheap: false, ..cheap(name, least, start) }
}

fn commands(count: usize, command: impl Fn(usize) -> Vec<Vec<u8>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    (0..count).for_each(|at| encode(&command(at), &mut bytes));
    bytes
}

fn words(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

/// Sends a pipeline whenever the last one is answered, line by line.
fn answered(attack: &mut Attack, port: u16, pipeline: Vec<u8>, count: usize) {
    attack.spawn(move |orders: Orders| {
        while !orders.is_over() {
            let Ok(mut stream) = connect(port) else { continue };
            while orders.send(&mut stream, &pipeline) && orders.read_lines(&mut stream, count) {
                orders.count(count as u64);
            }
        }
    });
}

/// Clients that ask followers, and do not follow.
fn redirects(cluster: &Cluster, leader: usize, scale: Scale) -> Result<Attack, String> {
    let mut attack = Attack::default();
    for (at, node) in cluster.nodes.iter().enumerate().filter(|(at, _)| *at != leader) {
        for client in 0..scale.few {
            let pipeline = commands(200, |n| words(&["SET", &format!("k{at}.{client}.{n}"), "v"]));
            answered(&mut attack, node.resp, pipeline, 200);
        }
    }
    Ok(attack)
}

/// Long pipelines of writes to the leader.
fn pipelines(cluster: &Cluster, leader: usize, scale: Scale) -> Result<Attack, String> {
    let mut attack = Attack::default();
    for client in 0..scale.few {
        let value = "v".repeat(100);
        let pipeline = commands(500, |n| words(&["SET", &format!("p{client}.{n}"), &value]));
        answered(&mut attack, cluster.nodes[leader].resp, pipeline, 500);
    }
    Ok(attack)
}

/// Clients that ask for large values and read nothing.
fn slow_readers(cluster: &Cluster, leader: usize, scale: Scale) -> Result<Attack, String> {
    let port = cluster.nodes[leader].resp;
    let mut client = Resp::connect(port).map_err(|error| error.to_string())?;
    let large = "x".repeat(4 << 20);
    let set = client.call(&["SET", "large", &large])?;
    if set != Value::Simple("OK".into()) {
        return Err(format!("{set:?} to a large SET"));
    }
    let mut attack = Attack::default();
    for _ in 0..scale.many / 5 {
        let mut stream = connect(port).map_err(|error| error.to_string())?;
        stream
            .write_all(&commands(100, |_| words(&["GET", "large"])))
            .map_err(|error| error.to_string())?;
        attack.hold([stream]);
    }
    Ok(attack)
}

/// As many connections as there may be, which say nothing; one more is told that it is too many.
fn idle(cluster: &Cluster, leader: usize, scale: Scale) -> Result<Attack, String> {
    let port = cluster.nodes[leader].resp;
    let mut attack = Attack::default();
    for _ in 0..scale.idle {
        // Each has said something once: what that took must not be kept.
        let mut client = connect(port).map_err(|error| error.to_string())?;
        client.write_all(b"PING\r\n").map_err(|error| error.to_string())?;
        attack.hold([client]);
    }
    if scale.idle >= 10_000 {
        let mut told = 0;
        for _ in 0..10 {
            let mut client = Resp::connect(port).map_err(|error| error.to_string())?;
            let refusal = client.receive();
            told += usize::from(matches!(&refusal,
                Ok(Value::Error(error)) if error == "ERR max number of clients reached"));
        }
        if told == 0 {
            return Err("more connections than allowed were not told so".into());
        }
    }
    Ok(attack)
}

/// Requests that come byte by byte.
fn slow_loris(cluster: &Cluster, leader: usize, scale: Scale) -> Result<Attack, String> {
    let mut attack = Attack::default();
    let node = &cluster.nodes[leader];
    let head = b"GET /kv/k HTTP/1.1\r\nhost: localhost\r\nx-slow: ";
    for (port, request) in [
        (node.resp, b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000\r\n".as_slice()),
        (node.http, head.as_slice()),
    ] {
        let count = scale.many;
        attack.spawn(move |orders| {
            let mut streams: Vec<Option<(TcpStream, usize)>> = Vec::new();
            streams.resize_with(count, || None);
            let pause = Duration::from_secs(1) / u32::try_from(count).unwrap();
            // Each has its moment in the second.
            for at in (0..count).cycle().take_while(|_| !orders.is_over()) {
                std::thread::sleep(pause);
                let sent = streams[at].take().or_else(|| Some((connect(port).ok()?, 0)));
                let Some((mut stream, sent)) = sent else { continue };
                // Who is cut off comes again.
                if stream.write_all(&[*request.get(sent).unwrap_or(&b'a')]).is_ok() {
                    orders.count(1);
                    streams[at] = Some((stream, sent + 1));
                }
            }
        });
    }
    Ok(attack)
}

/// Requests that ask for nothing, as fast as they can be sent: Redis takes the first for an empty
/// request, and the others are no commands.
fn nothings(cluster: &Cluster, leader: usize, scale: Scale) -> Result<Attack, String> {
    let port = cluster.nodes[leader].resp;
    let mut attack = Attack::default();
    for nothing in ["*-1000000000\r\n", "$536870912\r\n", "x\n"].map(|text| text.repeat(1000)) {
        for _ in 0..scale.few / 2 {
            let nothing = nothing.clone().into_bytes();
            attack.spawn(move |orders| orders.repeat(port, b"", &nothing, 1000, true));
        }
    }
    Ok(attack)
}

/// Requests that announce more than anybody may send, or than ever comes.
fn bombs(cluster: &Cluster, leader: usize, scale: Scale) -> Result<Attack, String> {
    let port = cluster.nodes[leader].resp;
    let nested = "*1\r\n".repeat(100_000);
    let inline = "a".repeat((64 << 10) + 1);
    let bombs = [
        "*1000000000\r\n",
        "*2147483647\r\n$536870912\r\n",
        "*1\r\n$-1\r\n",
        &nested,
        &inline,
        "*99999999999999999999999\r\n",
    ];
    let mut attack = Attack::default();
    for bomb in bombs.map(|bomb| bomb.as_bytes().to_vec()) {
        attack.spawn(move |orders| orders.reconnect(port, &bomb));
    }
    // These are allowed, and never end.
    for head in ["*65536\r\n", "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$8388608\r\n"] {
        for _ in 0..scale.many {
            let mut stream = connect(port).map_err(|error| error.to_string())?;
            stream.write_all(head.as_bytes()).map_err(|error| error.to_string())?;
            attack.hold([stream]);
        }
    }
    Ok(attack)
}

/// What a client is told whose request grows when all together are too large.
const TOO_MUCH: &[u8] = b"-ERR too much input is held by all clients\r\n";
/// What comes of a request. The buffer that it is read into is doubled when it is full: of a little
/// less than 8 MiB nearly all that is reserved is used.
const HALF_BYTES: usize = (8 << 20) - (512 << 10);

/// Large requests of which the end never comes: what is held of them is limited for all together.
fn half_requests(cluster: &Cluster, leader: usize, scale: Scale) -> Result<Attack, String> {
    let port = cluster.nodes[leader].resp;
    let mut attack = Attack::default();
    let head = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$8388608\r\n".as_slice();
    let half = Arc::new([head, &vec![b'x'; HALF_BYTES]].concat());
    for _ in 0..scale.few {
        let half = Arc::clone(&half);
        let count = scale.many * 3 / 40;
        attack.spawn(move |orders| {
            let mut streams = Vec::new();
            for _ in 0..count {
                let Ok(mut stream) = connect(port) else { continue };
                orders.count(u64::from(orders.send(&mut stream, &half)));
                streams.push(stream);
            }
            while !orders.is_over() {
                orders.wait(Duration::from_millis(200));
                orders.count_refused(&mut streams, TOO_MUCH);
            }
        });
    }
    Ok(attack)
}

/// Two connections that repeat HTTP/2 frames, to the port for other nodes: whoever reaches it may
/// try.
fn frames(cluster: &Cluster, leader: usize, opening: &[u8], again: &[u8], count: u64) -> Attack {
    let port = cluster.nodes[leader].grpc;
    let mut attack = Attack::default();
    for _ in 0..2 {
        let (opening, again) = (opening.to_vec(), again.to_vec());
        attack.spawn(move |orders| orders.repeat(port, &opening, &again, count, true));
    }
    attack
}

/// Settings that each want to be acknowledged.
fn http2_settings(cluster: &Cluster, leader: usize, _scale: Scale) -> Result<Attack, String> {
    Ok(frames(cluster, leader, &http2::opening(), &http2::settings(200), 200))
}

/// Pings that each want to be answered.
fn http2_pings(cluster: &Cluster, leader: usize, _scale: Scale) -> Result<Attack, String> {
    Ok(frames(cluster, leader, &http2::opening(), &http2::pings(200), 200))
}

/// A head that never ends.
fn http2_continuations(cluster: &Cluster, leader: usize, _scale: Scale) -> Result<Attack, String> {
    let opening = [http2::opening(), http2::endless_head()].concat();
    Ok(frames(cluster, leader, &opening, &http2::continuations(4), 4))
}

/// Streams that are reset as soon as they are opened. Their numbers only rise: the second time they
/// are an error of the connection, and the next connection begins.
fn http2_resets(cluster: &Cluster, leader: usize, _scale: Scale) -> Result<Attack, String> {
    Ok(frames(cluster, leader, &http2::opening(), &http2::resets(1, 400), 400))
}

/// Connections to the port for other nodes: some say nothing and are cut off, the others never
/// answer a ping.
fn http2_connections(cluster: &Cluster, leader: usize, scale: Scale) -> Result<Attack, String> {
    let port = cluster.nodes[leader].grpc;
    let mut attack = Attack::default();
    for at in 0..scale.many / 4 {
        let mut stream = connect(port).map_err(|error| error.to_string())?;
        if at % 2 == 0 {
            stream.write_all(&http2::opening()).map_err(|error| error.to_string())?;
        }
        attack.hold([stream]);
    }
    Ok(attack)
}
