//! DUMP and RESTORE: values move from redis-server to the keyspace and back, and no bytes do harm.

mod keyspace_support;

use keyspace_support::redis::Pair;
use keyspace_support::{Db, Random, seed, show};
use raftkv_storage::keyspace::{Keyspace, Reply};

/// The checksum as it is defined, bit by bit.
fn crc64(bytes: &[u8]) -> u64 {
    let step = |crc: u64, _| if crc & 1 == 1 { crc >> 1 ^ 0x95ac_9329_ac4b_c9b5 } else { crc >> 1 };
    bytes.iter().fold(0, |crc, byte| (0..8).fold(crc ^ u64::from(*byte), step))
}

/// Bytes with the footer that belongs to them.
fn payload(bytes: &[u8]) -> Vec<u8> {
    let mut all = [bytes, &10u16.to_le_bytes()].concat();
    all.extend(crc64(&all).to_le_bytes());
    all
}

fn restore(db: &mut Db, key: &str, bytes: &[u8]) -> Reply {
    db.call(&[b"RESTORE", key.as_bytes(), b"0", bytes, b"REPLACE"])
}

fn dump(db: &mut Db, key: &str) -> Vec<u8> {
    match db.call(&[b"DUMP", key.as_bytes()]) {
        Reply::Bulk(bytes) => bytes.to_vec(),
        other => panic!("no dump of {key}: {}", show(&other)),
    }
}

/// Short strings have one form.
#[test]
fn strings_are_dumped_as_by_redis() {
    let mut db = Db::new();
    db.run("SET k 10");
    assert_eq!(dump(&mut db, "k"), b"\x00\xc0\n\n\x00n\x9fWE\x0e\xaec\xbb");
    let Some(mut pair) = Pair::start() else { return };
    for value in [
        "",
        "foo",
        "0",
        "-1",
        "127",
        "128",
        "-128",
        "-129",
        "32767",
        "32768",
        "-32768",
        "-32769",
        "2147483647",
        "2147483648",
        "-2147483648",
        "-2147483649",
        "9223372036854775807",
        "007",
        "-0",
        "1.5",
        "abcdefghijklmnopqrst",
    ] {
        pair.check(&["SET".into(), "k".into(), value.into()]);
        pair.check_line("DUMP k");
        pair.check_line("DUMP none");
    }
}

#[test]
fn what_restore_says() {
    let mut db = Db::new();
    let mut call = |line: &[&str], bytes: &[u8]| {
        let args = line.iter().map(|word| if *word == "P" { bytes } else { word.as_bytes() });
        show(&db.call(&args.collect::<Vec<_>>()))
    };
    let good = payload(b"\x00\x01v");
    let wrong = "ERR DUMP payload version or checksum are wrong";
    for (line, bytes, reply) in [
        (&["RESTORE", "k", "0", "P"][..], &good[..], "OK"),
        (&["RESTORE", "k", "0", "P"], &good, "BUSYKEY Target key name already exists."),
        (&["RESTORE", "k", "x", "P"], b"", "BUSYKEY Target key name already exists."),
        (&["RESTORE", "k", "x", "P", "nonsense"], b"", "ERR syntax error"),
        (&["RESTORE", "k", "5000", "P", "replace"], &good, "OK"),
        (&["PTTL", "k"], b"", "5000"),
        (&["RESTORE", "k", "1005000", "P", "REPLACE", "ABSTTL"], &good, "OK"),
        (&["PTTL", "k"], b"", "5000"),
        (&["RESTORE", "k", "0", "P", "REPLACE", "ABSTTL", "FREQ", "1", "FREQ", "255"], &good, "OK"),
        (&["PTTL", "k"], b"", "-1"),
        (&["RESTORE", "k", "5", "P", "REPLACE", "ABSTTL", "IDLETIME", "7"], &good, "OK"),
        (&["EXISTS", "k"], b"", "0"),
        (&["RESTORE", "k", "9223372036854775807", "P"], &good, "OK"),
        (&["EXISTS", "k"], b"", "0"),
        (&["RESTORE", "k", "-1", "P"], b"", "ERR Invalid TTL value, must be >= 0"),
        (&["RESTORE", "k", "0", "P"], b"", wrong),
        (&["RESTORE", "k", "0", "P"], &good[..good.len() - 1], wrong),
        (&["RESTORE", "k", "0", "P"], &payload(b""), "ERR Bad data format"),
        (&["RESTORE", "k", "0", "P"], &payload(b"\x00\x02v"), "ERR Bad data format"),
        (&["RESTORE", "k", "0", "P"], &payload(b"\x02\x00"), "ERR Bad data format"),
        (&["RESTORE", "k", "0", "P"], &payload(b"\x02\x02\x01a\x01a"), "ERR Bad data format"),
        (&["RESTORE", "k", "0", "P"], &payload(b"\x07"), "ERR Bad data format"),
        // Bytes behind the value are no matter.
        (&["RESTORE", "k", "0", "P"], &payload(b"\x00\x01vmore"), "OK"),
        (&["DUMP", "none"], b"", "null"),
    ] {
        assert_eq!(call(line, bytes), reply, "{line:?}");
    }
    let mut newer = payload(b"\x00\x01v");
    let end = newer.len();
    newer[end - 10] = 11;
    let crc = crc64(&newer[..end - 8]);
    newer[end - 8..].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(call(&["RESTORE", "new", "0", "P"], &newer), wrong);
}

