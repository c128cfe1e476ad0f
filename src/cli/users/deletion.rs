//! `users delete` and `users restore`.

use chrono::{DateTime, SecondsFormat, Utc};
use clap::Args;
use serde::Serialize;
use uuid::Uuid;

use super::who::{UserJson, Who, name};
use crate::{
    cli::{
        confirm::Consent,
        output::{self, Format},
        runtime::Session,
    },
    domain::{email::Email, user::User},
};

/// Whom, and when.
#[derive(Debug, Args)]
pub(in crate::cli) struct Delete {
    #[command(flatten)]
    who: Who,
    /// Erase the account at once and for good.
    #[arg(long)]
    now: bool,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    format: Format,
}

/// Whom.
#[derive(Debug, Args)]
pub(in crate::cli) struct Restore {
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    format: Format,
}

/// What became of the account.
#[derive(Serialize)]
struct Deleted {
    id: Uuid,
    /// When it is erased, with microseconds; null: it is.
    deletion_due_at: Option<String>,
}

pub(super) async fn delete(options: Delete) -> anyhow::Result<()> {
    options.consent.check()?;
    let (user, due_at) = Session::with(async |session| {
        let user = options.who.find(session).await?;
        options.ask(&user)?;
        let services = &session.app.services;
        let ctx = &session.ctx;
        let due_at = if options.now {
            services.users.delete(ctx, user.id).await?;
            None
        } else {
            let due_at = services.deletion.close_for(ctx, user.id).await?;
            Some(due_at).filter(|due_at| *due_at > ctx.now)
        };
        Ok((user, due_at))
    })
    .await?;
    let deleted = Deleted {
        id: user.id.0,
        deletion_due_at: due_at.map(|at| at.to_rfc3339_opts(SecondsFormat::Micros, true)),
    };
    options.format.print(&deleted, |_| in_words(&user, due_at))
}

fn in_words(user: &User, due_at: Option<DateTime<Utc>>) -> String {
    let name = name(user);
    match due_at {
        None => format!("{name} is erased\n"),
        Some(_) => format!(
            "{name} is deleted, and is erased at {} unless `users restore` comes before\n",
            output::time(due_at)
        ),
    }
}

impl Delete {
    fn ask(&self, user: &User) -> anyhow::Result<()> {
        let (email, role) = (
            user.email.as_ref().map_or("no address", Email::as_str),
            user.role,
        );
        let what = match self.now {
            true => "erases, at once and for good,",
            false => "deletes",
        };
        let does = format!("{what} {}, {email}, {role}", name(user));
        self.consent.ask(&does, user.nickname.as_str())
    }
}

pub(super) async fn restore(options: Restore) -> anyhow::Result<()> {
    let (user, was_deleted) = Session::with(async |session| {
        let user = options.who.find(session).await?;
        let deletion = &session.app.services.deletion;
        let restored = deletion.restore(&session.ctx, user.id).await?;
        Ok((restored, user.deletion_due_at.is_some()))
    })
    .await?;
    let name = name(&user);
    options
        .format
        .print(&UserJson::from(user), |_| match was_deleted {
            true => format!("{name} is as before\n"),
            false => format!("{name} wasn't deleted\n"),
        })
}
