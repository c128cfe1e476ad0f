//! Which of all users.

use clap::Args;

use crate::{
    cli::options::{Wrong, option_of},
    domain::user_selection::UserSelection,
};

/// Filters, which narrow a list together: those of `GET /users/`.
#[derive(Debug, Args)]
pub(super) struct Filters {
    /// Words that are found in whatever a user is called; slips of one letter are forgiven.
    #[arg(long, value_name = "WORDS")]
    q: Option<String>,
    /// Of this nickname: text, text* or *text*.
    #[arg(long, value_name = "PATTERN")]
    nickname: Option<String>,
    /// Of this address, such as *@example.com*.
    #[arg(long, value_name = "PATTERN")]
    email: Option<String>,
    /// Of this given name.
    #[arg(long, value_name = "PATTERN")]
    first_name: Option<String>,
    /// Of this family name.
    #[arg(long, value_name = "PATTERN")]
    last_name: Option<String>,
    /// Of one of these roles: ANONYMOUS,AUTHENTICATED,MANAGER,ADMIN.
    #[arg(long, value_name = "ROLES")]
    role: Option<String>,
    /// In one of these states: verified,unverified,locked,deleted.
    #[arg(long, value_name = "STATES")]
    status: Option<String>,
    /// With professional status or without: true or false.
    #[arg(long, value_name = "BOOL")]
    is_professional: Option<String>,
    /// Registered at this time or later, such as 2026-11-21 or 2026-11-21T12:00:00Z.
    #[arg(long, value_name = "TIME")]
    created_from: Option<String>,
    /// Registered at this time or before.
    #[arg(long, value_name = "TIME")]
    created_to: Option<String>,
    /// Last logged in at this time or later.
    #[arg(long, value_name = "TIME")]
    last_login_from: Option<String>,
    /// Last logged in at this time or before.
    #[arg(long, value_name = "TIME")]
    last_login_to: Option<String>,
    /// Neither registered nor logged in for so long: 24h, 7d, 2w, 1y.
    #[arg(long, value_name = "SPAN")]
    inactive_for: Option<String>,
    /// Of one of these languages: de,pt-BR.
    #[arg(long, value_name = "LOCALES")]
    locale: Option<String>,
}

impl Filters {
    /// Whom they choose; what is wrong with them is noted.
    pub(super) fn read(&self, wrong: &mut Wrong) -> UserSelection {
        let mut selection = UserSelection::default();
        let given = [
            ("q", &self.q),
            ("nickname", &self.nickname),
            ("email", &self.email),
            ("first_name", &self.first_name),
            ("last_name", &self.last_name),
            ("role", &self.role),
            ("status", &self.status),
            ("is_professional", &self.is_professional),
            ("created_from", &self.created_from),
            ("created_to", &self.created_to),
            ("last_login_from", &self.last_login_from),
            ("last_login_to", &self.last_login_to),
            ("inactive_for", &self.inactive_for),
            ("locale", &self.locale),
        ];
        for (name, text) in given {
            let set = |text: &str| selection.set(name, text);
            wrong.read(option_of(name), text.as_deref(), set);
        }
        selection
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        filters: Filters,
    }

    #[test]
    fn every_filter_has_its_option() {
        let command = Line::command();
        let options: Vec<_> = command
            .get_arguments()
            .map(|option| option.get_id().as_str())
            .collect();
        assert_eq!(options, UserSelection::NAMES);
        for name in UserSelection::NAMES {
            // What none of them takes.
            let line = Line::parse_from(["x", &option_of(name), "\u{7}"]);
            let mut wrong = Wrong::default();
            line.filters.read(&mut wrong);
            let told = wrong.finish(()).unwrap_err().to_string();
            assert!(told.contains(&format!("{}: ", option_of(name))), "{told}");
        }
    }
}
