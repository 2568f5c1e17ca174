//! Operations as requests of RESP, and its replies as those of a history.

use super::Outcome;
use super::workload::name;
use crate::linearizability::{Condition, Op, Reply, Seen};
use crate::process::client::{Value, encode};

/// What an error means that promises that nothing was done.
const NOT_DONE: [&str; 5] = ["MOVED ", "CLUSTERDOWN ", "LOADING ", "TRYAGAIN ", "MISCONF "];

/// Adds an operation to what is sent.
pub(super) fn write(key: u32, op: &Op, request: &mut Vec<u8>) {
    let key = name(key);
    let key = key.as_bytes();
    match op {
        Op::Get => encode(&[b"GET", key], request),
        Op::Set { value, ttl, condition } => {
            let ttl = ttl.map(|ttl| (ttl / 1000).to_string());
            let mut args: Vec<&[u8]> = vec![b"SET", key, value];
            if let Some(ttl) = &ttl {
                args.extend([b"PX", ttl.as_bytes()]);
            }
            match condition {
                Condition::Absent => args.push(b"NX"),
                Condition::Present => args.push(b"XX"),
                _ => {}
            }
            encode(&args, request);
        }
        Op::Delete { .. } => encode(&[b"DEL", key], request),
        Op::GetDelete => encode(&[b"GETDEL", key], request),
        Op::Increment(by) => encode(&[b"INCRBY", key, by.to_string().as_bytes()], request),
        Op::Append(value) => encode(&[b"APPEND", key, value], request),
    }
}

/// Returns how an operation ended; `None` if this is no reply to it.
pub(super) fn read(op: &Op, reply: &Value) -> Option<Outcome> {
    let done = match (op, reply) {
        (_, Value::Error(error)) if error.starts_with("TIMEOUT ") => return Some(Outcome::Unknown),
        (_, Value::Error(error)) if NOT_DONE.iter().any(|known| error.starts_with(known)) => {
            return Some(Outcome::NotDone);
        }
        (Op::Get | Op::GetDelete, Value::Null) => Reply::found(None),
        (Op::Get | Op::GetDelete, Value::Bulk(value)) => Reply::found(Some(value)),
        (Op::Set { .. }, Value::Simple(text)) if text == "OK" => Reply::written(),
        (Op::Set { condition, .. }, Value::Null) if *condition != Condition::None => {
            Reply::Refused(Seen::Untold)
        }
        (Op::Delete { .. }, Value::Integer(deleted @ 0..=1)) => Reply::Deleted(*deleted == 1),
        (Op::Increment(_), Value::Integer(number)) => Reply::Number(*number),
        (Op::Append(_), Value::Integer(length)) => Reply::Length(u64::try_from(*length).ok()?),
        _ => return None,
    };
    Some(Outcome::Done(done))
}
