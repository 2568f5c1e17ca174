//! Term and vote a second time, in a file of their own.
//!
//! The log holds them too. But nobody else knows whom this server has voted for, so a log that
//! decays must not take that with it: what else it held can be had from the leader, by a server
//! that knows how far it may be trusted. That, too, stands here: whether everything that was ever
//! acknowledged is there (`log whole`), or not yet again (`log recovering`). And a server that
//! promises leaders their time finds here how long that may have been (`promise`, in microseconds;
//! without the line there was none).
//!
//! ```text
//!   VOTE   | slot 0, 4096 B | slot 1, 4096 B |      checked text, then zeros
//! ```
//!
//! The slots are written in turns, in place and synced, so that a full disk keeps nobody from
//! voting, and a torn write leaves the slot before it. A slot that cannot be read may be torn, and
//! was promised to nobody; or it has decayed. Which of the two, only a log that is whole can tell,
//! for it holds the same.

use crate::error::Error;
use crate::fs::{self, File, PAGE, Place};
use crate::types::{HardState, NodeId, Term};

/// Another format of this file comes with another one of the directory, in IDENTITY. The line of
/// promises is no other format as long as none was given; a version that knows no promises takes a
/// file with one for damaged.
const FIRST_LINE: &str = "raftkv vote, format 1";

/// The promise of a server that cannot know any more what it has promised.
pub(crate) const UNKNOWN_PROMISE: u64 = u64::MAX;

/// One state of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Slot {
    /// Counts the writes. Its last bit says which slot it is.
    sequence: u64,
    hard_state: HardState,
    is_recovering: bool,
    /// The longest promise that was ever given, in microseconds.
    promise_us: u64,
}

impl Slot {
    /// Returns the text. There is one for each state, so reading compares with it.
    fn to_text(self) -> String {
        let HardState { term, vote } = self.hard_state;
        let vote = vote.map_or("-".into(), |vote| vote.to_string());
        let log = if self.is_recovering { "recovering" } else { "whole" };
        let sequence = self.sequence;
        let mut text =
            format!("{FIRST_LINE}\nwrite {sequence}\nterm {term}\nvote {vote}\nlog {log}\n");
        if self.promise_us > 0 {
            text += &format!("promise {}\n", self.promise_us);
        }
        let crc = crc32fast::hash(text.as_bytes());
        format!("{text}crc32 {crc:08x}\n")
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut lines = text.lines().skip(1);
        let sequence = lines.next()?.strip_prefix("write ")?.parse().ok()?;
        let term: Term = lines.next()?.strip_prefix("term ")?.parse().ok()?;
        let vote: Option<NodeId> = match lines.next()?.strip_prefix("vote ")? {
            "-" => None,
            name => Some(name.parse().ok()?),
        };
        let is_recovering = lines.next()? == "log recovering";
        let promise = lines.next()?.strip_prefix("promise ");
        let promise_us = promise.map_or(Some(0), |us| us.parse().ok())?;
        let hard_state = HardState { term, vote };
        let slot = Self { sequence, hard_state, is_recovering, promise_us };
        (slot.to_text() == text).then_some(slot)
    }

    fn offset(self) -> usize {
        usize::from(self.sequence % 2 == 1) * PAGE
    }

    /// Reads the slot at an offset; `None` when it is not what was written there.
    fn load(file: &dyn File, place: &Place, offset: usize) -> Result<Option<Self>, Error> {
        let mut page = [0; PAGE];
        let mut length = 0;
        while length < PAGE {
            match file.read_at(&mut page[length..], (offset + length) as u64) {
                Ok(0) => break,
                Ok(count) => length += count,
                Err(error) => {
                    let error = Error::io("read", place)(error);
                    return if error.is_damage() { Ok(None) } else { Err(error) };
                }
            }
        }
        let text = page.iter().position(|byte| *byte == 0).unwrap_or(PAGE);
        let Ok(text) = std::str::from_utf8(&page[..text]) else { return Ok(None) };
        let zeros = page[text.len()..].iter().all(|byte| *byte == 0);
        Ok(Self::from_text(text).filter(|slot| zeros && slot.offset() == offset))
    }
}

/// The file, open. Owned by the data directory.
#[derive(Debug)]
pub(crate) struct VoteFile {
    place: Place,
    file: Box<dyn File>,
    now: Slot,
    /// Where a slot is that cannot be read.
    unreadable: Option<u64>,
}

