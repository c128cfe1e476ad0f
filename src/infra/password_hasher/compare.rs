//! Comparing passwords with hashes, whoever made them.

use argon2::{Argon2, Block, Params};
use aws_lc_rs::{constant_time, digest, pbkdf2};
use sha_crypt::{PasswordVerifier as _, ShaCrypt};

use super::MAPPED;
use crate::domain::imported_hash::{Derived, ImportedHash, Pbkdf2Digest, Scheme};

/// What bcrypt looks at of a password, in bytes.
const BCRYPT_BYTES: usize = 72;

/// Whether `password` has this hash. It takes the same time whether or not it does.
pub(super) fn is_of(password: &str, hash: &ImportedHash, memory: &mut Vec<Block>) -> bool {
    let password = password.as_bytes();
    match hash.scheme() {
        Scheme::Argon2 {
            algorithm,
            version,
            params,
            derived,
        } => gives(derived, |output| {
            Argon2::new(*algorithm, *version, params.clone())
                .hash_password_into_with_memory(
                    password,
                    &derived.salt,
                    output,
                    buffer(params, memory),
                )
                .is_ok()
        }),
        Scheme::Bcrypt {
            cost,
            of_sha256,
            salt,
            output,
        } => {
            let found = if *of_sha256 {
                bcrypt(hexadecimal_sha256(password).as_bytes(), *cost, *salt)
            } else {
                bcrypt(password, *cost, *salt)
            };
            is_equal(&found[..output.len()], output)
        }
        Scheme::Pbkdf2 {
            digest,
            rounds,
            derived,
        } => {
            let algorithm = match digest {
                Pbkdf2Digest::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
                Pbkdf2Digest::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
                Pbkdf2Digest::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
            };
            gives(derived, |output| {
                pbkdf2::derive(algorithm, *rounds, &derived.salt, password, output);
                true
            })
        }
        Scheme::Scrypt { params, derived } => gives(derived, |output| {
            scrypt::scrypt(password, &derived.salt, params, output).is_ok()
        }),
        Scheme::ShaCrypt => ShaCrypt::default()
            .verify_password(password, hash.stored().expose())
            .is_ok(),
    }
}

/// The first blocks of the memory, as many as Argon2 needs.
pub(super) fn buffer<'a>(params: &Params, memory: &'a mut Vec<Block>) -> &'a mut [Block] {
    let needed = params.block_count();
    if memory.len() < needed {
        // Only pages that are written to take memory.
        memory.reserve_exact(needed.max(MAPPED) - memory.len());
        memory.resize(needed, Block::default());
    }
    &mut memory[..needed]
}

/// Whether a password gives the output that is expected, of the same length.
fn gives(expected: &Derived, derive: impl FnOnce(&mut [u8]) -> bool) -> bool {
    let mut output = vec![0; expected.output.len()];
    derive(&mut output) && is_equal(&output, &expected.output)
}

fn is_equal(one: &[u8], other: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(one, other).is_ok()
}

fn bcrypt(password: &[u8], cost: u32, salt: [u8; 16]) -> [u8; 24] {
    // A byte of zero follows the password, unless it is cut off.
    let mut padded = [0; BCRYPT_BYTES];
    let length = password.len().min(BCRYPT_BYTES);
    padded[..length].copy_from_slice(&password[..length]);
    bcrypt::bcrypt(cost, salt, &padded[..BCRYPT_BYTES.min(length + 1)])
}

fn hexadecimal_sha256(password: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, password);
    digest.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}
