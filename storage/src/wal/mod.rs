//! The write-ahead log: what a server has promised, in the order in which it promised it.
//!
//! One log holds hard state and entries, so one sync covers both, in order. It is a chain of
//! segments, files of fixed length that are filled with zeros before they are used and mapped into
//! memory while they are written:
//!
//! ```text
//!   0000000000000007-00000000000000000412.wal        the name: sequence, index of the entry before
//!   +--------+---------+---------+-------+- - - - - - - - - - -+
//!   | header | batch 9 | batch 10| …     | zeros               |
//!   +--------+---------+---------+-------+- - - - - - - - - - -+
//!   4096 B    what one sync makes durable: whole or not there
//! ```
//!
//! The life of a write:
//!
//! 1. [`Wal::append`] copies records into the map. They are not yet part of anything.
//! 2. [`Wal::sync`] stores the head of the batch in front of them and makes it durable. Only now
//!    may promises leave.
//! 3. When a segment is full, the log goes on in one that was prepared ahead; the full one is
//!    synced first, so only the last segment can ever be torn.
//! 4. When a snapshot has made entries superfluous, [`Wal::compact`] unlinks whole segments.
//!
//! The log is only ever appended to, also when it is cut: an entry at or below the last index
//! replaces the tail, in physical order. After a failed sync nobody knows what is on disk, so the
//! log is poisoned: it never syncs again.
//!
//! Everything here blocks, and a store into a map may block for ever. One thread owns the log and
//! does nothing else.
//!
//! Reading order: this file, `record`, `batch`, `header`, `segment`, `prepare`, `recovery`.

mod batch;
mod header;
mod inspect;
mod outline;
mod prepare;
mod record;
mod recovery;
mod segment;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher};

use self::header::{HEADER, Header};
pub use self::inspect::inspect;
use self::outline::Outline;
use self::prepare::Preparer;
use self::record::Encoded;
use self::segment::Segment;
use crate::error::Error;
use crate::fs::{self, Place};
use crate::types::{ClusterId, Entry, EntryId, HardState, Index, NodeId};

/// The shortest segment: small ones are for tests.
pub const SEGMENT_BYTES_MIN: usize = 16 * 1024;

/// The longest segment: recovery reads one at a time into memory.
pub const SEGMENT_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// What the log has to know when it is opened.
#[derive(Clone, Debug)]
pub struct WalOptions {
    /// The length of segments made from now on: a multiple of 4096. Those that are there keep
    /// theirs.
    pub segment_bytes: usize,
    /// Whose log it is. That of another node is refused.
    pub node: NodeId,
    /// Whether a thread prepares the next segment before it is needed. Without it the append that
    /// needs one makes it, and all that happens to the disk happens in one order.
    pub prepare_ahead: bool,
}

impl WalOptions {
    /// Returns the options of a node, with segments of 64 MiB.
    #[must_use]
    pub fn new(node: NodeId) -> Self {
        Self { segment_bytes: 64 * 1024 * 1024, node, prepare_ahead: true }
    }
}

/// What is appended.
#[derive(Clone, Copy, Debug)]
pub enum Record<'a> {
    /// The term and vote from now on.
    HardState(HardState),
    /// The entry behind the last; or one at a lower index, which replaces that and all behind it.
    Entry(&'a Entry),
    /// A snapshot was installed: the log is empty after this entry.
    Reset(EntryId),
    /// Nothing but so many zeros.
    Padding(usize),
}

/// What the log held when it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The latest term and vote.
    pub hard_state: HardState,
    /// The entry right before the first one.
    pub base: EntryId,
    /// The entries, without a gap.
    pub entries: Vec<Entry>,
}

/// A full segment. Not mapped.
struct Sealed {
    place: Place,
    /// The highest index that stands in it or before it, replaced or not.
    highest: Index,
}

/// The log. Owned by the disk thread.
pub struct Wal {
    dir: Place,
    options: WalOptions,
    /// Oldest first.
    sealed: VecDeque<Sealed>,
    active: Segment,
    preparer: Preparer,
    outline: Outline,
    hard_state: HardState,
    cluster: Option<ClusterId>,
    /// The sequence of the open batch, or of the next one.
    next_batch: u64,
    poison: Option<Error>,
}

/// A record that is about to be stored, with what stands in front of it.
struct Planned<'a> {
    record: Record<'a>,
    cut: Option<EntryId>,
    encoded: Encoded<'a>,
}

impl Planned<'_> {
    fn len(&self) -> usize {
        self.encoded.len() + if self.cut.is_some() { record::HEAD } else { 0 }
    }
}