impl VoteFile {
    /// Makes the file anew.
    pub(crate) fn create(
        place: Place,
        hard_state: HardState,
        is_recovering: bool,
        promise_us: u64,
    ) -> Result<Self, Error> {
        let temporary = place.dir().join(format!("VOTE{}", fs::TEMPORARY));
        let file = temporary.create()?;
        file.allocate(2 * PAGE as u64).map_err(Error::io("allocate", &temporary))?;
        let now = Slot { sequence: 0, hard_state, is_recovering, promise_us };
        let mut new = Self { place: temporary.clone(), file, now, unreadable: None };
        new.write_both(hard_state, is_recovering)?;
        new.file.sync_all().map_err(Error::io("sync", &temporary))?;
        temporary.rename(&place)?;
        Ok(Self { place, ..new })
    }

    /// Opens the file. An error is one that leaves the vote unknown.
    pub(crate) fn open(place: Place) -> Result<Self, Error> {
        if !place.is_there()? {
            return Err(Error::missing(&place, "it is missing, and other files are there"));
        }
        let file = place.open_to_write()?;
        fs::settle(&*file, &place)?;
        let slots = [Slot::load(&*file, &place, 0)?, Slot::load(&*file, &place, PAGE)?];
        let newest = slots.iter().flatten().max_by_key(|slot| slot.sequence);
        let Some(now) = newest.copied() else {
            return Err(Error::corrupt(&place, 0, "the term and the vote cannot be read"));
        };
        // Both have been written since the file was made, one after the other.
        let other = slots[usize::from(now.offset() == 0)];
        let follows = other.is_some_and(|other| other.sequence + 1 == now.sequence);
        let unreadable = (!follows).then_some((PAGE - now.offset()) as u64);
        Ok(Self { place, file, now, unreadable })
    }

    /// Returns the last term and vote, as far as can be read.
    pub(crate) fn hard_state(&self) -> HardState {
        self.now.hard_state
    }

    /// Returns whether something was acknowledged that is not there (again) yet.
    pub(crate) fn is_recovering(&self) -> bool {
        self.now.is_recovering
    }

    /// Returns the longest promise that was ever given, in microseconds.
    pub(crate) fn promise_us(&self) -> u64 {
        self.now.promise_us
    }

    /// Makes durable that promises may be so long from now on; in both slots, whatever they hold: a
    /// crash may have come between them the last time.
    pub(crate) fn record_promise(&mut self, promise_us: u64) -> Result<(), Error> {
        let known = self.now.promise_us;
        if promise_us == 0 || promise_us < known && known != UNKNOWN_PROMISE {
            return Ok(());
        }
        self.now.promise_us = promise_us;
        self.write_both(self.now.hard_state, self.now.is_recovering)
    }

    /// Returns an error if there may have been a later state than can be read.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.unreadable.map_or(Ok(()), |offset| {
            Err(Error::corrupt(&self.place, offset, "a term and a vote cannot be read"))
        })
    }

    /// Makes this durable, if it is new.
    pub(crate) fn record(
        &mut self,
        hard_state: HardState,
        is_recovering: bool,
    ) -> Result<(), Error> {
        let known = (self.now.hard_state, self.now.is_recovering);
        if known == (hard_state, is_recovering) && self.unreadable.is_none() {
            return Ok(());
        }
        if is_recovering != self.now.is_recovering || self.unreadable.is_some() {
            // What a slot before it says must not be taken for the truth should this one decay.
            return self.write_both(hard_state, is_recovering);
        }
        self.write(hard_state, is_recovering)
    }

    fn write_both(&mut self, hard_state: HardState, is_recovering: bool) -> Result<(), Error> {
        self.write(hard_state, is_recovering)?;
        self.write(hard_state, is_recovering)?;
        self.unreadable = None;
        Ok(())
    }

    fn write(&mut self, hard_state: HardState, is_recovering: bool) -> Result<(), Error> {
        let sequence = self.now.sequence.checked_add(1);
        let sequence =
            sequence.ok_or_else(|| Error::refused(&self.place, "its writes are used up"))?;
        let slot = Slot { sequence, hard_state, is_recovering, ..self.now };
        let mut page = [0; PAGE];
        let text = slot.to_text();
        page[..text.len()].copy_from_slice(text.as_bytes());
        let place = &self.place;
        let written = self.file.write_all_at(&page, slot.offset() as u64);
        written.map_err(Error::io("write", place))?;
        self.file.sync_data().map_err(Error::io("sync", place))?;
        self.now = slot;
        Ok(())
    }
}
