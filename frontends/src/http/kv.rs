//! Keys: set, read, delete, list.
//!
//! Each handler is one conversation: it checks the request, asks the store one thing, and says what
//! came of it. The `ETag` of a key is its version, so what a client read can be the condition of
//! what it writes.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use raftkv_storage::types::Index;

use super::body::{self, Deleted, Item, MAX_TTL_MS, Put};
use super::commands::{self, Listed, Outcome};
use super::error::Failure;
use super::params::{self, Form, Preconditions};
use super::router::App;
use crate::{Error, Kv, Unavailable};

/// How many keys a page has if the request does not say.
const PAGE_KEYS: u64 = 100;

/// How many keys a page may have.
const PAGE_KEYS_MAX: u64 = 1_000;

/// The longest link: what the HTTP machinery takes as a request's target, with room for the address
/// of a node in front.
const LINK_BYTES_MAX: usize = 65_000;

/// What stands for itself in a link; all else is escaped, so that no client can read it in another
/// way.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// `PUT /kv/{key}`.
pub(super) async fn put<K: Kv>(
    State(app): State<Arc<App<K>>>,
    request: Request,
) -> Result<Response, Failure> {
    let (head, content) = request.into_parts();
    let key = params::key(&head.uri)?;
    let condition = Preconditions::parse(&head.headers)?.of_write()?;
    let form = Form::sent(&head.headers)?;
    // Bytes leave no room for a time to live in the body; JSON does, and takes it only there.
    let ttl_ms = match form {
        Form::Json => params::query(&head.uri, []).map(|[]| None)?,
        Form::Bytes => ttl_of_query(&head.uri)?,
    };
    let limit = match form {
        Form::Json => app.options.max_body_bytes(),
        Form::Bytes => app.options.max_value_bytes,
    };
    let time = app.options.body_timeout;
    // A request that has not arrived has no outcome to wait for.
    let received = tokio::select! {
        biased;
        received = body::receive(content, limit, &app.budget, time) => received?,
        () = app.stopping() => {
            return Err(Failure::Store(Error::Unavailable(Unavailable::Stopping)));
        }
    };
    let put = match form {
        Form::Json => Put::parse(&received.bytes)?,
        Form::Bytes => Put { value: received.bytes.clone(), ttl_ms },
    };
    let put = put.check(app.options.max_value_bytes)?;
    let batch = commands::put(&key, &put.value, put.ttl_ms, condition);
    let version = match commands::read_put(&app.execute(batch, &head.uri).await?)? {
        Outcome::Done(version) => version,
        Outcome::Refused(version) => return Err(Failure::Precondition(version)),
    };
    let item = Item { key: &key, value: Some(&put.value), version, ttl_ms: put.ttl_ms };
    let response = body::respond("application/json", body::text(&item)?.into(), &app.budget);
    // The write is done, whatever becomes of its echo: what cannot be repeated back is left out.
    let response = response.or_else(|_| {
        let short = Item { value: None, ..item };
        Ok(body::json(StatusCode::OK, body::text(&short)?))
    })?;
    Ok(tagged(response, version))
}

fn ttl_of_query(uri: &Uri) -> Result<Option<u64>, Failure> {
    let [ttl_ms] = params::query(uri, ["ttl_ms"])?;
    let Some(ttl_ms) = ttl_ms else { return Ok(None) };
    params::number(&ttl_ms, 1, MAX_TTL_MS).map(Some).ok_or_else(|| {
        let message = format!("ttl_ms is a whole number from 1 to {MAX_TTL_MS}");
        Failure::Invalid("invalid_query", message)
    })
}

/// `GET /kv/{key}`.
pub(super) async fn get<K: Kv>(
    State(app): State<Arc<App<K>>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let key = params::key(&uri)?;
    params::query(&uri, []).map(|[]| ())?;
    let conditions = Preconditions::parse(&headers)?;
    let reply = commands::read_get(&app.execute(commands::get(&key), &uri).await?)?;
    let Some(found) = reply else { return Err(Failure::NotFound(key)) };
    let Some(value) = found.value else { return Err(Failure::WrongType) };
    if !conditions.admit(found.version) {
        return Err(Failure::Precondition(Some(found.version)));
    }
    let response = if conditions.has(found.version) {
        StatusCode::NOT_MODIFIED.into_response()
    } else if Form::wanted(&headers) == Form::Bytes {
        body::respond("application/octet-stream", value, &app.budget)?
    } else {
        let (version, ttl_ms) = (found.version, found.ttl_ms);
        let item = Item { key: &key, value: Some(&value), version, ttl_ms };
        body::respond("application/json", body::text(&item)?.into(), &app.budget)?
    };
    Ok(tagged(response, found.version))
}

/// `DELETE /kv/{key}`: the key is gone afterwards, and `deleted` says whether it was there. It
/// needs no body, and so no content type.
pub(super) async fn delete<K: Kv>(
    State(app): State<Arc<App<K>>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let key = params::key(&uri)?;
    params::query(&uri, []).map(|[]| ())?;
    let condition = Preconditions::parse(&headers)?.of_write()?;
    let reply = app.execute(commands::delete(&key, condition), &uri).await?;
    match commands::read_delete(&reply)? {
        Outcome::Done(deleted) => {
            Ok(body::json(StatusCode::OK, body::text(&Deleted { key: &key, deleted })?))
        }
        Outcome::Refused(version) => Err(Failure::Precondition(version)),
    }
}

