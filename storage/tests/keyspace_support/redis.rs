//! The same commands to a real redis-server and to the keyspace.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use raftkv_storage::keyspace::Reply;
use raftkv_storage::keyspace::command::{Flags, lookup};
use raftkv_storage::keyspace::reply::{decimal_text, double_text};
use tempfile::TempDir;

use super::{Db, Random, seed, show, split};

/// What is known to differ, and why. A reply that differs in another way is a failure.
fn is_known_difference(args: &[Vec<u8>], ours: &str, theirs: &str) -> bool {
    let name = args[0].to_ascii_lowercase();
    let is_object = |subcommand: &[u8]| {
        name == b"object" && args.get(1).is_some_and(|arg| arg.eq_ignore_ascii_case(subcommand))
    };
    // Redis remembers how a value came about: what APPEND, SETRANGE or INCRBYFLOAT made is raw or
    // embstr, even if it reads as a number or is short. Here the encoding follows from the value,
    // and the count of owners from the encoding. Nobody keeps the time of the last access.
    let is_string = |reply: &str| matches!(reply, "\"int\"" | "\"embstr\"" | "\"raw\"");
    if is_object(b"encoding") {
        return is_string(ours) && is_string(theirs);
    }
    if is_object(b"refcount") || is_object(b"idletime") {
        return ours != "null" && theirs != "null" && !ours.starts_with("ERR");
    }
    // Here COPY is that of a cluster, where there is one database.
    if name == b"copy" && args.iter().any(|arg| arg.eq_ignore_ascii_case(b"db")) {
        return true;
    }
    // The order of keys is another, and so is what is next in it; chance is another.
    let is_reply = |reply: &str| !reply.starts_with("ERR") && reply != "null";
    let is_order = matches!(
        &name[..],
        b"randomkey" | b"scan" | b"hrandfield" | b"hscan" | b"sscan" | b"zrandmember" | b"zscan"
    );
    // Without an order the members of a set are in that of the set, also where they are shown.
    let is_no_order =
        |pair: &[Vec<u8>]| pair[0].eq_ignore_ascii_case(b"by") && !pair[1].contains(&b'*');
    let is_sort = matches!(&name[..], b"sort" | b"sort_ro") && args.windows(2).any(is_no_order);
    (is_order || is_sort) && is_reply(ours) && is_reply(theirs)
}

/// A redis-server of its own, on a socket of its own, so that it meets no other; it ends with the
/// test.
pub struct Redis {
    _process: Process,
    _directory: TempDir,
    stream: BufReader<UnixStream>,
}

impl Redis {
    /// Starts one, or says that there is none.
    pub fn start() -> Option<Self> {
        let version = Command::new("redis-server").arg("--version").output();
        let version = version.map(|output| output.stdout).unwrap_or_default();
        if !String::from_utf8_lossy(&version).contains("v=7.0.") {
            println!("SKIPPED: no redis-server 7.0 on the PATH to compare with");
            return None;
        }
        let directory = tempfile::tempdir().expect("a directory for the socket");
        let socket = directory.path().join("redis.sock");
        let process = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn();
        let process = Process(process.expect("redis-server starts"));
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Ok(stream) = UnixStream::connect(&socket) {
                let stream = BufReader::new(stream);
                return Some(Self { _process: process, _directory: directory, stream });
            }
            assert!(Instant::now() < deadline, "redis-server does not listen");
            std::thread::yield_now();
        }
    }

    pub fn call(&mut self, args: &[Vec<u8>]) -> String {
        show(&self.reply_to(args))
    }

    /// Sends a command, and returns the reply as it came.
    pub fn reply_to(&mut self, args: &[Vec<u8>]) -> Reply {
        let mut request = format!("*{}\r\n", args.len()).into_bytes();
        for arg in args {
            request.extend(format!("${}\r\n", arg.len()).into_bytes());
            request.extend(arg);
            request.extend(b"\r\n");
        }
        self.stream.get_mut().write_all(&request).expect("redis reads");
        self.reply()
    }

    /// Sends a command inside MULTI, where one that would wait answers at once.
    fn attempt(&mut self, args: &[Vec<u8>]) -> Reply {
        self.reply_to(&split("MULTI"));
        let queued = self.reply_to(args);
        match self.reply_to(&split("EXEC")) {
            Reply::Array(mut replies) => replies.pop().expect("a command was queued"),
            _ => queued,
        }
    }

    /// Sends requests of which the last is QUIT, and returns all that is answered, byte for byte.
    pub fn converse(mut self, requests: &[u8]) -> Vec<u8> {
        self.stream.get_mut().write_all(requests).expect("redis reads");
        let mut answers = Vec::new();
        self.stream.read_to_end(&mut answers).expect("redis answers");
        answers
    }

    fn reply(&mut self) -> Reply {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).expect("redis answers");
        let text = String::from_utf8_lossy(&line[1..line.len() - 2]).into_owned();
        let number = || text.parse::<i64>().expect("a number");
        match line[0] {
            b'+' if text == "OK" => Reply::Ok,
            b'+' => Reply::Simple(text.leak()),
            b'-' => Reply::error(text),
            b':' => Reply::Integer(number()),
            b'$' if number() < 0 => Reply::Null,
            b'$' => {
                let mut bytes = vec![0; number() as usize + 2];
                self.stream.read_exact(&mut bytes).expect("redis answers");
                Reply::bulk(&bytes[..bytes.len() - 2])
            }
            b'*' if number() < 0 => Reply::NullArray,
            b'*' => Reply::Array((0..number()).map(|_| self.reply()).collect()),
            other => panic!("unexpected reply type {other}"),
        }
    }
}

