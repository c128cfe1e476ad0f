//! Sessions, as their owner sees them, and the secrets in their cookies.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use super::id::SessionId;

/// A login that lives on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// The `User-Agent` of the login.
    pub user_agent: Option<String>,
    /// The address of the login.
    pub client_address: Option<String>,
    /// Time of the login.
    pub created_at: DateTime<Utc>,
    /// The last use, to the minute.
    pub last_seen_at: DateTime<Utc>,
    /// From when on it is refused.
    pub expires_at: DateTime<Utc>,
    /// Whether it is used by a cookie, and else by tokens.
    pub has_cookie: bool,
}

/// What a session's cookie holds: 256 random bits in URL-safe Base64. `Debug` hides it.
#[derive(Clone)]
pub struct SessionSecret(SecretString);

impl SessionSecret {
    /// A new secret of bytes that are random.
    #[must_use]
    pub fn new(random: [u8; 32]) -> Self {
        Self(BASE64_URL_SAFE_NO_PAD.encode(random).into())
    }

    /// A secret that somebody presents; none where it can't be one of ours.
    #[must_use]
    pub fn presented(text: &str) -> Option<Self> {
        let is_ours = text.len() == 43 && text.bytes().all(|b| b.is_ascii_graphic());
        is_ours.then(|| Self(text.into()))
    }

    /// The secret, for the one answer that carries it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// What is stored of it: SHA-256.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.expose().as_bytes()).into()
    }
}

impl fmt::Debug for SessionSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionSecret(…)")
    }
}
