//! The session that a login opens.

use serde_json::json;
use tracing::instrument;

use super::{Attempt, LoggedIn, Login, Owner, outcome};
use crate::{
    domain::{
        audit::{Action, NewEntry},
        id::{SessionId, UserId},
        password::PasswordHash,
        role::Role,
        session::SessionSecret,
        user::User,
    },
    error::{Error, ErrorCode, Result},
    repository::{
        email_changes,
        sessions::{self, NewSession, SecretDigest},
        users,
    },
    services::{Ctx, audit::Act},
};

/// What a session is used by, besides access tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionKind {
    /// Refresh tokens.
    Tokens,
    /// A cookie.
    Cookie,
}

/// What a login is to lead to.
#[derive(Debug, Clone, Copy)]
pub struct Opening {
    /// What the session is used by.
    pub kind: SessionKind,
    /// Whether only an account whose address is verified takes logins, if it has an address.
    pub for_verified: bool,
    /// Whether the user's other sessions end.
    pub is_only: bool,
}

impl Opening {
    /// A login of the native API.
    #[must_use]
    pub fn native(kind: SessionKind) -> Self {
        Self {
            kind,
            for_verified: true,
            is_only: false,
        }
    }
}

impl Login {
    /// Logs in somebody who has just made his account, and so has proved nothing but needs to prove
    /// nothing: for an older API whose registration logs in.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidCredentials`] when the account takes no logins any more;
    /// [`Error::Unavailable`].
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn log_in_new(&self, ctx: &Ctx, user: &User, opening: Opening) -> Result<LoggedIn> {
        let refused = || Error::Unauthenticated(ErrorCode::InvalidCredentials);
        let name = user.login_names().into_iter().next().ok_or_else(refused)?;
        let mut connection = self.platform.pool.acquire().await?;
        let hash = users::find_password_hash(&mut connection, user.id).await?;
        drop(connection);
        let attempt = Attempt {
            user_id: Some(user.id),
            key: self.key(&name),
            device: None,
            name,
            opening,
        };
        self.open_session(ctx, &attempt, user.id, &hash.ok_or_else(refused)?, None)
            .await?
            .ok_or_else(refused)
    }

    pub(super) async fn open_session(
        &self,
        ctx: &Ctx,
        attempt: &Attempt,
        user_id: UserId,
        hash: &PasswordHash,
        renewed: Option<&PasswordHash>,
    ) -> Result<Option<LoggedIn>> {
        // No session is opened whose tokens couldn't be issued.
        self.access_tokens.prepare().await?;
        let random = &*self.platform.random;
        let id = SessionId(random.uuid_v7(ctx.now));
        let (secret, digest) = match attempt.opening.kind {
            SessionKind::Tokens => {
                let (token, digest) = self.refresh_key.first(id, random);
                (token, SecretDigest::Refresh(digest))
            }
            SessionKind::Cookie => {
                let secret = SessionSecret::new(random.bytes());
                let digest = SecretDigest::Cookie(secret.digest());
                (secret.expose().into(), digest)
            }
        };
        let session = NewSession {
            id,
            user_id,
            secret: digest,
            user_agent: ctx.client.user_agent.as_deref(),
            client_address: ctx.client.address.map(|address| address.to_string()),
            created_at: ctx.now,
            expires_at: ctx.now + self.options.session_lifetime,
            for_verified: attempt.opening.for_verified,
        };
        let kind = match attempt.opening.kind {
            SessionKind::Tokens => "tokens",
            SessionKind::Cookie => "cookie",
        };
        let act = Act::new(Action::SessionOpened).by_owner(user_id);
        let act = act.after(json!({"session_id": id, "used_by": kind}));
        let entry = self.platform.audit.entry(ctx, act);
        let stored = self.store(attempt, &session, hash, renewed, &entry).await?;
        let Some(role) = stored else {
            return Ok(None);
        };
        outcome("success");
        tracing::info!(%user_id, session_id = %session.id, "logged in");
        let access_token = self
            .access_tokens
            .issue(user_id, session.id, role, ctx.now, session.expires_at)
            .await?;
        Ok(Some(LoggedIn {
            user_id,
            role,
            session_id: session.id,
            expires_at: session.expires_at,
            access_token,
            secret,
            device_token: self.device_token(
                attempt.device,
                &Owner::of(user_id, renewed.unwrap_or(hash)),
                ctx.now,
            ),
        }))
    }

    async fn store(
        &self,
        attempt: &Attempt,
        session: &NewSession<'_>,
        hash: &PasswordHash,
        renewed: Option<&PasswordHash>,
        entry: &NewEntry,
    ) -> Result<Option<Role>> {
        let bucket = attempt.bucket();
        if !attempt.opening.is_only {
            let mut connection = self.platform.pool.acquire().await?;
            return sessions::open(&mut connection, session, hash, renewed, bucket, entry).await;
        }
        let mut transaction = self.platform.pool.begin().await?;
        let role = sessions::open(&mut transaction, session, hash, renewed, bucket, entry).await?;
        if role.is_some() {
            sessions::end_others(&mut transaction, session.user_id, session.id).await?;
            email_changes::discard_unconfirmed(&mut transaction, session.user_id).await?;
        }
        transaction.commit().await?;
        self.cache.forget(session.user_id);
        Ok(role)
    }
}
