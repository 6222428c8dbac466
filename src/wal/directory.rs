//! The real disk: a directory with one file per slot.
//!
//! ```text
//!   wal/00.seg  wal/01.seg  ...     segments, always of their full size
//!   wal/02.new                      one that is being made; removed if found
//! ```
//!
//! Nobody but the owner reads them: values may be secrets. A file gets its name only when its zeros are on the disk, so that `.seg` files are complete and a short one is damage.

use std::{
    collections::btree_map::{BTreeMap, Entry},
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::{Advice, fadvise};

use super::disk::{Disk, Slot};
use crate::system::owner_only;

/// Zeros are written in pieces of this size.
const ZEROS_BYTES: usize = 64 << 10;

/// See the module.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    writable: bool,
    files: BTreeMap<Slot, File>,
}

impl Directory {
    /// For the one who owns the log. The directory is made if it is not there.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Directory> {
        let path = path.into();
        if !path.is_dir() {
            DirBuilder::new().mode(0o700).create(&path)?;
            sync_directory(
                path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new(".")),
            )?;
        }
        owner_only(&path);
        Ok(Directory { path, writable: true, files: BTreeMap::new() })
    }

    /// For reading beside the owner.
    pub fn open_read_only(path: impl Into<PathBuf>) -> io::Result<Directory> {
        let path = path.into();
        fs::read_dir(&path)?;
        Ok(Directory { path, writable: false, files: BTreeMap::new() })
    }

    /// The file of a slot.
    pub fn path(&self, slot: Slot) -> PathBuf {
        path_in(&self.path, slot)
    }

    fn open_file(&mut self, slot: Slot) -> io::Result<&File> {
        Ok(match self.files.entry(slot) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(closed) => {
                let path = path_in(&self.path, slot);
                closed.insert(OpenOptions::new().read(true).write(self.writable).open(path)?)
            }
        })
    }

    fn fill(&self, new: &Path, bytes: u64) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(new)?;
        let zeros = [0; ZEROS_BYTES];
        let mut left = bytes;
        while left > 0 {
            let piece = left.min(ZEROS_BYTES as u64);
            file.write_all(&zeros[..piece as usize])?;
            left -= piece;
        }
        file.sync_all()
    }

    /// The slot that a file name stands for.
    fn slot_of(name: &Path) -> Option<Slot> {
        let stem = name.file_name()?.to_str()?.strip_suffix(".seg")?;
        let slot = Slot(stem.parse().ok()?);
        (slot.to_string() == stem).then_some(slot)
    }
}

fn path_in(directory: &Path, slot: Slot) -> PathBuf {
    directory.join(format!("{slot}.seg"))
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

impl Disk for Directory {
    fn list(&mut self) -> io::Result<Vec<(Slot, u64)>> {
        if !self.writable {
            // The owner may have removed a file and made another of the same name.
            self.files.clear();
        }
        let mut slots = Vec::new();
        for file in fs::read_dir(&self.path)? {
            let file = file?;
            let path = file.path();
            if let Some(slot) = Directory::slot_of(&path) {
                if self.writable {
                    owner_only(&path);
                }
                slots.push((slot, file.metadata()?.len()));
            } else if self.writable && path.extension().is_some_and(|extension| extension == "new") {
                fs::remove_file(&path)?;
            }
        }
        slots.sort_unstable();
        Ok(slots)
    }

    fn allocate(&mut self, slot: Slot, bytes: u64) -> io::Result<()> {
        let new = self.path.join(format!("{slot}.new"));
        if let Err(error) = self.fill(&new, bytes).and_then(|()| fs::rename(&new, self.path(slot))) {
            // Space that is needed must not be held by what has no name. If this fails, too, `list` will try again.
            let _ = fs::remove_file(&new);
            return Err(error);
        }
        sync_directory(&self.path)
    }

    fn read(&mut self, slot: Slot, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.open_file(slot)?.read_exact_at(buffer, offset)
    }

    fn write(&mut self, slot: Slot, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.open_file(slot)?.write_all_at(bytes, offset)
    }

    fn sync(&mut self, slot: Slot) -> io::Result<()> {
        // Nothing but data ever changes: the file has its size and its blocks since it was made.
        self.open_file(slot)?.sync_data()
    }

    fn settle(&mut self, slot: Slot) -> io::Result<()> {
        let file = self.open_file(slot)?;
        file.sync_data()?;
        Ok(fadvise(file, 0, None, Advice::DontNeed)?)
    }

    fn remove(&mut self, slot: Slot) -> io::Result<()> {
        self.files.remove(&slot);
        fs::remove_file(self.path(slot))?;
        sync_directory(&self.path)
    }

    fn file(&self, slot: Slot) -> String {
        self.path(slot).display().to_string()
    }

    fn directory(&self) -> String {
        self.path.display().to_string()
    }
}
