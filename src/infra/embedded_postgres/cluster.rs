//! Making a new cluster of databases, with our role in it.

use std::{fs, process::Stdio};

use tokio::process::Command;

use super::{
    SUPERUSER,
    directory::{Directory, io_error, make_private, remove},
    error::StartError,
    installation::Installation,
    user::run_as,
};

/// Makes a cluster and our role in it. The arguments: `postgres`, the directory, then `initdb` with
/// its own.
const MAKE_CLUSTER: &str = r#"
postgres=$1 data=$2
shift 2
"$@" >/dev/null &&
echo 'create role "user_management" login createdb' |
"$postgres" --single -D "$data" -c exit_on_error=on -c log_checkpoints=off postgres >/dev/null
"#;

/// Makes the cluster unless it is there, and tells whether it did. It appears complete or not at
/// all; it is safe against a crash of the machine only after [`sync`].
pub(super) async fn make(
    directory: &Directory,
    installation: &Installation,
) -> Result<bool, StartError> {
    let data = directory.data();
    if data.exists() {
        return Ok(false);
    }
    let new = directory.new_data();
    remove(&new).map_err(io_error("remove", &new))?;
    make_private(&new, directory.user())?;

    let initdb = installation.bin.join("initdb");
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", MAKE_CLUSTER, "make-cluster"])
        .arg(installation.bin.join("postgres"))
        .arg(&new)
        .arg(&initdb)
        .arg("--pgdata")
        .arg(&new)
        .args(["--auth=trust", "--encoding=UTF8"])
        .args(["--no-instructions", "--no-sync"])
        .arg(format!("--username={SUPERUSER}"))
        .args(locale(installation.major))
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .current_dir("/")
        .stdin(directory.server_lock()?)
        // A ^C in the terminal is for us; killed half-way it would leave rubbish.
        .process_group(0);
    run_as(&mut command, directory.user());
    let output = command.output().await.map_err(io_error("run", &initdb))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(StartError::InitFailed(said.trim_end().to_owned()));
    }
    fs::rename(&new, &data).map_err(io_error("move into place", &new))?;
    Ok(true)
}

/// Writes a new cluster's files to disk, in the background: on a busy disk it takes seconds, for
/// which nobody should wait. What the server commits meanwhile it writes itself.
pub(super) fn sync(directory: &Directory, installation: &Installation) {
    let mut command = Command::new(installation.bin.join("initdb"));
    command
        .arg("--sync-only")
        .arg("--pgdata")
        .arg(directory.data())
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .process_group(0);
    run_as(&mut command, directory.user());
    tokio::spawn(async move {
        match command.output().await {
            Ok(output) if output.status.success() => {
                tracing::debug!("the new database is safely on disk");
            }
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                tracing::warn!(%said, "the new database is not safely on disk yet");
            }
            Err(error) => tracing::warn!(%error, "cannot sync the new database to disk"),
        }
    });
}

/// Byte order for texts, Unicode for letters: the same everywhere, and the fastest.
fn locale(major: u32) -> &'static [&'static str] {
    if major >= 17 {
        &[
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
        ]
    } else if cfg!(target_os = "macos") {
        // It has no C.UTF-8.
        &["--locale=en_US.UTF-8", "--lc-collate=C", "--lc-messages=C"]
    } else {
        &["--locale=C.UTF-8"]
    }
}
