//! Clients of the load generator: one small trait, and the protocols behind it.
//!
//! They say what the load needs and nothing more, so that little of the machine goes to them: RESP
//! and HTTP/1.1 over a bare socket, with requests written by hand. Only gRPC is heavier, for it
//! takes all of HTTP/2.

pub(crate) mod grpc;
pub(crate) mod http;
pub(crate) mod resp;

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::Fallible;
use crate::peers::Protocol;
use crate::random::Random;

/// No answer takes longer; a server that needs more is taken for one that hangs.
pub(crate) const ANSWER_DEADLINE: Duration = Duration::from_secs(20);

/// What one request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) is_write: bool,
    pub(crate) key: u64,
}

/// Where a connection goes, how it speaks, and what it writes.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) protocol: Protocol,
    pub(crate) value: Rc<str>,
}

/// A connection to a server.
pub(crate) trait Client: Sized + 'static {
    async fn connect(target: &Target) -> Fallible<Self>;

    /// Sends the requests, together if the protocol can, waits for all answers, and returns how
    /// many were not good: an error, or no value where each key has one.
    async fn call(&mut self, requests: &[Request]) -> Fallible<usize>;
}

/// Returns a key's name, as long and as plain as those of redis-benchmark.
pub(crate) fn key_name(key: u64) -> String {
    format!("key:{key:012}")
}

/// Returns a value of so many bytes, of letters that no two of the protocols write differently.
pub(crate) fn value_of(bytes: usize) -> Rc<str> {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let mut random = Random::for_part(bytes as u64, "value");
    let letter = |_| char::from(LETTERS[random.below(LETTERS.len() as u64) as usize]);
    (0..bytes).map(letter).collect::<String>().into()
}

/// A socket, and what has been received and not been looked at.
#[derive(Debug)]
struct Socket {
    stream: TcpStream,
    received: BytesMut,
}

impl Socket {
    async fn connect(address: SocketAddr) -> Fallible<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: BytesMut::with_capacity(16 << 10) })
    }

    /// Waits for more of the answer.
    async fn receive(&mut self) -> Fallible<()> {
        match self.stream.read_buf(&mut self.received).await? {
            0 => Err("the server has closed a connection".into()),
            _ => Ok(()),
        }
    }
}
