//! Where a file comes from: this machine, or the database, into which it was uploaded.

use std::{io::SeekFrom, path::Path};

use anyhow::{Context as _, anyhow};
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};
use tokio::{
    fs::File,
    io::{AsyncReadExt as _, AsyncSeekExt as _},
};

use super::{UserImports, broken};
use crate::{
    domain::id::ImportId,
    error::{Error, FieldError, Result, Rule},
    repository::user_imports as repository,
};

/// Bytes of a piece.
pub(super) const PIECE: usize = 64 * 1024;

/// A file, read from some place on.
pub(super) enum Source {
    /// One of this machine.
    File(File),
    /// One that was uploaded, and the place of the next piece.
    Stored(ImportId, u64),
}

impl Source {
    /// Opens a file of this machine, and tells its SHA-256 and its size.
    pub(super) async fn open_file(path: &Path) -> Result<(Self, [u8; 32], u64)> {
        let unreadable = |error: std::io::Error| {
            let rule = Rule {
                kind: "unreadable_file",
                message: format!("{}: {error}", path.display()).into(),
            };
            Error::invalid(FieldError::body("file", rule))
        };
        let mut file = File::open(path).await.map_err(unreadable)?;
        let kind = file.metadata().await.map_err(unreadable)?;
        if !kind.is_file() {
            return Err(unreadable(std::io::Error::other(
                "is no file that can be read twice",
            )));
        }
        let (mut digest, mut size, mut piece) = (Sha256::new(), 0, vec![0; PIECE]);
        loop {
            let read = file.read(&mut piece).await.map_err(unreadable)?;
            if read == 0 {
                break;
            }
            digest.update(&piece[..read]);
            size += read as u64;
        }
        let mut source = Self::File(file);
        source.go_to(0).await?;
        Ok((source, digest.finalize().into(), size))
    }

    /// What is read next comes from there.
    pub(super) async fn go_to(&mut self, place: u64) -> Result<()> {
        match self {
            Self::File(file) => {
                let moved = file.seek(SeekFrom::Start(place)).await;
                moved.map_err(|error| broken(error, "can't read the file"))?;
            }
            Self::Stored(_, next) => *next = place,
        }
        Ok(())
    }

    /// The next piece; none at the end.
    pub(super) async fn next(&mut self, imports: &UserImports) -> Result<Option<Vec<u8>>> {
        match self {
            Self::File(file) => {
                let mut piece = vec![0; PIECE];
                let read = file.read(&mut piece).await;
                let read = read.map_err(|error| broken(error, "can't read the file"))?;
                piece.truncate(read);
                Ok((read > 0).then_some(piece))
            }
            Self::Stored(id, next) => {
                let mut connection = imports.platform.pool.acquire().await?;
                let found = repository::find_chunk(&mut connection, *id, *next).await?;
                drop(connection);
                let (begin, sealed) = found.context("the file of an import is gone")?;
                let opened = imports.options.sealer.open(&place_of(*id, begin), &sealed);
                let opened = opened
                    .map_err(|_| anyhow!("the file of an import was sealed under another key"))?;
                let behind = usize::try_from(*next - begin).unwrap_or(usize::MAX);
                let piece = opened.expose_secret().get(behind..).unwrap_or_default();
                *next += piece.len() as u64;
                Ok((!piece.is_empty()).then(|| piece.to_vec()))
            }
        }
    }
}

/// What binds a sealed piece to its place.
pub(super) fn place_of(id: ImportId, begin: u64) -> Vec<u8> {
    let mut place = id.0.as_bytes().to_vec();
    place.extend(begin.to_be_bytes());
    place
}
