//! Access tokens and sessions.

use std::{fmt, path::PathBuf, str::FromStr};

use chrono::TimeDelta;
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

use super::{Environment, Reader};
use crate::domain::signing_key::{Algorithm, KeyAlgorithm, LONGEST_TOKEN_LIFE};

/// Fewest bytes of a key (RFC 7518, 3.2: as many as the hash has).
const MIN_KEY_BYTES: usize = 32;

/// Keys that stand in somebody's tutorial, in lower case, as far as they are long enough.
const PUBLISHED_KEYS: &[&str] = &[
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
    "a-string-secret-at-least-256-bits-long",
    "a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long",
    "your-256-bit-secret-your-256-bit-secret",
    "change-me-to-a-random-string-of-32-bytes",
    "super-secret-key-that-is-at-least-32-bytes-long",
];

/// The name and the secret of a service that may ask about tokens.
#[derive(Clone)]
pub struct ServiceCredential {
    name: String,
    /// Digests are compared, so that the time doesn't tell how much of a guess is right.
    secret_digest: [u8; 32],
}

impl ServiceCredential {
    /// Whether it has this name and this secret.
    #[must_use]
    pub fn is(&self, name: &str, secret: &str) -> bool {
        let digest: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
        self.name == name && self.secret_digest == digest
    }
}

impl fmt::Debug for ServiceCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceCredential({}, …)", self.name)
    }
}

impl FromStr for ServiceCredential {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, secret) = text
            .split_once(':')
            .ok_or("must be name:secret, several of them separated by commas")?;
        // What stands in a header without being encoded, whatever the client.
        let is_plain = |text: &str| {
            text.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
        };
        if name.is_empty() || !is_plain(name) || !is_plain(secret) {
            return Err("name and secret must consist of letters, digits and - . _ ~");
        }
        if secret.len() < MIN_KEY_BYTES {
            return Err("the secret must have at least 32 characters");
        }
        Ok(Self {
            name: name.to_owned(),
            secret_digest: Sha256::digest(secret.as_bytes()).into(),
        })
    }
}

/// Access tokens and sessions.
#[derive(Debug, Clone)]
pub struct TokensConfig {
    /// The key of access tokens, and of whatever else is signed or sealed; none in development: one
    /// is generated and kept.
    pub secret_key: Option<SecretString>,
    /// How access tokens are signed.
    pub algorithm: Algorithm,
    /// Private keys that sign access tokens: the first signs. Empty: the keys are in the database.
    pub private_key_files: Vec<PathBuf>,
    /// How long an access token lives.
    pub access_token_lifetime: TimeDelta,
    /// How long a session lives without being used.
    pub session_lifetime: TimeDelta,
    /// How long a session lives in all.
    pub longest_session: TimeDelta,
    /// Services that may ask about tokens.
    pub service_credentials: Vec<ServiceCredential>,
}

impl TokensConfig {
    pub(super) fn read(reader: &mut Reader<'_>, environment: Environment) -> Self {
        reader.section("Tokens and sessions");
        let secret_key: Option<String> = reader.secret().optional(
            "JWT_SECRET_KEY",
            "The secret that signs access tokens, or encrypts the keys that do, and seals what waits in the database: at least 32 random bytes, for example from `openssl rand -base64 48`. Required in production; development generates one and keeps it in DATA_DIR.",
        );
        if environment == Environment::Production {
            match &secret_key {
                None => reader.problem("JWT_SECRET_KEY", "is required in production"),
                Some(key) => {
                    if let Some(problem) = weakness(key) {
                        reader.problem("JWT_SECRET_KEY", problem);
                    }
                }
            }
        }
        let algorithm = reader
            .optional(
                "JWT_ALGORITHM",
                "How access tokens are signed: with JWT_SECRET_KEY by `HS256`, `HS384` or `HS512`, or with a key pair by `EdDSA` or `ES256`. A change ends the tokens of before. Default: `EdDSA` in development, `HS256` in production.",
            )
            .unwrap_or(match environment {
                Environment::Development => Algorithm::KeyPair(KeyAlgorithm::EdDsa),
                Environment::Production => Algorithm::Hs256,
            });
        reader.show("JWT_ALGORITHM", algorithm.as_str());
        let private_key_files: Vec<PathBuf> = reader.list(
            "JWT_PRIVATE_KEY_FILES",
            "Files of the private keys of `EdDSA` or `ES256` (PEM, PKCS#8), separated by commas: the first signs, all verify. Unset: keys are made by the service, kept in the database and rotated by `user-management keys rotate`.",
        );
        if !private_key_files.is_empty() && !matches!(algorithm, Algorithm::KeyPair(_)) {
            reader.problem(
                "JWT_PRIVATE_KEY_FILES",
                "is for JWT_ALGORITHM EdDSA or ES256",
            );
        }
        let most = LONGEST_TOKEN_LIFE.num_minutes();
        let mut minutes: i64 = reader.with_default(
            "ACCESS_TOKEN_EXPIRE_MINUTES",
            "15",
            "How long an access token lives, in minutes: 1 to 15.",
        );
        if minutes < 1 {
            reader.problem("ACCESS_TOKEN_EXPIRE_MINUTES", "must be from 1 to 15");
        } else if minutes > most {
            reader.warning(
                "ACCESS_TOKEN_EXPIRE_MINUTES",
                "access tokens live 15 minutes at most; 15 is used",
            );
            minutes = most;
        }
        let session_minutes: u32 = reader.with_default(
            "REFRESH_TOKEN_EXPIRE_MINUTES",
            "1440",
            "How long a session lives without being used, in minutes: up to 525600, a year. A refresh token lives as long, and each refresh renews it.",
        );
        if !(1..=525_600).contains(&session_minutes) {
            reader.problem("REFRESH_TOKEN_EXPIRE_MINUTES", "must be from 1 to 525600");
        }
        let longest_minutes: u32 = reader.with_default(
            "SESSION_MAX_MINUTES",
            "129600",
            "How long a session lives in all, however much it is used, in minutes: up to 5256000, ten years; the default is 90 days.",
        );
        if !(1..=5_256_000).contains(&longest_minutes) {
            reader.problem("SESSION_MAX_MINUTES", "must be from 1 to 5256000");
        }
        let service_credentials = reader.secret().list(
            "SERVICE_CREDENTIALS",
            "Services that may ask about tokens at `/token/introspect`, with `Authorization: Basic`: `name:secret`, separated by commas, each secret of at least 32 characters.",
        );
        Self {
            secret_key: secret_key.map(SecretString::from),
            algorithm,
            private_key_files,
            access_token_lifetime: TimeDelta::minutes(minutes),
            session_lifetime: TimeDelta::minutes(session_minutes.min(longest_minutes).into()),
            longest_session: TimeDelta::minutes(longest_minutes.into()),
            service_credentials,
        }
    }
}

fn weakness(key: &str) -> Option<&'static str> {
    let distinct: std::collections::BTreeSet<_> = key.bytes().collect();
    if key.len() < MIN_KEY_BYTES {
        Some("must have at least 32 bytes")
    } else if PUBLISHED_KEYS.contains(&key.to_ascii_lowercase().as_str()) {
        Some("is a published sample; generate one of your own")
    } else if distinct.len() < 8 {
        Some("must be random")
    } else {
        None
    }
}
