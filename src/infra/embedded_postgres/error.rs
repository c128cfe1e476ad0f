//! What can go wrong, in words that say what to do.

use std::{io, path::PathBuf};

use super::installation::OLDEST_MAJOR;

/// How to install PostgreSQL, for people.
const HOW_TO_INSTALL: &str = "\
Debian, Ubuntu: sudo apt-get install postgresql   (or run scripts/ensure-postgres.sh)
  Fedora:         sudo dnf install postgresql-server
  macOS:          brew install postgresql@17
  or set DATABASE_URL to a PostgreSQL server that runs already";

/// Why the embedded PostgreSQL did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No binaries on this machine.
    #[error(
        "PostgreSQL's programs `initdb` and `postgres` were not found on PATH, in \
         /usr/lib/postgresql or in the other usual places. Install them:\n  {HOW_TO_INSTALL}"
    )]
    NotInstalled,

    /// Only binaries that are too old for us.
    #[error(
        "PostgreSQL {OLDEST_MAJOR} or newer is needed; found only {found}. Install a newer one:\n  \
         {HOW_TO_INSTALL}"
    )]
    TooOld {
        /// The major versions that are installed, as text.
        found: String,
    },

    /// The data was made by a major version that is not installed.
    #[error(
        "the data in {} was made by PostgreSQL {wanted}, which is not installed (found: {found}). \
         Install PostgreSQL {wanted}, or move the directory away to begin with an empty database",
        directory.display()
    )]
    MajorMissing {
        /// Where the data is.
        directory: PathBuf,
        /// The major version that made it.
        wanted: u32,
        /// The major versions that are installed, as text.
        found: String,
    },

    /// Another process of ours serves from the directory.
    #[error("another running server uses {}; stop it first", .0.display())]
    InUse(PathBuf),

    /// The PostgreSQL of a process that is gone has not ended.
    #[error(
        "the PostgreSQL that an earlier server left in {} has not ended within 10 seconds; its \
         process id is the first line of data/postmaster.pid there",
        .0.display()
    )]
    StillStopping(PathBuf),

    /// The directory holds something else.
    #[error(
        "{} is not a directory of ours: it holds `{stranger}`. Nothing was touched; choose an \
         empty or a new directory",
        directory.display()
    )]
    Foreign {
        /// The directory.
        directory: PathBuf,
        /// The name of something in it that we did not make.
        stranger: String,
    },

    /// The user that PostgreSQL has to run as cannot reach the directory.
    #[error(
        "PostgreSQL refuses to run as root, and the user `{user}` that it runs as instead cannot \
         enter {}. Allow it (chmod o+x {}), or set DATA_DIR to a directory elsewhere, such as \
         /var/lib/user-management", obstacle.display(), obstacle.display()
    )]
    NotEnterable {
        /// The user.
        user: String,
        /// The directory on the way that keeps it out.
        obstacle: PathBuf,
    },

    /// We are root, and there is no other user.
    #[error(
        "PostgreSQL refuses to run as root, and this machine has neither a user `postgres` nor \
         `nobody` to run it as"
    )]
    NoUser,

    /// The operating system refused something.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },

    /// `initdb` failed.
    #[error("PostgreSQL could not make a new database cluster:\n{0}")]
    InitFailed(String),

    /// The server ended while it started.
    #[error("PostgreSQL ended while it started:\n{0}")]
    Died(String),

    /// The server did not accept connections in time.
    #[error("PostgreSQL does not accept connections after 60 seconds:\n{0}")]
    NotReady(String),

    /// The server runs, but refuses us.
    #[error("PostgreSQL started but refuses our connection")]
    Connect(#[source] sqlx::Error),
}

/// Why the embedded PostgreSQL did not stop cleanly.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// It takes long, and goes on stopping by itself.
    #[error("PostgreSQL has not stopped within 30 seconds")]
    Timeout,
    /// A throw-away directory is still there.
    #[error("the throw-away database could not be removed")]
    NotRemoved(#[source] io::Error),
}
