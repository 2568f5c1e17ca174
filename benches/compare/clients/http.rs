//! HTTP/1.1 with connections that are kept: our API, and etcd's JSON gateway.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Buf;
use tokio::io::AsyncWriteExt;

use super::{Client, Request, Socket, Target, key_name};
use crate::Fallible;
use crate::peers::Protocol;

/// A connection that speaks HTTP/1.1.
#[derive(Debug)]
pub(crate) struct Http {
    socket: Socket,
    protocol: Protocol,
    /// The value, as the protocol writes it.
    value: String,
}

impl Client for Http {
    async fn connect(target: &Target) -> Fallible<Self> {
        let value = match target.protocol {
            Protocol::EtcdJson => BASE64_STANDARD.encode(&*target.value),
            _ => target.value.to_string(),
        };
        let socket = Socket::connect(target.address).await?;
        Ok(Self { socket, protocol: target.protocol, value })
    }

    /// One after the other: HTTP/1.1 has no pipelines that anybody uses.
    async fn call(&mut self, requests: &[Request]) -> Fallible<usize> {
        let mut errors = 0;
        for request in requests {
            let text = self.text(*request);
            self.socket.stream.write_all(text.as_bytes()).await?;
            errors += usize::from(!self.receive_answer().await?);
        }
        Ok(errors)
    }
}

impl Http {
    fn text(&self, request: Request) -> String {
        let key = key_name(request.key);
        let value = &self.value;
        let (line, body) = match (self.protocol, request.is_write) {
            // What is not there is an empty answer and not a 404, for which it is not looked here.
            (Protocol::EtcdJson, is_write) => {
                let key = BASE64_STANDARD.encode(key);
                match is_write {
                    true => (
                        "POST /v3/kv/put".to_owned(),
                        format!("{{\"key\":\"{key}\",\"value\":\"{value}\"}}"),
                    ),
                    false => ("POST /v3/kv/range".to_owned(), format!("{{\"key\":\"{key}\"}}")),
                }
            }
            (_, true) => (format!("PUT /kv/{key}"), format!("{{\"value\":\"{value}\"}}")),
            (_, false) => {
                return format!("GET /kv/{key} HTTP/1.1\r\nHost: localhost\r\n\r\n");
            }
        };
        let length = body.len();
        format!(
            "{line} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
    }

    /// Waits for an answer, and returns whether it is a good one.
    async fn receive_answer(&mut self) -> Fallible<bool> {
        loop {
            if let Some((is_good, length)) = head_and_length(&self.socket.received)?
                && self.socket.received.len() >= length
            {
                self.socket.received.advance(length);
                return Ok(is_good);
            }
            self.socket.receive().await?;
        }
    }
}

/// Returns whether the answer is a good one, and how long it is with its body, when its head is
/// there.
fn head_and_length(received: &[u8]) -> Fallible<Option<(bool, usize)>> {
    let Some(end) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&received[..end])?;
    let is_good = head.split(' ').nth(1) == Some("200");
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim())
    });
    // A gateway that writes in chunks does so for long answers only, and none is asked for.
    let length = length.ok_or("an answer that does not say how long it is")?;
    Ok(Some((is_good, end + 4 + length.parse::<usize>()?)))
}
