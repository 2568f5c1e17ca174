//! What was measured on: without it no figure means anything.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value as Json, json};

use crate::Fallible;
use crate::peers::System;

/// The machine, the peers, the state of the sources, and the day.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    cpu: String,
    cores: usize,
    kernel: String,
    memory_mib: u64,
    file_system: String,
    versions: Vec<(&'static str, String)>,
    commit: String,
    date: String,
}

impl Machine {
    /// Asks the system.
    pub(crate) fn this() -> Fallible<Self> {
        let mut versions = Vec::new();
        for system in [System::Raftkv, System::RedisAlways, System::Etcd] {
            let version = system.version()?.unwrap_or_else(|| "not installed".to_owned());
            let name = system.name().split(',').next().unwrap_or_default();
            versions.push((name, version));
        }
        Ok(Self {
            cpu: field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned()),
            cores: std::thread::available_parallelism()?.get(),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            memory_mib: memory_mib("MemTotal")?,
            file_system: file_system_of(&std::env::temp_dir())?,
            versions,
            commit: commit(),
            date: said_by("date", &["-u", "+%F"]),
        })
    }

    /// Returns one sentence that names it.
    pub(crate) fn sentence(&self) -> String {
        let versions: Vec<String> =
            self.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
        format!(
            "{} of {}, {} GiB, Linux {}, {}; {}; commit {}, {}",
            match self.cores {
                1 => "one core".to_owned(),
                cores => format!("{cores} cores"),
            },
            self.cpu,
            (self.memory_mib + 512) / 1024,
            self.kernel,
            self.file_system,
            versions.join(", "),
            self.commit,
            self.date,
        )
    }

    pub(crate) fn json(&self) -> Json {
        let versions = self.versions.iter();
        json!({
            "cpu": self.cpu,
            "cores": self.cores,
            "kernel": self.kernel,
            "memory_mib": self.memory_mib,
            "file_system": self.file_system,
            "versions": versions
                .map(|(name, version)| ((*name).to_owned(), json!(version)))
                .collect::<serde_json::Map<_, _>>(),
            "commit": self.commit,
            "date": self.date,
        })
    }
}

/// Returns what `/proc/meminfo` says, in MiB.
pub(crate) fn memory_mib(name: &str) -> Fallible<u64> {
    let value = field("/proc/meminfo", name).ok_or_else(|| format!("no {name} in meminfo"))?;
    let kib: u64 = value.trim_end_matches(" kB").parse()?;
    Ok(kib / 1024)
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Returns the type of the file system that holds a directory.
fn file_system_of(dir: &Path) -> Fallible<String> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        let (_, at, kind) = (fields.next()?, fields.next()?, fields.next()?);
        dir.starts_with(at).then(|| (at.len(), kind.to_owned()))
    });
    // The last of those that lie deepest hides the others.
    let mount = mounts.max_by_key(|(depth, _)| *depth);
    Ok(mount.ok_or("the directory for temporary files is on no file system")?.1)
}

/// Returns the commit, and whether the sources have changed since. What is recorded beside them
/// does not count.
fn commit() -> String {
    let commit = said_by("git", &["rev-parse", "--short", "HEAD"]);
    let changes = ["status", "--porcelain", "--", ".", ":!benches/results", ":!README.md"];
    match said_by("git", &changes).as_str() {
        "unknown" => commit,
        _ => format!("{commit} and changes"),
    }
}

/// Returns what a program has said, or `unknown` if that is nothing.
fn said_by(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.ok().filter(|text| !text.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}
