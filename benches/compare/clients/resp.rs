//! The Redis protocol: SET and GET, any number at once.

use bytes::{Buf, BytesMut};
use tokio::io::AsyncWriteExt;

use super::{Client, Request, Socket, Target, key_name};
use crate::Fallible;

/// A connection that speaks RESP2.
#[derive(Debug)]
pub(crate) struct Resp {
    socket: Socket,
    /// What follows the key of a SET.
    value: Vec<u8>,
    request: Vec<u8>,
}

impl Client for Resp {
    async fn connect(target: &Target) -> Fallible<Self> {
        let value = &target.value;
        let value = format!("\r\n${}\r\n{value}\r\n", value.len()).into_bytes();
        let socket = Socket::connect(target.address).await?;
        Ok(Self { socket, value, request: Vec::new() })
    }

    async fn call(&mut self, requests: &[Request]) -> Fallible<usize> {
        self.request.clear();
        for request in requests {
            let key = key_name(request.key);
            if request.is_write {
                self.request.extend_from_slice(b"*3\r\n$3\r\nSET\r\n$16\r\n");
                self.request.extend_from_slice(key.as_bytes());
                self.request.extend_from_slice(&self.value);
            } else {
                self.request.extend_from_slice(b"*2\r\n$3\r\nGET\r\n$16\r\n");
                self.request.extend_from_slice(key.as_bytes());
                self.request.extend_from_slice(b"\r\n");
            }
        }
        self.socket.stream.write_all(&self.request).await?;
        let (mut answers, mut errors) = (0, 0);
        loop {
            while let Some(is_error) = take_answer(&mut self.socket.received)? {
                answers += 1;
                errors += usize::from(is_error);
            }
            if answers == requests.len() {
                return Ok(errors);
            }
            self.socket.receive().await?;
        }
    }
}

/// Takes the first answer, if all of it is there, and returns whether it is an error or no value.
fn take_answer(received: &mut BytesMut) -> Fallible<Option<bool>> {
    let Some(end) = received.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
    let is_bulk = received[0] == b'$' && received[1] != b'-';
    let mut length = end + 1;
    if is_bulk {
        let digits = std::str::from_utf8(&received[1..end])?.trim_end();
        length += digits.parse::<usize>()? + 2;
    }
    if received.len() < length {
        received.reserve(length - received.len());
        return Ok(None);
    }
    let is_error = match received[0] {
        b'+' => false,
        b'$' => !is_bulk,
        b'-' => true,
        other => return Err(format!("an answer that begins with {other:#x}").into()),
    };
    received.advance(length);
    Ok(Some(is_error))
}
