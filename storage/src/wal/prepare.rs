//! Segments made ready ahead of need, by a thread that may take its time.
//!
//! A file that is handed over is allocated, filled with zeros and synced, and so is its name. A
//! full disk shows here, as an error, before a single byte of the log depends on it; and since
//! every attempt begins anew, the log heals when there is room again.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::error::Error;
use crate::fs;

/// A file full of zeros under its temporary name.
pub(super) struct Prepared {
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub(super) bytes: usize,
}

/// Makes files, one at a time. Owned by the log.
pub(super) struct Preparer {
    dir: PathBuf,
    bytes: usize,
    /// Only tells temporary names apart; the header gives a segment its sequence.
    next: u64,
    ready: VecDeque<Prepared>,
    running: Option<JoinHandle<Result<Prepared, Error>>>,
    stop: Arc<AtomicBool>,
}

impl Preparer {
    pub(super) fn new(dir: &Path, bytes: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        Self { dir: dir.into(), bytes, next: 1, ready: VecDeque::new(), running: None, stop }
    }

    /// Sees to it that a file is ready or being made. Never waits.
    pub(super) fn start(&mut self) -> Result<(), Error> {
        if !self.ready.is_empty() || self.running.is_some() {
            return Ok(());
        }
        self.spawn()
    }

    /// Waits until this many files are ready. When that cannot be, nothing has changed.
    pub(super) fn ensure(&mut self, count: usize) -> Result<(), Error> {
        while self.ready.len() < count {
            // What was started long ago may have failed for want of space that is there by now.
            if let Some(started) = self.running.take()
                && let Err(error) = self.join(started)
            {
                tracing::warn!(%error, "a segment could not be prepared ahead of need");
            }
            if self.ready.len() < count {
                self.spawn()?;
                if let Some(started) = self.running.take() {
                    self.join(started)?;
                }
            }
        }
        Ok(())
    }

    /// Hands over a file that `ensure` has promised.
    pub(super) fn take(&mut self) -> Prepared {
        self.ready.pop_front().expect("as many segments were prepared as the batch needs")
    }

    fn spawn(&mut self) -> Result<(), Error> {
        let path = self.dir.join(format!("prepared-{}{}", self.next, fs::TEMPORARY));
        let (dir, bytes, stop) = (self.dir.clone(), self.bytes, Arc::clone(&self.stop));
        let thread = std::thread::Builder::new().name("wal-prepare".into());
        let running = thread.spawn({
            let path = path.clone();
            move || prepare(&dir, path, bytes, &stop)
        });
        self.running = Some(running.map_err(Error::io("start a thread to prepare", &path))?);
        Ok(())
    }

    fn join(&mut self, started: JoinHandle<Result<Prepared, Error>>) -> Result<(), Error> {
        let prepared = started.join().expect("preparing a segment does not panic")?;
        self.ready.push_back(prepared);
        self.next += 1;
        Ok(())
    }
}

impl Drop for Preparer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(running) = self.running.take()
            && let Ok(Ok(prepared)) = running.join()
        {
            self.ready.push_back(prepared);
        }
        for prepared in &self.ready {
            // Whoever opens the log removes what is left here.
            let _ = std::fs::remove_file(&prepared.path);
        }
    }
}

fn prepare(dir: &Path, path: PathBuf, bytes: usize, stop: &AtomicBool) -> Result<Prepared, Error> {
    let file = fs::create(&path)?;
    let made = fs::fill(&file, bytes, stop)
        .map_err(Error::io("allocate", &path))
        .and_then(|()| file.sync_all().map_err(Error::io("sync", &path)))
        .and_then(|()| fs::sync_dir(dir));
    if let Err(error) = made {
        // A part of a segment must not take the space that is missing.
        let _ = std::fs::remove_file(&path);
        return Err(error);
    }
    Ok(Prepared { file, path, bytes })
}
