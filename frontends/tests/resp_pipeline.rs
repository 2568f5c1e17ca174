//! Pipelines: order, batches, limits, pieces, and clients that do not read.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use raftkv_frontends::resp::{Options, Server};
use raftkv_storage::keyspace::Reply;
use support::{Memory, request, talk, talk_to, words};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Something of everything: arrays and inline, keyspace and session, good and bad, silent and loud.
fn mixed() -> Vec<u8> {
    [
        words("SET a 1"),
        words("PING"),
        b"get a\r\n".to_vec(),
        words("nonsense x y"),
        words("MSET a 1 b 2 c 3"),
        words("GET"),
        b"*0\r\n\r\n".to_vec(),
        words("HELLO 3"),
        words("GET nokey"),
        words("CLIENT REPLY SKIP"),
        words("GET silent"),
        words("ECHO hello"),
        words("KEYS *"),
        words("APPEND a b"),
        words("CONFIG GET save"),
        words("RESET"),
        words("GET nokey"),
        words("CLUSTER KEYSLOT a"),
        request(&[b"SET", b"\0\r\n\xff", &[b'v'; 300]]),
        request(&[b"GET", b"\0\r\n\xff"]),
        words("QUIT"),
    ]
    .concat()
}

#[tokio::test]
async fn a_pipeline_cut_anywhere_gets_the_same_answers() {
    let input = mixed();
    let fresh = || Server::new(Memory::new(), Options::default(), 7001);
    let whole = talk_to(&fresh(), &[&input]).await;
    assert!(whole.starts_with(b"+OK\r\n+PONG\r\n$1\r\n1\r\n-ERR unknown command 'nonsense'"));
    assert!(whole.ends_with(b"+OK\r\n"));
    for cut in 0..=input.len() {
        let (head, tail) = input.split_at(cut);
        let answers = talk_to(&fresh(), &[head, tail]).await;
        assert_eq!(answers.escape_ascii().to_string(), whole.escape_ascii().to_string(), "{cut}");
    }
    let bytes: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(talk_to(&fresh(), &bytes).await, whole);
}

#[tokio::test]
async fn what_is_read_at_once_is_one_batch() {
    let kv = Memory::counting();
    let input = [words("GET a"), words("PING"), words("SET a 1"), b"GET b\r\n".to_vec()].concat();
    assert_eq!(talk(&kv, &input).await, b":1\r\n+PONG\r\n:2\r\n:3\r\n");
    assert_eq!(kv.batches(), [3]);
}

#[tokio::test]
async fn a_session_command_that_looks_back_or_ahead_comes_after_the_batch_before_it() {
    for command in ["CLIENT ID", "WAIT 0 0", "INFO cluster", "TIME", "HELLO 2", "CLUSTER MYID"] {
        let kv = Memory::counting();
        talk(&kv, &[words("SET a 1"), words(command), words("SET a 2")].concat()).await;
        assert_eq!(kv.batches(), [1, 1], "{command}");
    }
}

#[tokio::test]
async fn heavy_commands_go_alone() {
    let kv = Memory::counting();
    let input = [words("SET a 1"), words("KEYS *"), words("LCS a b"), words("GET a")].concat();
    assert_eq!(talk(&kv, &input).await, b":1\r\n:2\r\n:3\r\n:4\r\n");
    assert_eq!(kv.batches(), [1, 1, 1, 1]);
}

#[tokio::test]
async fn long_pipelines_become_several_batches_in_order() {
    let kv = Memory::counting();
    let options = Options { max_batch_commands: 10, ..Options::default() };
    let server = Server::new(kv.clone(), options, 7001);
    let answers = talk_to(&server, &[&words("INCR a").repeat(25)]).await;
    let expected: String = (1..=25).map(|number| format!(":{number}\r\n")).collect();
    assert_eq!(String::from_utf8(answers).unwrap(), expected);
    assert_eq!(kv.batches(), [10, 10, 5]);

    let kv = Memory::counting();
    let options = Options { max_batch_bytes: 1000, ..Options::default() };
    let server = Server::new(kv.clone(), options, 7001);
    let value = vec![b'v'; 400];
    let large = vec![b'v'; 2000];
    let input = [
        request(&[b"SET", b"a", &value]).repeat(5),
        request(&[b"SET", b"a", &large]),
        request(&[b"SET", b"a", &value]),
    ]
    .concat();
    talk_to(&server, &[&input]).await;
    assert_eq!(kv.batches(), [2, 2, 1, 1, 1]);
}

#[tokio::test]
async fn depth_is_no_limit() {
    let kv = Memory::counting();
    let count = 20_000;
    let answers = talk(&kv, &words("GET a").repeat(count)).await;
    let expected: String = (1..=count).map(|number| format!(":{number}\r\n")).collect();
    assert_eq!(answers, expected.as_bytes());
    assert!(kv.batches().iter().all(|length| *length <= 1024));
}

#[tokio::test]
async fn an_error_for_one_command_does_not_stop_the_others() {
    let input = b"SET s x\r\nINCR s\r\nSET s 5\r\nINCR s\r\nGET\r\nGET s\r\n";
    let expected = "+OK\r\n-ERR value is not an integer or out of range\r\n+OK\r\n:6\r\n\
        -ERR wrong number of arguments for 'get' command\r\n$1\r\n6\r\n";
    let answers = talk(&Memory::new(), input).await;
    assert_eq!(String::from_utf8(answers).unwrap(), expected);
}

