//! A store into a mapping that cannot be done ends the process, with a line that says so.
//!
//! The kernel sends SIGBUS when the disk does not give back the page that a store is to go to, or
//! the file was cut short behind our back. There is nothing to go on with: the log could not be
//! written, and nobody knows what of it was. The others serve.

use std::io;

const MESSAGE: &[u8] = b"raftkv: the disk failed under a mapped segment of the log (SIGBUS), or \
the file was cut short; the node stops\n";

/// Sees to it that SIGBUS is explained before it ends the process.
///
/// # Errors
///
/// If the signal cannot be handled.
#[allow(unsafe_code)]
pub fn explain_sigbus() -> io::Result<()> {
    // SAFETY: What runs in the handler is `write` and `_exit`, which may be called there, on bytes
    // that live for ever. It does not return, so the store that failed is not tried again.
    unsafe {
        signal_hook_registry::register(libc::SIGBUS, || {
            libc::write(libc::STDERR_FILENO, MESSAGE.as_ptr().cast(), MESSAGE.len());
            libc::_exit(1);
        })?;
    }
    Ok(())
}
