//! HTTP and JSON: the store for curl, scripts, and any language without a Redis client.
//!
//! | request | does |
//! |---|---|
//! | `PUT /kv/{key}` | sets a key; `If-Match`, `If-None-Match: *` make it compare-and-set |
//! | `GET /kv/{key}` | reads it, as JSON or as bytes |
//! | `DELETE /kv/{key}` | deletes it; asking twice is no error |
//! | `GET /kv?prefix=&after=&limit=` | lists keys in order, a page at a time |
//! | `GET /status`, `/livez`, `/readyz` | the node as it sees itself; answered without a leader |
//!
//! Every request for keys becomes one batch for [`Kv::execute`](crate::Kv::execute), so it is as
//! linearizable as a Redis command: there is no second path. A key is the percent-decoded bytes of
//! the path after `/kv/`, slashes and all, within what a request line may hold (64 KiB). Text goes
//! as JSON strings; bytes that are not UTF-8 go as base64 in a field whose name says so
//! (`value_base64`, `key_base64`).
//!
//! A browser cannot be tricked into writing: a write is a `PUT` with a content type that no form
//! can send, or a `DELETE`; a page from elsewhere must ask first with a preflight, and the answer
//! to that carries no leave.

mod body;
mod commands;
mod error;
mod guard;
mod kv;
mod params;
mod router;
mod server;
mod status;

use std::time::Duration;

pub use server::{REFUSALS, serve, serve_connection};

/// The limits of the HTTP frontend. Nothing a client does goes beyond them.
#[derive(Clone, Debug)]
pub struct Options {
    /// Open connections. One more is told 503 and closed.
    pub max_connections: usize,
    /// Requests for keys under way. One more is answered 503 at once.
    pub max_in_flight: usize,
    /// The longest value. A longer one is answered 413.
    pub max_value_bytes: usize,
    /// Bytes of bodies held in memory over all connections, in both directions. A request that
    /// would need more is answered 503. Never taken as less than the longest body a request
    /// may have.
    pub max_buffered_bytes: usize,
    /// How many bytes of JSON a page of a listing takes before it ends early, with the link to the
    /// next one.
    pub max_page_bytes: usize,
    /// From the first byte of a request's head to its last.
    pub header_timeout: Duration,
    /// From the head of a request to the last byte of its body.
    pub body_timeout: Duration,
    /// How long a connection may wait for its next request.
    pub idle_timeout: Duration,
    /// How long a client may leave a response unread without taking a single byte of it.
    pub write_timeout: Duration,
    /// How long the node may take to answer a probe before `/livez` calls it stalled.
    pub probe_timeout: Duration,
    /// How long requests under way may still take when the server stops.
    pub stop_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_connections: 1_000,
            max_in_flight: 1_024,
            max_value_bytes: 8 << 20,
            max_buffered_bytes: 256 << 20,
            max_page_bytes: 8 << 20,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
            probe_timeout: Duration::from_secs(5),
            stop_timeout: Duration::from_secs(5),
        }
    }
}

impl Options {
    /// Returns the longest body of a request: a value of the greatest length as base64, and room
    /// for the rest.
    fn max_body_bytes(&self) -> usize {
        let base64 = self.max_value_bytes.saturating_add(2) / 3;
        base64.saturating_mul(4).saturating_add(64 << 10)
    }
}
