//! The power fails: a file system that stops at once.
//!
//! `EXT4_IOC_SHUTDOWN` is what file system developers test power failures with. After it nothing
//! reaches the disk any more, and every call that would write fails with EIO.

use std::fs::File;

use rustix::ioctl::{Setter, ioctl, opcode};

/// `_IOR('X', 125, __u32)`, from the kernel's `fs/ext4/ext4.h`.
const EXT4_IOC_SHUTDOWN: rustix::ioctl::Opcode = opcode::read::<u32>(b'X', 125);
/// The journal is written out first: the metadata, and the data that was synced, is all there.
const LOG_FLUSH: u32 = 1;
/// Not even that: what the journal holds in memory is gone.
const NO_LOG_FLUSH: u32 = 2;

/// Stops the file system that this directory is on, at once and for good.
#[allow(unsafe_code)]
pub(crate) fn shut_down(dir: &File, flush_log: bool) {
    let flag = if flush_log { LOG_FLUSH } else { NO_LOG_FLUSH };
    // SAFETY: The request takes a pointer to a `u32`, which it only reads, whatever its number
    // says about the direction. Another file system than ext4 refuses a request it does not know.
    let done = unsafe { ioctl(dir, Setter::<EXT4_IOC_SHUTDOWN, u32>::new(flag)) };
    done.expect("ext4 can be shut down");
}
