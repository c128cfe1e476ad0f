//! PostgreSQL as our child: the system's own binaries, run for one process of ours.
//!
//! Development (`serve` without `DATABASE_URL`), `serve --ephemeral`, the tests and the benchmark
//! use it. Production never does.
//!
//! # How it stays safe
//!
//! * It listens on a unix socket only, in a directory that nobody but us (and the database's own
//!   user) can enter; so it needs no password.
//! * PostgreSQL refuses to run as root. Started by root, it runs as the owner of the existing
//!   data, else as `postgres`, else as `nobody`.
//! * The program connects as an ordinary role that owns its database, as it should in production.
//!   The superuser is `postgres`, on the same socket.
//! * It inherits nothing of our environment, which holds secrets.
//!
//! # How it never outlives us
//!
//! No unsafe code is allowed, so the kernel cannot be asked to kill our child when we die. A small
//! shell (`supervisor`) stands between: it reads a pipe that we hold open, and when that ends,
//! because we closed it or because we are gone, it stops PostgreSQL.
//!
//! # Where to look
//!
//! `installation` finds the binaries, `user` the user to run as, `directory` is the layout on disk
//! and its locks, `cluster` makes new data, `supervisor` holds the running processes.

mod cluster;
mod directory;
mod error;
mod installation;
mod memory;
mod supervisor;
#[cfg(test)]
mod tests;
mod user;

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    Connection as _, PgConnection, Postgres, migrate::MigrateDatabase as _,
    postgres::PgConnectOptions,
};
use tokio::time::{sleep, timeout};

use self::{directory::Directory, supervisor::Supervisor};
pub use self::{
    directory::{default_data_dir, fresh_directory},
    error::{StartError, StopError},
};

/// The role that the program connects as, and the name of its database.
const NAME: &str = "user_management";

/// The superuser's role.
const SUPERUSER: &str = "postgres";

/// The "port" only names the socket's file. It is given explicitly, for `PGPORT` may say otherwise.
const PORT: u16 = 5432;

/// How long PostgreSQL may take until it accepts connections. Recovery after a crash takes long.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// The pause between two attempts to connect. An attempt costs less than a tenth of it.
const READY_PAUSE: Duration = Duration::from_millis(5);

/// How long PostgreSQL may take to stop: it writes everything to disk first.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// What becomes of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It is kept, and safe against a crash of the machine, but for the seconds in which a new
    /// database is written to disk.
    Durable,
    /// It is fast and lost at the end: the directory is removed when the server stops.
    ThrowAway,
}

/// How to run PostgreSQL.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where everything is kept; made if it is missing. A throw-away server wants it missing or
    /// empty, and [`fresh_directory`] makes such a one.
    pub directory: PathBuf,
    /// What becomes of the data.
    pub durability: Durability,
    /// How many connections it accepts; three of them for the superuser only.
    pub max_connections: u16,
    /// The environment's `PATH`, where its binaries are looked for first.
    pub search_path: Option<OsString>,
}

/// A running PostgreSQL, stopped when this is dropped or when the process ends, however it ends.
///
/// # Concurrency
///
/// One directory has one server: a lock, held until this is dropped, refuses a second.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    directory: Directory,
    supervisor: Supervisor,
}

impl EmbeddedPostgres {
    /// Starts PostgreSQL, after making its cluster if the directory is new. Returns when it
    /// accepts connections and our database is there.
    ///
    /// Tasks that watch it run on the calling runtime. They may end with it: PostgreSQL goes on.
    ///
    /// # Errors
    ///
    /// See [`StartError`]; each says what to do about it.
    pub async fn start(options: &Options) -> Result<Self, StartError> {
        let directory = Directory::open(&options.directory, options.durability).await?;
        match start_in(&directory, options).await {
            Ok(supervisor) => Ok(Self {
                directory,
                supervisor,
            }),
            Err(error) => {
                if let Err(error) = directory.clean_up() {
                    tracing::warn!(%error, "cannot remove what the failed start left");
                }
                Err(error)
            }
        }
    }

