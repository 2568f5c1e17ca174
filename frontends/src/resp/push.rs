//! What a connection is told without having asked: RESP3 pushes, on their way from whoever pushes
//! to the connection.
//!
//! Whoever pushes does not wait, and the connection may be slow. So what waits is bounded: when it
//! is more, all of it gives way to one message, that nothing the client has cached holds any more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::BytesMut;

use super::encode;

/// The most bytes that wait for one connection.
const WAITING_BYTES_MAX: usize = 256 << 10;

/// The pushes that wait for one connection, encoded.
#[derive(Debug, Default)]
pub(super) struct Pushes {
    is_any: AtomicBool,
    waiting: Mutex<BytesMut>,
}

impl Pushes {
    pub(super) fn add(&self, message: &[u8]) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() + message.len() > WAITING_BYTES_MAX {
            waiting.clear();
            waiting.extend_from_slice(&everything());
        } else {
            waiting.extend_from_slice(message);
        }
        self.is_any.store(true, Ordering::Release);
    }

    /// Takes all that wait, if there are any.
    pub(super) fn take(&self) -> Option<BytesMut> {
        // Nearly always there are none, and then this is one look.
        if !self.is_any.load(Ordering::Acquire) {
            return None;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_any.store(false, Ordering::Release);
        Some(std::mem::take(&mut *waiting))
    }
}

/// Returns the push that says that these keys have changed.
pub(super) fn invalidate<'a>(keys: impl ExactSizeIterator<Item = &'a [u8]>) -> BytesMut {
    let mut out = head(b"invalidate");
    encode::length(b'*', keys.len(), &mut out);
    for key in keys {
        encode::bulk(key, &mut out);
    }
    out
}

/// Returns the push that says that any key may have changed.
pub(super) fn everything() -> BytesMut {
    let mut out = head(b"invalidate");
    out.extend_from_slice(b"_\r\n");
    out
}

/// Returns the push that says that the connection that was to be told is gone.
pub(super) fn redirect_broken(id: u64) -> BytesMut {
    let mut out = head(b"tracking-redir-broken");
    encode::number(b':', i64::try_from(id).unwrap_or(i64::MAX), &mut out);
    out
}

fn head(kind: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    encode::length(b'>', 2, &mut out);
    encode::bulk(kind, &mut out);
    out
}
