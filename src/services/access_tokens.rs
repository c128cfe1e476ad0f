//! Access tokens: who presents one, and whether his session still lives.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation};
use quick_cache::sync::Cache;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sqlx::{PgPool, postgres::PgListener};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::session_cache::SessionCache;
use crate::{
    config::Algorithm,
    domain::{
        id::{SessionId, UserId},
        role::Role,
    },
    error::{Error, ErrorCode, Result},
    infra::random::Random,
    repository::sessions,
};

/// Whom our tokens are for (RFC 7519, `aud`).
pub const AUDIENCE: &str = "user-management";
/// How far a clock that issued a token may be ahead of ours, in seconds.
const LEEWAY: i64 = 5;
/// Tokens whose signatures are known to be right.
const KNOWN_TOKENS: usize = 20_000;

/// The claims of an access token; all are required.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: Uuid,
    sid: Uuid,
    /// A hint for clients: the role that counts is the database's.
    role: String,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: Uuid,
}

/// A new access token.
#[derive(Debug, Clone)]
pub struct AccessToken {
    /// The token: a JWT (RFC 7519).
    pub token: SecretString,
    /// How long it lives.
    pub lifetime: TimeDelta,
}

/// What a token of ours says.
#[derive(Debug, Clone, Copy)]
pub struct VerifiedToken {
    /// Whose it is.
    pub user_id: UserId,
    /// The session that it belongs to.
    pub session_id: SessionId,
    /// Its id.
    pub token_id: Uuid,
    /// When it was issued.
    pub issued_at: DateTime<Utc>,
    /// From when on it is good.
    pub valid_from: DateTime<Utc>,
    /// From when on it isn't any more.
    pub expires_at: DateTime<Utc>,
}

/// How tokens are signed and how long they live.
#[derive(Debug, Clone)]
pub struct Options {
    /// The key.
    pub secret_key: SecretString,
    /// The signature's algorithm; tokens of any other are refused.
    pub algorithm: Algorithm,
    /// Who issues the tokens: the service's base URL.
    pub issuer: String,
    /// How long a token lives.
    pub lifetime: TimeDelta,
}

/// Issues access tokens and tells whose they are.
pub struct AccessTokens {
    random: Arc<dyn Random>,
    verified: Cache<[u8; 32], VerifiedToken>,
    header: Header,
    encoding_key: EncodingKey,
    decoding_key: DecodingKey,
    validation: Validation,
    issuer: String,
    lifetime: TimeDelta,
}

impl AccessTokens {
    /// The service on this database.
    pub fn new(random: Arc<dyn Random>, options: Options) -> Self {
        let algorithm = match options.algorithm {
            Algorithm::Hs256 => jsonwebtoken::Algorithm::HS256,
            Algorithm::Hs384 => jsonwebtoken::Algorithm::HS384,
            Algorithm::Hs512 => jsonwebtoken::Algorithm::HS512,
        };
        let mut validation = Validation::new(algorithm);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "nbf", "exp"]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[&options.issuer]);
        // Times are compared with the injected clock, below.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let key = options.secret_key.expose_secret().as_bytes();
        Self {
            random,
            verified: Cache::new(KNOWN_TOKENS),
            header: Header::new(algorithm),
            encoding_key: EncodingKey::from_secret(key),
            decoding_key: DecodingKey::from_secret(key),
            validation,
            issuer: options.issuer,
            lifetime: options.lifetime,
        }
    }

    /// A token for a session, which must not outlive `expires_at`.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] if it can't be signed.
    pub async fn issue(
        &self,
        user_id: UserId,
        session: SessionId,
        role: Role,
        now: DateTime<Utc>,
        expires_at: DateTime<Utc>,
    ) -> Result<AccessToken> {
        let lifetime = self.lifetime.min(expires_at - now);
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: AUDIENCE.to_owned(),
            sub: user_id.0,
            sid: session.0,
            role: role.as_str().to_owned(),
            iat: now.timestamp(),
            nbf: now.timestamp(),
            exp: (now + lifetime).timestamp(),
            jti: self.random.uuid_v7(now),
        };
        let token = jsonwebtoken::encode(&self.header, &claims, &self.encoding_key)
            .context("can't sign an access token")?;
        Ok(AccessToken {
            token: token.into(),
            lifetime,
        })
    }

    /// What a token says, if it is ours and of now. Whether its session lives is another matter.
    ///
    /// The signature of a token is checked once; then its digest is known until room is needed.
    ///
    /// # Errors
    ///
    /// [`Error::Unauthenticated`] when it isn't ours or has expired.
    pub async fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<VerifiedToken> {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let token = match self.verified.get(&digest) {
            Some(verified) => verified,
            None => {
                let verified = self.check_signature(token).ok_or_else(refused)?;
                self.verified.insert(digest, verified);
                verified
            }
        };
        let leeway = TimeDelta::seconds(LEEWAY);
        if token.expires_at <= now || token.valid_from > now + leeway {
            return Err(refused());
        }
        Ok(token)
    }

    fn check_signature(&self, token: &str) -> Option<VerifiedToken> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decoding_key, &self.validation)
            .ok()?
            .claims;
        let time = |seconds| DateTime::from_timestamp(seconds, 0);
        Some(VerifiedToken {
            user_id: UserId(claims.sub),
            session_id: SessionId(claims.sid),
            token_id: claims.jti,
            issued_at: time(claims.iat)?,
            valid_from: time(claims.nbf.max(claims.iat))?,
            expires_at: time(claims.exp)?,
        })
    }
}

fn refused() -> Error {
    Error::Unauthenticated(ErrorCode::NotAuthenticated)
}

/// Hears from the database which sessions changed, and forgets them, until `stop`.
///
/// `pool` is for this alone: listening takes a connection for good.
///
/// # Concurrency
///
/// While the connection is lost the cache keeps nothing.
pub async fn listen(pool: PgPool, cache: Arc<SessionCache>, stop: CancellationToken) {
    const RETRY: Duration = Duration::from_secs(1);
    let mut was_lost = false;
    while !stop.is_cancelled() {
        let heard = async {
            let mut listener = PgListener::connect_with(&pool).await?;
            // It would reconnect before it tells us that it has missed something.
            listener.eager_reconnect(false);
            listener.listen(sessions::CHANNEL).await?;
            cache.set_listening(true);
            if was_lost {
                tracing::info!("hearing of changed sessions again");
            }
            while let Some(notification) = listener.try_recv().await? {
                match notification.payload().parse() {
                    Ok(user_id) => cache.forget(user_id),
                    // Who changed isn't known: forget all.
                    Err(_) => cache.set_listening(true),
                }
            }
            Ok::<_, sqlx::Error>(())
        };
        let ended = stop.run_until_cancelled(heard).await;
        cache.set_listening(false);
        if let Some(result) = ended {
            if !was_lost {
                let error = result.err().map(|error| error.to_string());
                tracing::warn!(
                    error,
                    "not hearing of changed sessions: each request reads its session from the database"
                );
            }
            was_lost = true;
            stop.run_until_cancelled(tokio::time::sleep(RETRY)).await;
        }
    }
    // The connection goes back to the pool in the background: end it before the database may stop.
    pool.close().await;
}
