//! Clocks that jump and disks that are slow: a small library (`shim.c`) that every node is started
//! with, and that this file tells what is wrong.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// What is wrong with each node, as its library reads it.
pub(crate) struct Shim {
    files: Vec<File>,
    variables: Vec<Vec<(String, String)>>,
}

impl Shim {
    /// Builds the library.
    ///
    /// # Errors
    ///
    /// If there is no C compiler that makes one.
    pub(crate) fn new(dir: &Path, nodes: usize) -> Result<Self, String> {
        let library = dir.join("shim.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/nemesis/shim.c");
        let compiler = std::env::var("CC").unwrap_or("cc".into());
        let mut command = Command::new(&compiler);
        command.args(["-O2", "-Wall", "-Werror", "-shared", "-fPIC", source, "-ldl", "-o"]);
        let built = command.arg(&library).output().map_err(|e| format!("{compiler}: {e}"))?;
        if !built.status.success() {
            return Err(format!("{compiler}: {}", String::from_utf8_lossy(&built.stderr)));
        }
        let mut this = Self { files: Vec::new(), variables: Vec::new() };
        for at in 0..nodes {
            let path = dir.join(format!("trouble-{at}"));
            this.files.push(File::create_new(&path).map_err(|error| error.to_string())?);
            this.tell(at, 0, 0);
            this.tell(at, 8, 0);
            let variables = [("LD_PRELOAD", &library), ("NEMESIS_TROUBLE", &path)];
            let text = |(name, path): (&str, &std::path::PathBuf)| {
                (name.to_owned(), path.to_str().unwrap().to_owned())
            };
            this.variables.push(variables.map(text).to_vec());
        }
        Ok(this)
    }

    /// Returns what the environment of each node must have.
    pub(crate) fn variables(&self) -> Vec<Vec<(String, String)>> {
        self.variables.clone()
    }

    fn tell(&self, node: usize, offset: u64, value: i64) {
        self.files[node].write_all_at(&value.to_ne_bytes(), offset).unwrap();
    }

    /// Sets a node's wall clock ahead of what it should be, or behind.
    pub(crate) fn set_clock(&self, node: usize, ahead_ms: i64) {
        self.tell(node, 0, ahead_ms);
    }

    /// Makes a node's syncs take this much longer.
    pub(crate) fn set_sync(&self, node: usize, longer: Duration) {
        self.tell(node, 8, i64::try_from(longer.as_millis()).unwrap());
    }
}
