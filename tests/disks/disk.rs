//! A disk: an ext4 file system in a file, on a loop device, that can be made to fail.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::lab::{finish, must};

/// The size of a block of the file system.
const BLOCK: u64 = 4096;
/// A file system is never frozen for longer, whatever becomes of the test.
const FROZEN_SECONDS_MAX: u32 = 60;

/// A mounted file system and the file that it is in. Unmounted when it is dropped.
pub(crate) struct Disk {
    image: PathBuf,
    mount_point: PathBuf,
    /// The place from which on it is broken, and what stood there.
    broken: Option<(u64, Vec<u8>)>,
    /// Thaws a frozen file system if nobody else does.
    thaw: Option<Child>,
}

impl Disk {
    /// Makes a file system of this size in a directory, and mounts it there.
    pub(crate) fn create(dir: &Path, name: &str, bytes: u64) -> Self {
        Self::try_create(dir, name, bytes).unwrap()
    }

    /// The same, where it may be that this cannot be done.
    pub(crate) fn try_create(dir: &Path, name: &str, bytes: u64) -> Result<Self, String> {
        let (image, mount_point) = (dir.join(name).with_extension("ext4"), dir.join(name));
        let file = File::create_new(&image).map_err(|error| error.to_string())?;
        file.set_len(bytes).map_err(|error| error.to_string())?;
        std::fs::create_dir(&mount_point).map_err(|error| error.to_string())?;
        // No reserve for root: these nodes are root, and would be given it. What is not data comes
        // first: where a disk is broken at a file, nothing else is.
        let block = BLOCK.to_string();
        let options = ["-q", "-F", "-m", "0", "-b", &block, "-E", "packed_meta_blocks=1"];
        finish(Command::new("mkfs.ext4").args(options).arg(&image))?;
        let disk = Self { image, mount_point, broken: None, thaw: None };
        finish(&mut disk.mount_command())?;
        Ok(disk)
    }

    fn mount_command(&self) -> Command {
        let mut command = Command::new("mount");
        command.args(["-o", "loop"]).arg(&self.image).arg(&self.mount_point);
        command
    }

    /// Returns where a node has its data.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.mount_point.join("data")
    }

    /// Returns the segments of the log, oldest first.
    pub(crate) fn segments(&self) -> Vec<PathBuf> {
        files(&self.data_dir().join("wal"), ".wal")
    }

    /// Returns the snapshots, oldest first.
    pub(crate) fn snapshots(&self) -> Vec<PathBuf> {
        let mut files = files(&self.data_dir().join("snapshots"), "");
        files.retain(|file| file.extension().is_none());
        files
    }

    /// Mounts it again.
    pub(crate) fn mount(&self) {
        finish(&mut self.mount_command()).unwrap();
    }

    /// Unmounts it. Nobody may use it.
    pub(crate) fn unmount(&self) {
        must("umount", &[self.mount_point.to_str().unwrap()]);
    }

    /// Opens what [`crate::shutdown::shut_down`] takes.
    pub(crate) fn open(&self) -> File {
        File::open(&self.mount_point).unwrap()
    }

    /// Fills it with a file until there is no room.
    pub(crate) fn fill(&self) {
        let zeros = vec![0; 1 << 20];
        let mut file = File::options().create(true).append(true).open(self.filler()).unwrap();
        let mut bytes = zeros.len();
        while bytes > 0 {
            match file.write(&zeros[..bytes]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => bytes /= 2,
                Err(error) => panic!("filling the disk: {error}"),
            }
        }
        file.sync_all().unwrap();
    }

    /// Makes room again.
    pub(crate) fn empty(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.mount_point.join("filler")
    }

    /// Has everything from the first block of this file on fail, to read and to write, as a disk
    /// does that has lost its sectors there.
    pub(crate) fn break_from(&mut self, file: &Path) {
        // What is written past the end of the image before the device knows of it would make it
        // longer again.
        self.freeze();
        let image = File::options().read(true).write(true).open(&self.image).unwrap();
        let offset = first_block(file) * BLOCK;
        let mut tail = vec![0; usize::try_from(image.metadata().unwrap().len() - offset).unwrap()];
        image.read_exact_at(&mut tail, offset).unwrap();
        image.set_len(offset).unwrap();
        self.broken = Some((offset, tail));
        self.set_capacity();
        self.thaw();
    }

    /// Repairs what is broken: all bytes are there that had reached it before.
    pub(crate) fn mend(&mut self) {
        let (offset, tail) = self.broken.take().expect("it is broken");
        let image = File::options().write(true).open(&self.image).unwrap();
        image.write_all_at(&tail, offset).unwrap();
        self.set_capacity();
    }

    /// Tells the loop device that its file has another length.
    fn set_capacity(&self) {
        let loops = must("losetup", &["--associated", self.image.to_str().unwrap()]);
        let device = loops.split(':').next().unwrap();
        must("losetup", &["--set-capacity", device]);
    }

    /// Has everybody wait who writes to it.
    pub(crate) fn freeze(&mut self) {
        let mount_point = self.mount_point.to_str().unwrap();
        // Not a child that ends with the test: the kernel cannot end a process that waits for this.
        let thaw = format!("sleep {FROZEN_SECONDS_MAX}; exec fsfreeze --unfreeze \"$0\"");
        let mut command = Command::new("sh");
        command.args(["-c", &thaw, mount_point]).current_dir("/").stdin(Stdio::null());
        self.thaw = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        must("fsfreeze", &["--freeze", mount_point]);
    }

    /// Lets them go on.
    pub(crate) fn thaw(&mut self) {
        let Some(mut thaw) = self.thaw.take() else { return };
        let thawed = finish(Command::new("fsfreeze").arg("--unfreeze").arg(&self.mount_point));
        let _ = thaw.kill();
        let _ = thaw.wait();
        thawed.unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.thaw();
        let _ = finish(Command::new("umount").arg("--lazy").arg(&self.mount_point));
    }
}

/// Returns the files of a directory that may not be there whose names end so, by name.
fn files(dir: &Path, end: &str) -> Vec<PathBuf> {
    let files = std::fs::read_dir(dir).into_iter().flatten().map(|file| file.unwrap().path());
    let mut files: Vec<_> = files.filter(|file| file.to_str().unwrap().ends_with(end)).collect();
    files.sort();
    files
}

/// Returns the first block of the file system that belongs to a file.
fn first_block(file: &Path) -> u64 {
    let extents = must("filefrag", &["-v", "-b4096", file.to_str().unwrap()]);
    // ext: logical_offset: physical_offset: length: …, where an offset is "first.. last".
    let first = |extent: &str| {
        let physical = extent.split(':').nth(2)?;
        physical.split("..").next()?.trim().parse::<u64>().ok()
    };
    extents.lines().filter_map(first).min().expect("the file has blocks")
}
