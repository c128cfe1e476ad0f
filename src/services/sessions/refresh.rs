//! Refresh tokens (RFC 6749, 6; rotation as in RFC 9700, 4.14.2): each works once, and is exchanged
//! for the next one and an access token. The tokens of one session are a family.
//!
//! An answer may be lost: for [`GRACE`] a token may be exchanged again, as long as the one that it
//! was exchanged for is unused; the new answer's token takes that one's place, so that never two
//! are good. A used token that comes back otherwise is in two hands, and its session ends.
//!
//! A token is, in Base64: the session's id (16 bytes), the number of exchanges before it (4), 256
//! random bits (32), and the beginning of a tag over these (16). The tag keeps anybody from ending
//! a session by made-up tokens: its id is no secret. What the database has is the digest of the
//! good token and of the one before, so that a session takes as much room after a year as at first.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tracing::instrument;
use uuid::Uuid;

use super::Sessions;
use crate::{
    domain::{audit::Action, id::SessionId},
    error::{Error, ErrorCode, Result},
    infra::{keys::PurposeKey, random::Random},
    repository::{
        email_changes,
        sessions::{self, RefreshState, Rotation},
        users,
    },
    services::{Ctx, access_tokens::AccessToken, audit::Act, mail::UserMail},
};

/// For how long a lost answer may be asked for again.
pub(super) const GRACE: TimeDelta = TimeDelta::seconds(10);
/// Bytes of a tag.
const TAG: usize = 16;
/// Characters of a token: 68 bytes in Base64.
const LENGTH: usize = 91;

/// Signs refresh tokens.
pub struct RefreshKey(PurposeKey);

/// A refresh token that we signed. `Debug` is not there.
pub(super) struct RefreshToken {
    pub(super) session_id: SessionId,
    pub(super) generation: i32,
    text: SecretString,
}

impl RefreshKey {
    /// A key that signs by `key`.
    #[must_use]
    pub fn new(key: PurposeKey) -> Self {
        Self(key)
    }

    fn issue(&self, session_id: SessionId, generation: i32, random: &dyn Random) -> RefreshToken {
        let secret: [u8; 32] = random.bytes();
        let said = [
            session_id.0.as_bytes().as_slice(),
            &generation.to_be_bytes(),
            &secret,
        ]
        .concat();
        let tag = self.0.tag(&[&said]);
        RefreshToken {
            session_id,
            generation,
            text: BASE64_URL_SAFE_NO_PAD
                .encode([&said, &tag[..TAG]].concat())
                .into(),
        }
    }

    /// The first token of a session, and its digest.
    pub fn first(&self, session_id: SessionId, random: &dyn Random) -> (SecretString, [u8; 32]) {
        let token = self.issue(session_id, 0, random);
        (token.text.clone(), token.digest())
    }

    /// Reads a token: none where it isn't ours.
    pub(super) fn read(&self, text: &str) -> Option<RefreshToken> {
        if text.len() != LENGTH {
            return None;
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let (said, tag) = bytes.split_at_checked(bytes.len() - TAG)?;
        let (id, rest) = said.split_first_chunk::<16>()?;
        let (generation, _secret) = rest.split_first_chunk::<4>()?;
        self.0.verify_beginning(&[said], tag).then(|| RefreshToken {
            session_id: SessionId(Uuid::from_bytes(*id)),
            generation: i32::from_be_bytes(*generation),
            text: text.into(),
        })
    }
}

impl RefreshToken {
    pub(super) fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.text.expose_secret().as_bytes()).into()
    }
}

/// What a refresh token was exchanged for.
#[derive(Debug)]
pub struct Refreshed {
    /// What he presents from now on.
    pub access_token: AccessToken,
    /// What he exchanges next.
    pub refresh_token: SecretString,
}

impl Sessions {
    /// Exchanges a refresh token.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidRefreshToken`] when it is unknown, used or replaced, or its session has
    /// ended.
    ///
    /// # Concurrency
    ///
    /// Of several exchanges of one token at once each succeeds, and the token of the last one is good.
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn refresh(&self, ctx: &Ctx, presented: &str) -> Result<Refreshed> {
        let token = self.refresh_key.read(presented).ok_or_else(refused)?;
        let random = &*self.platform.random;
        let generation = token.generation.checked_add(1).ok_or_else(refused)?;
        let next = self.refresh_key.issue(token.session_id, generation, random);
        let rotation = Rotation {
            session_id: token.session_id,
            presented: &token.digest(),
            generation: token.generation,
            next: &next.digest(),
            grace: GRACE,
            lifetime: self.lifetime,
        };
        let now_override = self.platform.clock.database_override();
        // Nothing is consumed when it couldn't be answered.
        self.access_tokens.prepare().await?;
        let mut connection = self.platform.pool.acquire().await?;
        let refreshed =
            sessions::refresh(&mut connection, &rotation, ctx.now, now_override).await?;
        let Some(session) = refreshed else {
            let state = self.state_of(&mut connection, ctx, &token).await?;
            drop(connection);
            if let Some(state) = state.filter(|state| is_theft(state, &token)) {
                self.end_family(ctx, &token, state).await?;
            }
            outcome("refused");
            return Err(refused());
        };
        drop(connection);
        outcome("success");
        let access_token = self
            .access_tokens
            .issue(
                session.user_id,
                token.session_id,
                session.role,
                ctx.now,
                session.expires_at,
            )
            .await?;
        Ok(Refreshed {
            access_token,
            refresh_token: next.text,
        })
    }