/// What fits into a request must not become gigabytes.
#[test]
fn bombs_are_refused() {
    let mut db = Db::new();
    let too_long = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    // References to the byte before: 264 bytes for three.
    let packed = |count: u32| [b"\x00a".to_vec(), b"\xe0\xff\x00".repeat(count as usize)].concat();
    let lzf = |count: u32| {
        let bytes = packed(count);
        let lengths = [bytes.len() as u32, 1 + 264 * count];
        let mut all = vec![0xc3];
        lengths.iter().for_each(|length| all.extend([&[0x80], &length.to_be_bytes()[..]].concat()));
        [all, bytes].concat()
    };
    let string = |count| payload(&[&[0], &lzf(count)[..]].concat());
    assert_eq!(restore(&mut db, "k", &string(31_000)), Reply::Ok);
    assert_eq!(db.run("STRLEN k"), "8184001");
    assert_eq!(show(&restore(&mut db, "k", &string(32_000))), too_long);
    assert_eq!(show(&restore(&mut db, "k", &string(1_000_000))), too_long);
    let list =
        |strings: usize| payload(&[&[1, strings as u8][..], &lzf(30_000).repeat(strings)].concat());
    assert_eq!(restore(&mut db, "k", &list(16)), Reply::Ok);
    assert_eq!(show(&restore(&mut db, "k", &list(17))), too_long);
    // A length that nothing pays for.
    let claim = payload(b"\x00\xc3\x02\x81\x00\x00\x00\x01\x00\x00\x00\x00\x00a");
    assert_eq!(show(&restore(&mut db, "k", &claim)), too_long);
    let claim = payload(b"\x00\xc3\x02\x80\x00\x7f\x00\x00\x00a");
    assert_eq!(show(&restore(&mut db, "k", &claim)), "ERR Bad data format");
    let claim = payload(b"\x02\x81\xff\xff\xff\xff\xff\xff\xff\xff\x01a");
    assert_eq!(show(&restore(&mut db, "k", &claim)), "ERR Bad data format");

    // A field whose name is written once for many entries.
    let mut node = b"\x00\x00\x00\x00\xff\xff".to_vec();
    let name = vec![b'n'; 4 << 20];
    node.extend(b"\x64\x01\x00\x01\x01\x01\xf0");
    node.extend((name.len() as u32).to_le_bytes());
    node.extend(&name);
    node.extend(b"\x02\x80\x80\x85\x00\x01");
    for sequence in 0..100 {
        node.extend([2, 1, 0, 1, sequence, 1, 0x81, b'v', 2, 4, 1]);
    }
    node.push(0xff);
    let length = node.len() as u32;
    node[..4].copy_from_slice(&length.to_le_bytes());
    let head = [&b"\x13\x01\x10"[..], &[0; 15], &[1, 0x80], &length.to_be_bytes()];
    let stream = payload(&[&head.concat()[..], &node].concat());
    assert_eq!(show(&restore(&mut db, "s", &stream)), too_long);
}

