//! A keyspace that is fed with lines of text, for the tests.
#![allow(dead_code, unreachable_pub)]

pub mod redis;

use raftkv_storage::keyspace::command::{Batch, Stamp, lookup, time_entry};
use raftkv_storage::keyspace::{Keyspace, Reply};

/// A keyspace, with the log in front of it and a clock that is moved by hand.
#[derive(Default)]
pub struct Db {
    pub keyspace: Keyspace,
    pub index: u64,
    pub now: u64,
}

impl Db {
    pub fn new() -> Self {
        Self { keyspace: Keyspace::default(), index: 0, now: 1_000_000 }
    }

    /// Carries out a batch as a replica does, and returns its replies.
    pub fn execute(&mut self, batch: Batch) -> Vec<Reply> {
        let stamp = Stamp { time_ms: self.now, seed: self.index.wrapping_add(self.now) };
        let (reads, payload) = batch.into_parts(stamp);
        let mut replies = self.keyspace.read(&reads, self.now);
        if let Some(payload) = payload {
            self.index += 1;
            replies.extend(self.keyspace.apply(self.index, &payload));
        }
        replies
    }

    /// Carries out one command.
    pub fn call(&mut self, args: &[&[u8]]) -> Reply {
        let mut batch = Batch::new();
        push(&mut batch, args);
        self.execute(batch).pop().expect("a command has a reply")
    }

    /// Carries out one command, given as a line, and shows the reply.
    pub fn run(&mut self, line: &str) -> String {
        let args = split(line);
        let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        show(&self.call(&args))
    }

    /// Moves clock and log forward.
    pub fn pass(&mut self, milliseconds: u64) {
        self.now += milliseconds;
        self.index += 1;
        let entry = time_entry(Stamp { time_ms: self.now, seed: 0 });
        assert_eq!(self.keyspace.apply(self.index, &entry), []);
    }

    /// Runs lines of `command -> reply`. A line `+1500` lets so many milliseconds pass.
    pub fn script(&mut self, script: &str) {
        for (number, line) in script.lines().enumerate() {
            let line = line.trim();
            if let Some(milliseconds) = line.strip_prefix('+') {
                self.pass(milliseconds.parse().expect("milliseconds"));
            } else if let Some((command, expected)) = line.split_once(" -> ") {
                let reply = self.run(command.trim());
                assert_eq!(reply, expected.trim(), "line {}: {command}", number + 1);
            } else {
                assert!(line.is_empty() || line.starts_with('#'), "unreadable line: {line}");
            }
        }
    }
}

/// Adds a command, its name first.
pub fn push(batch: &mut Batch, args: &[&[u8]]) {
    let spec = lookup(args[0]).expect("the command is in the table");
    batch.push(spec, &args[1..]);
}

/// Splits a line into arguments; quotes hold blanks together, `\xHH` is a byte.
pub fn split(line: &str) -> Vec<Vec<u8>> {
    let (mut args, mut arg, mut is_quoted, mut is_open) = (vec![], vec![], false, false);
    let mut bytes = line.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => (is_quoted, is_open) = (!is_quoted, true),
            b' ' if !is_quoted => {
                if is_open {
                    args.push(std::mem::take(&mut arg));
                }
                is_open = false;
            }
            b'\\' if is_quoted => {
                let hex: Vec<u8> = bytes.by_ref().take(3).skip(1).collect();
                let hex = String::from_utf8(hex).expect("hex digits");
                arg.push(u8::from_str_radix(&hex, 16).expect("hex digits"));
            }
            byte => {
                arg.push(byte);
                is_open = true;
            }
        }
    }
    if is_open {
        args.push(arg);
    }
    args
}

/// Shows a reply in one line.
pub fn show(reply: &Reply) -> String {
    let list = |replies: &[Reply]| replies.iter().map(show).collect::<Vec<_>>().join(" ");
    match reply {
        Reply::Ok => "OK".into(),
        Reply::Simple(text) => (*text).into(),
        Reply::Null => "null".into(),
        Reply::NullArray => "null array".into(),
        Reply::Integer(value) => value.to_string(),
        Reply::Decimal(value) | Reply::Double(value) => value.to_string(),
        Reply::Bulk(bytes) | Reply::Verbatim(bytes) => format!("\"{}\"", bytes.escape_ascii()),
        Reply::Array(replies) => format!("[{}]", list(replies)),
        Reply::Set(replies) => format!("~[{}]", list(replies)),
        Reply::Pairs(pairs) => {
            let pairs = pairs.iter().map(|(first, second)| list(&[first.clone(), second.clone()]));
            format!("[{}]", pairs.map(|pair| format!("[{pair}]")).collect::<Vec<_>>().join(" "))
        }
        Reply::Map(pairs) | Reply::ByKey(pairs) => {
            let pairs = pairs.iter().map(|(key, value)| format!("{}: {}", show(key), show(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        Reply::Error(text) => String::from_utf8_lossy(text).into_owned(),
    }
}

/// A small generator of numbers that look random, the same for the same seed.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    /// Returns a number less than `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// The seed of a test: from the environment, or a fixed one. Printed, so that a failure can be
/// repeated.
pub fn seed() -> u64 {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("SEED={seed}");
    seed
}
