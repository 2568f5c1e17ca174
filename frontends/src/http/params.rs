//! What a request says outside its body: the key in its path, its query, its conditions, the form
//! it wants back.
//!
//! Strict throughout: a parameter or a condition that is not understood is refused. To ignore it
//! would be to list everything instead of a prefix, or to overwrite what was to be compared first.

use std::borrow::Cow;

use axum::http::header::{
    ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH,
};
use axum::http::{HeaderMap, Uri};
use bytes::Bytes;
use percent_encoding::percent_decode;
use raftkv_storage::types::Index;

use super::commands::Condition;
use super::error::Failure;

/// The longest key, as for the Redis protocol.
pub(super) const MAX_KEY_BYTES: usize = 64 << 10;

/// Returns the bytes that percent-encoded text stands for; a `%` must be followed by two
/// hexadecimal digits.
pub(super) fn decode(text: &[u8]) -> Option<Bytes> {
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        let mut hex = || rest.next().is_some_and(u8::is_ascii_hexdigit);
        if *byte == b'%' && !(hex() && hex()) {
            return None;
        }
    }
    Some(Vec::from(Cow::from(percent_decode(text))).into())
}

/// Returns the key in the path: all that follows `/kv/`.
pub(super) fn key(uri: &Uri) -> Result<Bytes, Failure> {
    let Some(encoded) = uri.path().strip_prefix("/kv/") else { return Err(Failure::UnknownRoute) };
    let Some(key) = decode(encoded.as_bytes()) else {
        return Err(Failure::Invalid("invalid_key", "a % in the path begins no escape".into()));
    };
    if key.is_empty() {
        return Err(Failure::Invalid("invalid_key", "a key has at least one byte".into()));
    }
    if key.len() > MAX_KEY_BYTES {
        return Err(Failure::KeyTooLong);
    }
    Ok(key)
}

/// Returns the values of the parameters `names`, in the order of the names. A `+` is a space, as in
/// forms.
pub(super) fn query<const N: usize>(
    uri: &Uri,
    names: [&str; N],
) -> Result<[Option<Bytes>; N], Failure> {
    let invalid = |message: String| Failure::Invalid("invalid_query", message);
    let mut values = [const { None }; N];
    for pair in uri.query().unwrap_or("").split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let Some(at) = names.iter().position(|known| *known == name) else {
            let name: String = name.chars().take(64).collect();
            return Err(invalid(format!("unknown parameter {name:?}")));
        };
        if values[at].is_some() {
            return Err(invalid(format!("{name} is given twice")));
        }
        let Some(value) = decode(value.replace('+', " ").as_bytes()) else {
            return Err(invalid(format!("a % in {name} begins no escape")));
        };
        values[at] = Some(value);
    }
    Ok(values)
}

/// Returns a whole number out of a parameter, if it is within bounds.
pub(super) fn number(value: &[u8], least: u64, most: u64) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|number| (least..=most).contains(number))
}

/// An entity tag. `None` is one this server has never given out: it is no version of anything.
type Tag = (Strength, Option<Index>);

/// The versions a condition names.
#[derive(Debug, PartialEq, Eq)]
enum Tags {
    /// `*`: any version at all.
    Any,
    /// Those of a list.
    List(Vec<Tag>),
}

/// Whether a tag promises the same bytes, or only the same meaning. Ours are strong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strength {
    Strong,
    Weak,
}

/// The conditions of a request.
#[derive(Debug)]
pub(super) struct Preconditions {
    if_match: Option<Tags>,
    if_none_match: Option<Tags>,
}

impl Preconditions {
    /// Reads them out of the headers.
    pub(super) fn parse(headers: &HeaderMap) -> Result<Self, Failure> {
        Ok(Self {
            if_match: tags(headers, &IF_MATCH)?,
            if_none_match: tags(headers, &IF_NONE_MATCH)?,
        })
    }

    /// Returns the condition of a write, which the store checks in the moment of writing.
    pub(super) fn of_write(&self) -> Result<Condition, Failure> {
        let invalid = |text: &str| Err(Failure::Invalid("invalid_condition", text.to_owned()));
        match (&self.if_match, &self.if_none_match) {
            (None, None) => Ok(Condition::None),
            (None, Some(Tags::Any)) => Ok(Condition::Absent),
            (Some(Tags::Any), None) => Ok(Condition::Present),
            (Some(Tags::List(tags)), None) => {
                let mut strong = tags
                    .iter()
                    .filter_map(|(strength, tag)| tag.filter(|_| *strength == Strength::Strong));
                match (strong.next(), strong.next()) {
                    (Some(version), None) => Ok(Condition::Version(version)),
                    (Some(_), Some(_)) => invalid("a write can ask for one version, not for many"),
                    // No version is zero, so this never holds: as it must be, of a tag that was
                    // never given out.
                    (None, _) => Ok(Condition::Version(0)),
                }
            }
            (None, Some(Tags::List(_))) => {
                invalid("of a write, If-None-Match can only ask that no key be there: *")
            }
            (Some(_), Some(_)) => invalid("a write takes If-Match or If-None-Match, not both"),
        }
    }

