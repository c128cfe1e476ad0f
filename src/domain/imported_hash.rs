//! Hashes of passwords in the forms of other software, and in ours.

mod forms;

use std::{fmt, num::NonZeroU32};

use super::password::PasswordHash;
use crate::error::Rule;

/// Most bytes of a hash.
pub const MAX_BYTES: usize = 512;
/// Most memory that comparing a password with a hash may take, in KiB: 256 MiB.
pub const MAX_MEMORY: u64 = 256 * 1024;
/// Most passes of Argon2 over memory, times the memory in KiB: 2 GiB.
pub const MAX_ARGON2_WORK: u64 = 2 * 1024 * 1024;
/// Most memory of scrypt times its parallelism, in KiB: 512 MiB.
pub const MAX_SCRYPT_WORK: u64 = 512 * 1024;
/// Greatest cost of bcrypt, the logarithm of its rounds.
pub const MAX_BCRYPT_COST: u32 = 15;
/// Most rounds of PBKDF2.
pub const MAX_PBKDF2_ROUNDS: u32 = 3_000_000;
/// Most rounds of SHA-crypt.
pub const MAX_SHA_CRYPT_ROUNDS: u32 = 1_000_000;

const MALFORMED: Rule = Rule::new("malformed_password_hash", "is cut short or malformed");
const UNKNOWN: Rule = Rule::new(
    "unknown_password_hash",
    "is of no known form: Argon2id, Argon2i, bcrypt, scrypt, PBKDF2, SHA-256-crypt or SHA-512-crypt",
);
const TOO_COSTLY: Rule = Rule::new(
    "password_hash_too_costly",
    "would take too long, or too much memory, at each login",
);

/// A hash that passwords can be compared with.
///
/// Its cost is bounded by the constants of this module, so that no login takes more than a few
/// seconds of a core or [`MAX_MEMORY`]: what other software makes by default is far below.
///
/// Its `Debug` hides it.
#[derive(Clone)]
pub struct ImportedHash {
    stored: PasswordHash,
    scheme: Scheme,
}

/// What a password must give to be the one that was hashed.
#[derive(Clone)]
pub struct Derived {
    /// What the password was mixed with.
    pub salt: Vec<u8>,
    /// What came out.
    pub output: Vec<u8>,
}

/// The hash of PBKDF2's HMAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pbkdf2Digest {
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Pbkdf2Digest {
    /// How much it puts out, in bytes.
    #[must_use]
    pub const fn output_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// How a hash was made.
#[derive(Clone)]
pub enum Scheme {
    /// RFC 9106, without secret and associated data.
    Argon2 {
        /// Argon2id or Argon2i.
        algorithm: argon2::Algorithm,
        /// Which Argon2.
        version: argon2::Version,
        /// Memory, passes and lanes.
        params: argon2::Params,
        /// Salt and output.
        derived: Derived,
    },
    /// Of the first 72 bytes.
    Bcrypt {
        /// The logarithm of the rounds.
        cost: u32,
        /// Whether it is of the password's SHA-256 in hexadecimal, as Django makes it.
        of_sha256: bool,
        /// What the password was mixed with.
        salt: [u8; 16],
        /// What came out.
        output: [u8; 23],
    },
    /// RFC 8018, 5.2.
    Pbkdf2 {
        /// The hash of its HMAC.
        digest: Pbkdf2Digest,
        /// How often.
        rounds: NonZeroU32,
        /// Salt and output.
        derived: Derived,
    },
    /// RFC 7914.
    Scrypt {
        /// Cost, block size and parallelism.
        params: scrypt::Params,
        /// Salt and output.
        derived: Derived,
    },
    /// SHA-256-crypt or SHA-512-crypt, as the stored text tells.
    ShaCrypt,
}

impl ImportedHash {
    /// Takes a hash as it stands in a table of other software.
    ///
    /// | Scheme | Forms |
    /// | --- | --- |
    /// | Argon2id, Argon2i | PHC: `$argon2id$v=19$m=65536,t=3,p=4$…`; Django: `argon2$argon2id$…` |
    /// | bcrypt | `$2a$`, `$2b$`, `$2y$`; Django: `bcrypt$$2b$…`, `bcrypt_sha256$$2b$…` |
    /// | scrypt | PHC: `$scrypt$ln=14,r=8,p=1$…`; Django: `scrypt$N$salt$r$p$…`; Werkzeug: `scrypt:N:r:p$salt$…` |
    /// | PBKDF2 with SHA-1, SHA-256, SHA-512 | PHC: `$pbkdf2-sha256$i=600000,l=32$…`; passlib: `$pbkdf2-sha256$29000$…`; Django: `pbkdf2_sha256$600000$salt$…`; Werkzeug: `pbkdf2:sha256:600000$salt$…` |
    /// | SHA-256-crypt, SHA-512-crypt | `$5$` and `$6$`, with or without `rounds=` |
    ///
    /// # Errors
    ///
    /// The rule that it breaks: being of one of these forms, whole, and within the bounds of this
    /// module. Nothing of the hash is in it.
    pub fn parse(text: &str) -> Result<Self, Rule> {
        // Each form is printable ASCII.
        if text.len() > MAX_BYTES || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(MALFORMED);
        }
        Ok(Self {
            scheme: forms::read(text)?,
            stored: PasswordHash::new(text.to_owned()),
        })
    }

    /// How it was made.
    #[must_use]
    pub fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// The hash as it stood, to be stored until its owner logs in.
    #[must_use]
    pub fn stored(&self) -> &PasswordHash {
        &self.stored
    }
}

impl fmt::Debug for ImportedHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ImportedHash(…)")
    }
}

#[cfg(test)]
mod tests;
