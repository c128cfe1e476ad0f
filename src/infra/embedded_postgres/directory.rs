//! What lies on disk, and who may use it.
//!
//! ```text
//! <directory>/
//!   owner.lock    locked by our process while it serves from here
//!   server.lock   locked by the database's processes, which inherit it, while one of them lives
//!   data/         PostgreSQL's cluster
//!   data.new/     a cluster in the making, moved to `data` when complete
//!   socket/       the socket, unless the path is too long for one
//!   <others>/     what else vanishes with a throw-away server
//! ```
//!
//! The directory is ours; as root, only `data` and `socket` belong to PostgreSQL's user, so that it
//! cannot plant links for root to follow.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{self, Stdio},
    time::Duration,
};

use tokio::time::{sleep, timeout};

use super::{
    Durability, NAME,
    error::StartError,
    installation::ExistingData,
    user::{User, give},
};

const OWNER_LOCK: &str = "owner.lock";
const SERVER_LOCK: &str = "server.lock";
const DATA: &str = "data";
const NEW_DATA: &str = "data.new";
const SOCKET: &str = "socket";

/// The longest path of a socket's directory, in bytes: macOS allows 103 for the socket's own path,
/// Linux 107, and PostgreSQL adds `/.s.PGSQL.5432.lock`.
const LONGEST_SOCKET_DIRECTORY: usize = 103 - 19;

/// Where a socket's directory goes when its path would be too long.
const SHORT_PARENT: &str = "/tmp";

/// Where Linux keeps files in memory, and how many free bytes make it roomy. In a container it is
/// often tiny.
const MEMORY: &str = "/dev/shm";
const ROOM_IN_MEMORY: u64 = 2 << 30;

/// How long the PostgreSQL of a process that is gone may take to end.
const PREDECESSOR_LIMIT: Duration = Duration::from_secs(10);

/// How long to try for the directory before it counts as another server's: a process that starts
/// another one shares its locks with it for a moment.
const OWNER_LIMIT: Duration = Duration::from_millis(500);

/// The pause between two looks at a lock.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// An open directory: locked by us, with no database running in it.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    socket: PathBuf,
    durability: Durability,
    user: Option<User>,
    /// Held, not read: the lock ends when it is closed.
    _owner_lock: File,
    server_lock: File,
}

impl Directory {
    /// Opens `path`, made if it is missing, and waits for the database of a predecessor to end.
    pub async fn open(path: &Path, durability: Durability) -> Result<Self, StartError> {
        let user = User::substitute(&path.join(DATA))?;
        refuse_foreign(path)?;
        // PostgreSQL's user has to pass through; others gain nothing, all inside is closed to them.
        let mode = if user.is_some() { 0o711 } else { 0o700 };
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(io_error("make the directory", parent))?;
        }
        match make(path, mode) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(io_error("make the directory", path)(error));
            }
            Ok(()) | Err(_) => {}
        }
        let path = path
            .canonicalize()
            .map_err(io_error("resolve the path of", path))?;
        if let Some(user) = &user
            && let Some(obstacle) = user.obstacle_on(&path)
        {
            return Err(StartError::NotEnterable {
                user: user.name.clone(),
                obstacle,
            });
        }

        let owner_lock = open_lock(&path.join(OWNER_LOCK))?;
        timeout(OWNER_LIMIT, lock(&owner_lock, &path))
            .await
            .unwrap_or_else(|_elapsed| Err(StartError::InUse(path.clone())))?;
        let server_lock = open_lock(&path.join(SERVER_LOCK))?;
        timeout(PREDECESSOR_LIMIT, lock(&server_lock, &path))
            .await
            .unwrap_or_else(|_elapsed| Err(StartError::StillStopping(path.clone())))?;

        let socket = make_socket_directory(&path, user.as_ref())?;
        if durability == Durability::ThrowAway {
            // Whoever owns it can remove it, which the supervisor does when we are gone.
            give(&path, user.as_ref()).map_err(io_error("give away", &path))?;
        }
        Ok(Self {
            path,
            socket,
            durability,
            user,
            _owner_lock: owner_lock,
            server_lock,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    pub fn data(&self) -> PathBuf {
        self.path.join(DATA)
    }

    /// Where a cluster is made, to become [`Self::data`] when it is complete.
    pub fn new_data(&self) -> PathBuf {
        self.path.join(NEW_DATA)
    }

    pub fn durability(&self) -> Durability {
        self.durability
    }

    pub fn user(&self) -> Option<&User> {
        self.user.as_ref()
    }

    /// The lock that a process of the database holds open. Given as one of its standard streams,
    /// it passes to all its children, so it is free exactly when the last of them has ended: a
    /// process id in a file could meanwhile be another process.
    pub fn server_lock(&self) -> Result<Stdio, StartError> {
        let lock = self.server_lock.try_clone();
        Ok(lock.map_err(io_error("lock", &self.path))?.into())
    }

    /// What the supervisor removes at the end, since we may be gone.
    pub fn rubbish(&self) -> [PathBuf; 2] {
        let outside = !self.socket.starts_with(&self.path);
        [
            match self.durability {
                Durability::Durable => PathBuf::new(),
                Durability::ThrowAway => self.path.clone(),
            },
            if outside {
                self.socket.clone()
            } else {
                PathBuf::new()
            },
        ]
    }

    /// Removes what the supervisor was not allowed to remove.
    pub fn clean_up(self) -> io::Result<()> {
        self.rubbish()
            .iter()
            .filter(|path| !path.as_os_str().is_empty())
            .try_for_each(|path| remove(path))
    }

    /// The major version of the data, if there is any.
    pub fn major(&self) -> Result<Option<ExistingData<'_>>, StartError> {
        let path = self.data().join("PG_VERSION");
        let version = match fs::read_to_string(&path) {
            Ok(version) => version,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error("read", &path)(error)),
        };
        let major = version.trim().parse().map_err(io::Error::other);
        Ok(Some((
            &self.path,
            major.map_err(io_error("understand", &path))?,
        )))
    }
}

