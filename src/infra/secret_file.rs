//! Secrets that development generates once and keeps.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};
use secrecy::SecretString;

use super::random::Random;

/// The secret in the file at `path`; it is generated when there is no such file. Only the user that we run as may read it.
///
/// # Errors
///
/// If the file can't be read or made.
///
/// # Concurrency
///
/// Of two processes that generate one at once both get the same.
pub fn read_or_generate(path: &Path, random: &dyn Random) -> io::Result<SecretString> {
    if let Some(directory) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        read => return Ok(read?.trim().to_owned().into()),
    }
    // Written whole under another name first: nobody reads half a secret.
    let draft = path.with_extension(format!("{}.draft", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    writeln!(file, "{}", BASE64_STANDARD_NO_PAD.encode(random.bytes::<48>()))?;
    file.sync_all()?;
    match fs::hard_link(&draft, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => fs::remove_file(&draft)?,
    }
    Ok(fs::read_to_string(path)?.trim().to_owned().into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::infra::random::SystemRandom;

    #[test]
    fn a_secret_is_generated_once_and_read_by_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secrets").join("key");
        let first = read_or_generate(&path, &SystemRandom).unwrap();
        let second = read_or_generate(&path, &SystemRandom).unwrap();
        assert_eq!(first.expose_secret(), second.expose_secret());
        assert!(first.expose_secret().len() >= 64);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
