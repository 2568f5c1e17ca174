//! A file: what the cache holds of it, and what the disk has.
//!
//! The bytes are kept once. Of a sector that the cache has changed, the old content is kept beside
//! them until a sync covers it; a sync then only forgets.

use std::collections::BTreeMap;
use std::ops::Range;

use super::Survival;
use super::random::Random;

/// What the disk writes whole or not at all.
pub(crate) const SECTOR: usize = 512;

/// What is written back together.
const PAGE: usize = 4096;

/// What the disk has of a sector that is newer in the cache; `None` when it never got any of it.
type Old = Option<Box<[u8; SECTOR]>>;

/// How bytes decay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rot {
    FlipBit,
    Zero,
    Garbage,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    /// What a read sees.
    bytes: Vec<u8>,
    /// How long the file is on the disk. Never longer than it is in the cache: nothing cuts files.
    durable_length: usize,
    /// Sectors that the next sync writes.
    dirty: BTreeMap<usize, Old>,
    /// Sectors whose sync has failed: the cache calls them clean, and the disk does not have them.
    lost: BTreeMap<usize, Old>,
}

/// Returns the sectors of the pages that these bytes touch.
pub(super) fn pages(offset: usize, length: usize) -> Range<usize> {
    let first = offset / PAGE * PAGE;
    let end = (offset + length).next_multiple_of(PAGE);
    first / SECTOR..end / SECTOR
}

/// All sectors of any file.
pub(super) const WHOLE: Range<usize> = 0..usize::MAX;

impl Inode {
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn durable_len(&self) -> usize {
        self.durable_length
    }

    pub(super) fn is_clean(&self) -> bool {
        self.dirty.is_empty() && self.lost.is_empty() && self.durable_length == self.bytes.len()
    }

    pub(super) fn read(&self, bytes: &mut [u8], offset: usize) -> usize {
        let rest = self.bytes.get(offset..).unwrap_or_default();
        let length = rest.len().min(bytes.len());
        bytes[..length].copy_from_slice(&rest[..length]);
        length
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len();
        self.extend(end);
        for sector in offset / SECTOR..end.div_ceil(SECTOR) {
            self.touch(sector);
        }
        self.bytes[offset..end].copy_from_slice(bytes);
    }

    /// Makes the file at least so long.
    pub(super) fn extend(&mut self, length: usize) {
        if length > self.bytes.len() {
            self.bytes.resize(length, 0);
        }
    }

    /// Remembers what the disk has of a sector that is about to change.
    fn touch(&mut self, sector: usize) {
        if self.dirty.contains_key(&sector) {
            return;
        }
        let old = self.lost.remove(&sector).unwrap_or_else(|| {
            let start = sector * SECTOR;
            (start < self.durable_length).then(|| {
                let mut old = Box::new([0; SECTOR]);
                let end = self.bytes.len().min(start + SECTOR);
                old[..end - start].copy_from_slice(&self.bytes[start..end]);
                old
            })
        });
        self.dirty.insert(sector, old);
    }

    /// Makes these sectors durable, and the length.
    pub(super) fn sync(&mut self, sectors: &Range<usize>) {
        self.durable_length = self.bytes.len();
        if *sectors == WHOLE {
            self.dirty.clear();
        } else {
            for sector in self.dirty_in(sectors) {
                self.dirty.remove(&sector);
            }
        }
    }

    /// Begins a sync that does not end: any of the sectors get there. The others stay dirty; or,
    /// when it is the disk that fails and not the machine, they are called clean from now on.
    pub(super) fn sync_partly(
        &mut self,
        sectors: &Range<usize>,
        random: &mut Random,
        forget: bool,
    ) {
        if random.coin() {
            self.durable_length = self.bytes.len();
        }
        for sector in self.dirty_in(sectors) {
            if random.coin() {
                self.dirty.remove(&sector);
            } else if forget && let Some(old) = self.dirty.remove(&sector) {
                self.lost.insert(sector, old);
            }
        }
    }

    /// Writes one dirty sector back, as a kernel does when it likes.
    pub(super) fn write_back(&mut self, random: &mut Random) {
        if self.dirty.is_empty() {
            return;
        }
        let at = random.below(self.dirty.len());
        if let Some(sector) = self.dirty.keys().nth(at).copied() {
            self.dirty.remove(&sector);
        }
    }

    /// Forgets what is clean: the next read asks the disk.
    pub(super) fn drop_cache(&mut self) {
        for (sector, old) in std::mem::take(&mut self.lost) {
            self.put_back(sector, old.as_deref().unwrap_or(&[0; SECTOR]));
        }
    }

    pub(super) fn crash(&mut self, survival: Survival, random: &mut Random) {
        let survives = match survival {
            // The cache outlives the process, with all that is dirty in it.
            Survival::KeepAll => return,
            Survival::LoseAll => false,
            Survival::Random => true,
        };
        self.drop_cache();
        for (sector, old) in std::mem::take(&mut self.dirty) {
            if survives && random.coin() {
                continue;
            }
            match old {
                Some(old) => self.put_back(sector, &old),
                // What blocks hold that were never written is anybody's guess.
                None if survives && random.below(8) == 0 => {
                    let noise = garbage(random);
                    self.put_back(sector, &noise);
                }
                None => self.put_back(sector, &[0; SECTOR]),
            }
        }
        let more = self.bytes.len() - self.durable_length;
        if survives && more > 0 {
            self.durable_length += match random.below(3) {
                0 => 0,
                1 => more,
                _ => random.below(more),
            };
        }
        self.bytes.truncate(self.durable_length);
    }

    /// Lets a sector decay on the disk; returns whether that changed anything.
    pub(super) fn rot(&mut self, sector: usize, rot: Rot, random: &mut Random) -> bool {
        let start = sector * SECTOR;
        if start >= self.durable_length {
            return false;
        }
        let end = self.durable_length.min(start + SECTOR);
        let newer = self.dirty.get_mut(&sector).or_else(|| self.lost.get_mut(&sector));
        let bytes = match newer {
            Some(old) => &mut old.get_or_insert_with(|| Box::new([0; SECTOR]))[..end - start],
            None => &mut self.bytes[start..end],
        };
        let before = bytes.to_vec();
        match rot {
            Rot::FlipBit => bytes[random.below(before.len())] ^= 1 << random.below(8),
            Rot::Zero => bytes.fill(0),
            Rot::Garbage => bytes.copy_from_slice(&garbage(random)[..before.len()]),
        }
        bytes != before
    }

    fn put_back(&mut self, sector: usize, content: &[u8; SECTOR]) {
        let start = sector * SECTOR;
        let end = self.bytes.len().min(start + SECTOR);
        self.bytes[start..end].copy_from_slice(&content[..end - start]);
    }

    fn dirty_in(&self, sectors: &Range<usize>) -> Vec<usize> {
        self.dirty.range(sectors.clone()).map(|(sector, _)| *sector).collect()
    }
}

fn garbage(random: &mut Random) -> [u8; SECTOR] {
    let mut noise = [0; SECTOR];
    for bytes in noise.chunks_exact_mut(8) {
        bytes.copy_from_slice(&random.next().to_le_bytes());
    }
    noise
}
