//! Files that are there wholly or not at all.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

/// A file that appears under its name when it is finished; until then it is a hidden one beside, which goes
/// when this is dropped. Only the user that we run as may read it.
#[derive(Debug)]
pub struct WholeFile {
    draft: BufWriter<NamedTempFile>,
    path: PathBuf,
    replaces: bool,
}

impl WholeFile {
    /// Begins the file at `path`; one that is there is replaced only if `replaces` says so.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::AlreadyExists`] where something is there and isn't to be replaced;
    /// [`io::ErrorKind::InvalidInput`] where what is there is no file; if the directory can't be written to.
    pub fn begin(path: &Path, replaces: bool) -> io::Result<Self> {
        let path = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            Err(error) => return Err(error),
            Ok(there) if !there.is_file() => {
                let why = "what is there is no file";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
            }
            Ok(_) if !replaces => return Err(io::ErrorKind::AlreadyExists.into()),
            // A link goes on leading to it.
            Ok(_) => fs::canonicalize(path)?,
        };
        let draft = NamedTempFile::new_in(directory_of(&path))?;
        Ok(Self {
            draft: BufWriter::new(draft),
            path,
            replaces,
        })
    }

    /// Gives the file its name, once it is on the disk.
    ///
    /// # Errors
    ///
    /// If it can't be written, or somebody has made one of the name that isn't to be replaced.
    pub fn finish(self) -> io::Result<()> {
        let draft = self
            .draft
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        draft.as_file().sync_all()?;
        match self.replaces {
            true => draft.persist(&self.path)?,
            false => draft.persist_noclobber(&self.path)?,
        };
        File::open(directory_of(&self.path))?.sync_all()
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.draft.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.draft.flush()
    }
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_appears_when_it_is_finished_and_is_its_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users.csv");
        let mut file = WholeFile::begin(&path, false).unwrap();
        file.write_all(b"id").unwrap();
        assert!(!path.exists());
        file.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"id");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        drop(WholeFile::begin(&path, true).unwrap());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_there_is_replaced_only_on_demand_and_only_if_it_is_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users.csv");
        let late = WholeFile::begin(&path, false).unwrap();
        fs::write(&path, "old").unwrap();
        let refused = late.finish().unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        let refused = WholeFile::begin(&path, false).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"old");

        let mut file = WholeFile::begin(&path, true).unwrap();
        file.write_all(b"new").unwrap();
        file.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        for other in [Path::new("/dev/null"), directory.path()] {
            let refused = WholeFile::begin(other, true).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{other:?}");
        }
    }
}
