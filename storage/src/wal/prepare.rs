//! Segments made ready ahead of need, by a thread that may take its time.
//!
//! It is no faster than the log needs it: three servers whose logs grow alike come to the end of
//! their segments at the same moment, and to fill three files as fast as can be was seen in the
//! answers.
//!
//! A file that is handed over is allocated, filled with zeros and synced, and so is its name. A
//! full disk shows here, as an error, before a single byte of the log depends on it; and since
//! every attempt begins anew, the log heals when there is room again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::background::{Due, Pace};
use crate::error::Error;
use crate::fs::{self, File, Place};

/// The next segment is begun when so many bytes in a hundred of the one before are written,
const BEGIN: usize = 12;
/// and ready when so many are: one record may take the other half.
const READY: usize = 50;

/// A file full of zeros under its temporary name.
pub(super) struct Prepared {
    pub(super) file: Box<dyn File>,
    pub(super) place: Place,
    pub(super) bytes: usize,
}

/// Makes files, one at a time. Owned by the log.
pub(super) struct Preparer {
    dir: Place,
    bytes: usize,
    /// Only tells temporary names apart; the header gives a segment its sequence.
    next: u64,
    ready: VecDeque<Prepared>,
    running: Option<JoinHandle<Result<Prepared, Error>>>,
    /// How much of the file that is being made is to be done.
    due: Due,
    stop: Arc<AtomicBool>,
}

impl Preparer {
    pub(super) fn new(dir: &Place, bytes: usize) -> Self {
        Self {
            dir: dir.clone(),
            bytes,
            next: 1,
            ready: VecDeque::new(),
            running: None,
            due: Due::default(),
            stop: Arc::default(),
        }
    }

    /// Sees to it that a file is ready or being made, when the segment before it is written up to
    /// here. Never waits.
    pub(super) fn start(&mut self, position: usize, length: usize) -> Result<(), Error> {
        let begin = length / 100 * BEGIN;
        if !self.ready.is_empty() || position <= begin {
            return Ok(());
        }
        self.due.set(position - begin, length / 100 * (READY - BEGIN));
        if self.running.is_some() {
            return Ok(());
        }
        let (place, bytes, stop) = (self.next_place(), self.bytes, Arc::clone(&self.stop));
        let pace = Pace::new(self.due.clone(), bytes as u64);
        let thread = std::thread::Builder::new().name("wal-prepare".into());
        let running = thread.spawn(move || prepare(place, bytes, pace, &stop));
        self.running = Some(running.map_err(Error::io("start a thread in", &self.dir))?);
        Ok(())
    }

    /// Waits until this many files are ready. When that cannot be, nothing has changed.
    pub(super) fn ensure(&mut self, count: usize) -> Result<(), Error> {
        while self.ready.len() < count {
            self.due.set_all();
            if let Some(running) = self.running.take() {
                match join(running) {
                    Ok(prepared) => self.put(prepared),
                    // What was started long ago may have failed for want of space that is there
                    // by now.
                    Err(error) => {
                        tracing::warn!(%error, "a segment could not be prepared ahead of need");
                    }
                }
                continue;
            }
            let pace = Pace::new(self.due.clone(), self.bytes as u64);
            let prepared = prepare(self.next_place(), self.bytes, pace, &self.stop)?;
            self.put(prepared);
        }
        Ok(())
    }

    /// Hands over a file that `ensure` has promised.
    pub(super) fn take(&mut self) -> Prepared {
        self.ready.pop_front().expect("as many segments were prepared as the batch needs")
    }

    fn put(&mut self, prepared: Prepared) {
        self.ready.push_back(prepared);
        self.next += 1;
    }

    fn next_place(&self) -> Place {
        self.dir.join(format!("prepared-{}{}", self.next, fs::TEMPORARY))
    }
}

fn join(running: JoinHandle<Result<Prepared, Error>>) -> Result<Prepared, Error> {
    running.thread().unpark();
    running.join().expect("preparing a segment does not panic")
}

impl Drop for Preparer {
    /// Leaves what was made to whoever opens the directory next, who removes it little by little.
    /// Removed here, its blocks would be given back at once when the process ends, just when
    /// another node takes over and needs its disk.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(running) = self.running.take() {
            let _ = join(running);
        }
    }
}

fn prepare(
    place: Place,
    bytes: usize,
    mut pace: Pace,
    stop: &AtomicBool,
) -> Result<Prepared, Error> {
    let file = place.create()?;
    let made = fs::fill(&*file, bytes, &mut pace, stop)
        .map_err(Error::io("allocate", &place))
        .and_then(|()| file.sync_all().map_err(Error::io("sync", &place)))
        .and_then(|()| place.dir().sync_dir());
    if let Err(error) = made {
        // A part of a segment must not take the space that is missing.
        if !stop.load(Ordering::Relaxed) {
            place.discard();
        }
        return Err(error);
    }
    Ok(Prepared { file, place, bytes })
}
