//! The blocks of removed files, given back to the device little by little.
//!
//! A file system that is mounted with `discard` tells the device of all blocks that become free,
//! and the device may do nothing else meanwhile. For one segment of 64 MiB that was measured as 20
//! to 45 ms in which no sync came back. So whoever removes a large file removes only its name, and
//! a thread shortens what is left, step by step.
//!
//! Only a file of which nobody will ever want a byte may be shortened: one without another name (a
//! hard link is how some make their backups), and which nobody else has open, here or in another
//! process. Any other goes as it always has, when the last one closes it.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::os::no_follow;

/// How much is given back at once: a device takes less than a millisecond for it.
const STEP: u64 = 1 << 20;

/// The rest between two steps when one file waits. Of several, the rests share it: what is removed
/// faster than that is given back faster.
const REST: Duration = Duration::from_millis(20);

/// The most removed files that wait for their blocks to be given back, each of them open. What is
/// removed beyond that goes at once.
pub const REMOVED_FILES_MAX: usize = 48;

/// The files whose blocks are still to be given back.
#[derive(Debug, Default)]
pub(super) struct Reclaimer(Arc<Mutex<Queue>>);

#[derive(Debug, Default)]
struct Queue {
    files: VecDeque<File>,
    /// Whether a thread works on them. It ends with the last one.
    is_running: bool,
}

impl Reclaimer {
    /// Removes the name now, and what it stood for as the device can bear it.
    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        // Without its name it could not be opened any more.
        let file = no_follow(OpenOptions::new().write(true)).open(path);
        std::fs::remove_file(path)?;
        if let Ok(file) = file
            && is_worth_while(&file)
        {
            self.add(file);
        }
        Ok(())
    }

    fn add(&self, file: File) {
        let mut queue = lock(&self.0);
        // The thread may have one in hand, which it will put back.
        if queue.files.len() + usize::from(queue.is_running) >= REMOVED_FILES_MAX {
            return;
        }
        queue.files.push_back(file);
        if !queue.is_running {
            let shared = Arc::clone(&self.0);
            let thread = std::thread::Builder::new().name("reclaim".into());
            // Without a thread it all goes at once, as on any day without this module.
            match thread.spawn(move || give_back(&shared)) {
                Ok(_) => queue.is_running = true,
                Err(_) => queue.files.clear(),
            }
        }
    }
}

/// Returns whether this file is large, has no other name, and nobody else has it open.
fn is_worth_while(file: &File) -> bool {
    let worth = |metadata: &std::fs::Metadata| metadata.nlink() == 0 && metadata.len() > STEP;
    file.metadata().is_ok_and(|metadata| worth(&metadata)) && is_alone(file)
}

/// Asks for a lease to write, which only he gets who alone has the file open, and gives it back:
/// from now on nobody can open it, for want of a name.
#[allow(unsafe_code)]
fn is_alone(file: &File) -> bool {
    let lease = |kind: libc::c_int| {
        // SAFETY: The descriptor is open, and this command takes a number and touches no memory.
        unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind) == 0 }
    };
    lease(libc::F_WRLCK) && lease(libc::F_UNLCK)
}

/// Shortens one file after the other until none is left.
fn give_back(queue: &Mutex<Queue>) {
    loop {
        let (file, waiting) = {
            let mut queue = lock(queue);
            let Some(file) = queue.files.pop_front() else {
                queue.is_running = false;
                return;
            };
            let waiting = u32::try_from(queue.files.len()).unwrap_or(u32::MAX);
            (file, waiting)
        };
        // A file that cannot be shortened goes as it is.
        if let Ok(left) = shorten(&file)
            && left > 0
        {
            lock(queue).files.push_front(file);
        }
        // Woken early, it would only go faster.
        std::thread::park_timeout(REST / waiting.saturating_add(1));
    }
}

/// Cuts off the last step, and returns how much is left.
fn shorten(file: &File) -> io::Result<u64> {
    let left = file.metadata()?.len().saturating_sub(STEP);
    file.set_len(left)?;
    Ok(left)
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const LARGE: u64 = 3 * STEP + 1;

    fn large_file(path: &Path) -> File {
        let file = File::create_new(path).unwrap();
        file.set_len(LARGE).unwrap();
        file
    }

    #[test]
    fn a_removed_file_is_shortened_until_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("segment");
        let file = large_file(&path);
        std::fs::remove_file(&path).unwrap();
        assert!(is_worth_while(&file));
        assert_eq!(shorten(&file).unwrap(), LARGE - STEP);
        let reclaimer = Reclaimer::default();
        // The same open file, so that its length can be seen.
        reclaimer.add(file.try_clone().unwrap());
        let end = Instant::now() + Duration::from_secs(10);
        while file.metadata().unwrap().len() > 0 || lock(&reclaimer.0).is_running {
            assert!(Instant::now() < end, "it is still there");
            std::thread::yield_now();
        }
        // The thread has ended; the next file has another.
        let file = large_file(&path);
        reclaimer.add(file.try_clone().unwrap());
        while file.metadata().unwrap().len() > 0 {
            assert!(Instant::now() < end, "it is still there");
            std::thread::yield_now();
        }
    }

    #[test]
    fn only_a_large_file_that_nobody_can_want_any_more_is_shortened() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("segment");
        let unlinked = |prepare: &dyn Fn(&File) -> Option<File>| {
            let file = large_file(&path);
            let other = prepare(&file);
            std::fs::remove_file(&path).unwrap();
            let is_worth_while = is_worth_while(&file);
            drop(other);
            is_worth_while
        };
        assert!(unlinked(&|_| None));
        assert!(!unlinked(&|_| Some(File::open(&path).unwrap())), "somebody reads it");
        assert!(!unlinked(&|file| file.set_len(STEP).ok().and(None)), "it is one step");
    }

    #[test]
    fn what_others_have_of_a_removed_file_stays_whole() {
        let dir = tempfile::tempdir().unwrap();
        let (path, backup) = (dir.path().join("snapshot"), dir.path().join("backup"));
        drop(large_file(&path));
        std::fs::hard_link(&path, &backup).unwrap();
        let reclaimer = Reclaimer::default();
        reclaimer.remove(&path).unwrap();
        assert!(lock(&reclaimer.0).files.is_empty());
        assert_eq!(backup.metadata().unwrap().len(), LARGE);
        assert!(!path.exists());
    }

    #[test]
    fn no_more_files_wait_than_may_be_open() {
        let dir = tempfile::tempdir().unwrap();
        let reclaimer = Reclaimer::default();
        for number in 0..2 * REMOVED_FILES_MAX {
            let path = dir.path().join(number.to_string());
            drop(large_file(&path));
            reclaimer.remove(&path).unwrap();
            assert!(lock(&reclaimer.0).files.len() <= REMOVED_FILES_MAX);
            assert!(!path.exists());
        }
    }
}
