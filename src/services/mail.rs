//! Mail to users: enqueued in the transaction that causes it, sent by the worker; `user_mail.rs`
//! beside has which mails there are, and what a job remembers of one.

mod user_mail;

use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretSlice};
use serde::Deserialize as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::platform::Platform;
use crate::{
    domain::{
        email::Email,
        id::UserId,
        message::{Mailbox, Message, MessageId},
        role_change::RoleChange,
        token::{
            EMAIL_CHANGE_LIFETIME, EMAIL_UNDO_LIFETIME, INVITATION_LIFETIME, OneTimeToken, Purpose,
            RESET_LIFETIME, VERIFICATION_LIFETIME,
        },
        user::User,
    },
    error::{Error, Result},
    infra::{
        email::{Catalog, Link, Mail, Mailer, SendError, SiteUrl, Values, greeting_name},
        sealer::Sealer,
    },
    repository::{
        email_changes::{self, Side},
        jobs::{ClaimedJob, JobKind, NewJob, SealedSecret},
        role_changes, users,
    },
};

pub use user_mail::UserMail;
use user_mail::{Carries, Envelope};

/// The job that sends one mail. 41 attempts, at most 48 minutes apart on average, take a little over 24
/// hours.
pub const SEND_MAIL: JobKind = JobKind {
    name: "send_mail",
    max_attempts: 41,
};

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

