//! `users reset-password`.

use clap::Args;
use serde::Serialize;
use uuid::Uuid;

use super::who::{Who, name};
use crate::cli::{output::Format, password, runtime::Session};

/// Whose, and how.
#[derive(Debug, Args)]
pub(in crate::cli) struct ResetPassword {
    #[command(flatten)]
    who: Who,
    /// Set the password that is the first line of standard input, or is asked for at a terminal.
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    format: Format,
}

/// What was done.
#[derive(Serialize)]
struct Done {
    id: Uuid,
    /// `link_mailed` or `password_set`.
    done: &'static str,
}

pub(super) async fn run(options: ResetPassword) -> anyhow::Result<()> {
    let password = match options.password_stdin {
        true => Some(password::read()?),
        false => None,
    };
    let (user, is_set) = Session::with(async |session| {
        let user = options.who.find(session).await?;
        let resets = &session.app.services.password_reset;
        let (ctx, id) = (&session.ctx, user.id);
        Ok(match &password {
            Some(password) => (resets.set_for(ctx, id, password).await?, true),
            None => (resets.mail_link_for(ctx, id).await?, false),
        })
    })
    .await?;
    let done = Done {
        id: user.id.0,
        done: if is_set {
            "password_set"
        } else {
            "link_mailed"
        },
    };
    options.format.print(&done, |_| match is_set {
        true => format!(
            "{} has the new password, and no sessions any more\n",
            name(&user)
        ),
        false => format!(
            "a link to a new password is mailed to {}, good for 30 minutes; until it is used nothing changes\n",
            name(&user)
        ),
    })
}
