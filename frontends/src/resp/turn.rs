//! What one read from the socket asks for: a batch for the keyspace, and the order in which
//! everything is answered.
//!
//! ```text
//! GET a · PING · SET b 1 · FOO      read at once
//! batch:  GET a, SET b 1            one call of Kv::execute
//! local:  +PONG  -ERR unknown …     answered here, already encoded
//! order:  K L K L                   how the two are put together
//! ```

use std::ops::Range;

use bytes::BytesMut;
use raftkv_storage::keyspace::Reply;
use raftkv_storage::keyspace::command::{Batch, Spec};

use super::encode::{self, Protocol};
use super::errors;

/// Commands that were read and not yet answered. Owned by a connection; empty between two reads.
#[derive(Debug, Default)]
pub(super) struct Turn {
    pub(super) batch: Batch,
    pub(super) order: Vec<Answer>,
    pub(super) local: BytesMut,
}

/// Where the next answer comes from.
#[derive(Debug)]
pub(super) enum Answer {
    /// So many bytes of [`Turn::local`].
    Local(usize),
    /// The next reply of the batch.
    Keyspace {
        /// Where the first key is, in case the batch must go elsewhere.
        key: Key,
        /// Whether the client has asked for silence.
        is_silent: bool,
    },
}

/// Enough to tell a key's slot, should it be needed.
#[derive(Clone, Debug)]
pub(super) enum Key {
    /// Its bytes in the input.
    At(Range<usize>),
    /// Its slot.
    Slot(u16),
}

impl Key {
    /// Returns the slot; `input` is what the key was read from.
    pub(super) fn slot(&self, input: &[u8]) -> u16 {
        match self {
            Self::At(range) => errors::slot(&input[range.clone()]),
            Self::Slot(slot) => *slot,
        }
    }
}

impl Turn {
    /// Adds a reply that is known already.
    pub(super) fn answer(&mut self, reply: Reply, protocol: Protocol) {
        let start = self.local.len();
        encode::encode(reply, protocol, &mut self.local);
        let length = self.local.len() - start;
        match self.order.last_mut() {
            Some(Answer::Local(before)) => *before += length,
            _ => self.order.push(Answer::Local(length)),
        }
    }

    /// Adds a command for the keyspace.
    pub(super) fn ask(&mut self, spec: &'static Spec, args: &[&[u8]], key: Key, is_silent: bool) {
        self.batch.push(spec, args);
        self.order.push(Answer::Keyspace { key, is_silent });
    }
}
