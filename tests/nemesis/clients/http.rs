//! Operations as requests of HTTP, and its responses as replies of a history.

use std::io;

use serde_json::{Value as Json, json};

use super::Outcome;
use super::workload::name;
use crate::linearizability::{Condition, Op, Reply, Seen};
use crate::process::client::Http;

/// Sends an operation; an error is of the connection.
pub(super) fn call(http: &mut Http, key: u32, op: &Op) -> io::Result<(u16, Json)> {
    let path = format!("/kv/{}", name(key));
    let (method, body, condition) = match op {
        Op::Get => ("GET", String::new(), &Condition::None),
        Op::Set { value, ttl, condition } => {
            let value = String::from_utf8_lossy(value);
            let body = match ttl {
                Some(ttl) => json!({"value": value, "ttl_ms": ttl / 1000}),
                None => json!({"value": value}),
            };
            ("PUT", body.to_string(), condition)
        }
        Op::Delete { condition } => ("DELETE", String::new(), condition),
        Op::GetDelete | Op::Increment(_) | Op::Append(_) => panic!("not an operation of HTTP"),
    };
    let condition = match condition {
        Condition::Absent => vec!["If-None-Match: *".to_owned()],
        Condition::Present => vec!["If-Match: *".to_owned()],
        Condition::Version(version) => vec![format!("If-Match: \"{version}\"")],
        Condition::None | Condition::Value(_) => Vec::new(),
    };
    let headers: Vec<&str> = condition.iter().map(String::as_str).collect();
    let (status, body) = http.call(method, &path, &headers, body.as_bytes())?;
    Ok((status, serde_json::from_slice(&body)?))
}

/// Returns how an operation ended; `None` if this is no response to it.
pub(super) fn read(key: u32, op: &Op, status: u16, body: &Json) -> Option<Outcome> {
    let version = || body["version"].as_u64();
    let is_ours = || body["key"] == name(key);
    let done = match (op, status) {
        (_, 504) => return Some(Outcome::Unknown),
        (_, 409) if body["error"] == "not_leader" => return Some(Outcome::NotDone),
        (_, 408 | 503 | 507) => return Some(Outcome::NotDone),
        (Op::Get, 404) if is_ours() => Reply::found(None),
        (Op::Get, 200) if is_ours() => {
            let value = Some(body["value"].as_str()?.as_bytes().to_vec());
            Reply::Found { value, version: Some(version()?) }
        }
        (Op::Set { value, .. }, 200) if is_ours() => {
            if body["value"].as_str()?.as_bytes() != value {
                return None;
            }
            Reply::Written { version: Some(version()?) }
        }
        (Op::Delete { .. }, 200) if is_ours() => Reply::Deleted(body["deleted"].as_bool()?),
        (Op::Set { condition, .. } | Op::Delete { condition }, 412)
            if *condition != Condition::None =>
        {
            Reply::Refused(version().map_or(Seen::Absent, Seen::Version))
        }
        _ => return None,
    };
    Some(Outcome::Done(done))
}
