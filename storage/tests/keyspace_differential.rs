//! The same commands to a real redis-server and to the keyspace: the replies must be the same.
//!
//! Runs where a `redis-server` of version 7.0 is on the PATH, and says so where there is none. `SEED=… ROUNDS=…` choose
//! other sequences and more of them.

mod keyspace_support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use keyspace_support::{Db, Random, seed, show, split};
use raftkv_storage::keyspace::Reply;

/// What is known to differ, and why. A reply that differs in another way is a failure.
fn is_known_difference(args: &[Vec<u8>], ours: &str, theirs: &str) -> bool {
    let name = args[0].to_ascii_lowercase();
    let is_object = |subcommand: &[u8]| {
        name == b"object" && args.get(1).is_some_and(|arg| arg.eq_ignore_ascii_case(subcommand))
    };
    // Redis remembers how a value came about: what APPEND, SETRANGE or INCRBYFLOAT made is raw or embstr, even if it reads
    // as a number or is short. Here the encoding follows from the value, and the count of owners from the encoding. Nobody
    // keeps the time of the last access.
    if is_object(b"encoding") || is_object(b"refcount") || is_object(b"idletime") {
        return ours != "null" && theirs != "null" && !ours.starts_with("ERR");
    }
    // Here COPY is that of a cluster, where there is one database.
    if name == b"copy" && args.iter().any(|arg| arg.eq_ignore_ascii_case(b"db")) {
        return true;
    }
    // The order of keys is another, and so is what is next in it.
    let is_reply = |reply: &str| !reply.starts_with("ERR") && reply != "null";
    (name == b"randomkey" || name == b"scan") && is_reply(ours) && is_reply(theirs)
}

/// A redis-server of its own, on a port of its own, that ends with the test.
struct Redis {
    process: Child,
    stream: BufReader<TcpStream>,
}

impl Redis {
    fn start() -> Option<Self> {
        let version = Command::new("redis-server").arg("--version").output().ok()?;
        if !String::from_utf8_lossy(&version.stdout).contains("v=7.0.") {
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port().to_string();
        let process = Command::new("redis-server")
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server starts");
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Ok(stream) = TcpStream::connect(format!("127.0.0.1:{port}")) {
                return Some(Self { process, stream: BufReader::new(stream) });
            }
            assert!(Instant::now() < deadline, "redis-server does not listen");
            std::thread::yield_now();
        }
    }

