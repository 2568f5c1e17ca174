//! What can go wrong with a request, and the one place that says which status that is.
//!
//! Every body of an error is an object with `error`, a code for programs, and `message`, a sentence
//! for people. The codes fall into the outcomes of the store: 504 is *unknown*, and every other
//! error means that nothing was done (but for 500, a bug of ours, which promises nothing).

use std::borrow::Cow;

use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use raftkv_storage::types::{Index, NodeId};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::{body, router};
use crate::{Cluster, Error, Unavailable};

/// Why a request was not done, or may not have been.
#[derive(Debug)]
pub(super) enum Failure {
    /// The request cannot be understood: a code, and what is wrong.
    Invalid(&'static str, String),
    /// The key is not there.
    NotFound(Bytes),
    /// Nothing lives at this path.
    UnknownRoute,
    /// Something lives at this path, but does not take this method.
    Method,
    /// What came is not a request, or one that is too long: a status, and what is wrong.
    Rejected(StatusCode, String),
    /// The head took too long.
    SlowHead,
    /// The body took too long.
    SlowBody,
    /// The key holds another type than a string.
    WrongType,
    /// Another node leads.
    NotLeader {
        /// Who leads.
        leader: NodeId,
        /// Its base URL.
        http: String,
        /// The same request there.
        location: String,
    },
    /// The condition does not hold; the version that does, if the key is there.
    Precondition(Option<Index>),
    /// The key is longer than a key may be.
    KeyTooLong,
    /// The body or the value is longer than it may be, in bytes.
    TooLarge(usize),
    /// The body is of a type that is not taken.
    MediaType,
    /// The request is meant for a host that this node is not.
    Misdirected,
    /// The node is not able to answer now.
    Store(Error),
    /// More requests are under way, or more bytes held, than this frontend allows.
    Busy(&'static str),
    /// The node did not answer a probe in time.
    Stalled,
    /// The store answered something this frontend does not understand: a bug.
    Internal(&'static str),
}

impl Failure {
    /// Returns what an error of the store is to a client, who may be sent to the leader with the
    /// same request.
    pub(super) fn from_store(error: Error, cluster: &Cluster, uri: &Uri) -> Self {
        let Error::NotLeader { leader } = error else { return Self::Store(error) };
        // A leader that is not among the members this node knows cannot be pointed to. The client
        // tries again.
        let Some(member) = cluster.member(leader) else { return Self::Store(Error::NoLeader) };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let location = format!("{}{path}", member.http_url);
        Self::NotLeader { leader, http: member.http_url.clone(), location }
    }

    /// Returns the status, the code, and the sentence.
    fn describe(&self) -> (StatusCode, &'static str, Cow<'static, str>) {
        use StatusCode as S;
        match self {
            Self::Invalid(code, message) => (S::BAD_REQUEST, code, message.clone().into()),
            Self::NotFound(_) => (S::NOT_FOUND, "not_found", "the key does not exist".into()),
            Self::UnknownRoute => {
                (S::NOT_FOUND, "unknown_route", "nothing lives here; GET / lists what does".into())
            }
            Self::Method => (
                S::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "the Allow header lists the methods this path takes".into(),
            ),
            Self::Rejected(status, reason) => {
                let (code, message) = describe_rejected(*status, reason);
                (*status, code, message)
            }
            Self::SlowHead => (
                S::REQUEST_TIMEOUT,
                "timeout",
                "the head of the request did not arrive in time".into(),
            ),
            Self::SlowBody => {
                (S::REQUEST_TIMEOUT, "timeout", "the body did not arrive in time".into())
            }
            Self::WrongType => {
                (S::CONFLICT, "wrong_type", "the key holds another type than a string".into())
            }
            Self::NotLeader { leader, .. } => {
                (S::CONFLICT, "not_leader", format!("node {leader} leads; ask there").into())
            }
            Self::Precondition(_) => (
                S::PRECONDITION_FAILED,
                "precondition_failed",
                "the key is not as the condition asks".into(),
            ),
            Self::KeyTooLong => {
                (S::URI_TOO_LONG, "key_too_long", "a key has at most 65536 bytes".into())
            }
            Self::TooLarge(limit) => (
                S::PAYLOAD_TOO_LARGE,
                "too_large",
                format!("the limit is {limit} bytes for this").into(),
            ),
            Self::MediaType => (
                S::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "send Content-Type: application/json, or application/octet-stream for bytes".into(),
            ),
            Self::Misdirected => (
                S::MISDIRECTED_REQUEST,
                "misdirected",
                "the Host header names none of this cluster's nodes: use an address, localhost, or \
                 a name from --http-peers"
                    .into(),
            ),
            Self::Store(error) => {
                let (status, code) = store_status(error);
                (status, code, error.to_string().into())
            }
            Self::Busy(message) => (S::SERVICE_UNAVAILABLE, "overloaded", (*message).into()),
            Self::Stalled => {
                (S::SERVICE_UNAVAILABLE, "stalled", "the node did not answer in time".into())
            }
            Self::Internal(message) => (S::INTERNAL_SERVER_ERROR, "internal", (*message).into()),
        }
    }
}

/// Returns the code and the sentence for what the HTTP machinery did not take.
fn describe_rejected(status: StatusCode, reason: &str) -> (&'static str, Cow<'static, str>) {
    match status {
        StatusCode::URI_TOO_LONG => {
            ("uri_too_long", "a request target has at most 65534 bytes".into())
        }
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            ("head_too_large", "the head of a request has at most 256 KiB and 100 headers".into())
        }
        _ => ("malformed_request", format!("not an HTTP/1 request: {reason}").into()),
    }
}

/// The body of an error: the code, the sentence, and what a program needs beside them.
struct Body<'a> {
    code: &'a str,
    message: &'a str,
    failure: &'a Failure,
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("error", self.code)?;
        map.serialize_entry("message", self.message)?;
        match self.failure {
            Failure::NotFound(key) => body::entry(&mut map, ["key", "key_base64"], key)?,
            Failure::NotLeader { leader, http, .. } => {
                map.serialize_entry("leader", &Leader { id: leader.as_str(), http })?;
            }
            Failure::Precondition(version) => map.serialize_entry("version", version)?,
            _ => {}
        }
        map.end()
    }
}

