//! Bodies: JSON in and out, and the budget of bytes that both take from.
//!
//! A body is read as it arrives, never allocated by the length it announces, and each byte that is
//! held, of a request or of a response, is taken from one budget for all connections. A client that
//! sends or reads slowly holds what it holds until a timeout; it cannot make the node hold more.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use base64::display::Base64Display;
use base64::engine::{DecodePaddingMode, Engine, GeneralPurpose, GeneralPurposeConfig};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use raftkv_storage::types::Index;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Duration, timeout};

use super::error::Failure;

/// Standard base64; the padding at the end may be missing when read.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The longest time to live: the greatest number that JSON carries the same everywhere (285,000
/// years).
pub(super) const MAX_TTL_MS: u64 = (1 << 53) - 1;

/// A response of at most this many bytes is not taken from the budget; a longer one leaves in
/// pieces of it.
const PIECE_BYTES: usize = 64 << 10;

/// The bytes of bodies that may still be held.
#[derive(Clone, Debug)]
pub(super) struct Budget(Arc<Semaphore>);

impl Budget {
    /// Returns a budget of so many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }

    fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Failure> {
        let busy = || Failure::Busy("too many bytes of requests and responses are under way");
        let bytes = u32::try_from(bytes).map_err(|_| busy())?;
        self.0.clone().try_acquire_many_owned(bytes).map_err(|_| busy())
    }
}

/// The body of a request, and its part of the budget.
#[derive(Debug)]
pub(super) struct Received {
    /// All of it.
    pub(super) bytes: Bytes,
    _held: Option<OwnedSemaphorePermit>,
}

/// Reads a body of at most `limit` bytes, within a time.
pub(super) async fn receive(
    body: Body,
    limit: usize,
    budget: &Budget,
    time: Duration,
) -> Result<Received, Failure> {
    // One that says it is too long need not be read to be believed.
    if body.size_hint().lower() > limit as u64 {
        return Err(Failure::TooLarge(limit));
    }
    timeout(time, collect(body, limit, budget)).await.unwrap_or(Err(Failure::SlowBody))
}

async fn collect(mut body: Body, limit: usize, budget: &Budget) -> Result<Received, Failure> {
    let mut bytes = BytesMut::new();
    let mut held: Option<OwnedSemaphorePermit> = None;
    while let Some(frame) = body.frame().await {
        let broken = |_| Failure::Invalid("invalid_body", "the body ends before its length".into());
        let Ok(piece) = frame.map_err(broken)?.into_data() else { continue };
        if piece.len() > limit - bytes.len() {
            return Err(Failure::TooLarge(limit));
        }
        let permit = budget.take(piece.len())?;
        match &mut held {
            Some(held) => held.merge(permit),
            None => held = Some(permit),
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(Received { bytes: bytes.freeze(), _held: held })
}

/// What a PUT asks for.
#[derive(Debug)]
pub(super) struct Put {
    /// The value.
    pub(super) value: Bytes,
    /// How long it lives.
    pub(super) ttl_ms: Option<u64>,
}

impl Put {
    /// Reads it from JSON.
    pub(super) fn parse(json: &[u8]) -> Result<Self, Failure> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields {
            value: Option<String>,
            value_base64: Option<String>,
            ttl_ms: Option<u64>,
        }
        // Serde would take an array for the fields in their order.
        if json.trim_ascii_start().first() == Some(&b'[') {
            let message = "the body is an object, not an array".to_owned();
            return Err(Failure::Invalid("invalid_json", message));
        }
        let fields: Fields = serde_json::from_slice(json)
            .map_err(|error| Failure::Invalid("invalid_json", error.to_string()))?;
        let invalid = |message: &str| Failure::Invalid("invalid_body", message.to_owned());
        let value = match (fields.value, fields.value_base64) {
            (Some(text), None) => Bytes::from(text),
            (None, Some(base64)) => BASE64
                .decode(base64)
                .map_err(|error| invalid(&format!("value_base64: {error}")))?
                .into(),
            _ => return Err(invalid("give either value or value_base64")),
        };
        Ok(Self { value, ttl_ms: fields.ttl_ms })
    }

    /// Checks what both forms of the body have in common.
    pub(super) fn check(self, max_value_bytes: usize) -> Result<Self, Failure> {
        if self.value.len() > max_value_bytes {
            return Err(Failure::TooLarge(max_value_bytes));
        }
        if self.ttl_ms.is_some_and(|ttl| ttl == 0 || ttl > MAX_TTL_MS) {
            let message = format!("ttl_ms is a whole number from 1 to {MAX_TTL_MS}");
            return Err(Failure::Invalid("invalid_body", message));
        }
        Ok(self)
    }
}

/// A key as JSON shows it.
#[derive(Debug)]
pub(super) struct Item<'a> {
    /// The key.
    pub(super) key: &'a [u8],
    /// Its value, if it is a string.
    pub(super) value: Option<&'a [u8]>,
    /// The index of the entry that wrote it.
    pub(super) version: Index,
    /// How long it will live.
    pub(super) ttl_ms: Option<u64>,
}

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        entry(&mut map, ["key", "key_base64"], self.key)?;
        if let Some(value) = self.value {
            entry(&mut map, ["value", "value_base64"], value)?;
        }
        map.serialize_entry("version", &self.version)?;
        if let Some(ttl_ms) = self.ttl_ms {
            map.serialize_entry("ttl_ms", &ttl_ms)?;
        }
        map.end()
    }
}

/// What became of a DELETE, as JSON shows it.
#[derive(Debug)]
pub(super) struct Deleted<'a> {
    /// The key.
    pub(super) key: &'a [u8],
    /// Whether it was there.
    pub(super) deleted: bool,
}

impl Serialize for Deleted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        entry(&mut map, ["key", "key_base64"], self.key)?;
        map.serialize_entry("deleted", &self.deleted)?;
        map.end()
    }
}

/// Adds bytes as text under the first name, or as base64 under the second if they are not UTF-8.
pub(super) fn entry<M: SerializeMap>(
    map: &mut M,
    names: [&str; 2],
    bytes: &[u8],
) -> Result<(), M::Error> {
    match std::str::from_utf8(bytes) {
        Ok(text) => map.serialize_entry(names[0], text),
        Err(_) => map.serialize_entry(names[1], &Text(Base64Display::new(bytes, &BASE64))),
    }
}

/// Something shown as a JSON string without being written out first.
struct Text<'a>(Base64Display<'a, 'a, GeneralPurpose>);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Returns JSON text of something that always has one.
pub(super) fn text(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(value).map_err(|_| Failure::Internal("a response has no form in JSON"))
}

/// Returns a short response with a JSON body, outside the budget.
pub(super) fn json(status: StatusCode, text: impl Into<Bytes>) -> Response {
    with_type(status, Body::from(text.into()), "application/json")
}

/// Returns a response of any length, within the budget.
pub(super) fn respond(
    form: &'static str,
    bytes: Bytes,
    budget: &Budget,
) -> Result<Response, Failure> {
    let body = if bytes.len() <= PIECE_BYTES {
        Body::from(bytes)
    } else {
        let held = budget.take(bytes.len())?;
        Body::new(Paced { rest: bytes, _held: held })
    };
    Ok(with_type(StatusCode::OK, body, form))
}

fn with_type(status: StatusCode, body: Body, form: &'static str) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(form));
    response
}

/// A long body that leaves piece by piece, and gives its part of the budget back with the last.
struct Paced {
    rest: Bytes,
    _held: OwnedSemaphorePermit,
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let length = self.rest.len().min(PIECE_BYTES);
        let piece = self.rest.split_to(length);
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
