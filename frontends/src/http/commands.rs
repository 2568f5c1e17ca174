//! The one place that knows how the keyspace is asked and how it answers.

use bytes::Bytes;
use raftkv_storage::keyspace::command::Batch;
use raftkv_storage::keyspace::{Reply, http};
use raftkv_storage::types::Index;

use super::error::Failure;
pub(super) use http::{Condition, Found, delete, get, put};

/// What became of a write with a condition.
#[derive(Debug)]
pub(super) enum Outcome<T> {
    /// It was done.
    Done(T),
    /// The condition does not hold. The version that does, if the key is there.
    Refused(Option<Index>),
}

/// Keys in order.
#[derive(Debug)]
pub(super) struct Listed {
    /// Keys with their values.
    pub(super) items: Vec<Found>,
    /// The key that follows, if one does.
    pub(super) next: Option<Bytes>,
}

/// Asks for up to `limit` keys with a prefix, in order, from behind a key on.
pub(super) fn list(prefix: &[u8], after: Option<&[u8]>, limit: u64) -> Batch {
    http::list(prefix, after, usize::try_from(limit).unwrap_or(http::PAGE_ITEMS_MAX))
}

/// Returns the version that was written.
pub(super) fn read_put(replies: &[Reply]) -> Result<Outcome<Index>, Failure> {
    match http::written(one(replies)?) {
        Some(http::Outcome::Done(Some(version))) => Ok(Outcome::Done(version)),
        other => refused(other),
    }
}

/// Returns what a key holds.
pub(super) fn read_get(replies: &[Reply]) -> Result<Option<Found>, Failure> {
    http::found(one(replies)?).ok_or(ODD)
}

/// Returns whether there was anything to delete.
pub(super) fn read_delete(replies: &[Reply]) -> Result<Outcome<bool>, Failure> {
    match http::deleted(one(replies)?) {
        Some(http::Outcome::Done(version)) => Ok(Outcome::Done(version.is_some())),
        other => refused(other),
    }
}

/// Returns the keys of a page.
pub(super) fn read_list(replies: &[Reply]) -> Result<Listed, Failure> {
    let (items, next) = http::listed(one(replies)?).ok_or(ODD)?;
    Ok(Listed { items, next })
}

const ODD: Failure = Failure::Internal("the store's reply is not one to this request");

/// Returns the reply to the one command of a batch.
fn one(replies: &[Reply]) -> Result<&Reply, Failure> {
    if let [reply] = replies { Ok(reply) } else { Err(ODD) }
}

/// Returns why a write was not done.
fn refused<T>(outcome: Option<http::Outcome>) -> Result<Outcome<T>, Failure> {
    match outcome {
        Some(http::Outcome::Precondition(version)) => Ok(Outcome::Refused(version)),
        Some(http::Outcome::WrongType) => Err(Failure::WrongType),
        Some(http::Outcome::InvalidTtl) => {
            Err(Failure::Invalid("invalid_body", "ttl_ms reaches beyond all time".into()))
        }
        Some(http::Outcome::Done(_)) | None => Err(ODD),
    }
}