#[tokio::test]
async fn large_values_and_nested_replies_come_whole() {
    let value = Bytes::from(vec![b'x'; 3 << 20]);
    let small = Bytes::from(vec![b'y'; 50_000]);
    let array = Reply::Array(vec![
        Reply::Bulk(value.clone()),
        Reply::Null,
        Reply::Map(vec![(Reply::Bulk(small.clone()), Reply::Bulk(value.clone()))]),
    ]);
    let kv = Memory::scripted([array, Reply::Ok, Reply::Bulk(small.clone())]);
    let bulk =
        |bytes: &Bytes| [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    let expected = [
        b"*3\r\n".to_vec(),
        bulk(&value),
        b"$-1\r\n*2\r\n".to_vec(),
        bulk(&small),
        bulk(&value),
        b"+OK\r\n".to_vec(),
        bulk(&small),
    ]
    .concat();
    assert!(talk(&kv, &words("GET a").repeat(3)).await == expected);
}

/// A client of a blocking library sends a whole pipeline before it reads: both sides would wait for
/// each other if replies that cannot leave kept requests from coming in.
#[tokio::test(start_paused = true)]
async fn a_client_may_send_much_before_it_reads() {
    let value = Bytes::from(vec![b'x'; 10_000]);
    let count = 5000;
    let kv = Memory::scripted(std::iter::repeat_n(Reply::Bulk(value), count));
    let server = Server::new(kv, Options::default(), 7001);
    let (client, near) = tokio::io::duplex(16 * 1024);
    let (reader, writer) = tokio::io::split(near);
    let names = (String::new(), String::new());
    let conversation = tokio::spawn(server.converse(reader, writer, names.0, names.1));
    let (mut from, mut to) = tokio::io::split(client);
    // Nothing is read until all is written.
    to.write_all(&words("GET a").repeat(count)).await.unwrap();
    to.shutdown().await.unwrap();
    let mut answers = Vec::new();
    from.read_to_end(&mut answers).await.unwrap();
    assert_eq!(answers.len(), count * (b"$10000\r\n".len() + 10_000 + 2));
    conversation.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_cut_off() {
    let value = Bytes::from(vec![b'x'; 1 << 20]);
    let kv = Memory::scripted([Reply::Bulk(value)]);
    let server = Server::new(kv, Options::default(), 7001);
    let (mut client, near) = tokio::io::duplex(1024);
    let (reader, writer) = tokio::io::split(near);
    let conversation =
        tokio::spawn(Arc::clone(&server).converse(reader, writer, String::new(), String::new()));
    client.write_all(&words("GET a")).await.unwrap();
    let start = tokio::time::Instant::now();
    // What it sends meanwhile does not buy it time.
    let mut dribble = tokio::time::interval(Duration::from_secs(7));
    let mut conversation = std::pin::pin!(conversation);
    let ended = loop {
        tokio::select! {
            ended = &mut conversation => break ended.unwrap(),
            _ = dribble.tick() => {
                assert!(start.elapsed() < Duration::from_secs(120), "still being waited for");
                client.write_all(b"*").await.unwrap();
            }
        }
    };
    assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    assert_eq!(start.elapsed().as_secs(), 60);
}

/// Many half requests together are not more than the node can bear; who is small is not touched.
#[tokio::test]
async fn unfinished_requests_share_a_limit() {
    let options = Options { max_held_bytes: 1 << 20, ..Options::default() };
    let server = Server::new(Memory::counting(), options, 7001);
    let half = [b"*2\r\n$3\r\nGET\r\n$4000000\r\n".to_vec(), vec![b'x'; 3_000_000]].concat();
    let answers = talk_to(&server, &[&half]).await;
    let expected = "-ERR too much input is held by all clients\r\n";
    assert_eq!(String::from_utf8(answers).unwrap(), expected);
    // With it went what it held.
    let large = request(&[b"SET", b"a", &vec![b'x'; 900_000]]);
    assert_eq!(talk_to(&server, &[&large, &large]).await, b":1\r\n:2\r\n");
}

#[tokio::test]
async fn ten_megabytes_of_nested_arrays_end_with_the_first_one() {
    let input = b"*1\r\n".repeat(10 * (1 << 20) / 4);
    let answers = talk(&Memory::new(), &input).await;
    assert_eq!(
        String::from_utf8(answers).unwrap(),
        "-ERR Protocol error: expected '$', got '*'\r\n"
    );
}

#[tokio::test]
async fn ten_megabytes_of_nothing_are_read_and_forgotten() {
    let input = [b"*0\r\n".repeat(10 * (1 << 20) / 4), words("PING")].concat();
    assert_eq!(talk(&Memory::new(), &input).await, b"+PONG\r\n");
}

#[tokio::test]
async fn garbage_never_hurts() {
    // A small generator of our own, so that the bytes are the same everywhere.
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    println!("seed {seed:#x}");
    let mut next = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let good = mixed();
    for _ in 0..500 {
        let mut bytes = good.clone();
        for _ in 0..next() % 8 {
            let at = next() as usize % bytes.len();
            bytes[at] = next() as u8;
        }
        bytes.truncate(next() as usize % (bytes.len() + 1));
        talk(&Memory::new(), &bytes).await;
        let noise: Vec<u8> = (0..next() % 200).map(|_| next() as u8).collect();
        talk(&Memory::new(), &noise).await;
    }
}