    /// How to connect to our database. Another `database`, or the superuser `postgres` as
    /// `username`, can be set on it.
    #[must_use]
    pub fn connect_options(&self) -> PgConnectOptions {
        connect_options(self.directory.socket())
    }

    /// The same as a URL, for `psql` and for people.
    #[must_use]
    pub fn url(&self) -> String {
        url(&self.directory)
    }

    /// Makes a directory for other files beside the data of a throw-away server. It vanishes with the
    /// server even when our process is killed: it belongs to PostgreSQL's user, who removes it then.
    ///
    /// # Errors
    ///
    /// When the operating system refuses.
    pub fn add_directory(&self, name: &str) -> Result<PathBuf, StartError> {
        let path = self.directory.path().join(name);
        directory::make_private(&path, self.directory.user())?;
        Ok(path)
    }

    /// Stops PostgreSQL and waits for its end. Open connections are broken off, committed data is
    /// kept; a throw-away directory is removed.
    ///
    /// # Errors
    ///
    /// When it takes more than 30 seconds (it goes on stopping), or when the throw-away directory
    /// cannot be removed.
    pub async fn stop(self) -> Result<(), StopError> {
        let Self {
            directory,
            supervisor,
        } = self;
        timeout(STOP_LIMIT, supervisor.stop())
            .await
            .map_err(|_elapsed| StopError::Timeout)?;
        directory.clean_up().map_err(StopError::NotRemoved)
    }
}

/// How to reach the PostgreSQL that another process of ours, such as `serve`, runs in `directory`;
/// none if it doesn't answer.
pub async fn find_running(directory: &Path) -> Option<PgConnectOptions> {
    let options = connect_options(&directory::socket_near(directory)?);
    let connection = PgConnection::connect_with(&options).await.ok()?;
    connection.close().await.ok()?;
    Some(options)
}

fn connect_options(socket: &Path) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .socket(socket)
        .port(PORT)
        .username(NAME)
        .database(NAME)
}

fn url(directory: &Directory) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("host", &directory.socket().to_string_lossy())
        .append_pair("port", &PORT.to_string())
        .append_pair("user", NAME)
        .finish();
    // `+` is a form's way to write a space; in a connection URL it stands for itself.
    format!("postgresql:///{NAME}?{}", query.replace('+', "%20"))
}

async fn start_in(directory: &Directory, options: &Options) -> Result<Supervisor, StartError> {
    let search_path = options.search_path.as_deref();
    let installation = installation::find(search_path, directory.major()?).await?;
    let is_new = cluster::make(directory, &installation).await?;
    let mut supervisor = Supervisor::start(&installation, directory, options.max_connections)?;
    let connected = tokio::select! {
        () = supervisor.ended() => return Err(StartError::Died(supervisor.last_lines())),
        connected = timeout(READY_LIMIT, connect_when_ready(directory)) => connected,
    };
    match connected {
        Ok(connected) => connected.map_err(StartError::Connect)?,
        Err(_elapsed) => return Err(StartError::NotReady(supervisor.last_lines())),
    }
    supervisor.mark_ready();
    if is_new && options.durability == Durability::Durable {
        cluster::sync(directory, &installation);
    }
    tracing::debug!(
        directory = %directory.path().display(),
        major = installation.major,
        "PostgreSQL accepts connections"
    );
    Ok(supervisor)
}

/// Connects again and again until it works, and makes our database if it is missing.
async fn connect_when_ready(directory: &Directory) -> Result<(), sqlx::Error> {
    let options = connect_options(directory.socket());
    loop {
        match PgConnection::connect_with(&options).await {
            Ok(connection) => return connection.close().await,
            Err(error) if is_starting(&error) => sleep(READY_PAUSE).await,
            Err(error) if has_code(&error, "3D000") => {
                Postgres::create_database(&url(directory)).await?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether there is no socket yet, nobody behind it yet, or the server says that it starts up.
fn is_starting(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
        ),
        error => has_code(error, "57P03"),
    }
}

fn has_code(error: &sqlx::Error, code: &str) -> bool {
    error
        .as_database_error()
        .and_then(|error| error.code())
        .is_some_and(|found| found == code)
}
