//! A directory of a test's own.

use std::{
    env, fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use user_management::infra::embedded_postgres::fresh_directory;

/// How long a PostgreSQL whose process was killed may go on writing to its directory.
const REMOVAL_LIMIT: Duration = Duration::from_secs(20);

/// A directory that PostgreSQL's user can enter, removed at the end.
pub struct Directory(PathBuf);

impl Directory {
    /// A new, empty one.
    pub fn new() -> Self {
        Self(fresh_directory(&env::temp_dir()).unwrap())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let begun = Instant::now();
        // A database that is just stopping may still add files.
        while let Err(error) = fs::remove_dir_all(&self.0) {
            if begun.elapsed() > REMOVAL_LIMIT {
                eprintln!("{} remains: {error}", self.0.display());
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}
