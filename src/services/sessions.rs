//! Sessions: who uses one, and how it ends. Beside, `refresh.rs` has refresh tokens, `oauth.rs`
//! what OAuth2 clients ask about tokens, and `activity.rs` notes which sessions are used.
//!
//! A session is used by access tokens, which name it, or by the secret in its cookie: two ways into
//! the same thing.

mod activity;
mod oauth;
mod refresh;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use quick_cache::sync::Cache;
use serde_json::json;
use tracing::instrument;

use self::activity::Activity;
use super::{
    Ctx, access_tokens::AccessTokens, audit::Act, mail::Mails, platform::Platform,
    session_cache::SessionCache,
};
use crate::{
    domain::{
        actor::Actor,
        audit::Action,
        id::{SessionId, UserId},
        permission::Permission,
        session::{Session, SessionSecret},
    },
    error::{Error, ErrorCode, Result},
    infra::keys::PurposeKey,
    repository::{
        email_changes,
        sessions::{self, Lifetime, LiveSession},
        users,
    },
    services::users::subject,
};

pub use activity::keep_seen;
pub use oauth::{Introspection, TokenKind};
pub use refresh::{RefreshKey, Refreshed};

/// Cookies that are known by their digests, to spare the database a look at each request.
const KNOWN_COOKIES: usize = 20_000;
/// How exactly the last use of a session is known.
const SEEN_EVERY: TimeDelta = TimeDelta::minutes(1);

/// Keys and lifetimes of sessions.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long a session lives.
    pub lifetime: Lifetime,
    /// Signs refresh tokens.
    pub refresh_key: PurposeKey,
}

/// Tells who uses a session, and ends sessions.
pub struct Sessions {
    platform: Platform,
    cache: Arc<SessionCache>,
    access_tokens: Arc<AccessTokens>,
    mails: Arc<Mails>,
    lifetime: Lifetime,
    refresh_key: RefreshKey,
    /// Which session a cookie is of: that never changes.
    cookies: Cache<[u8; 32], SessionId>,
    activity: Activity,
}

impl Sessions {
    /// The service on this database.
    pub fn new(
        platform: Platform,
        cache: Arc<SessionCache>,
        access_tokens: Arc<AccessTokens>,
        mails: Arc<Mails>,
        options: Options,
    ) -> Self {
        Self {
            platform,
            cache,
            access_tokens,
            mails,
            lifetime: options.lifetime,
            refresh_key: RefreshKey::new(options.refresh_key),
            cookies: Cache::new(KNOWN_COOKIES),
            activity: Activity::default(),
        }
    }

    /// Who presents this access token.
    ///
    /// # Errors
    ///
    /// [`Error::Unauthenticated`] when the token isn't ours, has expired, or its session has ended;
    /// [`Error::Unavailable`] when that can't be told.
    pub async fn authenticate(&self, token: &str) -> Result<Actor> {
        let now = self.platform.clock.now();
        let claims = self.access_tokens.verify(token, now).await?;
        let session = self.find_live(claims.session_id, now).await?;
        let session = session.filter(|session| session.user.id == claims.user_id);
        self.used(session, now)
    }

    /// Who presents this secret of a cookie.
    ///
    /// # Errors
    ///
    /// As of [`Self::authenticate`].
    pub async fn authenticate_cookie(&self, secret: &SessionSecret) -> Result<Actor> {
        let now = self.platform.clock.now();
        let digest = secret.digest();
        if let Some(id) = self.cookies.get(&digest) {
            let session = self.find_live(id, now).await?;
            return self.used(session, now);
        }
        let begun = self.cache.begin();
        let mut connection = self.platform.pool.acquire().await?;
        let session = sessions::find_live_by_cookie(&mut connection, &digest, now).await?;
        drop(connection);
        let session = session.map(Arc::new);
        if let Some(session) = &session {
            self.cookies.insert(digest, session.id);
            self.cache.keep(begun, session);
        }
        self.used(session, now)
    }

    fn used(&self, session: Option<Arc<LiveSession>>, now: DateTime<Utc>) -> Result<Actor> {
        let session = session
            .filter(|session| session.expires_at > now)
            .ok_or(Error::Unauthenticated(ErrorCode::NotAuthenticated))?;
        // Those that live shortly are to be seen in time.
        let seen_every = SEEN_EVERY.min(self.lifetime.idle / 4);
        if now - session.last_seen_at >= seen_every {
            self.activity.note(session.id);
        }
        Ok(Actor::User {
            id: session.user.id,
            role: session.user.role,
            session: session.id,
        })
    }

