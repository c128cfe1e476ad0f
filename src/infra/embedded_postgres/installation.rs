//! Finding PostgreSQL's binaries.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use tokio::process::Command;

use super::error::StartError;

/// The oldest major version that our migrations and tests are for.
pub(super) const OLDEST_MAJOR: u32 = 15;

/// Where packages put the binaries: in `<parent>/<prefix>*/<rest>`.
const USUAL_PLACES: &[(&str, &str, &str)] = &[
    // Debian and Ubuntu; the packages of postgresql.org for Fedora and its kin; Alpine.
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/usr/libexec", "postgresql", ""),
    // Homebrew on Apple silicon, on Intel, on Linux; Postgres.app; MacPorts.
    ("/opt/homebrew/opt", "postgresql", "bin"),
    ("/usr/local/opt", "postgresql", "bin"),
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
    ("/opt/local/lib", "postgresql", "bin"),
];

/// One installed PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Installation {
    /// The directory of its programs, without links.
    pub bin: PathBuf,
    /// Its major version, such as 17.
    pub major: u32,
}

/// Where the data is, and the major version that made it.
pub(super) type ExistingData<'a> = (&'a Path, u32);

/// Finds the installation for `data`, or for new data the best: the one on `search_path`, else the
/// newest.
pub(super) async fn find(
    search_path: Option<&OsStr>,
    data: Option<ExistingData<'_>>,
) -> Result<Installation, StartError> {
    let usual = USUAL_PLACES.iter().flat_map(usual_directories).collect();
    let on_path = search_path
        .map(|path| std::env::split_paths(path).collect())
        .unwrap_or_default();
    choose(installed(on_path).await, installed(usual).await, data)
}

/// Chooses among what is on the search path and what is in the usual places.
pub(super) fn choose(
    on_path: Vec<Installation>,
    mut usual: Vec<Installation>,
    data: Option<ExistingData<'_>>,
) -> Result<Installation, StartError> {
    usual.sort_by_key(|installation| std::cmp::Reverse(installation.major));
    let mut all = on_path;
    all.append(&mut usual);
    if all.is_empty() {
        return Err(StartError::NotInstalled);
    }
    let mut majors: Vec<_> = all.iter().map(|installation| installation.major).collect();
    majors.sort_unstable();
    majors.dedup();
    let found: Vec<_> = majors.iter().map(u32::to_string).collect();
    let found = found.join(", ");
    let fits = |installation: &Installation| match data {
        Some((_, wanted)) => installation.major == wanted,
        None => installation.major >= OLDEST_MAJOR,
    };
    all.into_iter().find(fits).ok_or_else(|| match data {
        Some((directory, wanted)) => StartError::MajorMissing {
            directory: directory.to_owned(),
            wanted,
            found,
        },
        None => StartError::TooOld { found },
    })
}

fn usual_directories(&(parent, prefix, rest): &(&str, &str, &str)) -> Vec<PathBuf> {
    // A parent that is missing, or that we may not list, is simply not one of the places.
    let Ok(entries) = fs::read_dir(parent) else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path().join(rest))
        .collect()
}

/// The installations among `directories`: first those of real programs, then those where a script
/// stands in for one, which may start another server than we ask for.
pub(super) async fn installed(directories: Vec<PathBuf>) -> Vec<Installation> {
    let mut bins: Vec<(bool, PathBuf)> = Vec::new();
    for directory in directories {
        // A link such as /usr/local/bin/postgres leads to the directory that has the rest too.
        let Ok(postgres) = directory.join("postgres").canonicalize() else {
            continue;
        };
        let Some(bin) = postgres.parent() else {
            continue;
        };
        let known = bins.iter().any(|(_, known)| known == bin);
        if !known && is_program(&bin.join("postgres")) && is_program(&bin.join("initdb")) {
            let script = is_script(&bin.join("postgres")) || is_script(&bin.join("initdb"));
            bins.push((script, bin.to_owned()));
        }
    }
    bins.sort_by_key(|(script, _)| *script);
    let mut found = Vec::new();
    for (_, bin) in bins {
        if let Some(major) = major_of(&bin.join("postgres")).await {
            found.push(Installation { bin, major });
        }
    }
    found
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

fn is_script(path: &Path) -> bool {
    let mut start = [0; 2];
    File::open(path)
        .and_then(|mut file| file.read_exact(&mut start))
        .is_ok_and(|()| &start == b"#!")
}

/// Asks the program; `None` for one that does not run or is no PostgreSQL.
async fn major_of(postgres: &Path) -> Option<u32> {
    let output = Command::new(postgres).arg("--version").output().await;
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            tracing::debug!(program = %postgres.display(), %error, "not a program that runs");
            return None;
        }
    };
    parse_major(&String::from_utf8_lossy(&output.stdout))
}

/// The major version in `postgres (PostgreSQL) 17.2 (Debian 17.2-1)`.
pub(super) fn parse_major(version: &str) -> Option<u32> {
    let number = version.split("(PostgreSQL) ").nth(1)?;
    let digits = number.split(|char: char| !char.is_ascii_digit()).next()?;
    digits.parse().ok()
}