    /// Where the session of a token stands, if it is there.
    pub(super) async fn state_of(
        &self,
        connection: &mut sqlx::PgConnection,
        ctx: &Ctx,
        token: &RefreshToken,
    ) -> Result<Option<RefreshState>> {
        sessions::find_refresh_state(
            connection,
            token.session_id,
            &token.digest(),
            GRACE,
            ctx.now,
            self.platform.clock.database_override(),
        )
        .await
    }

    async fn end_family(&self, ctx: &Ctx, token: &RefreshToken, state: RefreshState) -> Result<()> {
        let RefreshState { user_id, .. } = state;
        let session_id = token.session_id;
        let mut transaction = self.platform.pool.begin().await?;
        users::find_for_update(&mut transaction, user_id).await?;
        if sessions::end(&mut transaction, session_id, Some(user_id))
            .await?
            .is_none()
        {
            return Ok(());
        }
        // Whoever had the session may have asked for another address.
        email_changes::discard_unconfirmed(&mut transaction, user_id).await?;
        self.mails
            .enqueue(&mut transaction, user_id, UserMail::SessionReuse, ctx.now)
            .await?;
        // Whether the owner or a thief presented it, nobody knows.
        let act = Act::new(Action::RefreshTokenReused).on(user_id);
        let act = act.before(json!({"session_id": session_id})).failed();
        let audit = &self.platform.audit;
        audit.record(&mut transaction, ctx, act).await?;
        transaction.commit().await?;
        self.cache.forget(user_id);
        self.platform.queue.wake();
        metrics::counter!("refresh_token_reuses_total").increment(1);
        tracing::warn!(
            %user_id, %session_id, request_id = %ctx.request_id,
            "a used refresh token came back: its session is ended"
        );
        Ok(())
    }
}

/// Whether a refused token tells that it is in two hands.
fn is_theft(state: &RefreshState, token: &RefreshToken) -> bool {
    // A token of an exchange that the database has forgotten, as after a restored backup, isn't theft.
    let is_ahead = token.generation > state.generation;
    if !state.is_live || state.is_current || is_ahead {
        return false;
    }
    // Where a token isn't the one that was used of its generation, another answer's token took its
    // place: of that much is known of the last two.
    let was_replaced = token.generation == state.generation
        || (token.generation == state.generation - 1 && !state.is_previous);
    // A moment after that, an honest client may not have seen that answer yet; later it means that
    // somebody else got it. A used one is always theft: the one that it was exchanged for was used
    // too, or the grace is over.
    !(was_replaced && state.was_just_refreshed)
}

fn refused() -> Error {
    Error::InvalidToken(ErrorCode::InvalidRefreshToken)
}

fn outcome(outcome: &'static str) {
    metrics::counter!("refreshes_total", "outcome" => outcome).increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infra::random::SeededRandom;

    #[test]
    fn only_tokens_that_we_signed_are_read() {
        let key = |secret: &str| {
            RefreshKey::new(PurposeKey::derive(
                &secret.to_owned().into(),
                "refresh token",
            ))
        };
        let random = SeededRandom::new(1);
        let id = SessionId(Uuid::from_u128(7));
        let token = key("ours").issue(id, 41, &random);
        let text = token.text.expose_secret();
        assert_eq!(text.len(), LENGTH);
        let read = key("ours").read(text).unwrap();
        assert_eq!((read.session_id, read.generation), (id, 41));
        assert_eq!(read.digest(), token.digest());
        assert!(key("others").read(text).is_none());
        for position in 0..LENGTH {
            let mut changed = text.to_owned();
            let other = if &changed[position..=position] == "A" {
                "B"
            } else {
                "A"
            };
            changed.replace_range(position..=position, other);
            assert!(key("ours").read(&changed).is_none(), "{position}");
        }
        for bad in ["", "A", &text[1..], &format!("{text}A"), &"ä".repeat(45)] {
            assert!(key("ours").read(bad).is_none());
        }
    }
}
