//! Each request is answered at most once, by the server that took it, and with replies that
//! belong to it.

use std::collections::BTreeMap;

use super::violation;

/// Names a request: the server, its life, the number it gave.
pub(crate) type RequestKey = (usize, u32, u64);

#[derive(Debug, Default)]
pub(crate) struct Replies {
    /// Who waits for what.
    open: BTreeMap<RequestKey, u32>,
}

impl Replies {
    /// A server takes a client's request.
    pub(crate) fn takes(&mut self, request: RequestKey, client: u32) {
        if self.open.insert(request, client).is_some() {
            violation!("replies", "the request {request:?} is taken twice");
        }
    }

    /// A server answers; returns whose request it was.
    pub(crate) fn answers(&mut self, request: RequestKey) -> u32 {
        match self.open.remove(&request) {
            Some(client) => client,
            None => violation!("replies", "{request:?} is answered, and nobody waits for it"),
        }
    }

    /// A server has ended, and its connections with it.
    pub(crate) fn forgets(&mut self, node: usize) {
        self.open.retain(|(server, _, _), _| *server != node);
    }

    /// At the end, or when a server has ended by itself: nobody is left waiting.
    pub(crate) fn ends(&self) {
        if let Some((request, client)) = self.open.first_key_value() {
            violation!("replies", "client {client} was never answered: {request:?}");
        }
    }
}