/// Fills keys of all types, as large as `scale` says, on both sides.
fn fill(pair: &mut Pair, random: &mut Random, scale: usize) {
    let text = |random: &mut Random| -> Vec<u8> {
        match random.below(9) {
            // Where another form begins.
            0 => {
                let power = 1i64 << [5, 6, 7, 11, 12, 14, 15, 16, 23, 31, 32][random.below(11)];
                (power * [1, -1][random.below(2)] + random.below(3) as i64 - 1).to_string().into()
            }
            1 => (random.next() as i16).to_string().into(),
            2 => (random.next() as i32 >> random.below(20)).to_string().into(),
            3 => (random.next() as i64 >> random.below(40)).to_string().into(),
            4 => vec![b'a'; [62, 63, 64, 65, 4095, 4096, 5000][random.below(7)]],
            5 if random.below(20) == 0 => vec![random.next() as u8; random.below(9000)],
            _ => (0..random.below(12)).map(|_| random.next() as u8).collect(),
        }
    };
    let words = |line: &str| -> Vec<Vec<u8>> { line.split(' ').map(Into::into).collect() };
    for _ in 0..1 + random.below(scale) {
        let number = random.next() as i32;
        let score = random.pick(&["1.5", "-0", "inf", "-inf", "3", "1e-7", "17", "0.1"]);
        let one = |line: &str, random: &mut Random| {
            let word = |word: &str| if word == "*" { text(random) } else { word.into() };
            line.split(' ').map(word).collect::<Vec<_>>()
        };
        for line in ["RPUSH list *", "SADD set *", "HSET hash * *", "SET string *"] {
            pair.check(&one(line, random));
        }
        pair.check(&one(&format!("ZADD zset {score} *"), random));
        pair.check(&words(&format!("SADD ints {}", number >> random.below(32))));
        let id = format!("{}-{}", scale / 10 + 1, random.below(scale * 10));
        let fields = ["a * b *", "a * b *", "* *", "c * * *"][random.below(4)];
        // Many are behind the last one and are refused.
        pair.check(&one(&format!("XADD stream {id} {fields}"), random));
    }
    for line in [
        "XGROUP CREATE stream g 0",
        "XGROUP CREATE stream h $",
        "XGROUP CREATECONSUMER stream g idle",
        "XREADGROUP GROUP g alice COUNT 7 STREAMS stream >",
        "XREADGROUP GROUP g bob COUNT 3 STREAMS stream >",
        "XADD stream 999999-1 a b",
        "XADD stream 999999-2 a b",
        "XDEL stream 999999-2",
        "XTRIM stream MAXLEN 1000",
    ] {
        pair.check(&words(line));
    }
}

const KEYS: [&str; 7] = ["string", "list", "set", "ints", "zset", "hash", "stream"];

/// Moves all values to the other side, both ways, and compares: a form that one of them reads
/// otherwise than the other means shows as a difference.
#[test]
fn values_move_from_redis_and_to_it() {
    let Some(mut pair) = Pair::start() else { return };
    let mut random = Random(seed());
    let words = |line: &str| -> Vec<Vec<u8>> { line.split(' ').map(Into::into).collect() };
    for scale in [1, 3, 20, 150, 600, 2000] {
        for _ in 0..6000 / (scale + 100) {
            pair.check_line("FLUSHALL");
            fill(&mut pair, &mut random, scale);
            pair.check_content(&KEYS);
            for key in KEYS {
                let Reply::Bulk(theirs) = pair.redis.reply_to(&words(&format!("DUMP {key}")))
                else {
                    continue;
                };
                let ours = dump(&mut pair.db, key);
                let reply = restore(&mut pair.db, key, &theirs);
                assert_eq!(show(&reply), "OK", "{key}: {}", theirs.escape_ascii());
                let mut back = words(&format!("RESTORE {key} 0"));
                back.extend([ours.clone(), "REPLACE".into()]);
                let reply = pair.redis.reply_to(&back);
                assert_eq!(show(&reply), "OK", "{key}: {}", ours.escape_ascii());
                // The two have not seen the same millisecond when they gave entries to consumers.
                if key != "stream" {
                    assert_eq!(dump(&mut pair.db, key), ours, "{key} is what it was");
                }
            }
            pair.check_content(&KEYS);
            for line in [
                "XINFO STREAM stream",
                "XINFO GROUPS stream",
                "XINFO CONSUMERS stream g",
                "XPENDING stream g - + 100",
                "XADD stream * a 1 b 2",
                "LPUSH list x",
                "RPUSH list x",
                "HSET hash x y",
                "SADD set x",
                "ZADD zset 5 x",
            ] {
                if !line.contains('*') {
                    pair.check_line(line);
                }
            }
            pair.check_content(&KEYS);
        }
    }
}