/// Ends with its owner.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Both at once.
pub struct Pair {
    pub redis: Redis,
    pub db: Db,
    /// How many replies differed in ways that are known.
    pub known: usize,
    /// When Redis last answered.
    answered_ms: u64,
}

impl Pair {
    pub fn start() -> Option<Self> {
        Some(Self { redis: Redis::start()?, db: Db::new(), known: 0, answered_ms: 0 })
    }

    /// Gives both the same command and compares.
    pub fn check(&mut self, args: &[Vec<u8>]) {
        // Time is that of the real clock on both sides. Where a deadline is compared with an
        // earlier one, a millisecond must have passed for both of them or for none.
        while args.len() > 3 && args[0].starts_with(b"EXPIRE") | args[0].starts_with(b"PEXPIRE") {
            if clock_ms() > self.answered_ms {
                break;
            }
        }
        self.db.now = clock_ms();
        let spec = lookup(&args[0]).expect("a command of ours");
        // Deadlines are compared to the second, as the two do not see the same millisecond.
        let theirs = match spec.flags.contains(Flags::BLOCKING) {
            true => self.redis.attempt(args),
            false => self.redis.reply_to(args),
        };
        let theirs = comparable(&args[0], theirs);
        self.answered_ms = clock_ms();
        let slices: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        let ours = comparable(&args[0], flat(self.db.call(&slices)));
        let command = args.iter().map(|arg| arg.escape_ascii().to_string()).collect::<Vec<_>>();
        if ours != theirs {
            let is_known = is_known_difference(args, &ours, &theirs);
            assert!(
                is_known,
                "{} {}\n ours: {ours}\nredis: {theirs}",
                spec.name,
                command.join(" ")
            );
            self.known += 1;
        }
    }

    pub fn check_line(&mut self, line: &str) {
        self.check(&split(line));
    }

    /// Compares all keys with their values and deadlines.
    pub fn check_content(&mut self, all: &[&str]) {
        let Reply::Array(keys) = self.db.call(&[b"KEYS", b"*"]) else { panic!("KEYS is an array") };
        // Redis counts dead keys until someone looks at them.
        let mut exists: Vec<Vec<u8>> = vec!["EXISTS".into()];
        exists.extend(all.iter().map(|key| key.as_bytes().to_vec()));
        self.check(&exists);
        self.check_line("DBSIZE");
        for key in keys {
            let Reply::Bulk(key) = key else { panic!("keys are bytes") };
            for command in [&["EXPIRETIME"][..], &["TYPE"], &["OBJECT", "ENCODING"]] {
                let command = command.iter().map(|word| word.as_bytes().to_vec());
                self.check(&command.chain([key.to_vec()]).collect::<Vec<_>>());
            }
            let type_name = show(&self.db.call(&[b"TYPE", &key]));
            let read: &[&str] = match type_name.as_str() {
                "string" => &["GET", "KEY"],
                "hash" => &["HGETALL", "KEY"],
                "list" => &["LRANGE", "KEY", "0", "-1"],
                "set" => &["SMEMBERS", "KEY"],
                "zset" => &["ZRANGE", "KEY", "0", "-1", "WITHSCORES"],
                "stream" => &["XRANGE", "KEY", "-", "+"],
                other => panic!("a type that no test knows how to read: {other}"),
            };
            let word = |word: &&str| if *word == "KEY" { key.to_vec() } else { (*word).into() };
            self.check(&read.iter().map(word).collect::<Vec<_>>());
        }
    }