    /// The session of this id with its user, if it lives; as it was a second ago at most, and not
    /// before the last change.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub(super) async fn find_live(
        &self,
        id: SessionId,
        now: DateTime<Utc>,
    ) -> Result<Option<Arc<LiveSession>>> {
        // One that seems to have expired may have been lengthened since.
        let known = self.cache.get(id).filter(|known| known.expires_at > now);
        if known.is_some() {
            return Ok(known);
        }
        let begun = self.cache.begin();
        let mut connection = self.platform.pool.acquire().await?;
        let session = sessions::find_live(&mut connection, id, now).await?;
        let session = session.map(Arc::new);
        if let Some(session) = &session {
            self.cache.keep(begun, session);
        }
        Ok(session)
    }

    /// The caller's live sessions, newest first, and which of them he uses.
    ///
    /// # Errors
    ///
    /// [`Error::Unauthenticated`].
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn list(&self, ctx: &Ctx) -> Result<(Vec<Session>, SessionId)> {
        let (user_id, current) = ctx.user()?;
        let mut connection = self.platform.pool.acquire().await?;
        let mut listed = sessions::list(&mut connection, user_id, ctx.now).await?;
        for session in &mut listed {
            if session.id == current {
                session.last_seen_at = ctx.now;
            }
        }
        Ok((listed, current))
    }

    /// Ends the session that the caller uses.
    ///
    /// # Errors
    ///
    /// [`Error::Unauthenticated`].
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn end_current(&self, ctx: &Ctx) -> Result<()> {
        let (_, current) = ctx.user()?;
        self.end(ctx, current).await
    }

    /// Ends one of the caller's sessions; with another than he uses goes a change of address that
    /// nobody has confirmed, since whoever had it may have asked for that.
    ///
    /// # Errors
    ///
    /// [`Error::Unauthenticated`]; [`ErrorCode::SessionNotFound`] also for somebody else's.
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn end(&self, ctx: &Ctx, id: SessionId) -> Result<()> {
        let (user_id, current) = ctx.user()?;
        let mut transaction = self.platform.pool.begin().await?;
        if id != current {
            users::find_for_update(&mut transaction, user_id).await?;
            ctx.still_logged_in(&mut transaction).await?;
            email_changes::discard_unconfirmed(&mut transaction, user_id).await?;
        }
        let ended = sessions::end(&mut transaction, id, Some(user_id)).await?;
        ended.ok_or(Error::NotFound(ErrorCode::SessionNotFound))?;
        let act = Act::new(Action::SessionEnded).on(user_id);
        let act = act.before(json!({"session_id": id}));
        let audit = &self.platform.audit;
        audit.record(&mut transaction, ctx, act).await?;
        transaction.commit().await?;
        self.cache.forget(user_id);
        tracing::info!(%user_id, session_id = %id, "session ended by its user");
        Ok(())
    }

    /// Ends all of the caller's sessions but the one that he uses.
    ///
    /// # Errors
    ///
    /// [`Error::Unauthenticated`].
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn end_others(&self, ctx: &Ctx) -> Result<()> {
        let (user_id, current) = ctx.user()?;
        let mut transaction = self.platform.pool.begin().await?;
        users::find_for_update(&mut transaction, user_id).await?;
        ctx.still_logged_in(&mut transaction).await?;
        let ended = sessions::end_others(&mut transaction, user_id, current).await?;
        // Whoever had a session may have asked for another address.
        email_changes::discard_unconfirmed(&mut transaction, user_id).await?;
        let act = Act::new(Action::SessionsEnded).on(user_id);
        let act = act.after(json!({"sessions_ended": ended, "session_kept": current}));
        let audit = &self.platform.audit;
        audit.record(&mut transaction, ctx, act).await?;
        transaction.commit().await?;
        self.cache.forget(user_id);
        tracing::info!(%user_id, ended, "other sessions ended by their user");
        Ok(())
    }

    /// A user's live sessions, newest first.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] by the rules of rank; [`ErrorCode::UserNotFound`].
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn list_of(&self, ctx: &Ctx, id: UserId) -> Result<Vec<Session>> {
        ctx.require_on(Permission::ListSessions, id)?;
        let mut transaction = self.platform.pool.begin().await?;
        subject(&mut transaction, ctx, id, Permission::ListSessions).await?;
        let listed = sessions::list(&mut transaction, id, ctx.now).await?;
        transaction.commit().await?;
        Ok(listed)
    }

    /// Ends all sessions of a user.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] by the rules of rank; [`ErrorCode::UserNotFound`].
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn end_all_of(&self, ctx: &Ctx, id: UserId) -> Result<()> {
        ctx.require_on(Permission::EndSessions, id)?;
        let mut transaction = self.platform.pool.begin().await?;
        subject(&mut transaction, ctx, id, Permission::EndSessions).await?;
        let ended = sessions::end_all(&mut transaction, id).await?;
        email_changes::discard_unconfirmed(&mut transaction, id).await?;
        let act = Act::new(Action::SessionsEnded).on(id);
        let act = act.after(json!({"sessions_ended": ended}));
        let audit = &self.platform.audit;
        audit.record(&mut transaction, ctx, act).await?;
        transaction.commit().await?;
        self.cache.forget(id);
        tracing::info!(user_id = %id, ended, actor = ?ctx.actor, "sessions ended");
        Ok(())
    }
}
