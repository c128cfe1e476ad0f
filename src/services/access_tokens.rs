//! Access tokens: who presents one, and whether his session still lives.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, postgres::PgListener};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{platform::Platform, session_cache::SessionCache};
use crate::{
    config::Algorithm,
    domain::{
        actor::Actor,
        id::{SessionId, UserId},
        role::Role,
    },
    error::{Error, ErrorCode, Result},
    repository::sessions::{self, LiveSession},
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
    platform: Platform,
    cache: Arc<SessionCache>,
    header: Header,
    encoding_key: EncodingKey,
    decoding_key: DecodingKey,
    validation: Validation,
    issuer: String,
    lifetime: TimeDelta,
}

impl AccessTokens {
    /// The service on this database.
    pub fn new(platform: Platform, cache: Arc<SessionCache>, options: Options) -> Self {
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
            platform,
            cache,
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
    pub fn issue(
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
        let token = jsonwebtoken::encode(&self.header, &claims, &self.encoding_key)
            .context("can't sign an access token")?;
        Ok(AccessToken {
            token: token.into(),
            lifetime,
        })
    }

    /// Who presents this token.
    ///
    /// # Errors
    ///
    /// [`Error::Unauthenticated`] when the token isn't ours, has expired, or its session has ended;
    /// [`Error::Unavailable`] when that can't be told.
    pub async fn authenticate(&self, token: &str) -> Result<Actor> {
        let refused = || Error::Unauthenticated(ErrorCode::NotAuthenticated);
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decoding_key, &self.validation)
            .map_err(|_| refused())?
            .claims;
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
