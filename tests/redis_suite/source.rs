//! Where the suite comes from: a directory that is given, or the source package of Debian, fetched
//! once and kept beside what cargo builds.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const VERSION: &str = "7.0.15";
/// Names a directory with the source, as `--source` does.
const VARIABLE: &str = "REDIS_SUITE_SOURCE";

/// Where Debian keeps the source: of the release, and of its security updates.
const URLS: [&str; 2] = [
    "http://deb.debian.org/debian/pool/main/r/redis/redis_7.0.15.orig.tar.gz",
    "http://deb.debian.org/debian-security/pool/updates/main/r/redis/redis_7.0.15.orig.tar.gz",
];
/// What its signed index says of it.
const SHA256: &str = "4b1dc4ee6d622a09fff9c6777191209750fb5e5a725ef78ea012d6eef4c22982";

/// A tree of the right version, and the interpreter for it.
#[derive(Debug)]
pub(crate) struct Source {
    dir: PathBuf,
}

impl Source {
    /// Finds the source, or fetches it if it may. The error says what is missing.
    pub(crate) fn find(given: Option<&Path>, may_fetch: bool) -> Result<Self, String> {
        if !is_success(Command::new("tclsh").arg("/dev/null")) {
            return Err("needs tclsh".to_owned());
        }
        let given =
            given.map(Path::to_path_buf).or_else(|| Some(std::env::var_os(VARIABLE)?.into()));
        let dir = given.unwrap_or_else(|| cache().join(format!("redis-{VERSION}")));
        if !dir.exists() && dir.starts_with(cache()) && may_fetch {
            fetch()?;
        }
        let header = dir.join("src/version.h");
        let version = std::fs::read_to_string(&header).map_err(|error| {
            format!("needs the source of Redis ({}: {error})", header.display())
        })?;
        if !version.contains(&format!("\"{VERSION}\"")) {
            return Err(format!("{} is not of Redis {VERSION}", dir.display()));
        }
        Ok(Self { dir: dir.canonicalize().unwrap() })
    }

    /// Makes a directory in which the suite can be run: it writes below `tests/tmp` of where it is,
    /// and all else there is only read.
    pub(crate) fn link_into(&self, dir: &Path) {
        let tests = dir.join("tests");
        std::fs::create_dir_all(tests.join("tmp")).unwrap();
        for entry in std::fs::read_dir(self.dir.join("tests")).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() != "tmp" {
                std::os::unix::fs::symlink(entry.path(), tests.join(entry.file_name())).unwrap();
            }
        }
    }
}

fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("redis-suite")
}

/// Fetches the source into the cache, whole or not at all.
fn fetch() -> Result<(), String> {
    std::fs::create_dir_all(cache()).unwrap();
    let dir = tempfile::tempdir_in(cache()).unwrap();
    let archive = dir.path().join("redis.tar.gz");
    let curl = ["--fail", "--silent", "--show-error", "--location", "--max-time", "300", "-o"];
    let get = |url: &&&str| is_success(Command::new("curl").args(curl).arg(&archive).arg(url));
    URLS.iter().find(get).ok_or("the source of Redis cannot be fetched")?;
    let sum = Command::new("sha256sum").arg(&archive).output().unwrap();
    if !sum.stdout.starts_with(SHA256.as_bytes()) {
        return Err("what was fetched is not the source of Redis".to_owned());
    }
    let mut tar = Command::new("tar");
    if !is_success(tar.arg("--extract").arg("--file").arg(&archive).arg("-C").arg(dir.path())) {
        return Err("the source of Redis cannot be unpacked".to_owned());
    }
    let tree = format!("redis-{VERSION}");
    // Somebody else may have been faster.
    let _ = std::fs::rename(dir.path().join(&tree), cache().join(&tree));
    Ok(())
}

fn is_success(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).status().is_ok_and(|status| status.success())
}