    /// Returns whether a read of this version may go on (`If-Match`).
    pub(super) fn admit(&self, version: Index) -> bool {
        match &self.if_match {
            None | Some(Tags::Any) => true,
            Some(Tags::List(tags)) => tags.contains(&(Strength::Strong, Some(version))),
        }
    }

    /// Returns whether the client has this version already (`If-None-Match`).
    pub(super) fn has(&self, version: Index) -> bool {
        match &self.if_none_match {
            None => false,
            Some(Tags::Any) => true,
            Some(Tags::List(tags)) => tags.iter().any(|(_, tag)| *tag == Some(version)),
        }
    }
}

/// Reads a header that is `*` or a list of entity tags (RFC 9110, section 13.1).
fn tags(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Tags>, Failure> {
    let mut list = Vec::new();
    for value in headers.get_all(name) {
        let mut rest = value.as_bytes().trim_ascii();
        if rest == b"*" && headers.get_all(name).iter().count() == 1 {
            return Ok(Some(Tags::Any));
        }
        while !rest.is_empty() {
            let Some((tag, after)) = tag(rest) else {
                let message = format!("{name} takes * or a version in quotes, as ETag gives it");
                return Err(Failure::Invalid("invalid_condition", message));
            };
            list.push(tag);
            rest = after;
        }
    }
    Ok(headers.contains_key(name).then_some(Tags::List(list)))
}

/// Reads one entity tag and the comma after it; returns what is left.
fn tag(text: &[u8]) -> Option<(Tag, &[u8])> {
    let (strength, quoted) = match text.strip_prefix(b"W/") {
        Some(rest) => (Strength::Weak, rest),
        None => (Strength::Strong, text),
    };
    let opened = quoted.strip_prefix(b"\"")?;
    let end = opened.iter().position(|byte| *byte == b'"')?;
    let rest = opened[end + 1..].trim_ascii_start();
    let rest = if rest.is_empty() { rest } else { rest.strip_prefix(b",")?.trim_ascii_start() };
    // A leading zero makes another tag of it, though the number is the same.
    let version = number(&opened[..end], 1, Index::MAX).filter(|_| opened[0] != b'0');
    Some(((strength, version), rest))
}

/// The forms a body can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `application/json`.
    Json,
    /// `application/octet-stream`: the value itself.
    Bytes,
}

impl Form {
    /// Returns the form with this media type, which may be followed by parameters.
    fn of(media_type: &str) -> Option<Self> {
        let name = media_type.split(';').next().unwrap_or("").trim();
        if name.eq_ignore_ascii_case("application/json") {
            Some(Self::Json)
        } else if name.eq_ignore_ascii_case("application/octet-stream") {
            Some(Self::Bytes)
        } else {
            None
        }
    }

    /// Returns the form of the request's body.
    pub(super) fn sent(headers: &HeaderMap) -> Result<Self, Failure> {
        // What is packed would be stored as it is, and read back by people who do not know.
        let packed = |value: &HeaderValue| !value.as_bytes().eq_ignore_ascii_case(b"identity");
        if headers.get_all(CONTENT_ENCODING).iter().any(packed) {
            return Err(Failure::MediaType);
        }
        let mut values = headers.get_all(CONTENT_TYPE).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(Failure::MediaType);
        };
        value.to_str().ok().and_then(Self::of).ok_or(Failure::MediaType)
    }

    /// Returns the form the client wants back: the one it weighs more, the first of equals, JSON if
    /// it names neither.
    pub(super) fn wanted(headers: &HeaderMap) -> Self {
        let mut best = (0.0, Self::Json);
        let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        for range in values.flat_map(|value| value.split(',')) {
            let weight = range
                .split(';')
                .filter_map(|part| part.trim().strip_prefix(['q', 'Q'])?.strip_prefix('='))
                .find_map(|weight| weight.trim().parse::<f32>().ok())
                .unwrap_or(1.0);
            if let Some(form) = Self::of(range)
                && weight > best.0
            {
                best = (weight, form);
            }
        }
        best.1
    }
}
