//! Access tokens: what one says, and whether it is ours.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::Validation;
use quick_cache::sync::Cache;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sqlx::{PgPool, postgres::PgListener};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{session_cache::SessionCache, signing_keys::SigningKeys};
use crate::{
    domain::{
        id::{SessionId, UserId},
        role::Role,
    },
    error::{Error, ErrorCode, Result},
    infra::random::Random,
    repository::{sessions, signing_keys},
};

/// Whom our tokens are for (RFC 7519, `aud`).
pub const AUDIENCE: &str = "user-management";
/// How far a clock that issued a token may be ahead of ours.
const LEEWAY: TimeDelta = TimeDelta::seconds(5);
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

/// A token whose signature was checked.
#[derive(Debug, Clone, Copy)]
struct Known {
    token: VerifiedToken,
    /// Until when the signature counts, if not for good: its key may be retired.
    until: Option<DateTime<Utc>>,
}

/// Who issues tokens and how long they live.
#[derive(Debug, Clone)]
pub struct Options {
    /// Who issues the tokens: the service's base URL.
    pub issuer: String,
    /// How long a token lives.
    pub lifetime: TimeDelta,
}

/// Issues access tokens and reads them.
pub struct AccessTokens {
    random: Arc<dyn Random>,
    keys: Arc<SigningKeys>,
    known: Cache<[u8; 32], Known>,
    validation: Validation,
    issuer: String,
    lifetime: TimeDelta,
}

impl AccessTokens {
    /// The service with these keys.
    pub fn new(random: Arc<dyn Random>, keys: Arc<SigningKeys>, options: Options) -> Self {
        let mut validation = keys.validation();
        validation.set_required_spec_claims(&["iss", "aud", "sub", "nbf", "exp"]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[&options.issuer]);
        // Times are compared with the injected clock, below.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Self {
            random,
            keys,
            known: Cache::new(KNOWN_TOKENS),
            validation,
            issuer: options.issuer,
            lifetime: options.lifetime,
        }
    }

    /// Makes sure that tokens can be issued now. May take a connection: hold none.
    ///
    /// # Errors
    ///
    /// As [`SigningKeys::prepare`].
    pub async fn prepare(&self) -> Result<()> {
        self.keys.prepare().await
    }

    /// A token for a session, which must not outlive `expires_at`. May take a connection: hold none.
    ///
    /// # Errors
    ///
    /// As [`SigningKeys::sign`].
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
        let token = self.keys.sign(&claims).await?;
        Ok(AccessToken { token, lifetime })
    }

    /// What a token says, if it is ours and of now. Whether its session lives is another matter. May
    /// take a connection: hold none.
    ///
    /// The signature of a token is checked once; then its digest is known until room is needed.
    ///
    /// # Errors
    ///
    /// [`Error::Unauthenticated`] when it isn't ours or has expired; [`Error::Unavailable`] when the
    /// keys can't be read.
    pub async fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<VerifiedToken> {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let known = self.known.get(&digest);
        let known = known.filter(|known| known.until.is_none_or(|until| now < until));
        let token = match known {
            Some(known) => known.token,
            None => {
                let known = self.check_signature(token).await?.ok_or_else(refused)?;
                self.known.insert(digest, known);
                known.token
            }
        };
        if token.expires_at <= now || token.valid_from > now + LEEWAY {
            return Err(refused());
        }
        Ok(token)
    }

    async fn check_signature(&self, token: &str) -> Result<Option<Known>> {
        let verified = self.keys.verify::<Claims>(token, &self.validation).await?;
        Ok(verified.and_then(|verified| {
            let claims = verified.claims;
            let time = |seconds| DateTime::from_timestamp(seconds, 0);
            Some(Known {
                token: VerifiedToken {
                    user_id: UserId(claims.sub),
                    session_id: SessionId(claims.sid),
                    token_id: claims.jti,
                    issued_at: time(claims.iat)?,
                    valid_from: time(claims.nbf.max(claims.iat))?,
                    expires_at: time(claims.exp)?,
                },
                until: verified.valid_until,
            })
        }))
    }
}

fn refused() -> Error {
    Error::Unauthenticated(ErrorCode::NotAuthenticated)
}

/// Hears from the database which sessions changed, and forgets them, and whether keys did, until
/// `stop`.
///
/// `pool` is for this alone: listening takes a connection for good.
///
/// # Concurrency
///
/// While the connection is lost the cache keeps nothing.
pub async fn listen(
    pool: PgPool,
    cache: Arc<SessionCache>,
    keys: Arc<SigningKeys>,
    stop: CancellationToken,
) {
    const RETRY: Duration = Duration::from_secs(1);
    let mut was_lost = false;
    while !stop.is_cancelled() {
        let heard = async {
            let mut listener = PgListener::connect_with(&pool).await?;
            // It would reconnect before it tells us that it has missed something.
            listener.eager_reconnect(false);
            let channels = [sessions::CHANNEL, signing_keys::CHANNEL];
            listener.listen_all(channels).await?;
            cache.set_listening(true);
            keys.outdate();
            if was_lost {
                tracing::info!("hearing of changed sessions again");
            }
            while let Some(notification) = listener.try_recv().await? {
                if notification.channel() == signing_keys::CHANNEL {
                    keys.outdate();
                    continue;
                }
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