impl Wal {
    /// Opens the log in this directory, or begins one, and returns what it holds: all that was ever
    /// synced, and possibly a part of what was not. What it returns is durable.
    pub fn open(dir: impl Into<Place>, options: WalOptions) -> Result<(Self, Recovered), Error> {
        let dir = dir.into();
        let bytes = options.segment_bytes;
        if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&bytes)
            || !bytes.is_multiple_of(fs::PAGE)
        {
            let reason = format!("segments of {bytes} bytes: expected 16 KiB to 1 GiB, in pages");
            return Err(Error::refused(&dir, reason));
        }
        dir.create_dir()?;
        dir.take_over()?;
        let found = recovery::recover(&dir, options.node)?;
        let mut preparer = Preparer::new(&dir, bytes);
        let replay = found.replay;
        let active = if let Some((place, header, end, highest)) = found.last {
            Segment::resume(place, header, end, highest)?
        } else {
            preparer.ensure(1)?;
            let header = Header {
                sequence: 1,
                segment_bytes: bytes as u64,
                salt: salt(),
                first_batch: replay.next_batch,
                base: EntryId::default(),
                hard_state: HardState::default(),
                node: options.node,
                cluster: None,
            };
            Segment::create(&dir, &preparer.take(), header)?
        };
        let wal = Self {
            dir,
            options,
            sealed: found.sealed.into(),
            active,
            preparer,
            outline: replay.outline.clone(),
            hard_state: replay.hard_state,
            cluster: replay.cluster,
            next_batch: replay.next_batch,
            poison: None,
        };
        Ok((wal, replay.into_recovered()))
    }

    /// Appends records in order. They are durable when [`Wal::sync`] has returned, or earlier.
    ///
    /// An error that is no-space or `TooLarge` means that nothing has changed and the log is as
    /// good as before; the same call may succeed later, when there is room.
    ///
    /// # Panics
    ///
    /// When an entry does not follow the last one and replaces none either.
    pub fn append(&mut self, records: &[Record<'_>]) -> Result<(), Error> {
        self.check()?;
        let planned = self.plan(records)?;
        self.preparer.ensure(self.count_rolls(&planned))?;
        for planned in planned {
            if !self.active.fits(planned.len()) {
                let rolled = self.roll();
                self.poison_on_error(rolled)?;
            }
            self.put(&planned);
        }
        let (position, length) = self.active.position();
        if self.options.prepare_ahead
            && let Err(error) = self.preparer.start(position, length)
        {
            // When the segment is full it is tried again, and then it counts.
            tracing::warn!(%error, "a segment cannot be prepared ahead of need");
        }
        Ok(())
    }

    /// Makes everything that was appended durable. After an error every call fails with it, for
    /// ever.
    pub fn sync(&mut self) -> Result<(), Error> {
        self.check()?;
        let synced = self.sync_active();
        self.poison_on_error(synced)
    }

    /// Puts a batch that says nothing behind the last one, durably: a batch that has another behind
    /// it was synced. Without it, damage to the last batch could not be told from a sync that never
    /// returned.
    ///
    /// A mark that shared a sector with the end of that batch would be lost together with it. So
    /// one batch fills the page to its end, and another stands behind it.
    pub fn mark(&mut self) -> Result<(), Error> {
        let rest = self.active.end().next_multiple_of(fs::PAGE) - self.active.end();
        if rest > 0 {
            self.append(&[Record::Padding(rest.saturating_sub(batch::SHORTEST))])?;
            self.sync()?;
        }
        self.append(&[Record::Padding(0)])?;
        self.sync()
    }

    /// Returns whether a sync or a roll has failed: then nothing can be appended any more, and an
    /// error that says there is no room is no longer one that passes.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.poison.is_some()
    }

    /// Unlinks segments, oldest first, whose entries are all at or below this index: a durable
    /// snapshot holds them.
    pub fn compact(&mut self, through: Index) -> Result<(), Error> {
        self.check()?;
        let mut oldest = None;
        while let Some(sealed) = self.sealed.front()
            && sealed.highest <= through
        {
            // The name is gone for good before the next one goes: what is left never has a gap.
            let removed = sealed.place.remove();
            oldest = Some(sealed.highest);
            self.poison_on_error(removed)?;
            self.sealed.pop_front();
        }
        if let Some(highest) = oldest {
            self.outline.forget_through(highest.min(self.outline.last().index));
        }
        Ok(())
    }

    /// Names the cluster in the headers of segments that begin from now on.
    ///
    /// # Panics
    ///
    /// When the log knows of another one: a server never changes its cluster.
    pub fn set_cluster(&mut self, cluster: ClusterId) {
        let known = *self.cluster.get_or_insert(cluster);
        assert!(known == cluster, "the log of cluster {known} cannot become that of {cluster}");
    }

    /// Returns the cluster that the log belongs to, if it knows.
    #[must_use]
    pub fn cluster(&self) -> Option<ClusterId> {
        self.cluster
    }

    /// Returns the size of the largest command that is accepted.
    #[must_use]
    pub fn max_record_bytes(&self) -> usize {
        self.limit() - 2 * record::HEAD
    }

    /// A record takes at most half a segment, so it always fits into a new one.
    fn limit(&self) -> usize {
        self.options.segment_bytes / 2
    }

    /// Decides what each record replaces, and refuses before anything is stored.
    fn plan<'a>(&self, records: &[Record<'a>]) -> Result<Vec<Planned<'a>>, Error> {
        let mut outline = self.outline.clone();
        let mut planned = Vec::with_capacity(records.len());
        for record in records {
            let cut = match record {
                Record::Entry(entry) => {
                    let cut = replaced(&outline, entry.id);
                    if let Some(id) = cut {
                        outline.cut(id);
                    }
                    outline.push(entry.id);
                    cut
                }
                Record::Reset(id) => {
                    outline = Outline::empty_after(*id);
                    None
                }
                Record::HardState(_) | Record::Padding(_) => None,
            };
            let next = Planned { record: *record, cut, encoded: Encoded::new(record) };
            if let Record::Entry(entry) = record
                && next.len() > self.limit()
            {
                let (id, bytes, limit) = (entry.id, next.len(), self.limit());
                return Err(Error::TooLarge { id, bytes, limit });
            }
            planned.push(next);
        }
        Ok(planned)
    }

    /// Returns how many new segments these records need.
    fn count_rolls(&self, planned: &[Planned<'_>]) -> usize {
        let (mut position, mut length) = self.active.position();
        let mut rolls = 0;
        for next in planned {
            if batch::align(position + next.len()) > length {
                rolls += 1;
                (position, length) = (HEADER + batch::HEAD, self.options.segment_bytes);
            }
            position += next.len();
        }
        rolls
    }

    fn put(&mut self, planned: &Planned<'_>) {
        if let Some(id) = planned.cut {
            self.active.put(&Encoded::cut(id), self.next_batch);
            self.outline.cut(id);
        }
        self.active.put(&planned.encoded, self.next_batch);
        match planned.record {
            Record::HardState(hard_state) => self.hard_state = hard_state,
            Record::Entry(entry) => self.outline.push(entry.id),
            Record::Reset(id) => self.outline = Outline::empty_after(id),
            Record::Padding(_) => {}
        }
        self.active.highest = self.active.highest.max(self.outline.last().index);
    }

    fn sync_active(&mut self) -> Result<(), Error> {
        if self.active.sync()? {
            self.next_batch = self
                .next_batch
                .checked_add(1)
                .ok_or_else(|| Error::refused(&self.dir, "the sequences of batches are used up"))?;
        }
        Ok(())
    }

    /// Goes on in a new segment. The full one is synced first: then only the last segment can be
    /// torn.
    fn roll(&mut self) -> Result<(), Error> {
        self.sync_active()?;
        let sequence = self.active.header.sequence.checked_add(1);
        let header = Header {
            sequence: sequence.ok_or_else(|| {
                Error::refused(&self.dir, "the sequences of segments are used up")
            })?,
            segment_bytes: self.options.segment_bytes as u64,
            salt: salt(),
            first_batch: self.next_batch,
            base: self.outline.last(),
            hard_state: self.hard_state,
            node: self.options.node,
            cluster: self.cluster,
        };
        let next = Segment::create(&self.dir, &self.preparer.take(), header)?;
        let full = std::mem::replace(&mut self.active, next);
        self.sealed.push_back(Sealed { place: full.place, highest: full.highest });
        Ok(())
    }

    fn check(&self) -> Result<(), Error> {
        self.poison.as_ref().map_or(Ok(()), |error| Err(error.again()))
    }

    fn poison_on_error(&mut self, result: Result<(), Error>) -> Result<(), Error> {
        if let Err(error) = &result {
            self.poison = Some(error.again());
        }
        result
    }
}

/// Returns the entry after which the log is cut when this one is appended; `None` when it just
/// follows.
fn replaced(outline: &Outline, id: EntryId) -> Option<EntryId> {
    if outline.is_next(id) {
        return None;
    }
    let before = id.index.checked_sub(1).and_then(|index| outline.id_at(index));
    assert!(before.is_some(), "entry {id} neither follows {} nor replaces one", outline.last());
    before
}

/// Draws the random bits that make a segment unlike any other.
fn salt() -> u64 {
    std::hash::RandomState::new().build_hasher().finish()
}
