//! The smallest clients that can tell the truth: RESP and HTTP/1.1 over a blocking socket with a
//! time limit.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// No answer takes longer, on the slowest machine.
const ANSWER_DEADLINE: Duration = Duration::from_secs(20);

/// Where a server listens: on a port of loopback, or anywhere.
pub(crate) trait Address: Copy {
    fn address(self) -> SocketAddr;
}

impl Address for u16 {
    fn address(self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self).into()
    }
}

impl Address for SocketAddr {
    fn address(self) -> SocketAddr {
        self
    }
}

fn open(at: impl Address, patience: Duration) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect_timeout(&at.address(), patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    stream.set_nodelay(true)?;
    Ok(BufReader::new(stream))
}

/// A RESP value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Simple(String),
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    Null,
    Array(Vec<Value>),
    /// What comes unasked, in RESP3.
    Push(Vec<Value>),
}

/// A connection that speaks RESP2, or what is needed of RESP3.
#[derive(Debug)]
pub(crate) struct Resp {
    stream: BufReader<TcpStream>,
}

impl Resp {
    pub(crate) fn connect(at: impl Address) -> io::Result<Self> {
        Self::connect_within(at, ANSWER_DEADLINE)
    }

    /// Connects; neither that nor an answer may take longer than `patience`.
    pub(crate) fn connect_within(at: impl Address, patience: Duration) -> io::Result<Self> {
        Ok(Self { stream: open(at, patience)? })
    }

    /// Sends a command and returns its reply. An error is of the connection: the outcome is unknown
    /// then.
    pub(crate) fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Result<Value, String> {
        self.send(args).and_then(|()| self.receive()).map_err(|error| error.to_string())
    }

    pub(crate) fn send<A: AsRef<[u8]>>(&mut self, args: &[A]) -> io::Result<()> {
        let mut request = Vec::new();
        encode(args, &mut request);
        self.send_raw(&request)
    }

    pub(crate) fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    pub(crate) fn receive(&mut self) -> io::Result<Value> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        let (kind, rest) = line.split_at_checked(1).ok_or(io::ErrorKind::InvalidData)?;
        let number =
            || rest.parse::<i64>().map_err(|_| io::Error::from(io::ErrorKind::InvalidData));
        Ok(match kind {
            "+" => Value::Simple(rest.to_owned()),
            "-" => Value::Error(rest.to_owned()),
            ":" => Value::Integer(number()?),
            "$" => match usize::try_from(number()?) {
                Err(_) => Value::Null,
                Ok(length) => {
                    let mut bytes = vec![0; length + 2];
                    self.stream.read_exact(&mut bytes)?;
                    bytes.truncate(length);
                    Value::Bulk(bytes)
                }
            },
            "_" => Value::Null,
            "*" => match usize::try_from(number()?) {
                Err(_) => Value::Null,
                Ok(length) => Value::Array(self.receive_all(length)?),
            },
            ">" | "%" => {
                let length = usize::try_from(number()?).map_err(|_| io::ErrorKind::InvalidData)?;
                match kind {
                    ">" => Value::Push(self.receive_all(length)?),
                    _ => Value::Array(self.receive_all(length * 2)?),
                }
            }
            _ => return Err(io::ErrorKind::InvalidData.into()),
        })
    }

    fn receive_all(&mut self, count: usize) -> io::Result<Vec<Value>> {
        (0..count).map(|_| self.receive()).collect()
    }
}

/// Adds a request to those that are sent together.
pub(crate) fn encode<A: AsRef<[u8]>>(args: &[A], request: &mut Vec<u8>) {
    request.extend(format!("*{}\r\n", args.len()).as_bytes());
    for arg in args.iter().map(AsRef::as_ref) {
        request.extend(format!("${}\r\n", arg.len()).as_bytes());
        request.extend(arg);
        request.extend(b"\r\n");
    }
}

impl Value {
    /// Returns the port that a `MOVED` error names.
    pub(crate) fn moved_to(&self) -> Option<u16> {
        let Self::Error(error) = self else { return None };
        let address = error.strip_prefix("MOVED ")?.split(' ').nth(1)?;
        address.rsplit_once(':')?.1.parse().ok()
    }

    /// Returns whether a number is anywhere in it.
    pub(crate) fn mentions(&self, port: u16) -> bool {
        match self {
            Self::Integer(number) => *number == i64::from(port),
            Self::Array(items) => items.iter().any(|item| item.mentions(port)),
            _ => false,
        }
    }

    /// Returns the innermost array that holds a number itself.
    pub(crate) fn holder_of(&self, port: u16) -> Option<&Self> {
        let Self::Array(items) = self else { return None };
        let number = Self::Integer(port.into());
        if items.contains(&number) {
            return Some(self);
        }
        items.iter().find_map(|item| item.holder_of(port))
    }

    /// Returns whether a text is one of its items.
    pub(crate) fn says(&self, text: &str) -> bool {
        let Self::Array(items) = self else { return false };
        items.iter().any(|item| item.text() == Some(text))
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Bulk(bytes) => std::str::from_utf8(bytes).ok(),
            Self::Simple(text) | Self::Error(text) => Some(text),
            _ => None,
        }
    }
}

/// Sends a GET and returns status and body.
pub(crate) fn http_get(at: impl Address, path: &str) -> io::Result<(u16, Vec<u8>)> {
    http(at, "GET", path, b"")
}

/// Sends a request with a JSON body and returns status and body.
pub(crate) fn http(
    at: impl Address,
    method: &str,
    path: &str,
    body: &[u8],
) -> io::Result<(u16, Vec<u8>)> {
    Http::connect_within(at, ANSWER_DEADLINE)?.call(method, path, &["Connection: close"], body)
}

/// A connection that speaks HTTP/1.1.
#[derive(Debug)]
pub(crate) struct Http {
    stream: BufReader<TcpStream>,
}

impl Http {
    /// Connects; neither that nor an answer may take longer than `patience`.
    pub(crate) fn connect_within(at: impl Address, patience: Duration) -> io::Result<Self> {
        Ok(Self { stream: open(at, patience)? })
    }

    /// Sends a request with a JSON body and more header lines, and returns status and body.
    pub(crate) fn call(
        &mut self,
        method: &str,
        path: &str,
        headers: &[&str],
        body: &[u8],
    ) -> io::Result<(u16, Vec<u8>)> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
        for header in headers {
            request.push_str(header);
            request.push_str("\r\n");
        }
        let length = body.len();
        request.push_str(&format!(
            "Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        ));
        let mut request = request.into_bytes();
        request.extend(body);
        self.stream.get_mut().write_all(&request)?;
        self.receive()
    }

    fn receive(&mut self) -> io::Result<(u16, Vec<u8>)> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or(io::ErrorKind::InvalidData)?;
        let mut length = None;
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let header = line.trim_end().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse::<usize>().ok();
            }
        }
        let mut body = vec![0; length.unwrap_or(0)];
        self.stream.read_exact(&mut body)?;
        Ok((status, body))
    }
}
