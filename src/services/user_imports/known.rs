//! Who has the ids and names that the rows of a batch want.

use std::collections::{HashMap, HashSet};

use super::step::Candidate;
use crate::{
    domain::{
        email::Email,
        id::UserId,
        legacy_name::LegacyName,
        phone::PhoneNumber,
        user::User,
        user_record::{Column, ImportedUser},
    },
    repository::users::Holder,
};

/// Accounts by what they are known by.
#[derive(Default)]
pub(super) struct Known {
    ids: HashSet<UserId>,
    emails: HashMap<String, UserId>,
    phone_numbers: HashMap<String, UserId>,
    legacy_names: HashMap<String, UserId>,
    nicknames: HashMap<String, UserId>,
}

impl Known {
    pub(super) fn of(holders: Vec<Holder>) -> Self {
        let mut known = Self::default();
        for holder in holders {
            let id = holder.id;
            known.ids.insert(id);
            known.emails.extend(holder.email.map(|email| (email, id)));
            let number = holder.phone_number.map(|number| (number, id));
            known.phone_numbers.extend(number);
            let name = holder.legacy_name.map(|name| (name, id));
            known.legacy_names.extend(name);
            known.nicknames.insert(holder.nickname, id);
        }
        known
    }

    /// Who has the id or a name of a row, by which column.
    pub(super) fn same_as(&self, given: &ImportedUser) -> Vec<(Column, UserId)> {
        let id = given.id.filter(|id| self.ids.contains(id));
        let email = given.email.as_ref().map(Email::normalized);
        let email = email.and_then(|email| self.emails.get(&email));
        let number = given.phone_number.as_ref().map(PhoneNumber::as_str);
        let number = number.and_then(|number| self.phone_numbers.get(number));
        let name = given.legacy_name.as_ref().map(LegacyName::as_str);
        let name = name.and_then(|name| self.legacy_names.get(name));
        [
            (Column::Id, id),
            (Column::Email, email.copied()),
            (Column::PhoneNumber, number.copied()),
            (Column::LegacyName, name.copied()),
        ]
        .into_iter()
        .filter_map(|(column, id)| Some((column, id?)))
        .collect()
    }

    /// Who has the nickname that an account would have.
    pub(super) fn holder_of_nickname(&self, user: &User) -> Option<UserId> {
        let nickname = user.nickname.as_str().to_ascii_lowercase();
        self.nicknames.get(&nickname).copied()
    }

    /// An account has the names of this row since.
    pub(super) fn learn(&mut self, id: UserId, given: &ImportedUser) {
        self.emails
            .retain(|_, holder| *holder != id || given.email.is_none());
        self.emails
            .extend(given.email.as_ref().map(|email| (email.normalized(), id)));
        let number = given.phone_number.as_ref();
        self.phone_numbers
            .retain(|_, holder| *holder != id || number.is_none());
        self.phone_numbers
            .extend(number.map(|number| (number.as_str().to_owned(), id)));
        let name = given.legacy_name.as_ref();
        self.legacy_names
            .retain(|_, holder| *holder != id || name.is_none());
        self.legacy_names
            .extend(name.map(|name| (name.as_str().to_owned(), id)));
    }
}

/// Rows that are to be tried again, in the order of the file.
#[derive(Default)]
pub(super) struct Again {
    pub(super) candidates: Vec<Candidate>,
    names: HashSet<(Column, String)>,
}

impl Again {
    pub(super) fn push(&mut self, candidate: Candidate) {
        self.names.extend(names_of(&candidate));
        self.candidates.push(candidate);
    }

    /// Whether what becomes of one of them decides what becomes of a row behind them.
    pub(super) fn decides(&self, candidate: &Candidate) -> bool {
        names_of(candidate)
            .iter()
            .any(|name| self.names.contains(name))
    }
}

/// By what an account is known, and the nickname that it is to have.
pub(super) fn names_of(candidate: &Candidate) -> Vec<(Column, String)> {
    let (given, user) = (&candidate.given, &candidate.user);
    let nickname = given.nickname.as_ref();
    let nickname = nickname.map(|name| name.as_str().to_ascii_lowercase());
    let email = user.email.as_ref().map(Email::normalized);
    let number = user.phone_number.as_ref();
    let name = user.legacy_name.as_ref();
    [
        Some((Column::Id, user.id.to_string())),
        email.map(|email| (Column::Email, email)),
        number.map(|number| (Column::PhoneNumber, number.as_str().to_owned())),
        name.map(|name| (Column::LegacyName, name.as_str().to_owned())),
        nickname.map(|name| (Column::Nickname, name)),
    ]
    .into_iter()
    .flatten()
    .collect()
}