/// Refuses a directory that holds what we did not make, before anything is changed in it.
fn refuse_foreign(path: &Path) -> Result<(), StartError> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_error("list", path)(error)),
    };
    let foreign = |stranger: String| StartError::Foreign {
        directory: path.to_owned(),
        stranger,
    };
    for entry in entries {
        let name = entry.map_err(io_error("list", path))?.file_name();
        let ours = [OWNER_LOCK, SERVER_LOCK, DATA, NEW_DATA, SOCKET];
        if !ours.iter().any(|ours| name == *ours) {
            return Err(foreign(name.to_string_lossy().into_owned()));
        }
    }
    let data = path.join(DATA);
    if data.exists() && !data.join("PG_VERSION").exists() {
        return Err(foreign(DATA.to_owned()));
    }
    Ok(())
}

fn open_lock(path: &Path) -> Result<File, StartError> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map_err(io_error("open", path))
}

fn try_lock(lock: &File, path: &Path) -> Result<bool, StartError> {
    match lock.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(io_error("lock", path)(error)),
    }
}

async fn lock(lock: &File, path: &Path) -> Result<(), StartError> {
    while !try_lock(lock, path)? {
        sleep(LOCK_PAUSE).await;
    }
    Ok(())
}

/// Makes the socket's directory afresh: what a killed server left in it would be in the way.
fn make_socket_directory(path: &Path, user: Option<&User>) -> Result<PathBuf, StartError> {
    let near = path.join(SOCKET);
    if near.as_os_str().len() <= LONGEST_SOCKET_DIRECTORY {
        remove(&near).map_err(io_error("remove", &near))?;
        make_private(&near, user)?;
        return Ok(near);
    }
    let parent = Path::new(SHORT_PARENT);
    let far = fresh(parent, 0o700).map_err(io_error("make a directory in", parent))?;
    give(&far, user).map_err(io_error("give away", &far))?;
    Ok(far)
}

/// Where the socket of a server that runs in `path` is, unless that path is too long for one.
pub(super) fn socket_near(path: &Path) -> Option<PathBuf> {
    let near = path.canonicalize().ok()?.join(SOCKET);
    (near.as_os_str().len() <= LONGEST_SOCKET_DIRECTORY).then_some(near)
}

/// Makes a directory with just this mode, which the umask would narrow.
fn make(path: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().mode(mode).create(path)?;
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Makes a directory that only `user` (else we) can enter.
pub(super) fn make_private(path: &Path, user: Option<&User>) -> Result<(), StartError> {
    make(path, 0o700).map_err(io_error("make the directory", path))?;
    give(path, user).map_err(io_error("give away", path))
}

/// Removes a directory and all in it, if it is there.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

pub(super) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StartError {
    move |source| StartError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

/// Makes a new directory for a throw-away server
/// ([`Options::directory`](super::Options::directory)): in memory where there is room, else in
/// `fallback`, such as the directory for temporary files. A database is hundreds of small files,
/// which cost a busy disk ten times as long as memory.
///
/// # Errors
///
/// When the operating system refuses.
pub fn fresh_directory(fallback: &Path) -> io::Result<PathBuf> {
    let memory = Path::new(MEMORY);
    let has_room = rustix::fs::statvfs(memory)
        .is_ok_and(|memory| memory.f_bavail.saturating_mul(memory.f_frsize) >= ROOM_IN_MEMORY);
    let is_root = rustix::process::geteuid().is_root();
    fresh(
        if has_room { memory } else { fallback },
        if is_root { 0o711 } else { 0o700 },
    )
}

/// Makes a directory under a name that nobody has. That it did not exist is what makes it safe
/// where everybody may write, so the name need not be secret.
fn fresh(parent: &Path, mode: u32) -> io::Result<PathBuf> {
    let mut number = 0_u32;
    loop {
        let path = parent.join(format!("{NAME}-{}-{number}", process::id()));
        match make(&path, mode) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Where development keeps its data when nothing else is said: `data` in the working directory, or
/// `/var/lib/user-management` when we are root and PostgreSQL's user cannot enter the former.
///
/// Make it such that others may pass through (mode 0711), and what is secret in it unreadable.
#[must_use]
pub fn default_data_dir(working_directory: &Path) -> PathBuf {
    let near = working_directory.join("data");
    match User::substitute(&near.join("postgres").join(DATA)) {
        Ok(Some(user)) if user.obstacle_on(&near).is_some() => "/var/lib/user-management".into(),
        Ok(_) | Err(_) => near,
    }
}
