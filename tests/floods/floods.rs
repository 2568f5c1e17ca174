//! The floods: what a client can do that means no good, or has a bug.

use std::io::Write as _;
use std::time::Duration;

use super::attack::{Attack, Orders, connect};
use super::http2;
use crate::process::client::{Resp, Value, encode};
use crate::process::{Cluster, Port};

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
    pub(crate) start: fn(&Cluster, usize, Scale) -> Result<Attack, String>,
}

pub(crate) const ALL: [Flood; 8] = [
    Flood { name: "redirects", start: redirects },
    Flood { name: "pipelines", start: pipelines },
    Flood { name: "slow-readers", start: slow_readers },
    Flood { name: "idle", start: idle },
    Flood { name: "slow-loris", start: slow_loris },
    Flood { name: "bombs", start: bombs },
    Flood { name: "half-requests", start: half_requests },
    Flood { name: "http2", start: http2_frames },
];

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
            let mut streams = Vec::new();
            let mut at = 0;
            while !orders.is_over() {
                while streams.len() < count
                    && let Ok(stream) = connect(port)
                {
                    streams.push(stream);
                }
                let byte = [*request.get(at).unwrap_or(&b'a')];
                // Who is cut off comes again.
                streams.retain_mut(|stream| stream.write_all(&byte).is_ok());
                orders.count(streams.len() as u64);
                at += 1;
                orders.wait(Duration::from_secs(1));
            }
        });
    }
    Ok(attack)
}

/// Requests that announce more than anybody may send, or than ever comes.
fn bombs(cluster: &Cluster, leader: usize, scale: Scale) -> Result<Attack, String> {
    let port = cluster.nodes[leader].resp;
    let nested = "*1\r\n".repeat(100_000);
    let inline = "a".repeat(64 << 10);
    let bombs = [
        "*1000000000\r\n",
        "*2147483647\r\n$536870912\r\n",
        "$536870912\r\n",
        "*-1000000000\r\n",
        "*1\r\n$-1\r\n",
        &nested,
        &inline,
        "*99999999999999999999999\r\n",
    ];
    let mut attack = Attack::default();
    for bomb in bombs.map(|bomb| bomb.as_bytes().to_vec()) {
        attack.spawn(move |orders| orders.repeat(port, &bomb, &bomb, 1, true));
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

/// Large requests of which the end never comes: what is held of them is limited for all together.
fn half_requests(cluster: &Cluster, leader: usize, scale: Scale) -> Result<Attack, String> {
    let port = cluster.nodes[leader].resp;
    let mut attack = Attack::default();
    let half =
        [b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$8388608\r\n".as_slice(), &vec![b'x'; 8 << 20][1..]];
    let half = std::sync::Arc::new(half.concat());
    for _ in 0..scale.few {
        let half = std::sync::Arc::clone(&half);
        let count = scale.many / 50;
        attack.spawn(move |orders| {
            let mut streams = Vec::new();
            for _ in 0..count {
                let Ok(mut stream) = connect(port) else { continue };
                if orders.send(&mut stream, &half) {
                    orders.count(1);
                    streams.push(stream);
                }
            }
            while !orders.is_over() {
                orders.wait(Duration::from_millis(200));
            }
        });
    }
    Ok(attack)
}

/// HTTP/2 frames to the port for other nodes: whoever reaches it may try.
fn http2_frames(cluster: &Cluster, leader: usize, scale: Scale) -> Result<Attack, String> {
    let port = cluster.nodes[leader].address(Port::Grpc).port();
    let mut attack = Attack::default();
    let opening = http2::opening();
    let floods: [(Vec<u8>, Vec<u8>, u64); 4] = [
        (opening.clone(), http2::settings(200), 200),
        (opening.clone(), http2::pings(200), 200),
        ([opening.clone(), http2::endless_head()].concat(), http2::continuations(4), 4),
        // Numbers of streams only rise: the second time they are an error of the connection, and
        // the next connection begins.
        (opening.clone(), http2::resets(1, 400), 400),
    ];
    for (opening, again, count) in floods {
        attack.spawn(move |orders| orders.repeat(port, &opening, &again, count, true));
    }
    // Most of these never speak HTTP/2, and are cut off; the others never answer a ping.
    for at in 0..scale.many / 4 {
        let mut stream = connect(port).map_err(|error| error.to_string())?;
        if at % 2 == 0 {
            stream.write_all(&opening).map_err(|error| error.to_string())?;
        }
        attack.hold([stream]);
    }
    Ok(attack)
}