/// `GET /kv?prefix=&after=&limit=`: keys in the order of their bytes, each page from one moment of
/// the store.
pub(super) async fn list<K: Kv>(
    State(app): State<Arc<App<K>>>,
    uri: Uri,
) -> Result<Response, Failure> {
    let [prefix, after, limit] = params::query(&uri, ["prefix", "after", "limit"])?;
    let prefix = prefix.unwrap_or_default();
    if prefix.len().max(after.as_ref().map_or(0, |after| after.len())) > params::MAX_KEY_BYTES {
        return Err(Failure::KeyTooLong);
    }
    let limit = match limit {
        None => PAGE_KEYS,
        Some(limit) => params::number(&limit, 1, PAGE_KEYS_MAX).ok_or_else(|| {
            let message = format!("limit is a whole number from 1 to {PAGE_KEYS_MAX}");
            Failure::Invalid("invalid_query", message)
        })?,
    };
    let reply = app.execute(commands::list(&prefix, after.as_deref(), limit), &uri).await?;
    let listed = commands::read_list(&reply)?;
    let text = page(&listed, &prefix, limit, app.options.max_page_bytes)?;
    body::respond("application/json", text.into(), &app.budget)
}

/// Writes a page as JSON. It has at least one key, if there is one, and then as many as fit into
/// `max_bytes`; fewer, if only there a link to the next page fits into a request.
fn page(listed: &Listed, prefix: &[u8], limit: u64, max_bytes: usize) -> Result<Vec<u8>, Failure> {
    let mut text = b"{\"items\":[".to_vec();
    // Where the text of each item ends.
    let mut ends: Vec<usize> = Vec::with_capacity(listed.items.len());
    for found in &listed.items {
        let (version, ttl_ms) = (found.version, found.ttl_ms);
        let item = Item { key: &found.key, value: found.value.as_deref(), version, ttl_ms };
        // What is certain to be too long is not written out first, only to be thrown away.
        let least = found.key.len() + found.value.as_ref().map_or(0, Bytes::len);
        let is_first = ends.is_empty();
        if !is_first && text.len() + least > max_bytes {
            break;
        }
        let item = body::text(&item)?;
        if !is_first && text.len() + item.len() >= max_bytes {
            break;
        }
        if !is_first {
            text.push(b',');
        }
        text.extend_from_slice(&item);
        ends.push(text.len());
    }
    let key = |at: usize| listed.items.get(at).map(|found| &found.key);
    let link_behind = |count: usize| {
        let next = key(count).or(listed.next.as_ref())?;
        Some(link(prefix, key(count.checked_sub(1)?)?, next, limit))
    };
    let mut next = link_behind(ends.len());
    while next.as_ref().is_some_and(|link| link.len() > LINK_BYTES_MAX) {
        ends.pop();
        text.truncate(ends.last().copied().ok_or_else(unlinkable)?);
        next = link_behind(ends.len());
    }
    text.extend_from_slice(b"],\"next\":");
    text.extend_from_slice(&body::text(&next)?);
    text.push(b'}');
    Ok(text)
}

fn unlinkable() -> Failure {
    let message = "no link to the next page fits into a request, so long is what the keys here \
                   have in common: ask with a greater limit, or list them with SCAN";
    Failure::Invalid("link_too_long", message.into())
}

/// Returns the path of the page that begins with `next`, after one that ends with `last`. A link,
/// not a key: it says the same to those who paste it and to those whose library escapes what it is
/// given, and it can hold any bytes.
fn link(prefix: &[u8], last: &[u8], next: &[u8], limit: u64) -> String {
    let path = |after: &[u8]| {
        let (prefix, after) = (percent_encode(prefix, ESCAPED), percent_encode(after, ESCAPED));
        format!("/kv?prefix={prefix}&after={after}&limit={limit}")
    };
    let link = path(last);
    if link.len() <= LINK_BYTES_MAX { link } else { path(&between(last, next)) }
}

/// Returns a short text that comes after no key but those up to `last`: `last` itself, or something
/// between it and `next`, the key that follows.
fn between(last: &[u8], next: &[u8]) -> Vec<u8> {
    let common = last.iter().zip(next).take_while(|(a, b)| a == b).count();
    if common == last.len() {
        last.to_vec()
    } else if next.len() > common + 1 {
        next[..=common].to_vec()
    } else {
        // A byte further on, made greater by one, makes all of it greater than the key.
        let raised = (common + 1..last.len()).find(|at| last[*at] != u8::MAX);
        raised.map_or(last.to_vec(), |at| [&last[..at], &[last[at] + 1]].concat())
    }
}

/// Adds the version as the entity tag.
fn tagged(mut response: Response, version: Index) -> Response {
    if let Ok(tag) = HeaderValue::try_from(format!("\"{version}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}
