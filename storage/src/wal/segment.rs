//! The segment that is written: one mapped file, and the batch that is open in it.
//!
//! `HEADER ≤ end ≤ length of the file`; all before `end` is durable. Records of the open batch
//! stand behind `end` already, but without a head in front of them they are nothing.

use super::batch::{self, Checksum};
use super::header::{HEADER, Header};
use super::prepare::Prepared;
use super::record::Encoded;
use crate::error::Error;
use crate::fs::{Map, Place};
use crate::types::Index;

/// The active segment. Owned by the log.
pub(super) struct Segment {
    pub(super) header: Header,
    pub(super) place: Place,
    /// The highest index that stands in it or before it, replaced or not.
    pub(super) highest: Index,
    map: Box<dyn Map>,
    length: usize,
    end: usize,
    batch: Option<OpenBatch>,
}

struct OpenBatch {
    sequence: u64,
    checksum: Checksum,
    end: usize,
}

impl Segment {
    /// Turns a prepared file into a segment. It gets its name when the header is durable, so no
    /// segment is without one.
    pub(super) fn create(dir: &Place, prepared: &Prepared, header: Header) -> Result<Self, Error> {
        let place = dir.join(header.file_name());
        let length = prepared.bytes;
        let mut map = prepared.file.map(length).map_err(Error::io("map", &prepared.place))?;
        map.store(0, &header.encode());
        map.flush(0, HEADER).map_err(Error::io("sync", &prepared.place))?;
        prepared.place.rename(&place)?;
        let highest = header.base.index;
        Ok(Self { header, place, highest, map, length, end: HEADER, batch: None })
    }

    /// Goes on after the last batch that recovery has kept.
    pub(super) fn resume(
        place: Place,
        header: Header,
        end: usize,
        highest: Index,
    ) -> Result<Self, Error> {
        let file = place.open_to_write()?;
        let length = usize::try_from(header.segment_bytes)
            .map_err(|_| Error::refused(&place, "the segment is larger than the address space"))?;
        let map = file.map(length).map_err(Error::io("map", &place))?;
        Ok(Self { header, place, highest, map, length, end, batch: None })
    }

    /// Where the durable batches end.
    pub(super) fn end(&self) -> usize {
        self.end
    }

    /// Where the next record would begin, and the length of the file.
    pub(super) fn position(&self) -> (usize, usize) {
        let position = match &self.batch {
            Some(batch) => batch.end,
            None => self.end + batch::HEAD,
        };
        (position, self.length)
    }

    /// Returns whether so many bytes of records still fit.
    pub(super) fn fits(&self, bytes: usize) -> bool {
        let (position, length) = self.position();
        batch::align(position + bytes) <= length
    }

    /// Stores records into the open batch; opens one with this sequence if there is none.
    pub(super) fn put(&mut self, record: &Encoded<'_>, sequence: u64) {
        assert!(self.fits(record.len()), "whoever appends rolls first");
        let (start, header) = (self.end, &self.header);
        let batch = self.batch.get_or_insert_with(|| OpenBatch {
            sequence,
            checksum: Checksum::new(header, start, sequence),
            end: start + batch::HEAD,
        });
        for bytes in [&record.head[..], &record.body[..]] {
            batch.checksum.update(bytes);
            self.map.store(batch.end, bytes);
            batch.end += bytes.len();
        }
    }

    /// Closes the open batch and makes it durable. Returns whether there was one.
    pub(super) fn sync(&mut self) -> Result<bool, Error> {
        let Some(batch) = self.batch.take() else {
            return Ok(false);
        };
        let length = batch.end - self.end - batch::HEAD;
        self.map.store(self.end, &batch.checksum.head(length, batch.sequence));
        let end = batch::align(batch.end);
        self.map.flush(self.end, end - self.end).map_err(Error::io("sync", &self.place))?;
        self.end = end;
        Ok(true)
    }
}