    /// Gives both many commands, made of shapes that are drawn by chance and filled in; from time
    /// to time compares all that there is at these keys.
    pub fn check_random(
        &mut self,
        shapes: &[&str],
        keys: &[&str],
        mut fill: impl FnMut(&str, &mut Random) -> Vec<Vec<u8>>,
    ) {
        let rounds = std::env::var("ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
        let rounds: usize = rounds.unwrap_or(20_000);
        let mut random = Random(seed());
        for round in 0..rounds {
            let shape = random.pick(shapes);
            self.check(&fill(shape, &mut random));
            if round % 500 == 0 {
                self.check_content(keys);
            }
        }
        println!("{rounds} commands, of which {} differ in known ways", self.known);
    }
}

fn clock_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64
}

/// RESP2 has no maps, sets or doubles.
fn flat(reply: Reply) -> Reply {
    match reply {
        Reply::Map(pairs) | Reply::Pairs(pairs) => {
            Reply::Array(pairs.into_iter().flat_map(|(a, b)| [flat(a), flat(b)]).collect())
        }
        Reply::ByKey(pairs) => {
            let pairs = pairs.into_iter().map(|(a, b)| Reply::Array(vec![flat(a), flat(b)]));
            Reply::Array(pairs.collect())
        }
        Reply::Set(items) | Reply::Array(items) => {
            Reply::Array(items.into_iter().map(flat).collect())
        }
        Reply::Double(value) => Reply::bulk(double_text(value)),
        Reply::Decimal(value) => Reply::bulk(decimal_text(value)),
        Reply::Verbatim(bytes) => Reply::Bulk(bytes),
        other => other,
    }
}

/// What has no order, in order: so many replies of an array go together.
fn in_order(reply: Reply, together: usize) -> Reply {
    let Reply::Array(items) = reply else { return reply };
    let mut parts: Vec<_> = items.chunks(together).map(<[Reply]>::to_vec).collect();
    parts.sort_by_key(|part| part.iter().map(show).collect::<Vec<_>>());
    Reply::Array(parts.concat())
}

/// A HyperLogLog without the count that Redis leaves in it when it counts: here that is a read.
fn without_count(reply: Reply) -> Reply {
    match reply {
        Reply::Bulk(bytes) if bytes.starts_with(b"HYLL") && bytes.len() >= 16 => {
            Reply::bulk([&bytes[..8], &[0; 8], &bytes[16..]].concat())
        }
        other => other,
    }
}

/// A reply as far as it can be compared: times near the present as bands, what has no order in one.
fn comparable(name: &[u8], reply: Reply) -> String {
    let units = match name.to_ascii_lowercase().as_slice() {
        b"pttl" | b"pexpiretime" => 1000,
        b"ttl" | b"expiretime" => 1,
        b"keys" | b"hkeys" | b"hvals" | b"smembers" | b"sinter" | b"sunion" | b"sdiff" => {
            return show(&in_order(reply, 1));
        }
        b"hgetall" => return show(&in_order(reply, 2)),
        b"xinfo" | b"xpending" => return show(&without_times(reply)),
        // By chance: only how many there are.
        b"spop" | b"srandmember" => match reply {
            Reply::Array(items) => return format!("{} members", items.len()),
            Reply::Bulk(_) => return "a member".to_owned(),
            reply => return show(&reply),
        },
        b"get" => return show(&without_count(reply)),
        _ => return show(&reply),
    };
    match reply {
        // The lives that the tests give are multiples of 1000 s, so that a band is wide enough.
        Reply::Integer(time) if time >= 0 => format!("about {}", (time / units + 500) / 1000),
        _ => show(&reply),
    }
}

/// What XINFO and XPENDING tell, with times as bands, and without the nodes of Redis' radix trees.
fn without_times(reply: Reply) -> Reply {
    const BAND: i64 = 10_000_000;
    let band = |time: i64| Reply::bulk(format!("about {}", (time + BAND / 2) / BAND));
    let Reply::Array(mut items) = reply else { return reply };
    for place in 0..items.len() {
        let name = place.checked_sub(1).map(|place| show(&items[place])).unwrap_or_default();
        let is_idle = match &items[..] {
            // A pending entry: ID, consumer, time, number of deliveries.
            [Reply::Bulk(_), Reply::Bulk(_), Reply::Integer(_), Reply::Integer(_)] => place == 2,
            _ => name == "\"idle\"",
        };
        items[place] = match std::mem::replace(&mut items[place], Reply::Null) {
            Reply::Integer(_) if name.starts_with("\"radix-tree-") => Reply::Null,
            Reply::Integer(time) if is_idle || (1 << 40..1 << 43).contains(&time) => band(time),
            other => without_times(other),
        };
    }
    Reply::Array(items)
}