/// Where to ask instead.
#[derive(Serialize)]
struct Leader<'a> {
    id: &'a str,
    http: &'a str,
}

/// Returns the status and the code for an error of the store.
fn store_status(error: &Error) -> (StatusCode, &'static str) {
    use StatusCode as S;
    match error {
        // Known leaders are told apart before; what is left here is a leader that cannot be pointed
        // to.
        Error::NoLeader | Error::NotLeader { .. } => (S::SERVICE_UNAVAILABLE, "no_leader"),
        Error::Unknown => (S::GATEWAY_TIMEOUT, "unknown_outcome"),
        Error::Unavailable(Unavailable::Loading) => (S::SERVICE_UNAVAILABLE, "loading"),
        Error::Unavailable(Unavailable::Stopping) => (S::SERVICE_UNAVAILABLE, "stopping"),
        Error::Unavailable(Unavailable::Overloaded) => (S::SERVICE_UNAVAILABLE, "overloaded"),
        Error::Unavailable(Unavailable::NoSpace) => (S::INSUFFICIENT_STORAGE, "no_space"),
        Error::Unavailable(Unavailable::TooLarge) => (S::PAYLOAD_TOO_LARGE, "too_large"),
    }
}

impl Failure {
    fn text(&self) -> (StatusCode, Vec<u8>) {
        let (status, code, message) = self.describe();
        let text = body::text(&Body { code, message: &message, failure: self });
        (status, text.unwrap_or_default())
    }

    /// Returns the bytes of the response, for a connection that ends with it and has no request to
    /// answer in the usual way. The answer to a HEAD request only announces its body.
    pub(super) fn last_words(self, is_head: bool) -> Vec<u8> {
        let (status, text) = self.text();
        let mut response = self.into_response();
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        router::seal(response.headers_mut());
        // Prints the number and the reason.
        let mut bytes = format!("HTTP/1.1 {status}\r\n").into_bytes();
        for (name, value) in response.headers() {
            bytes.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        bytes.extend(format!("content-length: {}\r\n\r\n", text.len()).into_bytes());
        if !is_head {
            bytes.extend(text);
        }
        bytes
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, text) = self.text();
        if let Self::Internal(message) = &self {
            tracing::error!(message, "the store answered an HTTP request in an unknown form");
        }
        let mut response = body::json(status, text);
        let headers = response.headers_mut();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        // What is left of a body that nobody will read must not be taken for the next request.
        if matches!(self, Self::SlowBody | Self::TooLarge(_)) {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Self::NotLeader { location, .. } = &self
            && let Ok(location) = HeaderValue::from_bytes(location.as_bytes())
        {
            headers.insert(header::LOCATION, location);
        }
        response
    }
}
