//! The jobs of the services.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use futures::future::BoxFuture;

use super::{JobHandler, Outcome};
use crate::{
    error::{Error, Result},
    infra::clock::Clock,
    repository::jobs::{ClaimedJob, JobKind},
    services::{
        email_change::{self, EmailChanges},
        login::{self, Login},
        mail::{self, Delivery, Mails},
        maintenance::{self, Maintenance},
        password_reset::{self, PasswordReset},
        registration::{self, Registration},
        user_imports::{self, Ran, UserImports},
        verification::{self, Verification},
    },
};

/// How long a mail may take: as long as the SMTP server may, and a little for our own part.
const MAIL_TIME: Duration = Duration::from_secs(45);
/// How long work in the database may take.
const DATABASE_TIME: Duration = Duration::from_secs(20);

/// How long a run of an import may take: it goes on where it was, if that was too short.
const IMPORT_TIME: Duration = Duration::from_secs(6 * 3600);
/// When to look again at an import that somebody else works on.
const IMPORT_PAUSE: TimeDelta = TimeDelta::seconds(10);

/// Why that is.
const IMPORT_BUSY: &str = "somebody else imports the same file";

/// What a failure of a service means for a job.
fn outcome(result: Result<()>) -> Outcome {
    match result {
        Ok(()) => Outcome::Done,
        Err(error @ Error::Invalid(_)) => Outcome::Permanent {
            error: error.to_string(),
        },
        Err(error) => Outcome::Backoff {
            error: error.to_string(),
        },
    }
}

macro_rules! handler {
    ($(#[doc = $doc:literal])+ $name:ident($service:ty), $kind:expr, $limit:expr, |$this:ident, $job:ident, $now:ident| $run:expr) => {
        $(#[doc = $doc])+
        pub struct $name {
            service: Arc<$service>,
            clock: Arc<dyn Clock>,
        }

        impl $name {
            /// The handler.
            pub fn new(service: Arc<$service>, clock: Arc<dyn Clock>) -> Self {
                Self { service, clock }
            }
        }

        impl JobHandler for $name {
            fn kind(&self) -> JobKind {
                $kind
            }

            fn time_limit(&self) -> Duration {
                $limit
            }

            fn run<'a>(&'a self, $job: &'a ClaimedJob) -> BoxFuture<'a, Outcome> {
                let ($this, $now) = (&self.service, self.clock.now());
                Box::pin(async move { $run })
            }
        }
    };
}

handler! {
    /// Sends a mail.
    SendMail(Mails), mail::SEND_MAIL, MAIL_TIME, |mails, job, now| {
        match mails.deliver(job, now).await {
            Ok(Delivery::Sent) => {
                metrics::counter!("mails_total", "outcome" => "sent").increment(1);
                Outcome::Done
            }
            Ok(Delivery::Obsolete) => {
                metrics::counter!("mails_total", "outcome" => "obsolete").increment(1);
                Outcome::Done
            }
            Ok(Delivery::Transient(error)) => {
                metrics::counter!("mails_total", "outcome" => "retried").increment(1);
                Outcome::Backoff { error }
            }
            Ok(Delivery::Permanent(error)) => {
                metrics::counter!("mails_total", "outcome" => "failed").increment(1);
                Outcome::Permanent { error }
            }
            Err(error) => Outcome::Backoff { error: error.to_string() },
        }
    }
}

handler! {
    /// Sends another verification mail, if there is a reason for one.
    ResendVerification(Verification), verification::RESEND_VERIFICATION, DATABASE_TIME, |verification, job, now| {
        outcome(verification.resend_now(&job.payload, now).await)
    }
}

handler! {
    /// Sends a link to a new password, if there is an account to send it to.
    MailPasswordReset(PasswordReset), password_reset::MAIL_PASSWORD_RESET, DATABASE_TIME, |resets, job, now| {
        outcome(resets.mail_link(&job.payload, now).await)
    }
}

handler! {
    /// Asks a new address to confirm that it is to take the place of the old one.
    OfferEmailChange(EmailChanges), email_change::OFFER_EMAIL_CHANGE, DATABASE_TIME, |changes, job, now| {
        outcome(changes.offer(&job.payload, now).await)
    }
}

handler! {
    /// Tells an owner that somebody tried to register with his address.
    NotifyAccountExists(Registration), registration::NOTIFY_ACCOUNT_EXISTS, DATABASE_TIME, |registration, job, now| {
        outcome(registration.notify_account_exists(&job.payload, now).await)
    }
}

handler! {
    /// Tells an owner that his account is locked for a while.
    NotifyLockout(Login), login::NOTIFY_LOCKOUT, DATABASE_TIME, |login, job, now| {
        outcome(login.notify_lockout(&job.payload, now).await)
    }
}

handler! {
    /// Imports an uploaded file of users.
    ImportUsers(UserImports), user_imports::IMPORT_USERS, IMPORT_TIME, |imports, job, now| {
        match imports.run_uploaded(&job.payload).await {
            Ok(Ran::Ended) => Outcome::Done,
            Ok(Ran::Busy) if job.attempts < job.max_attempts => Outcome::RetryAt {
                at: now + IMPORT_PAUSE,
                error: IMPORT_BUSY.to_owned(),
            },
            Ok(Ran::Busy) => outcome(imports.give_up(&job.payload, IMPORT_BUSY).await),
            Err(error) if job.attempts >= job.max_attempts => {
                let why = "it broke off too often; the log tells why";
                outcome(imports.give_up(&job.payload, why).await.and(Err(error)))
            }
            Err(error) => outcome(Err(error)),
        }
    }
}

handler! {
    /// Clears away what has expired.
    Sweep(Maintenance), maintenance::SWEEP, DATABASE_TIME, |maintenance, _job, now| {
        outcome(maintenance.sweep(now).await)
    }
}