    fn call(&mut self, args: &[Vec<u8>]) -> String {
        let mut request = format!("*{}\r\n", args.len()).into_bytes();
        for arg in args {
            request.extend(format!("${}\r\n", arg.len()).into_bytes());
            request.extend(arg);
            request.extend(b"\r\n");
        }
        self.stream.get_mut().write_all(&request).expect("redis reads");
        show(&self.reply())
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

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Both at once.
struct Pair {
    redis: Redis,
    db: Db,
    known: usize,
    /// When Redis last answered.
    answered_ms: u64,
}

impl Pair {
    fn start() -> Option<Self> {
        let redis = Redis::start();
        if redis.is_none() {
            println!("SKIPPED: no redis-server 7.0 on the PATH to compare with");
        }
        Some(Self { redis: redis?, db: Db::new(), known: 0, answered_ms: 0 })
    }

    /// Gives both the same command and compares.
    fn check(&mut self, args: &[Vec<u8>]) {
        // Time is that of the real clock on both sides. Where a deadline is compared with an earlier one, a millisecond must
        // have passed for both of them or for none.
        while args.len() > 3 && args[0].starts_with(b"EXPIRE") | args[0].starts_with(b"PEXPIRE") {
            if clock_ms() > self.answered_ms {
                break;
            }
        }
        self.db.now = clock_ms();
        let spec = raftkv_storage::keyspace::command::lookup(&args[0]).expect("a command of ours");
        // Deadlines are compared to the second, as the two do not see the same millisecond.
        let theirs = rounded(&args[0], self.redis.call(args));
        self.answered_ms = clock_ms();
        let slices: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        let ours = flat(self.db.call(&slices));
        let ours = rounded(&args[0], show(&ours));
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

    fn check_line(&mut self, line: &str) {
        self.check(&split(line));
    }

    /// Compares all keys with their values and deadlines.
    fn check_content(&mut self) {
        let Reply::Array(keys) = self.db.call(&[b"KEYS", b"*"]) else { panic!("KEYS is an array") };
        // Redis counts dead keys until someone looks at them.
        let mut exists: Vec<Vec<u8>> = vec!["EXISTS".into()];
        exists.extend(KEYS.map(|key| key.as_bytes().to_vec()));
        self.check(&exists);
        self.check_line("DBSIZE");
        for key in keys {
            let Reply::Bulk(key) = key else { panic!("keys are bytes") };
            for command in ["GET", "EXPIRETIME", "TYPE"] {
                self.check(&[command.into(), key.to_vec()]);
            }
        }
    }
}

fn clock_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64
}

/// RESP2 has no maps.
fn flat(reply: Reply) -> Reply {
    match reply {
        Reply::Map(pairs) => {
            Reply::Array(pairs.into_iter().flat_map(|(a, b)| [flat(a), flat(b)]).collect())
        }
        other => other,
    }
}

/// Times near the present, as bands; keys in order.
fn rounded(name: &[u8], reply: String) -> String {
    let units = match name.to_ascii_lowercase().as_slice() {
        b"pttl" | b"pexpiretime" => 1000,
        b"ttl" | b"expiretime" => 1,
        b"keys" => {
            let mut keys: Vec<_> = reply.trim_matches(['[', ']']).split(' ').collect();
            keys.sort_unstable();
            return keys.join(" ");
        }
        _ => return reply,
    };
    match reply.parse::<i64>() {
        // The lives that the tests give are multiples of 1000 s, so that a band is wide enough.
        Ok(time) if time >= 0 => format!("about {}", (time / units + 500) / 1000),
        _ => reply,
    }
}

const KEYS: [&str; 6] = ["a", "b", "c", "d", "e", ""];
const VALUES: [&str; 30] = [
    "",
    "0",
    "1",
    "-1",
    "10",
    "+5",
    "007",
    "-0",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "12345678901234567890123",
    " 1",
    "1 ",
    "3.0e3",
    "10.5",
    "-.5",
    "1e-3",
    "0x1p3",
    "inf",
    "nan",
    "hello",
    "hello world",
    "ohmytext",
    "mynewtext",
    "\u{0}\u{1}\r\n",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "1000.1",
    "0.2",
    "5",
];
const NUMBERS: [&str; 16] = [
    "0",
    "1",
    "-1",
    "2",
    "5",
    "-5",
    "10",
    "100",
    "-100",
    "9223372036854775807",
    "x",
    "",
    "-9223372036854775808",
    "1.5",
    "9223372036854775",
    "600000000",
];
const TTLS: [&str; 12] = [
    "1000",
    "5000",
    "9000",
    "0",
    "-1",
    "x",
    "",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775",
    "1.5",
    "100000",
];
/// In milliseconds, and as moments.
const TTLS_MS: [&str; 6] = ["1000000", "5000000", "0", "-1", "x", "9223372036854775807"];
const TIMES: [&str; 6] = ["1", "4000000000", "5000000000", "-1", "x", "9223372036854775807"];
const TIMES_MS: [&str; 6] =
    ["1", "4000000000000", "5000000000000", "-1", "x", "9223372036854775807"];

/// A command for each shape; `k` stands for a key, `v` a value, `n` a number, `t` seconds to live, `m` milliseconds, `T` a
/// moment in seconds, `M` in milliseconds, `s` an option of SET, `x` of GETEX, `e` of EXPIRE, `l` of LCS, `c` of COPY, `p` a
/// pattern.
const SHAPES: &[&str] = &[
    "SET k v",
    "SET k v",
    "SET k v s",
    "SET k v s s",
    "SET k v s s s",
    "GET k",
    "GETDEL k",
    "GETEX k",
    "GETEX k x",
    "GETEX k x x",
    "GETSET k v",
    "SETNX k v",
    "SETEX k t v",
    "PSETEX k m v",
    "MGET k k k",
    "MSET k v",
    "MSET k v k v",
    "MSET k v k",
    "MSETNX k v k v",
    "MSETNX k v k",
    "APPEND k v",
    "STRLEN k",
    "GETRANGE k n n",
    "SUBSTR k n n",
    "INCR k",
    "DECR k",
    "INCRBY k n",
    "DECRBY k n",
    "INCRBYFLOAT k v",
    "INCRBYFLOAT k n",
    "LCS k k",
    "LCS k k l",
    "LCS k k l l l",
    "DEL k",
    "DEL k k",
    "UNLINK k k",
    "EXISTS k k",
    "TYPE k",
    "TOUCH k k",
    "KEYS p",
    "RENAME k k",
    "RENAMENX k k",
    "COPY k k",
    "COPY k k c",
    "COPY k k c c",
    "EXPIRE k t",
    "EXPIRE k t e",
    "EXPIRE k t e e",
    "PEXPIRE k m",
    "PEXPIRE k m e",
    "EXPIREAT k T",
    "EXPIREAT k T e",
    "PEXPIREAT k M",
    "PEXPIREAT k M e",
    "TTL k",
    "PTTL k",
    "EXPIRETIME k",
    "PEXPIRETIME k",
    "PERSIST k",
    "OBJECT ENCODING k",
    "OBJECT REFCOUNT k",
    "OBJECT FREQ k",
    "OBJECT IDLETIME k",
    "OBJECT nonsense k",
    "OBJECT ENCODING",
    "OBJECT HELP",
    "FLUSHALL f",
    "SETRANGE k o v",
    "RANDOMKEY",
    "SCAN u",
];

fn fill(shape: &str, random: &mut Random) -> Vec<Vec<u8>> {
    let mut args: Vec<Vec<u8>> = Vec::new();
    for word in shape.split(' ') {
        let filled = match word {
            "k" => random.pick(&KEYS).to_string(),
            "v" => random.pick(&VALUES).to_string(),
            "n" => random.pick(&NUMBERS).to_string(),
            "o" => {
                random.pick(&["0", "1", "7", "-1", "x", "536870912", "9223372036854775807"]).into()
            }
            // Redis takes whatever strtoul takes; here a cursor is a number as SCAN prints it.
            "u" => random.pick(&["0", "17", "x", "18446744073709551616", "0x"]).into(),
            "t" => random.pick(&TTLS).to_string(),
            "m" => random.pick(&TTLS_MS).to_string(),
            "T" => random.pick(&TIMES).to_string(),
            "M" => random.pick(&TIMES_MS).to_string(),
            "f" => random.pick(&["ASYNC", "sync", "nonsense"]).into(),
            "p" => random.pick(&["*", "a", "[a-c]", "[^a]", "?", "", "\\a", "[b"]).into(),
            "e" => random.pick(&["NX", "xx", "GT", "lt", "nonsense"]).into(),
            "l" => random
                .pick(&["LEN", "IDX", "WITHMATCHLEN", "MINMATCHLEN 2", "nonsense", "MINMATCHLEN"])
                .into(),
            "c" => random.pick(&["REPLACE", "replace", "DB 0", "DB x", "DB", "nonsense"]).into(),
            "s" | "x" => {
                let ex = ["EX", "PX", "EXAT", "PXAT"][random.below(4)];
                let amount = match ex {
                    "EX" => random.pick(&TTLS),
                    "PX" => random.pick(&TTLS_MS),
                    "EXAT" => random.pick(&TIMES),
                    _ => random.pick(&TIMES_MS),
                };
                let ex = format!("{ex} {amount}");
                let set = ["NX", "xx", "GET", "KEEPTTL", &ex, &ex, "EX", "PERSIST"];
                let getex = ["PERSIST", &ex, &ex, "persist", "PX", "nonsense"];
                if word == "s" { random.pick(&set).into() } else { random.pick(&getex).into() }
            }
            name => name.into(),
        };
        // Options with an argument are two words, and values may have blanks.
        if "slxc".contains(word) && word.len() == 1 {
            args.extend(filled.split(' ').map(|part| part.as_bytes().to_vec()));
        } else {
            args.push(filled.into_bytes());
        }
    }
    args
}

#[test]
fn random_commands_are_answered_as_by_redis() {
    let Some(mut pair) = Pair::start() else { return };
    let rounds = std::env::var("ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    let rounds: usize = rounds.unwrap_or(20_000);
    let mut random = Random(seed());
    for round in 0..rounds {
        let shape = random.pick(SHAPES);
        pair.check(&fill(shape, &mut random));
        if round % 500 == 0 {
            pair.check_content();
        }
    }
    println!("{rounds} commands, of which {} differ in known ways", pair.known);
}

/// Decimal texts of all sizes.
fn decimal(random: &mut Random) -> String {
    let mut text = String::from(random.pick(&["", "-", "+"]));
    let mut digits = |random: &mut Random, most: usize| {
        for _ in 0..random.below(most + 1) {
            text.push(char::from(b'0' + random.below(10) as u8));
        }
    };
    digits(random, 12);
    if random.below(3) > 0 {
        text.push('.');
        let mut digits = |most: usize| {
            for _ in 0..random.below(most + 1) {
                text.push(char::from(b'0' + random.below(10) as u8));
            }
        };
        digits(20);
    }
    match random.below(8) {
        0 => text + &format!("e{}", random.below(40) as i64 - 20),
        1 => text + &format!("E{:+}", random.below(10_000) as i64 - 5_000),
        _ => text,
    }
}

#[test]
fn sums_of_random_numbers_are_those_of_redis() {
    let Some(mut pair) = Pair::start() else { return };
    let mut random = Random(seed());
    for _ in 0..10_000 {
        if random.below(3) == 0 {
            pair.check(&["SET".into(), "k".into(), decimal(&mut random).into_bytes()]);
        }
        pair.check(&["INCRBYFLOAT".into(), "k".into(), decimal(&mut random).into_bytes()]);
    }
}

#[test]
fn sums_of_special_numbers_are_those_of_redis() {
    let Some(mut pair) = Pair::start() else { return };
    let numbers = [
        "0",
        "-0",
        "0.0",
        "1",
        "10.5",
        "0.1",
        "5.0e3",
        "2.0e2",
        "1000.1",
        "0.2",
        "3",
        "1.1",
        "1e18",
        "18446744073709551615",
        "18446744073709551616",
        "18446744073709551617",
        "36893488147419103233",
        "36893488147419103235",
        "0.5",
        "0.000000000000000005",
        "0.000000000000000015",
        "0.0000000000000000049999",
        "1e-17",
        "5e-18",
        "4.9e-18",
        "1e-4931",
        "3.6e-4951",
        "1.8e-4951",
        "1e-4952",
        "1e-5000",
        "1e4932",
        "1.18973149535723176502e4932",
        "1.2e4932",
        "1e4933",
        "-1e4932",
        "0x10",
        "0X1.8p1",
        "0x.8",
        "0x",
        "0x1p-16445",
        "0x1p-16446",
        "0x1p16383",
        "0x1p16384",
        "1e",
        "1e+",
        "e1",
        ".",
        ".5",
        "5.",
        "-.5",
        "+.5",
        "--1",
        " 1",
        "1 ",
        "inf",
        "-INF",
        "infinity",
        "infinit",
        "nan",
        "-nan",
        "nan(1)",
        "",
        "1_0",
        "0e999999999999999999999",
        "1e99999999999999999999",
        "1e-99999999999999999999",
        "0x0p99999999",
        "99999999999999999999",
        "123456789.123456789123456789",
        "0.30000000000000004",
        "-1",
        "-10.6",
        "1,5",
        "٣",
    ];
    for a in numbers {
        for b in numbers {
            pair.check(&["SET".into(), "k".into(), a.into()]);
            pair.check(&["INCRBYFLOAT".into(), "k".into(), b.into()]);
        }
    }
    for length in [100, 5_000, 5_119, 5_120, 6_000] {
        for text in [
            "1".repeat(length),
            format!("0.{}1", "0".repeat(length - 3)),
            format!("1{}e-{length}", "0".repeat(length - 8)),
        ] {
            pair.check(&["SET".into(), "k".into(), text.clone().into_bytes()]);
            pair.check(&["INCRBYFLOAT".into(), "k".into(), "1.5".into()]);
        }
    }
}

#[test]
fn patterns_match_as_in_redis() {
    let Some(mut pair) = Pair::start() else { return };
    let mut random = Random(seed());
    let text = |random: &mut Random, alphabet: &[&str], most: usize| {
        (0..random.below(most + 1)).map(|_| random.pick(alphabet)).collect::<String>()
    };
    for _ in 0..100 {
        // Redis' matcher thinks that `**` does not match nothing, so no key is empty.
        let key = text(&mut random, &["a", "b", "c", "-", "]"], 8) + "a";
        pair.check(&["SET".into(), key.into_bytes(), "x".into()]);
    }
    for _ in 0..3000 {
        let pattern = text(&mut random, &["a", "b", "c", "*", "?", "[", "]", "^", "-", "\\"], 8);
        pair.check(&["KEYS".into(), pattern.into_bytes()]);
    }
}
