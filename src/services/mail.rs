//! Mail to users: enqueued in the transaction that causes it, sent by the worker.

use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretSlice};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use super::platform::Platform;
use crate::{
    domain::{
        id::UserId,
        message::{Mailbox, Message, MessageId},
        token::{OneTimeToken, Purpose},
        user::User,
    },
    error::{Error, Result},
    infra::{
        email::{Catalog, Link, Mail, Mailer, SendError, SiteUrl, Values, greeting_name},
        sealer::Sealer,
    },
    repository::{
        jobs::{ClaimedJob, JobKind, NewJob, SealedSecret},
        users,
    },
};

/// The job that sends one mail. 41 attempts, at most 48 minutes apart on average, take a little over 24
/// hours.
pub const SEND_MAIL: JobKind = JobKind {
    name: "send_mail",
    max_attempts: 41,
};

/// What a job remembers of a mail. The address is not in it: mail goes to the address that the
/// account has when it is sent.
#[derive(Debug, Serialize, Deserialize)]
struct Envelope {
    mail: Mail,
    user_id: Uuid,
    message_id: MessageId,
    #[serde(default)]
    by_administrator: bool,
}

/// A mail to a user.
#[derive(Debug, Clone, Copy)]
pub enum UserMail<'a> {
    /// A link that verifies the address.
    EmailVerification(&'a OneTimeToken),
    /// Locked after failed logins, with a link that unlocks.
    LockedAfterFailedLogins(&'a OneTimeToken),
    /// Locked by an administrator.
    LockedByAdministrator,
    /// Unlocked.
    Unlocked,
    /// Somebody tried to register with the account's address.
    AccountExists,
    /// A used refresh token came back, and its session was ended.
    SessionReuse,
}

impl<'a> UserMail<'a> {
    fn mail(self) -> Mail {
        match self {
            Self::EmailVerification(_) => Mail::EmailVerification,
            Self::LockedAfterFailedLogins(_) | Self::LockedByAdministrator => Mail::AccountLocked,
            Self::Unlocked => Mail::AccountUnlocked,
            Self::AccountExists => Mail::AccountExists,
            Self::SessionReuse => Mail::SessionReuse,
        }
    }

    fn token(self) -> Option<(&'a OneTimeToken, Purpose)> {
        match self {
            Self::EmailVerification(token) => Some((token, Purpose::EmailVerification)),
            Self::LockedAfterFailedLogins(token) => Some((token, Purpose::AccountUnlock)),
            Self::LockedByAdministrator
            | Self::Unlocked
            | Self::AccountExists
            | Self::SessionReuse => None,
        }
    }
}

/// What became of an attempt to send a mail.
#[derive(Debug)]
pub enum Delivery {
    /// The server has taken it.
    Sent,
    /// There is nobody to send it to any more, or nothing to say: its link was used or replaced.
    Obsolete,
    /// It failed, and may succeed later.
    Transient(String),
    /// It failed for good.
    Permanent(String),
}

/// Enqueues and sends mail.
pub struct Mails {
    platform: Platform,
    catalog: Catalog,
    mailer: Arc<dyn Mailer>,
    sealer: Sealer,
    from: Mailbox,
    site: SiteUrl,
}

impl Mails {
    /// The service; links begin with `site`.
    pub fn new(
        platform: Platform,
        catalog: Catalog,
        mailer: Arc<dyn Mailer>,
        sealer: Sealer,
        from: Mailbox,
        site: SiteUrl,
    ) -> Self {
        Self {
            platform,
            catalog,
            mailer,
            sealer,
            from,
            site,
        }
    }

    /// Enqueues a mail in the caller's transaction; wake the worker after its commit.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn enqueue(
        &self,
        connection: &mut PgConnection,
        user_id: UserId,
        mail: UserMail<'_>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let job = self.job(user_id, mail, now)?;
        self.platform.queue.enqueue(connection, &job).await
    }

    /// The job that sends a mail.
    ///
    /// # Errors
    ///
    /// Never by what it is given.
    pub fn job(&self, user_id: UserId, mail: UserMail<'_>, now: DateTime<Utc>) -> Result<NewJob> {
        let message_id = MessageId::new(self.platform.random.uuid_v7(now), &self.from);
        let secret = mail.token().map(|(token, purpose)| SealedSecret {
            bytes: self.sealer.seal(
                &*self.platform.random,
                message_id.as_str().as_bytes(),
                token.expose().as_bytes(),
            ),
            expires_at: now + purpose.lifetime(),
        });
        let envelope = Envelope {
            mail: mail.mail(),
            user_id: user_id.0,
            message_id,
            by_administrator: matches!(mail, UserMail::LockedByAdministrator),
        };
        let payload = serde_json::to_value(envelope).context("can't write a mail's envelope")?;
        Ok(NewJob {
            secret,
            ..NewJob::new(SEND_MAIL, payload)
        })
    }

    /// Sends an enqueued mail.
    ///
    /// # Errors
    ///
    /// If the database fails, or the job is not one of ours.
    ///
    /// # Concurrency
    ///
    /// May run twice for one job when a worker dies; the `Message-ID` is the same then.
    pub async fn deliver(&self, job: &ClaimedJob, now: DateTime<Utc>) -> Result<Delivery> {
        let envelope: Envelope =
            Deserialize::deserialize(&job.payload).context("can't read a mail's envelope")?;
        let secret = job
            .sealed_secret
            .as_deref()
            .map(|sealed| {
                self.sealer
                    .open(envelope.message_id.as_str().as_bytes(), sealed)
            })
            .transpose();
        let Ok(secret) = secret else {
            return Ok(Delivery::Permanent(
                "the mail's secret was sealed under another key".to_owned(),
            ));
        };
        let (user, token) = match self
            .addressee(&envelope, secret.as_ref(), job.created_at, now)
            .await?
        {
            Ok(addressee) => addressee,
            Err(unsent) => return Ok(unsent),
        };
        let Some(address) = user.email.as_ref().map(|email| email.as_str().to_owned()) else {
            return Ok(Delivery::Obsolete);
        };
        let values = self.values(&envelope, &user, token.as_ref())?;
        let rendered = self
            .catalog
            .render(envelope.mail, None, &values)
            .map_err(|error| Error::Internal(anyhow!(error)))?;
        let message = Message {
            message_id: envelope.message_id,
            from: self.from.clone(),
            to: Mailbox {
                name: None,
                address,
            },
            subject: rendered.subject,
            text: rendered.text,
            html: rendered.html,
        };
        Ok(match self.mailer.send(&message).await {
            Ok(()) => Delivery::Sent,
            Err(SendError::Transient(reason)) => Delivery::Transient(reason),
            Err(SendError::Permanent(reason)) => Delivery::Permanent(reason),
        })
    }

    /// Whom the mail goes to, with which token; or what becomes of it without being sent.
    async fn addressee(
        &self,
        envelope: &Envelope,
        secret: Option<&SecretSlice<u8>>,
        enqueued_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Result<(User, Option<OneTimeToken>), Delivery>> {
        let id = UserId(envelope.user_id);
        let purpose = match envelope.mail {
            Mail::EmailVerification => Some(Purpose::EmailVerification),
            Mail::AccountLocked if !envelope.by_administrator => Some(Purpose::AccountUnlock),
            Mail::AccountLocked
            | Mail::AccountUnlocked
            | Mail::AccountExists
            | Mail::SessionReuse => None,
        };
        let token = secret
            .map(|secret| String::from_utf8(secret.expose_secret().to_vec()))
            .transpose()
            .map_err(|_| anyhow!("a sealed token is not text"))?
            .map(OneTimeToken::presented);
        let mut connection = self.platform.pool.acquire().await?;
        let found = match (purpose, &token) {
            (Some(purpose), Some(token)) => {
                users::find_with_token(&mut connection, id, purpose, token, now).await?
            }
            // Where there should be a token, it was wiped when it expired.
            _ => users::find(&mut connection, id)
                .await?
                .map(|user| (user, purpose.is_none())),
        };
        let Some((user, is_live)) = found else {
            return Ok(Err(Delivery::Obsolete));
        };
        let (false, Some(purpose)) = (is_live, purpose) else {
            return Ok(Ok((user, token)));
        };
        let verified = purpose == Purpose::EmailVerification && user.email_verified_at.is_some();
        Ok(Err(if now < enqueued_at + purpose.lifetime() || verified {
            Delivery::Obsolete
        } else {
            Delivery::Permanent("its link expired before it could be sent".to_owned())
        }))
    }

    fn values(
        &self,
        envelope: &Envelope,
        user: &User,
        token: Option<&OneTimeToken>,
    ) -> Result<Values> {
        let first_name = user.profile.first_name.as_ref().map(|name| name.as_str());
        let values = Values::new().text("name", greeting_name(first_name, user.nickname.as_str()));
        let link = |path: &str| -> Result<Link> {
            let token = token.context("the mail needs a link and has no token")?;
            Ok(self
                .site
                .link(&[path, &user.id.to_string(), token.expose()]))
        };
        Ok(match envelope.mail {
            Mail::EmailVerification => {
                let hours = Purpose::EmailVerification.lifetime().num_hours();
                values
                    .link("link", link("verify-email")?)
                    .number("hours", hours.unsigned_abs())
            }
            Mail::AccountLocked if envelope.by_administrator => {
                values.flag("by_administrator", true)
            }
            Mail::AccountLocked => values
                .flag("by_administrator", false)
                .link("link", link("unlock-account")?),
            Mail::AccountUnlocked | Mail::AccountExists | Mail::SessionReuse => values,
        })
    }
}