/// Whom a mail goes to, and what it is to say.
struct Addressee {
    user: User,
    address: Email,
    token: Option<OneTimeToken>,
    /// The address that the account goes over to, where the mail is about that.
    new_email: Option<Email>,
    /// The change of the role, where the mail is about that.
    role_change: Option<RoleChange>,
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
        let secret = mail.token(now).map(|(token, expires_at)| SealedSecret {
            bytes: self.sealer.seal(
                &*self.platform.random,
                message_id.as_str().as_bytes(),
                token.expose().as_bytes(),
            ),
            expires_at,
        });
        let envelope = Envelope {
            mail: mail.mail(),
            user_id: user_id.0,
            message_id,
            by_administrator: matches!(mail, UserMail::LockedByAdministrator),
            email_change: mail.email_change().map(|id| id.0),
            role_change: mail.role_change(),
            link_expires_at: secret.as_ref().map(|secret| secret.expires_at),
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
            Envelope::deserialize(&job.payload).context("can't read a mail's envelope")?;
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
        let addressee = match self.addressee(&envelope, secret.as_ref(), now).await? {
            Ok(addressee) => addressee,
            Err(unsent) => return Ok(unsent),
        };
        let values = self.values(&envelope, &addressee)?;
        let rendered = self
            .catalog
            .render(envelope.mail, None, &values)
            .map_err(|error| Error::Internal(anyhow!(error)))?;
        let message = Message {
            message_id: envelope.message_id,
            from: self.from.clone(),
            to: Mailbox {
                name: None,
                address: addressee.address.as_str().to_owned(),
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
        now: DateTime<Utc>,
    ) -> Result<Result<Addressee, Delivery>> {
        let id = UserId(envelope.user_id);
        let carries = envelope.carries()?;
        let token = secret
            .map(|secret| String::from_utf8(secret.expose_secret().to_vec()))
            .transpose()
            .map_err(|_| anyhow!("a sealed token is not text"))?
            .map(OneTimeToken::presented);
        let mut connection = self.platform.pool.acquire().await?;
        let mut change = None;
        let found = match (carries, &token) {
            (Carries::Token(purpose), Some(token)) => {
                users::find_with_token(&mut connection, id, purpose, token, now).await?
            }
            (Carries::EmailChange(of, side), Some(token)) => {
                change =
                    email_changes::find_with_token(&mut connection, of, side, token, now).await?;
                let user = users::find(&mut connection, id).await?;
                user.map(|user| (user, change.is_some()))
            }
            // Where there should be a token, it was wiped when it expired.
            (_, _) => users::find(&mut connection, id)
                .await?
                .map(|user| (user, matches!(carries, Carries::Nothing))),
        };
        let role_change = match envelope.role_change {
            Some(id) => role_changes::find(&mut connection, id).await?,
            None => None,
        };
        drop(connection);
        let Some((user, is_live)) = found else {
            return Ok(Err(Delivery::Obsolete));
        };
        if !is_live {
            let is_verified = matches!(carries, Carries::Token(Purpose::EmailVerification))
                && user.email_verified_at.is_some();
            let has_expired = envelope.link_expires_at.is_some_and(|at| at <= now);
            return Ok(Err(if has_expired && !is_verified {
                Delivery::Permanent("its link expired before it could be sent".to_owned())
            } else {
                Delivery::Obsolete
            }));
        }
        let (new_email, old_email) = change.map_or((None, None), |change| {
            (Some(change.new_email), change.old_email)
        });
        let address = match carries {
            Carries::EmailChange(_, Side::New) => new_email.clone(),
            Carries::EmailChange(_, Side::Old) => old_email,
            Carries::Nothing | Carries::Token(_) => user.email.clone(),
        };
        Ok(address.map_or(Err(Delivery::Obsolete), |address| {
            Ok(Addressee {
                user,
                address,
                token,
                new_email,
                role_change,
            })
        }))
    }

    fn values(&self, envelope: &Envelope, addressee: &Addressee) -> Result<Values> {
        let Addressee {
            user,
            token,
            new_email,
            role_change,
            ..
        } = addressee;
        let first_name = user.profile.first_name.as_ref().map(|name| name.as_str());
        let values = Values::new().text("name", greeting_name(first_name, user.nickname.as_str()));
        let link = |path: &str, id: Option<Uuid>| -> Result<Link> {
            let token = token
                .as_ref()
                .context("the mail needs a link and has no token")?;
            let id = id.map(|id| id.to_string());
            let segments = [Some(path), id.as_deref(), Some(token.expose())];
            let segments: Vec<_> = segments.into_iter().flatten().collect();
            Ok(self.site.link(&segments))
        };
        let user_id = Some(user.id.0);
        Ok(match envelope.mail {
            Mail::EmailVerification => values
                .link("link", link("verify-email", user_id)?)
                .number("hours", VERIFICATION_LIFETIME.num_hours().unsigned_abs()),
            Mail::AccountLocked if envelope.by_administrator => {
                values.flag("by_administrator", true)
            }
            Mail::AccountLocked => values
                .flag("by_administrator", false)
                .link("link", link("unlock-account", user_id)?),
            Mail::PasswordReset => values
                .link("link", link("password-reset", None)?)
                .number("minutes", RESET_LIFETIME.num_minutes().unsigned_abs()),
            Mail::Invitation => values
                .link("link", link("password-reset", None)?)
                .number("days", INVITATION_LIFETIME.num_days().unsigned_abs()),
            Mail::EmailChange => values
                .link("link", link("confirm-email", envelope.email_change)?)
                .number("hours", EMAIL_CHANGE_LIFETIME.num_hours().unsigned_abs()),
            Mail::EmailChanged => values
                .text(
                    "address",
                    &new_email.as_ref().map(Email::masked).unwrap_or_default(),
                )
                .link("link", link("undo-email-change", envelope.email_change)?)
                .number("hours", EMAIL_UNDO_LIFETIME.num_hours().unsigned_abs()),
            Mail::AccountDeletion => {
                let due = user
                    .deletion_due_at
                    .context("the mail tells of a deletion that nobody asked for")?;
                values
                    .text("date", &due.format("%-d %B %Y").to_string())
                    .link("link", link("restore-account", user_id)?)
            }
            Mail::RoleChanged => {
                let change = &role_change
                    .as_ref()
                    .context("the mail is about a change of a role and names none")?
                    .change;
                let values = values
                    .text("role", change.to.as_str())
                    .text("former_role", change.from.as_str())
                    .flag("has_reason", change.reason.is_some());
                match &change.reason {
                    Some(reason) => values.text("reason", reason.as_str()),
                    None => values,
                }
            }
            Mail::AccountUnlocked
            | Mail::AccountExists
            | Mail::PasswordChanged
            | Mail::AccountRestored
            | Mail::SessionReuse => values,
        })
    }
}
