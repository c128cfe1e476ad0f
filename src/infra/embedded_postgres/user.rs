//! The user that PostgreSQL runs as.

use std::{
    fs::{self, Metadata},
    io,
    os::unix::fs::{MetadataExt as _, chown},
    path::{Path, PathBuf},
};

use tokio::process::Command;

use super::error::StartError;

/// Who may stand in for root, best first.
const SUBSTITUTES: [&str; 2] = ["postgres", "nobody"];

/// Whom PostgreSQL runs as when we are root, who it refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
}

impl User {
    /// The user to change to; `None` when we are an ordinary user, and PostgreSQL runs as we do.
    /// The owner of existing `data` goes first: only its owner can serve it.
    pub fn substitute(data: &Path) -> Result<Option<Self>, StartError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let owner = fs::metadata(data).ok().filter(|data| data.uid() != 0);
        if let Some(owner) = owner {
            return Ok(Some(Self {
                name: owner.uid().to_string(),
                uid: owner.uid(),
                gid: owner.gid(),
            }));
        }
        let passwd = fs::read_to_string("/etc/passwd").map_err(|source| StartError::Io {
            action: "read the users in",
            path: "/etc/passwd".into(),
            source,
        })?;
        SUBSTITUTES
            .iter()
            .find_map(|name| Self::in_passwd(&passwd, name))
            .map(Some)
            .ok_or(StartError::NoUser)
    }

    /// The user `name` as the lines of `passwd` tell.
    pub fn in_passwd(passwd: &str, name: &str) -> Option<Self> {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next()? == name).then_some(())?;
            let _password = fields.next()?;
            Some(Self {
                name: name.to_owned(),
                uid: fields.next()?.parse().ok()?,
                gid: fields.next()?.parse().ok()?,
            })
        })
    }

    /// The first directory on the way to, and including, `path` that the user cannot enter, going
    /// by owners and modes. What does not exist yet is no obstacle.
    pub fn obstacle_on(&self, path: &Path) -> Option<PathBuf> {
        let mut way: Vec<_> = path.ancestors().collect();
        way.reverse();
        way.into_iter()
            .find(|step| fs::metadata(step).is_ok_and(|step| !self.enters(&step)))
            .map(Path::to_owned)
    }

    fn enters(&self, directory: &Metadata) -> bool {
        let bit = if directory.uid() == self.uid {
            0o100
        } else if directory.gid() == self.gid {
            0o010
        } else {
            0o001
        };
        directory.mode() & bit != 0
    }
}

/// Makes `command` run as `user`, with the user's group and no other.
pub(super) fn run_as(command: &mut Command, user: Option<&User>) {
    if let Some(user) = user {
        command.uid(user.uid).gid(user.gid);
    }
}

/// Gives `path` to `user`.
pub(super) fn give(path: &Path, user: Option<&User>) -> io::Result<()> {
    match user {
        Some(user) => chown(path, Some(user.uid), Some(user.gid)),
        None => Ok(()),
    }
}
