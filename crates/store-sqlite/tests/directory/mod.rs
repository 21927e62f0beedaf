//! A directory of a test's own, removed at its end.

use std::{
    fs,
    path::PathBuf,
    process,
    sync::atomic::{AtomicU32, Ordering},
};

/// Counts the directories of this process.
static MADE: AtomicU32 = AtomicU32::new(0);

/// A directory with a database in it.
#[derive(Debug)]
pub(crate) struct Directory(PathBuf);

impl Directory {
    /// An empty one.
    pub(crate) fn new() -> Self {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("tidings-store-sqlite-{}-{number}", process::id());
        let path = std::env::temp_dir().join(name);
        // A process of the same number may have left one behind.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("the temporary directory can be written");
        Self(path)
    }

    /// Where the database belongs.
    pub(crate) fn database(&self) -> PathBuf {
        self.0.join("tidings.db")
    }

    /// Another directory with the database as a crash at this moment would leave it: the file and
    /// its log, whatever is still open.
    pub(crate) fn copy_of_database(&self) -> Self {
        let copy = Self::new();
        for name in ["tidings.db", "tidings.db-wal"] {
            let from = self.0.join(name);
            if from.exists() {
                fs::copy(from, copy.0.join(name)).expect("files can be copied");
            }
        }
        copy
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Left to the system's own tidying where it does not work.
        let _ = fs::remove_dir_all(&self.0);
    }
}
