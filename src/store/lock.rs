//! A file that one process holds at a time.

use std::{fs::File, io, ops::Deref};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

/// Holds its file (flock) until it is dropped.
#[derive(Debug)]
pub struct FileLock(File);

impl FileLock {
    /// `Err` with the file: somebody else holds it.
    pub fn take(file: File) -> io::Result<Result<FileLock, File>> {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Ok(FileLock(file))),
            Err(Errno::WOULDBLOCK) => Ok(Err(file)),
            Err(error) => Err(error.into()),
        }
    }
}

impl Deref for FileLock {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl Drop for FileLock {
    /// Closing alone would not do: a process that was forked a moment ago, to become another program, still has the file
    /// open, and with it the lock.
    fn drop(&mut self) {
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_the_descriptor_does_not_keep_the_lock() {
        let dir = tempfile::tempdir().expect("a directory");
        let open = || File::create(dir.path().join("LOCK")).expect("a file");
        let held = FileLock::take(open()).expect("a lock").expect("nobody has it");
        assert!(FileLock::take(open()).expect("an answer").is_err());
        let copy = held.try_clone().expect("a copy, as a forked process has");
        drop(held);
        assert!(FileLock::take(open()).expect("an answer").is_ok());
        drop(copy);
    }
}
