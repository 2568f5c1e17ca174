//! What a crash may have left, and what is believed of it.
//!
//! A batch is the unit of one sync, and the next batch begins only after that sync has returned. So
//! a bad batch that is followed by a good one was durable once, was promised to others, and has
//! been damaged since: nothing may be done about it here. A bad batch with nothing behind it, in
//! the last segment, is one whose sync never returned. Nobody was told of it.
//!
//! What cannot be told apart is damage to the sectors of the very last batch, after its sync, with
//! nothing written since. A log that is quiet, or is closed, therefore ends in a mark.

use std::io::Read;
use std::path::Path;

use super::batch::{self, Batch};
use super::header::{self, HEADER, Header, SegmentName};
use super::outline::Outline;
use super::record::{self, Decoded};
use super::{Recovered, Sealed};
use crate::encoding::Fields;
use crate::error::Error;
use crate::fs::{self, FileReader, PAGE, Place};
use crate::types::{ClusterId, Entry, HardState, Index, NodeId};

/// How the bytes read where the next batch is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reads {
    /// A whole batch with the sequence that follows.
    Valid,
    /// A whole batch with another sequence.
    Skips,
    /// Zeros, up to the end of the segment.
    Zeros,
    /// Anything else.
    Invalid,
}

/// What is done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// The batch is part of the log.
    Keep,
    /// The segment ends here. If another follows, its header says which batch it begins with.
    End,
    /// The rest is zeroed: its sync never returned.
    Cut,
    /// The log is not opened.
    Refuse,
}

/// One line of the table; `None` matches both.
pub(super) struct Rule {
    pub(super) reads: Reads,
    pub(super) later_is_valid: Option<bool>,
    pub(super) last_segment: Option<bool>,
    pub(super) decision: Decision,
}

const fn rule(
    reads: Reads,
    later_is_valid: Option<bool>,
    last_segment: Option<bool>,
    decision: Decision,
) -> Rule {
    Rule { reads, later_is_valid, last_segment, decision }
}

/// The whole of recovery. The first line that matches decides; for every case there is exactly one.
pub(super) const TABLE: [Rule; 6] = [
    //   the batch reads   a later one is valid   last segment   decision
    rule(Reads::Valid, None, None, Decision::Keep),
    rule(Reads::Zeros, None, None, Decision::End),
    rule(Reads::Invalid, Some(false), Some(true), Decision::Cut),
    rule(Reads::Invalid, Some(true), Some(true), Decision::Refuse),
    rule(Reads::Invalid, None, Some(false), Decision::Refuse),
    rule(Reads::Skips, None, None, Decision::Refuse),
];

/// Looks the case up. `later_is_valid` is only asked where it matters, for it reads the rest of the
/// segment.
pub(super) fn decide(
    reads: Reads,
    later_is_valid: impl FnOnce() -> bool,
    last_segment: bool,
) -> Decision {
    let mut rules = TABLE.iter().filter(|rule| {
        rule.reads == reads && rule.last_segment.is_none_or(|last| last == last_segment)
    });
    let rule = rules.next().expect("the table has a line for every case");
    match rule.later_is_valid {
        None => rule.decision,
        Some(valid) if valid == later_is_valid() => rule.decision,
        Some(_) => rules.next().expect("the table has a line for every case").decision,
    }
}

