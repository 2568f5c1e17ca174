//! Operations of a history as the store's requests, and the store's replies as those of the
//! history.

use std::fmt;

use raftkv_storage::keyspace::command::{Batch, lookup};
use raftkv_storage::keyspace::{self, http};

use crate::linearizability::{Condition, Op, Reply, Seen};
use crate::plan::MS;

/// What a client sends at once.
#[derive(Clone)]
pub(crate) struct Request {
    /// Keys and what is asked for them, in order.
    pub(crate) ops: Vec<(u32, Op)>,
    /// By HTTP, which has versions, one operation in a request, and no increments.
    pub(crate) http: bool,
}

impl fmt::Debug for Request {
    /// Shows it on a line; of long values the beginning, which is what makes them unique.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.http { "HTTP" } else { "RESP" })?;
        for (key, op) in &self.ops {
            write!(formatter, " [key{key} ")?;
            match op {
                Op::Set { value, ttl, condition } => {
                    write!(formatter, "set {}", show(value))?;
                    ttl.iter().try_for_each(|ttl| write!(formatter, " for {} ms", ttl / MS))?;
                    if *condition != Condition::None {
                        write!(formatter, " if {condition:?}")?;
                    }
                }
                Op::Append(value) => write!(formatter, "append {}", show(value))?,
                op => write!(formatter, "{op:?}")?,
            }
            formatter.write_str("]")?;
        }
        Ok(())
    }
}

/// Shows the beginning of a value.
fn show(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    let text = text.trim_end_matches('.');
    format!("{} ({} bytes)", &text[..text.len().min(24)], value.len())
}

fn name(key: u32) -> Vec<u8> {
    format!("key{key}").into_bytes()
}

impl Request {
    pub(crate) fn only_reads(&self) -> bool {
        self.ops.iter().all(|(_, op)| matches!(op, Op::Get))
    }

    pub(crate) fn batch(&self) -> Batch {
        if self.http {
            let [(key, op)] = &self.ops[..] else { panic!("one operation by HTTP") };
            return http_batch(&name(*key), op);
        }
        let mut batch = Batch::new();
        for (key, op) in &self.ops {
            push(&mut batch, &name(*key), op);
        }
        batch
    }

    /// Reads the replies, one for each operation. `None` if they do not belong to this request.
    pub(crate) fn parse(&self, replies: &[keyspace::Reply]) -> Option<Vec<Reply>> {
        if replies.len() != self.ops.len() {
            return None;
        }
        let parse = |(reply, (_, op)): (&keyspace::Reply, &(u32, Op))| {
            if self.http { parse_http(op, reply) } else { parse_resp(op, reply) }
        };
        replies.iter().zip(&self.ops).map(parse).collect()
    }
}

fn push(batch: &mut Batch, key: &[u8], op: &Op) {
    let mut command = |name: &str, args: &[&[u8]]| {
        batch.push(lookup(name.as_bytes()).expect("a command"), args);
    };
    match op {
        Op::Get => command("get", &[key]),
        Op::Set { value, ttl, condition } => {
            let ttl = ttl.map(|ttl| (ttl / 1000).to_string());
            let mut args = vec![key, value];
            if let Some(ttl) = &ttl {
                args.extend([b"px", ttl.as_bytes()]);
            }
            match condition {
                Condition::None => {}
                Condition::Absent => args.push(b"nx"),
                Condition::Present => args.push(b"xx"),
                Condition::Version(_) | Condition::Value(_) => panic!("not a condition of SET"),
            }
            command("set", &args);
        }
        Op::Delete { .. } => command("del", &[key]),
        Op::GetDelete => command("getdel", &[key]),
        Op::Increment(by) => command("incrby", &[key, by.to_string().as_bytes()]),
        Op::Append(value) => command("append", &[key, value]),
    }
}

fn http_batch(key: &[u8], op: &Op) -> Batch {
    match op {
        Op::Set { value, ttl, condition } => {
            http::put(key, value, ttl.map(|ttl| ttl / 1000), http_condition(condition))
        }
        Op::Delete { condition } => http::delete(key, http_condition(condition)),
        Op::Get => http::get(key),
        Op::GetDelete | Op::Increment(_) | Op::Append(_) => panic!("not an operation of HTTP"),
    }
}

fn http_condition(condition: &Condition) -> http::Condition {
    match condition {
        Condition::None => http::Condition::None,
        Condition::Absent => http::Condition::Absent,
        Condition::Present => http::Condition::Present,
        Condition::Version(version) => http::Condition::Version(*version),
        Condition::Value(_) => panic!("not a condition of HTTP"),
    }
}

fn parse_resp(op: &Op, reply: &keyspace::Reply) -> Option<Reply> {
    use keyspace::Reply as R;

    let length = |number: &i64| u64::try_from(*number).ok();
    Some(match (op, reply) {
        (Op::Get | Op::GetDelete, R::Null) => Reply::found(None),
        (Op::Get | Op::GetDelete, R::Bulk(value)) => Reply::found(Some(value)),
        (Op::Set { .. }, R::Ok) => Reply::written(),
        (Op::Set { .. }, R::Null) => Reply::Refused(Seen::Untold),
        (Op::Delete { .. }, R::Integer(deleted)) => Reply::Deleted(*deleted == 1),
        (Op::Increment(_), R::Integer(number)) => Reply::Number(*number),
        (Op::Increment(_), R::Error(_)) => Reply::NotANumber,
        (Op::Append(_), R::Integer(number)) => Reply::Length(length(number)?),
        _ => return None,
    })
}

fn parse_http(op: &Op, reply: &keyspace::Reply) -> Option<Reply> {
    let refused =
        |version: Option<u64>| Reply::Refused(version.map_or(Seen::Absent, Seen::Version));
    Some(match op {
        Op::Get => match http::found(reply)? {
            None => Reply::found(None),
            Some(found) => Reply::Found {
                value: found.value.map(|value| value.to_vec()),
                version: Some(found.version),
            },
        },
        Op::Set { .. } => match http::written(reply)? {
            http::Outcome::Done(version) => Reply::Written { version },
            http::Outcome::Precondition(version) => refused(version),
            http::Outcome::WrongType | http::Outcome::InvalidTtl => return None,
        },
        Op::Delete { .. } => match http::deleted(reply)? {
            http::Outcome::Done(version) => Reply::Deleted(version.is_some()),
            http::Outcome::Precondition(version) => refused(version),
            http::Outcome::WrongType | http::Outcome::InvalidTtl => return None,
        },
        Op::GetDelete | Op::Increment(_) | Op::Append(_) => return None,
    })
}
