//! What OAuth2 clients ask about tokens: to revoke one (RFC 7009), and whether one is good (RFC 7662).

use chrono::{DateTime, Utc};
use serde_json::json;
use tracing::instrument;
use uuid::Uuid;

use super::Sessions;
use crate::{
    domain::{
        audit::Action,
        id::{SessionId, UserId},
        permission::Permission,
        role::Role,
    },
    error::{Error, Result},
    repository::{sessions, users},
    services::{Ctx, audit::Act},
};

/// The kind of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// An access token.
    Access,
    /// A refresh token.
    Refresh,
}

/// What a good token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introspection {
    /// Its kind.
    pub kind: TokenKind,
    /// Whose it is.
    pub user_id: UserId,
    /// His nickname.
    pub nickname: String,
    /// His role.
    pub role: Role,
    /// The session that it belongs to.
    pub session_id: SessionId,
    /// When it was issued; for a refresh token when the session began.
    pub issued_at: DateTime<Utc>,
    /// From when on it is refused.
    pub expires_at: DateTime<Utc>,
    /// An access token's id.
    pub token_id: Option<Uuid>,
}

impl Sessions {
    /// Ends the session that a token belongs to, if it is one of ours that still tells of one.
    ///
    /// Whoever has a token may end its session: that is all that he can do by it.
    ///
    /// # Errors
    ///
    /// If the database fails.
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn revoke(&self, ctx: &Ctx, token: &str) -> Result<()> {
        let session_id = match self.refresh_key.read(token) {
            Some(token) => token.session_id,
            None => match self.access_tokens.verify(token, ctx.now).await {
                Ok(claims) => claims.session_id,
                Err(Error::Unauthenticated(_)) => return Ok(()),
                Err(error) => return Err(error),
            },
        };
        let mut transaction = self.platform.pool.begin().await?;
        let Some(user_id) = sessions::end(&mut transaction, session_id, None).await? else {
            return Ok(());
        };
        let act = Act::new(Action::SessionEnded).by_owner(user_id);
        let act = act.before(json!({"session_id": session_id}));
        let audit = &self.platform.audit;
        audit.record(&mut transaction, ctx, act).await?;
        transaction.commit().await?;
        self.cache.forget(user_id);
        tracing::info!(%user_id, %session_id, "session ended by a revoked token");
        Ok(())
    }

    /// What a token says, if it is good.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] but for administrators and registered services.
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn introspect(&self, ctx: &Ctx, token: &str) -> Result<Option<Introspection>> {
        ctx.require(Permission::IntrospectTokens)?;
        if let Some(token) = self.refresh_key.read(token) {
            let mut connection = self.platform.pool.acquire().await?;
            let state = self.state_of(&mut connection, ctx, &token).await?;
            let Some(state) = state.filter(|state| state.is_live && state.is_current) else {
                return Ok(None);
            };
            let user = users::find(&mut connection, state.user_id).await?;
            return Ok(user.map(|user| Introspection {
                kind: TokenKind::Refresh,
                user_id: user.id,
                nickname: user.nickname.to_string(),
                role: user.role,
                session_id: token.session_id,
                issued_at: state.created_at,
                expires_at: state.expires_at,
                token_id: None,
            }));
        }
        let claims = match self.access_tokens.verify(token, ctx.now).await {
            Ok(claims) => claims,
            Err(Error::Unauthenticated(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let session = self.find_live(claims.session_id, ctx.now).await?;
        let session = session
            .filter(|session| session.user.id == claims.user_id && session.expires_at > ctx.now);
        Ok(session.map(|session| Introspection {
            kind: TokenKind::Access,
            user_id: session.user.id,
            nickname: session.user.nickname.to_string(),
            role: session.user.role,
            session_id: session.id,
            issued_at: claims.issued_at,
            expires_at: claims.expires_at,
            token_id: Some(claims.token_id),
        }))
    }
}
