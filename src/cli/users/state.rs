//! `users set-role`, `lock`, `unlock` and `verify`.

use clap::Args;

use super::{
    create::role,
    who::{UserJson, Who, name},
};
use crate::{
    cli::{output::Format, runtime::Session},
    domain::{role::Role, role_change::Reason, user::User},
};

/// Whom, and to what.
#[derive(Debug, Args)]
pub(in crate::cli) struct SetRole {
    #[command(flatten)]
    who: Who,
    /// ANONYMOUS, AUTHENTICATED, MANAGER or ADMIN.
    #[arg(value_parser = role)]
    role: Role,
    /// Why; the user reads it.
    #[arg(long, value_name = "TEXT", value_parser = Reason::parse)]
    reason: Option<Reason>,
    #[command(flatten)]
    format: Format,
}

/// Whom.
#[derive(Debug, Args)]
pub(in crate::cli) struct Lock {
    #[command(flatten)]
    who: Who,
    /// Why, for the audit log.
    #[arg(long, value_name = "TEXT", value_parser = Reason::parse)]
    reason: Option<Reason>,
    #[command(flatten)]
    format: Format,
}

/// Whom.
#[derive(Debug, Args)]
pub(in crate::cli) struct Unlock {
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    format: Format,
}

/// Whom.
#[derive(Debug, Args)]
pub(in crate::cli) struct Verify {
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    format: Format,
}

pub(super) async fn set_role(options: SetRole) -> anyhow::Result<()> {
    let (role, reason) = (options.role, options.reason);
    let user = Session::with(async |session| {
        let user = options.who.find(session).await?;
        let roles = &session.app.services.roles;
        Ok(roles.set(&session.ctx, user.id, role, reason).await?)
    })
    .await?;
    let said = format!("{} is {}\n", name(&user), user.role);
    tell(options.format, user, said)
}

pub(super) async fn lock(options: Lock) -> anyhow::Result<()> {
    let reason = options.reason;
    let user = Session::with(async |session| {
        let user = options.who.find(session).await?;
        let users = &session.app.services.users;
        Ok(users.lock(&session.ctx, user.id, reason).await?)
    })
    .await?;
    let said = format!("{} is locked, and has no sessions any more\n", name(&user));
    tell(options.format, user, said)
}

pub(super) async fn unlock(options: Unlock) -> anyhow::Result<()> {
    let user = Session::with(async |session| {
        let user = options.who.find(session).await?;
        let users = &session.app.services.users;
        Ok(users.unlock(&session.ctx, user.id).await?)
    })
    .await?;
    let said = format!("{} isn't locked any more\n", name(&user));
    tell(options.format, user, said)
}

pub(super) async fn verify(options: Verify) -> anyhow::Result<()> {
    let user = Session::with(async |session| {
        let user = options.who.find(session).await?;
        let verification = &session.app.services.verification;
        Ok(verification.vouch(&session.ctx, user.id).await?)
    })
    .await?;
    let said = format!("the address of {} is verified\n", name(&user));
    tell(options.format, user, said)
}

fn tell(format: Format, user: User, said: String) -> anyhow::Result<()> {
    format.print(&UserJson::from(user), |_| said)
}
