//! How many connections the process can hold: what the system allows, shared out.
//!
//! A client must not be able to take the last file descriptor: the log needs one for its next
//! segment, and peers need theirs.

use anyhow::bail;
use raftkv_frontends::http;
use raftkv_storage::fs::REMOVED_FILES_MAX;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::accept;

/// The log, snapshots, removed files whose blocks are being given back, listeners, and the
/// connections that are made to peers.
const OWN: usize = 64 + REMOVED_FILES_MAX;
/// Descriptors that no client gets to keep: our own, the connections of peers, and those of HTTP
/// clients that are being told that they are too many.
const RESERVED: u64 = (OWN + accept::CONNECTIONS_MAX + http::REFUSALS) as u64;
/// The most connections of Redis clients and of HTTP clients, where the system allows so many.
const WANTED: Limits = Limits { resp: 10_000, http: 1_000 };

/// How many connections each frontend may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) resp: usize,
    pub(super) http: usize,
}

/// Raises the limit of open files as far as it is needed and allowed, and shares it out.
pub(super) fn limits() -> anyhow::Result<Limits> {
    let needed = RESERVED + (WANTED.resp + WANTED.http) as u64;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = maximum.map_or(needed, |maximum| maximum.min(needed));
    let files = match current {
        Some(current) if current < raised => {
            let limit = Rlimit { current: Some(raised), maximum };
            if setrlimit(Resource::Nofile, limit).is_ok() { raised } else { current }
        }
        current => current.unwrap_or(needed),
    };
    match share(files) {
        Some(limits) => Ok(limits),
        None => bail!("{files} open files are too few: allow 1024 or more (ulimit -n)"),
    }
}

/// Shares out so many files: of what is not reserved, one in eleven is for HTTP.
fn share(files: u64) -> Option<Limits> {
    let free = usize::try_from(files.checked_sub(RESERVED)?).unwrap_or(usize::MAX);
    let http = (free / 11).min(WANTED.http);
    let resp = (free - http).min(WANTED.resp);
    (http >= 16).then_some(Limits { resp, http })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reserved_is_never_shared_out() {
        assert_eq!(share(1 << 20), Some(WANTED));
        assert_eq!(share(100), None);
        for files in [RESERVED + 176, 1024, 4096, 11_000, 11_384] {
            let limits = share(files).unwrap();
            let clients = limits.resp + limits.http + http::REFUSALS;
            let most = OWN + accept::CONNECTIONS_MAX + clients;
            assert!(most as u64 <= files, "{limits:?} of {files}");
        }
    }
}
