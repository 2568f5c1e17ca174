//! `raftkv inspect`: what is on disk, readable, unchanged.

use std::io::{BufWriter, ErrorKind, Write};
use std::path::PathBuf;

use raftkv_storage::{Error, snapshot, wal};

/// What to look at.
#[derive(Debug, clap::Args)]
pub struct InspectArgs {
    /// The kind of file.
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// A log: its directory (DATA_DIR/wal), or one segment of it
    Wal {
        /// The directory or the segment
        path: PathBuf,
    },
    /// A snapshot file, and the digest of the keyspace in it
    Snapshot {
        /// The file
        path: PathBuf,
    },
}

/// Prints what is in the file. Fails, naming the first bad byte, if it is not whole.
pub fn run(args: &InspectArgs) -> anyhow::Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let result = match &args.what {
        What::Wal { path } => wal::inspect(path, &mut out),
        What::Snapshot { path } => inspect_snapshot(path, &mut out),
    };
    // What was printed before the bad byte is worth as much as the error.
    let flushed = out.flush();
    match result {
        // Whoever reads has seen enough (`| head`).
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(error.into()),
        Ok(()) => Ok(flushed?),
    }
}

fn inspect_snapshot(path: &std::path::Path, out: &mut impl Write) -> Result<(), Error> {
    snapshot::inspect(path, out)?;
    let keyspace = crate::persist::restore(&mut snapshot::SnapshotReader::open(path)?)
        .map_err(Error::reading(path))?;
    let view = keyspace.view();
    writeln!(out, "keys {}  digest {:032x}", view.len(), view.digest())
        .map_err(Error::io("print", path))
}