/// The forms that Redis 7.0 reads and does not write.
#[test]
fn old_forms_are_read_as_by_redis() {
    let Some(mut pair) = Pair::start() else { return };
    // The first type of streams is the last one without some of what follows the nodes.
    pair.db.run("XADD new 7-1 a b");
    let new = dump(&mut pair.db, "new");
    let nodes = &new[1..20 + usize::from(new[19])];
    let old_stream = |rest: &[u8]| [&[15], nodes, rest].concat();
    pair.db.run("DEL new");
    let groups = b"\x01\x07\x05\x03\x01g\x07\x01\x00\x00\x01h\x06\x01\x00\x00\x01i\x07\x05\x00\x00";
    let empty = b"\x13\x00\x00\x07\x05\x00\x00\x06\x01\x09\x01\x01g\x06\x01\x81\
        \xff\xff\xff\xff\xff\xff\xff\xff\x00\x00";
    for (key, bytes) in [
        ("l", &b"\x01\x03\x01a\xc0\x05\x00"[..]),
        ("m", b"\x12\x02\x01\x03abc\x01\xc1\x00\x10"),
        ("z", b"\x03\x04\x01a\x031.5\x01b\xfe\x01c\xff\x01d\x041e-3"),
        ("y", b"\x03\x01\x01a\xfd"),
        ("x", b"\x05\x01\x01a\x00\x00\x00\x00\x00\x00\xf8\x7f"),
        ("s", &old_stream(groups)),
        ("t", empty),
        ("u", &old_stream(b"\x01\x07\x05\x02\x01g\x07\x01\x00\x00\x01g\x07\x01\x00\x00")),
    ] {
        pair.check(&["RESTORE".into(), key.into(), "0".into(), payload(bytes)]);
    }
    pair.check_content(&["l", "m", "z", "y", "x", "s", "t", "u"]);
    for line in ["XINFO STREAM s", "XINFO GROUPS s", "XINFO STREAM t", "XINFO GROUPS t"] {
        pair.check_line(line);
    }
}

/// Damage with a checksum that fits is refused, or is another value: one that can be in a snapshot.
#[test]
fn damage_is_refused_or_another_value() {
    let mut random = Random(seed());
    let mut db = Db::new();
    for line in [
        "SET string hello",
        "SET int 12345",
        "RPUSH list a 5 abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklm -70000",
        "SADD set a b c 1",
        "SADD ints 1 -70000 3",
        "ZADD zset 1 a 2.5 b inf c",
        "HSET hash a 1 b 2",
        "XADD stream 1-1 a 1 b 2",
        "XADD stream 1-2 a 3 b 4",
        "XADD stream 7-0 c 5",
        "XGROUP CREATE stream g 0",
        "XREADGROUP GROUP g alice COUNT 2 STREAMS stream >",
        "XREADGROUP GROUP g bob STREAMS stream >",
    ] {
        db.run(line);
    }
    let mut dumps: Vec<Vec<u8>> =
        ["string", "int", "list", "set", "ints", "zset", "hash", "stream"]
            .iter()
            .map(|key| dump(&mut db, key))
            .collect();
    dumps.push(payload(b"\x10\x0d\x0d\x00\x00\x00\x02\x00\x81a\x02\x01\x01\xff"));
    dumps.push(payload(b"\x11\x0d\x0d\x00\x00\x00\x02\x00\x81a\x02\x01\x01\xff"));
    dumps.push(payload(b"\x00\xc3\x08\x0c\x01ab\xe0\x01\x01"));
    let (mut refused, mut taken) = (0, 0);
    for _ in 0..60_000 {
        let dump = &dumps[random.below(dumps.len())];
        let mut bytes = dump[..dump.len() - 10].to_vec();
        for _ in 0..1 + random.below(3) {
            let place = random.below(bytes.len());
            match random.below(5) {
                0 => bytes[place] = random.next() as u8,
                1 => bytes[place] ^= 1 << random.below(8),
                2 => bytes[place] = bytes[place].wrapping_add(1),
                3 if bytes.len() > 1 => drop(bytes.remove(place)),
                _ => bytes.insert(place, random.next() as u8),
            }
        }
        match restore(&mut db, "damaged", &payload(&bytes)) {
            Reply::Ok => {
                taken += 1;
                let mut copy = Db::new();
                assert_eq!(restore(&mut copy, "damaged", &payload(&bytes)), Reply::Ok);
                let mut snapshot = Vec::new();
                copy.keyspace.view().write_to(&mut snapshot).expect("a vector takes all");
                let read = Keyspace::read_from(&mut &snapshot[..]);
                let read = read.unwrap_or_else(|error| panic!("{}: {error}", bytes.escape_ascii()));
                assert_eq!(read.view().digest(), copy.keyspace.view().digest());
                let again = self::dump(&mut copy, "damaged");
                assert_eq!(restore(&mut copy, "again", &again), Reply::Ok);
                assert_eq!(self::dump(&mut copy, "again"), again);
            }
            Reply::Error(_) => refused += 1,
            other => panic!("{}", show(&other)),
        }
    }
    println!("{refused} refused, {taken} taken");
    assert!(refused > 10_000 && taken > 5_000);
}
