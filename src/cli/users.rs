//! `user-management users …`: one file a command or a small family; `who.rs` has whom they are about and how he
//! is shown, `filters.rs` which of all users.

mod create;
mod deletion;
mod export;
mod filters;
mod import;
mod list;
mod reset_password;
mod state;
mod who;

use clap::Subcommand;

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List users, newest last, or as --sort says.
    List(list::List),
    /// Show all that is known of a user.
    Show(list::Show),
    /// Make a user.
    ///
    /// The password is asked for at a terminal, read by --password-stdin, or left to the user by --invite. A
    /// mail asks the user to verify the address, unless it counts as verified.
    Create(Box<create::Create>),
    /// Make an administrator, whose address counts as verified.
    ///
    /// The password is read from standard input: at a terminal it is asked for, else it is the
    /// first line.
    CreateAdmin(create::CreateAdmin),
    /// Give a user another role, which ends all sessions of the user and is told by mail.
    SetRole(state::SetRole),
    /// Lock a user out until `unlock`, and end all sessions of the user.
    Lock(state::Lock),
    /// End a lock, and a lockout after failed logins too.
    Unlock(state::Unlock),
    /// Count the address of a user as verified, as if the link in the mail had been followed.
    Verify(state::Verify),
    /// Mail a user a link to a new password, or set one.
    ///
    /// The link is good for 30 minutes; until it is used the old password is good, and sessions go on. A
    /// password that is set ends all sessions, the lockout after failed logins, and links that were mailed.
    ResetPassword(reset_password::ResetPassword),
    /// Delete a user: nobody can log in any more, and the account is erased later.
    ///
    /// For ACCOUNT_DELETION_GRACE_DAYS `restore` takes it back; the user can't. With --now, or without days of
    /// grace, it is erased at once and for good, with all that belongs to it; so does `DELETE /users/{id}`. The
    /// last administrator stays.
    Delete(deletion::Delete),
    /// Take back that a user was deleted, by an operator or by himself, while the account isn't erased yet.
    Restore(deletion::Restore),
    /// Write all users, or those whom the filters let pass, to a file or to standard output.
    ///
    /// What is written is what `users import` reads, in the order of ids. It isn't the state of one moment where
    /// users change meanwhile: each stands there once, as he was when he was read.
    Export(export::Export),
    /// Import users from a file of any size: good rows go in, and what is wrong with others is told.
    ///
    /// The exit code is 4 where rows were rejected. An import that was stopped or killed goes on with
    /// `--resume`, and comes to the same end.
    Import(import::Import),
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List(options) => list::list(options).await,
        Command::Show(options) => list::show(options).await,
        Command::Create(options) => create::create(*options).await,
        Command::CreateAdmin(options) => create::create_admin(options).await,
        Command::SetRole(options) => state::set_role(options).await,
        Command::Lock(options) => state::lock(options).await,
        Command::Unlock(options) => state::unlock(options).await,
        Command::Verify(options) => state::verify(options).await,
        Command::ResetPassword(options) => reset_password::run(options).await,
        Command::Delete(options) => deletion::delete(options).await,
        Command::Restore(options) => deletion::restore(options).await,
        Command::Export(options) => export::run(options).await,
        Command::Import(options) => import::run(options).await,
    }
}
