//! What it costs to read a request and to write a reply: by hand, and with `redis_protocol`, in the
//! same run.
//!
//! `cargo bench --bench scan`. Prints nanoseconds per command, medians of several rounds; read the
//! ratios.

use std::hint::black_box;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use raftkv_frontends::resp::Options;
use raftkv_frontends::resp::encode::{Encoder, Protocol};
use raftkv_frontends::resp::scanner::{Request, Scanner};
use raftkv_storage::keyspace::Reply;
use redis_protocol::resp2::decode::{decode_bytes_mut, decode_range};
use redis_protocol::resp2::encode::extend_encode;
use redis_protocol::resp2::types::{BytesFrame, RangeFrame};

/// How many commands are read or written in a round.
const COMMANDS: usize = 10_000;
const ROUNDS: usize = 31;

fn main() {
    for (name, value_bytes) in [("SET, 16 B", 16), ("SET, 100 B", 100), ("SET, 4 KiB", 4096)] {
        let input = requests(value_bytes);
        report(name, "scanner", || scan(&input));
        report(name, "scanner + slices", || scan_and_slice(&input));
        report(name, "decode_range", || decode_ranges(&input));
        report(name, "decode_bytes_mut", || decode_bytes(&input));
    }
    let value = Bytes::from(vec![b'v'; 100]);
    let integer = 123_456_789;
    let cases = [
        ("+OK", Reply::Ok, BytesFrame::SimpleString(Bytes::from_static(b"OK"))),
        ("integer", Reply::Integer(integer), BytesFrame::Integer(integer)),
        ("bulk, 100 B", Reply::Bulk(value.clone()), BytesFrame::BulkString(value)),
    ];
    for (name, reply, frame) in cases {
        report(name, "encoder", || encode(&reply));
        report(name, "extend_encode", || encode_frames(&frame));
    }
}

fn requests(value_bytes: usize) -> Vec<u8> {
    let mut input = Vec::new();
    for number in 0..COMMANDS {
        let key = format!("key:{number:012}");
        let head = format!("*3\r\n$3\r\nSET\r\n$16\r\n{key}\r\n${value_bytes}\r\n");
        input.extend_from_slice(head.as_bytes());
        input.resize(input.len() + value_bytes, b'v');
        input.extend_from_slice(b"\r\n");
    }
    input
}

fn report(what: &str, how: &str, mut round: impl FnMut()) {
    let mut nanoseconds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            round();
            start.elapsed().as_nanos() as f64 / COMMANDS as f64
        })
        .collect();
    nanoseconds.sort_by(f64::total_cmp);
    println!("{what:12} {how:18} {:8.1} ns", nanoseconds[ROUNDS / 2]);
}

fn scanner() -> Scanner {
    Scanner::new(Options::default().limits())
}

fn scan(input: &[u8]) {
    let (mut scanner, mut start) = (scanner(), 0);
    while let Ok(Some(Request::Array(length))) = scanner.scan(&input[start..]) {
        black_box(scanner.arguments());
        start += length;
    }
    assert_eq!(start, input.len(), "all of the input is requests");
}

fn scan_and_slice(input: &[u8]) {
    let (mut scanner, mut start) = (scanner(), 0);
    while let Ok(Some(Request::Array(length))) = scanner.scan(&input[start..]) {
        let frame = &input[start..];
        let mut args: [&[u8]; 12] = [&[]; 12];
        for (arg, range) in args.iter_mut().zip(scanner.arguments()) {
            *arg = &frame[range.start as usize..range.end as usize];
        }
        black_box(args);
        start += length;
    }
    assert_eq!(start, input.len(), "all of the input is requests");
}

fn decode_ranges(input: &[u8]) {
    let mut start = 0;
    while let Ok(Some((frame, length))) = decode_range(&input[start..]) {
        assert!(matches!(black_box(frame), RangeFrame::Array(_)), "a request is an array");
        start += length;
    }
    assert_eq!(start, input.len(), "all of the input is requests");
}

fn decode_bytes(input: &[u8]) {
    let mut buffer = BytesMut::from(input);
    while let Ok(Some((frame, _, _))) = decode_bytes_mut(&mut buffer) {
        black_box(frame);
    }
    assert!(buffer.is_empty(), "all of the input is requests");
}

fn encode(reply: &Reply) {
    let (mut encoder, mut out) = (Encoder::default(), BytesMut::with_capacity(1 << 20));
    for _ in 0..COMMANDS {
        if out.len() > 60_000 {
            out.clear();
        }
        black_box(encoder.start(reply.clone(), Protocol::Resp2, &mut out, 64 << 10));
    }
}

fn encode_frames(frame: &BytesFrame) {
    let mut out = BytesMut::with_capacity(1 << 20);
    for _ in 0..COMMANDS {
        if out.len() > 60_000 {
            out.clear();
        }
        let frame = black_box(frame.clone());
        let _ = black_box(extend_encode(&mut out, &frame, false));
    }
}
