//! Keys: set, read, delete, list.
//!
//! Each handler is one conversation: it checks the request, asks the store one thing, and says what
//! came of it. The `ETag` of a key is its version, so what a client read can be the condition of
//! what it writes.

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
use crate::Kv;

/// How many keys a page has if the request does not say.
const PAGE_KEYS: u64 = 100;

/// How many keys a page may have.
const PAGE_KEYS_MAX: u64 = 1_000;

/// What stands for itself in a link; all else is escaped, so that no client can read it in another
/// way.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// `PUT /kv/{key}`.
pub(super) async fn put<K: Kv>(
    State(app): State<App<K>>,
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
    let received = body::receive(content, limit, &app.budget, time).await?;
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
    State(app): State<App<K>>,
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
    State(app): State<App<K>>,
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
pub(super) async fn list<K: Kv>(State(app): State<App<K>>, uri: Uri) -> Result<Response, Failure> {
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
/// `max_bytes`.
fn page(listed: &Listed, prefix: &[u8], limit: u64, max_bytes: usize) -> Result<Vec<u8>, Failure> {
    let mut text = b"{\"items\":[".to_vec();
    let mut last: Option<&Bytes> = None;
    let mut more = listed.more;
    for found in &listed.items {
        let (version, ttl_ms) = (found.version, found.ttl_ms);
        let item = Item { key: &found.key, value: found.value.as_deref(), version, ttl_ms };
        // What is certain to be too long is not written out first, only to be thrown away.
        let least = found.key.len() + found.value.as_ref().map_or(0, Bytes::len);
        let item = if last.is_some() && text.len() + least > max_bytes {
            None
        } else {
            Some(body::text(&item)?)
        };
        let Some(item) = item.filter(|item| last.is_none() || text.len() + item.len() < max_bytes)
        else {
            more = true;
            break;
        };
        if last.is_some() {
            text.push(b',');
        }
        text.extend_from_slice(&item);
        last = Some(&found.key);
    }
    text.extend_from_slice(b"],\"next\":");
    match last.filter(|_| more) {
        None => text.extend_from_slice(b"null"),
        Some(last) => text.extend_from_slice(&body::text(&link(prefix, last, limit))?),
    }
    text.push(b'}');
    Ok(text)
}

/// Returns the path of the page after a key. A link, not a key: it says the same to those who paste
/// it and to those whose library escapes what it is given, and it can hold any bytes.
fn link(prefix: &[u8], after: &[u8], limit: u64) -> String {
    let (prefix, after) = (percent_encode(prefix, ESCAPED), percent_encode(after, ESCAPED));
    format!("/kv?prefix={prefix}&after={after}&limit={limit}")
}

/// Adds the version as the entity tag.
fn tagged(mut response: Response, version: Index) -> Response {
    if let Ok(tag) = HeaderValue::try_from(format!("\"{version}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}
