//! Snapshots: written in the background, streamed to followers that are too far behind, installed.

use std::io::Read;
use std::sync::Arc;

use raftkv::persist::{self, Job};
use raftkv::raft::{Envelope, Message};
use raftkv_storage::fs::FileReader;
use raftkv_storage::keyspace::{Keyspace, View};
use raftkv_storage::snapshot::{Received, SnapshotReceiver};
use raftkv_storage::types::{SnapshotMeta, Term};

use crate::plan::{MS, SECOND};
use crate::world::{Event, ServerEvent, World};

impl World {
    /// Sends the newest snapshot, as the bytes of its file.
    pub(crate) fn send_snapshot(&mut self, at: usize, to: usize, term: Term) {
        let now = self.now;
        let Some(process) = &mut self.servers[at].process else { return };
        if !process.sending.insert(to) {
            return;
        }
        let read = process.snapshot.as_ref().and_then(|(place, meta)| {
            let mut bytes = Vec::new();
            FileReader::new(place.open().ok()?).read_to_end(&mut bytes).ok()?;
            Some((meta.clone(), bytes))
        });
        let arrival = read.and_then(|(meta, bytes)| {
            let time = self.network.route_snapshot(now, (at, to), bytes.len())?;
            Some((time, meta, Arc::new(bytes)))
        });
        let Some((time, meta, bytes)) = arrival else {
            return self.notify(at, SECOND, ServerEvent::SnapshotSent { to, delivered: false });
        };
        let life = self.servers[to].life;
        let event = ServerEvent::Snapshot { from: at, term, meta, bytes };
        self.at(time, Event::Server(to, life, event));
        let answer = ServerEvent::SnapshotSent { to, delivered: true };
        self.notify(at, time - self.now + MS, answer);
    }

    /// Takes down a snapshot as the process does. Returns whether the process lives.
    pub(crate) fn receive_snapshot(
        &mut self,
        at: usize,
        from: usize,
        term: Term,
        meta: SnapshotMeta,
        bytes: &[u8],
    ) -> bool {
        let received = self.take_down(at, &meta, bytes);
        if self.servers[at].disk.is_off() {
            self.disk_failed(at, "the power failed");
            return false;
        }
        let Ok((file, keyspace)) = received else { return true };
        // At most one can be installed in a turn: decide about the one before first.
        self.turn(at);
        let message = Message::InstallSnapshot { meta };
        let (from, to) = (self.names[from], self.names[at]);
        let Some(process) = &mut self.servers[at].process else { return false };
        process.incoming = Some(file);
        process.replica.install(Envelope { from, to, term, message }, keyspace);
        true
    }

    fn take_down(
        &self,
        at: usize,
        meta: &SnapshotMeta,
        bytes: &[u8],
    ) -> Result<(Received, Keyspace), raftkv_storage::Error> {
        let dir = self.servers[at].disk.place("/data/snapshots");
        let mut receiver = SnapshotReceiver::create(dir, meta)?;
        for chunk in bytes.chunks(1000) {
            receiver.write(receiver.offset(), chunk)?;
        }
        receiver.finish(persist::restore)
    }

    /// Writes a snapshot. Returns whether the process lives.
    pub(crate) fn take_snapshot(&mut self, at: usize, meta: &SnapshotMeta, view: &View) -> bool {
        let written =
            persist::write_snapshot(self.servers[at].disk.place("/data/snapshots"), meta, view);
        if self.servers[at].disk.is_off() {
            self.disk_failed(at, "the power failed");
            return false;
        }
        let Some(process) = &mut self.servers[at].process else { return false };
        process.is_taking_snapshot = false;
        if let Ok(place) = written {
            process.replica.compact(meta.last.index);
            process.jobs.push(Job::Compact(meta.last.index));
            process.snapshot = Some((place, meta.clone()));
        }
        true
    }
}
