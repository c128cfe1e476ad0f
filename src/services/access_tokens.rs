//! Access tokens: who presents one, and whether his session still lives.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::Validation;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, postgres::PgListener};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{platform::Platform, session_cache::SessionCache, signing_keys::SigningKeys};
use crate::{
    domain::{
        actor::Actor,
        id::{SessionId, UserId},
        role::Role,
    },
    error::{Error, ErrorCode, Result},
    repository::{
        sessions::{self, LiveSession},
        signing_keys,
    },
};

/// Whom our tokens are for (RFC 7519, `aud`).
const AUDIENCE: &str = "user-management";
/// How far a clock that issued a token may be ahead of ours, in seconds.
const LEEWAY: u64 = 5;

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

/// Who issues tokens and how long they live.
#[derive(Debug, Clone)]
pub struct Options {
    /// Who issues the tokens: the service's base URL.
    pub issuer: String,
    /// How long a token lives.
    pub lifetime: TimeDelta,
}

/// Issues access tokens and tells whose they are.
pub struct AccessTokens {
    platform: Platform,
    cache: Arc<SessionCache>,
    keys: Arc<SigningKeys>,
    validation: Validation,
    issuer: String,
    lifetime: TimeDelta,
}

impl AccessTokens {
    /// The service on this database.
    pub fn new(
        platform: Platform,
        cache: Arc<SessionCache>,
        keys: Arc<SigningKeys>,
        options: Options,
    ) -> Self {
        let mut validation = keys.validation();
        validation.set_required_spec_claims(&["iss", "aud", "sub", "nbf", "exp"]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[&options.issuer]);
        // Times are compared with the injected clock, below.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Self {
            platform,
            cache,
            keys,
            validation,
            issuer: options.issuer,
            lifetime: options.lifetime,
        }
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
            jti: self.platform.random.uuid_v7(now),
        };
        let token = self.keys.sign(&claims).await?;
        Ok(AccessToken { token, lifetime })
    }

    /// Who presents this token.
    ///
    /// # Errors
    ///
    /// [`Error::Unauthenticated`] when the token isn't ours, has expired, or its session has ended;
    /// [`Error::Unavailable`] when that can't be told.
    pub async fn authenticate(&self, token: &str) -> Result<Actor> {
        let refused = || Error::Unauthenticated(ErrorCode::NotAuthenticated);
        let verified = self.keys.verify(token, &self.validation).await?;
        let claims: Claims = verified.ok_or_else(refused)?.claims;
        let now = self.platform.clock.now();
        let leeway = LEEWAY.cast_signed();
        if claims.exp <= now.timestamp() || claims.nbf.max(claims.iat) > now.timestamp() + leeway {
            return Err(refused());
        }
        let id = SessionId(claims.sid);
        let session = self.find_live(id, now).await?.ok_or_else(refused)?;
        if session.user_id.0 != claims.sub || session.expires_at <= now {
            return Err(refused());
        }
        Ok(Actor::User {
            id: session.user_id,
            role: session.role,
            session: id,
        })
    }

    async fn find_live(&self, id: SessionId, now: DateTime<Utc>) -> Result<Option<LiveSession>> {
        if let Some(session) = self.cache.get(id) {
            return Ok(Some(session));
        }
        let begun = self.cache.begin();
        let mut connection = self.platform.pool.acquire().await?;
        let session = sessions::find_live(&mut connection, id, now).await?;
        if let Some(session) = session {
            self.cache.keep(begun, id, session);
        }
        Ok(session)
    }
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
