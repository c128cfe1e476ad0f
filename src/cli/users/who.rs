//! Whom a command is about, and how he is shown.

use clap::Args;
use serde::{Serialize, Serializer};

use crate::{
    cli::{exit::Missing, output, output::Table, runtime::Session},
    domain::{
        exported_user::{ExportedUser, Value},
        user::User,
        user_record::Column,
    },
    infra::user_writer::UserObject,
};

/// Whom.
#[derive(Debug, Args)]
pub(super) struct Who {
    /// An id, an e-mail address, a nickname or a phone number; what can be an id is taken for one.
    user: String,
}

impl Who {
    /// The user whom it names.
    ///
    /// # Errors
    ///
    /// [`Missing`] where it names nobody, or more than one.
    pub(super) async fn find(&self, session: &Session) -> anyhow::Result<User> {
        let region = session.app.state.phone_default_region;
        let users = &session.app.services.users;
        let mut found = users.find_named(&session.ctx, &self.user, region).await?;
        match (found.pop(), &found[..]) {
            (Some(user), []) => Ok(user),
            (None, _) => {
                let typed = output::printable(&self.user);
                Err(Missing(format!("there is no user {typed}")).into())
            }
            (Some(last), others) => {
                let named: Vec<_> = others.iter().chain([&last]).map(name).collect();
                let why = format!(
                    "several users are called so, give an id: {}",
                    named.join("; ")
                );
                Err(Missing(why).into())
            }
        }
    }
}

/// A user, for a sentence about him.
pub(super) fn name(user: &User) -> String {
    format!("{} ({})", user.nickname, user.id)
}

/// The states that a list can be filtered by.
pub(super) fn state(user: &User) -> String {
    let mut states = Vec::new();
    if user.deletion_due_at.is_some() {
        states.push("deleted");
    }
    if user.locked_at.is_some() {
        states.push("locked");
    }
    states.push(match user.email_verified_at {
        Some(_) => "verified",
        None => "unverified",
    });
    states.join(",")
}

/// A user for programs: the members are the columns of exports, but for those about the password.
pub(super) struct UserJson(ExportedUser);

impl From<User> for UserJson {
    fn from(user: User) -> Self {
        Self(user.into())
    }
}

/// The columns that are shown.
fn columns() -> Vec<Column> {
    let about_password = [Column::PasswordResetOpenlyAt, Column::PasswordHash];
    let columns = Column::EXPORTED.into_iter();
    columns
        .filter(|column| !about_password.contains(column))
        .collect()
}

impl Serialize for UserJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (user, columns) = (&self.0, &columns()[..]);
        UserObject { user, columns }.serialize(serializer)
    }
}

impl UserJson {
    /// The same for people: a line for each thing that there is.
    pub(super) fn table(&self) -> Table {
        let mut table = Table::new(&[]);
        for column in columns() {
            let shown = match self.0.value(column) {
                Value::Nothing => continue,
                Value::Text(text) => text.to_owned(),
                Value::Id(id) => id.to_string(),
                Value::Flag(flag) => output::yes_or_no(flag).to_owned(),
                Value::Number(number) => number.to_string(),
                Value::Time(at) => output::time(Some(at)),
            };
            table.row([column.name(), &shown]);
        }
        table
    }
}