/// What replay has met; `inspect` shows it.
pub(super) enum Seen<'a> {
    Header(&'a Header),
    Batch {
        offset: usize,
        sequence: u64,
        bytes: usize,
    },
    Record(&'a Decoded),
    /// Bytes behind the last batch whose sync never returned.
    Torn {
        offset: usize,
        reason: &'static str,
    },
    End {
        offset: usize,
    },
}

/// Replays segments, in order, into what the log was.
pub(super) struct Replay {
    /// Whose log it must be; `None` for whoever only looks.
    node: Option<NodeId>,
    pub(super) cluster: Option<ClusterId>,
    pub(super) outline: Outline,
    pub(super) hard_state: HardState,
    pub(super) entries: Vec<Entry>,
    /// The sequence of the batch that comes next.
    pub(super) next_batch: u64,
    /// The segment that was replayed last.
    header: Option<Header>,
    /// Where its batches end.
    end: usize,
    highest: Index,
}

impl Replay {
    pub(super) fn new(node: Option<NodeId>) -> Self {
        Self {
            node,
            cluster: None,
            outline: Outline::default(),
            hard_state: HardState::default(),
            entries: Vec::new(),
            next_batch: 1,
            header: None,
            end: 0,
            highest: 0,
        }
    }

    /// Replays the next segment and returns where its batches end.
    pub(super) fn segment(
        &mut self,
        path: &Path,
        segment: &[u8],
        is_last: bool,
        see: &mut dyn FnMut(Seen<'_>) -> Result<(), Error>,
    ) -> Result<usize, Error> {
        let header = Header::decode(segment, path)?;
        see(Seen::Header(&header))?;
        self.begin(path, segment.len(), &header)?;
        let mut offset = HEADER;
        loop {
            let (reads, reason, batch) = self.look(segment, &header, offset);
            let later = || batch::find_later(segment, &header, offset, self.next_batch).is_some();
            match (decide(reads, later, is_last), batch) {
                (Decision::Keep, Some(batch)) => {
                    let bytes = batch.records.len();
                    see(Seen::Batch { offset, sequence: batch.sequence, bytes })?;
                    self.batch(path, offset, &batch, see)?;
                    offset = batch.end;
                }
                (Decision::End, _) => {
                    self.end = offset;
                    see(Seen::End { offset })?;
                    return Ok(offset);
                }
                (Decision::Cut, _) => {
                    see(Seen::Torn { offset, reason })?;
                    return Ok(offset);
                }
                (Decision::Refuse | Decision::Keep, _) => {
                    return Err(Error::corrupt(path, offset as u64, reason));
                }
            }
        }
    }

    /// Checks that a segment goes on where the one before it ended.
    fn begin(&mut self, path: &Path, bytes: usize, header: &Header) -> Result<(), Error> {
        let corrupt = |reason: String| Err(Error::corrupt(path, 0, reason));
        if let Some(node) = self.node
            && node != header.node
        {
            let reason =
                format!("this is the log of node {}, and this node is {node}", header.node);
            return Err(Error::refused(path, reason));
        }
        if bytes as u64 != header.segment_bytes {
            let says = header.segment_bytes;
            let reason = format!("the file has {bytes} bytes, and its header says {says}");
            return Err(Error::corrupt(path, says.min(bytes as u64), reason));
        }
        let known = self.cluster.is_some();
        if known && header.cluster != self.cluster {
            let reason = "the segment belongs to another cluster than the one before it";
            return Err(Error::refused(path, reason));
        }
        if let Some(before) = &self.header {
            if before.sequence.checked_add(1) != Some(header.sequence) {
                return corrupt(format!("segment {:x} comes before it", before.sequence));
            }
            if header.first_batch != self.next_batch {
                // What reads as zeros up to the end of the one before it was not always zero.
                let (first, next) = (header.first_batch, self.next_batch);
                let before = path.with_file_name(before.file_name());
                let reason = format!("batch {next} is missing; the next file begins with {first}");
                return Err(Error::corrupt(&before, self.end as u64, reason));
            }
            if header.base != self.outline.last() || header.hard_state != self.hard_state {
                return corrupt("it does not begin with what the log was before it".into());
            }
        } else {
            self.next_batch = header.first_batch;
            self.outline = Outline::empty_after(header.base);
            self.hard_state = header.hard_state;
        }
        self.cluster = header.cluster;
        self.highest = header.base.index;
        self.header = Some(header.clone());
        Ok(())
    }

    /// Reads what is at the offset, and why it is not a batch when it is none.
    fn look<'a>(
        &self,
        segment: &'a [u8],
        header: &Header,
        offset: usize,
    ) -> (Reads, &'static str, Option<Batch<'a>>) {
        match batch::read(segment, header, offset) {
            Ok(batch) if batch.sequence == self.next_batch => (Reads::Valid, "", Some(batch)),
            Ok(_) => (Reads::Skips, "the sequence of the batch does not follow", None),
            Err(_) if is_zero(&segment[offset..]) => (Reads::Zeros, "", None),
            Err(reason) => (Reads::Invalid, reason, None),
        }
    }

    fn batch(
        &mut self,
        path: &Path,
        offset: usize,
        batch: &Batch<'_>,
        see: &mut dyn FnMut(Seen<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let corrupt = |reason: String| Error::corrupt(path, offset as u64, reason);
        self.next_batch = batch
            .sequence
            .checked_add(1)
            .ok_or_else(|| corrupt("the sequences of batches are used up".into()))?;
        let mut fields = Fields(batch.records);
        while !fields.0.is_empty() {
            let decoded = record::decode(&mut fields)
                .ok_or_else(|| corrupt("the batch holds what is not a record".into()))?;
            see(Seen::Record(&decoded))?;
            self.record(decoded).map_err(corrupt)?;
        }
        Ok(())
    }

    /// Applies one record. Cuts and resets apply in the order in which they stand, whatever any
    /// snapshot holds.
    fn record(&mut self, decoded: Decoded) -> Result<(), String> {
        match decoded {
            Decoded::HardState(hard_state) => self.hard_state = hard_state,
            Decoded::Entry(entry) => {
                if !self.outline.is_next(entry.id) {
                    return Err(format!("entry {} follows {}", entry.id, self.outline.last()));
                }
                self.outline.push(entry.id);
                self.highest = self.highest.max(entry.id.index);
                self.entries.push(entry);
            }
            Decoded::Cut(id) => {
                // Before the base there is nothing to compare with: the segments that held it are
                // compacted away.
                let base = self.outline.base();
                if id.index >= base.index && self.outline.id_at(id.index) != Some(id) {
                    return Err(format!("a cut after {id}, which is not in the log"));
                }
                self.outline.cut(id);
                let keep = id.index.saturating_sub(base.index);
                self.entries.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
            }
            Decoded::Reset(id) => {
                self.outline = Outline::empty_after(id);
                self.highest = self.highest.max(id.index);
                self.entries.clear();
            }
            Decoded::Padding(_) => {}
        }
        Ok(())
    }

    pub(super) fn into_recovered(self) -> Recovered {
        let base = self.outline.base();
        Recovered { hard_state: self.hard_state, base, entries: self.entries }
    }
}

/// What a directory of segments turned out to hold.
pub(super) struct Found {
    pub(super) replay: Replay,
    pub(super) sealed: Vec<Sealed>,
    /// The segment to go on with: its file, header, end, and the highest index in it.
    pub(super) last: Option<(Place, Header, usize, Index)>,
}

/// Returns the segments of a directory in order; a gap in their sequences means that a file is
/// missing.
pub(super) fn segments(dir: &Place) -> Result<Vec<(SegmentName, Place)>, Error> {
    let mut segments = Vec::new();
    for (name, place) in dir.list()? {
        match header::parse_name(&name) {
            Some(Ok(parsed)) => segments.push((parsed, place)),
            Some(Err(reason)) => return Err(Error::refused(&place, reason)),
            None if name.ends_with(fs::TEMPORARY) => {}
            None => tracing::warn!(path = %place.display(), "not a file of the log; left alone"),
        }
    }
    segments.sort_by_key(|(name, _)| *name);
    for pair in segments.windows(2) {
        let (before, after) = (pair[0].0.sequence, pair[1].0.sequence);
        if before.checked_add(1) != Some(after) {
            let reason = format!("a file is missing: segment {before:x} is followed by {after:x}");
            return Err(Error::missing(&pair[1].1, reason));
        }
    }
    Ok(segments)
}

/// Reads a whole segment. With `read`, not through a mapping: an unreadable block is an error here,
/// not a signal.
pub(super) fn read(path: &Place, name: SegmentName, buffer: &mut Vec<u8>) -> Result<(), Error> {
    let file = path.open()?;
    let bytes = file.len().map_err(Error::io("read", path))?;
    if bytes > super::SEGMENT_BYTES_MAX as u64 {
        return Err(Error::refused(path, format!("{bytes} bytes are more than a segment has")));
    }
    buffer.clear();
    FileReader::new(file).read_to_end(buffer).map_err(Error::io("read", path))?;
    let header = Header::decode(buffer, path)?;
    if (header.sequence, header.base.index) != (name.sequence, name.base) {
        let reason = format!("its header says that it is {}", header.file_name());
        return Err(Error::corrupt(path, 0, reason));
    }
    Ok(())
}

/// Recovers the log of this directory. Only the torn end of the last segment is changed.
pub(super) fn recover(dir: &Place, node: NodeId) -> Result<Found, Error> {
    let segments = segments(dir)?;
    let mut found = Found { replay: Replay::new(Some(node)), sealed: Vec::new(), last: None };
    let mut buffer = Vec::new();
    for (at, (name, path)) in segments.iter().enumerate() {
        let is_last = at + 1 == segments.len();
        if is_last {
            // All before it was synced when the log went on to the next.
            fs::settle(&*path.open_to_write()?, path)?;
        }
        read(path, *name, &mut buffer)?;
        let end = found.replay.segment(path, &buffer, is_last, &mut |seen| {
            if let Seen::Torn { offset, reason } = seen {
                tracing::warn!(path = %path.display(), offset, reason, "cutting a torn batch");
            }
            Ok(())
        })?;
        let (replay, place) = (&found.replay, path.clone());
        let Some(header) = replay.header.clone() else { unreachable!("a segment was replayed") };
        if is_last {
            renew(&place, &buffer, end)?;
            found.last = Some((place, header, end, replay.highest));
        } else {
            found.sealed.push(Sealed { place, highest: replay.highest });
        }
    }
    Ok(found)
}

/// Fills what is behind the end with zeros again, durably, so that nothing of it can ever be taken
/// for a part of what comes next.
///
/// Most of it is zero already. It is written nevertheless, page by page: what recovery has read is
/// in the cache as large folios, and what was dropped from the cache would have to be read back in
/// the middle of an append. Both make a sync slower; see [`fs::PAGE`].
fn renew(path: &Place, segment: &[u8], end: usize) -> Result<(), Error> {
    let file = path.open_to_write()?;
    let page = end.next_multiple_of(PAGE).min(segment.len());
    if !is_zero(&segment[end..page]) {
        file.write_all_at(&[0; PAGE][..page - end], end as u64)
            .map_err(Error::io("erase", path))?;
    }
    fs::settle(&*file, path)?;
    for offset in (page..segment.len()).step_by(PAGE) {
        let length = PAGE.min(segment.len() - offset);
        file.write_all_at(&[0; PAGE][..length], offset as u64).map_err(Error::io("erase", path))?;
    }
    file.sync_all().map_err(Error::io("sync", path))
}

fn is_zero(bytes: &[u8]) -> bool {
    let (chunks, rest) = bytes.as_chunks::<64>();
    chunks.iter().all(|chunk| *chunk == [0; 64]) && rest.iter().all(|byte| *byte == 0)
}
