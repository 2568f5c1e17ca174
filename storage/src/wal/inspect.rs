//! What is on disk, for people: every record in the notation of the scenarios, and the first bad
//! byte if there is one.
//!
//! Nothing is changed, and no lock is taken: of a running node the end may be seen while it is
//! written, and then reads as torn.

use std::io;
use std::path::Path;

use super::header::{self, SegmentName};
use super::record::Decoded;
use super::recovery::{self, Replay, Seen};
use crate::error::Error;
use crate::fs::{Kind, Place};
use crate::types::{HardState, Payload};

/// Writes what a log's directory, or one of its segments, holds. Damage is written where it is met,
/// and returned.
pub fn inspect(path: impl Into<Place>, out: &mut impl io::Write) -> Result<(), Error> {
    let path = path.into();
    let kind = path.kind()?;
    if kind == Kind::Absent {
        return Err(Error::io("open", &path)(io::ErrorKind::NotFound.into()));
    }
    let is_dir = kind == Kind::Directory;
    let dir = if is_dir { path.clone() } else { path.dir() };
    // Of a single segment, its neighbours tell whether it is the last, which alone may end in the
    // middle of a batch.
    let all = recovery::segments(&dir);
    let last = all.as_ref().ok().and_then(|all| all.last()).map(|(name, _)| name.sequence);
    let shown = if is_dir { all? } else { vec![(name_of(&path)?, path.clone())] };
    if shown.is_empty() {
        return Err(Error::refused(&path, "there is no segment of a log here; is it DIR/wal?"));
    }
    let result = write_segments(&shown, last, out);
    if let Err(error) = &result {
        writeln!(out, "BAD {error}").map_err(Error::io("write", Path::new("output")))?;
    }
    result
}

fn name_of(path: &Path) -> Result<SegmentName, Error> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    match header::parse_name(name) {
        Some(Ok(name)) => Ok(name),
        _ => Err(Error::refused(path, "the name is not one that the log gives to a segment")),
    }
}

fn write_segments(
    segments: &[(SegmentName, Place)],
    last: Option<u64>,
    out: &mut impl io::Write,
) -> Result<(), Error> {
    let mut replay = Replay::new(None);
    let mut buffer = Vec::new();
    for (name, path) in segments {
        recovery::read(path, *name, &mut buffer)?;
        let is_last = last.is_none_or(|last| name.sequence >= last);
        replay.segment(path, &buffer, is_last, &mut |seen| {
            write_seen(path, &seen, out).map_err(Error::io("write", Path::new("output")))
        })?;
        // Only what is shown is of interest here, and a log may be larger than the memory of
        // whoever looks.
        replay.entries.clear();
    }
    Ok(())
}

fn write_seen(path: &Path, seen: &Seen<'_>, out: &mut impl io::Write) -> io::Result<()> {
    match seen {
        Seen::Header(header) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            write!(out, "segment {name} node={} cluster=", header.node)?;
            match header.cluster {
                Some(cluster) => write!(out, "{cluster}")?,
                None => write!(out, "-")?,
            }
            write!(out, " base={} first-batch={} ", header.base, header.first_batch)?;
            write_hard_state(header.hard_state, out)
        }
        Seen::Batch { offset, sequence, bytes } => {
            writeln!(out, "  {offset:>8}  batch {sequence}, {bytes} bytes")
        }
        Seen::Record(record) => {
            write!(out, "            ")?;
            write_record(record, out)
        }
        Seen::Torn { offset, reason } => {
            writeln!(
                out,
                "  {offset:>8}  torn: its sync never returned, or it was damaged since: {reason}"
            )
        }
        Seen::End { offset } => writeln!(out, "  {offset:>8}  end"),
    }
}

fn write_record(record: &Decoded, out: &mut impl io::Write) -> io::Result<()> {
    match record {
        Decoded::HardState(hard_state) => write_hard_state(*hard_state, out),
        Decoded::Entry(entry) => match &entry.payload {
            Payload::Noop => writeln!(out, "{} no-op", entry.id),
            Payload::Command(bytes) => writeln!(out, "{} command, {} bytes", entry.id, bytes.len()),
            Payload::Configuration(configuration) => {
                writeln!(out, "{} {configuration:?}", entry.id)
            }
        },
        Decoded::Reset(id) => writeln!(out, "reset to {id}: a snapshot was installed"),
        Decoded::Cut(id) => writeln!(out, "cut after {id}"),
        Decoded::Padding(length) => writeln!(out, "padding, {length} bytes"),
    }
}

fn write_hard_state(hard_state: HardState, out: &mut impl io::Write) -> io::Result<()> {
    match hard_state.vote {
        Some(vote) => writeln!(out, "term={} vote={vote}", hard_state.term),
        None => writeln!(out, "term={} vote=-", hard_state.term),
    }
}
