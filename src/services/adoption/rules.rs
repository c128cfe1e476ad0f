//! What becomes of each value of an old row.

use std::{borrow::Cow, collections::hash_map::Entry};

use chrono::{DateTime, Utc};
use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

use super::Finding;
use crate::{
    domain::{
        email::Email,
        id::UserId,
        imported_hash::ImportedHash,
        legacy_name::LegacyName,
        nickname::Nickname,
        password::PasswordHash,
        profile::{Bio, PersonName, Profile, WebUrl},
        role::Role,
        user::User,
    },
    error::Rule,
    repository::adoption::{NewUser, OldUser, TakenNames},
};

/// What becomes of those without an address.
const NAMELESS: &str = "kept as a name without mail: an administrator has to set an address before the user can \
     log in (a name that is no address logs in by the cookie-session API)";

/// Nicknames that hold the place of ones that are still to be found. They begin with a number that
/// nobody could know, so that nobody has one of them.
pub(super) struct Placeholders {
    prefix: String,
}

impl Placeholders {
    pub(super) fn new(number: u32) -> Self {
        Self {
            prefix: format!("adopted-{number:08x}"),
        }
    }

    pub(super) fn of(&self, id: UserId) -> Nickname {
        Nickname::from_trusted(format!("{}-{}", self.prefix, id.0.simple()))
    }

    /// What is before the first that can be, and what is behind the last.
    pub(super) fn range(&self) -> (String, String) {
        (format!("{}-", self.prefix), format!("{}.", self.prefix))
    }
}

/// What all rows are measured by.
pub(super) struct Rules {
    pub(super) now: DateTime<Utc>,
    pub(super) max_attempts: u16,
    pub(super) placeholders: Placeholders,
}

/// A row that was taken over.
pub(super) struct TakenOver {
    pub(super) new: NewUser,
    /// The address as it stood in the row.
    pub(super) typed_email: String,
    pub(super) findings: Vec<Finding>,
}

impl Rules {
    /// The user of an old row, and what of it isn't taken as it is. `nobody` makes a hash that no
    /// password has.
    pub(super) fn take_over(
        &self,
        old: OldUser,
        nobody: impl FnOnce() -> PasswordHash,
    ) -> TakenOver {
        let mut notes = Notes {
            user_id: old.id,
            findings: Vec::new(),
        };
        let created_at = old.created_at.unwrap_or(self.now);
        let updated_at = old.updated_at.unwrap_or(self.now);
        let (email, legacy_name) = notes.address(&old);
        let is_verified = old.email_verified && email.is_some();
        let user = User {
            id: old.id,
            // What is wrong with it is told when another one has been found.
            nickname: Nickname::parse(&old.nickname)
                .unwrap_or_else(|_| self.placeholders.of(old.id)),
            // When it was verified nobody knows: at some time since the registration.
            email_verified_at: is_verified.then_some(created_at),
            email,
            phone_number: None,
            legacy_name,
            profile: Profile {
                first_name: notes.text("first_name", old.first_name, 100, PersonName::parse),
                last_name: notes.text("last_name", old.last_name, 100, PersonName::parse),
                bio: notes.text("bio", old.bio, 500, Bio::parse),
                profile_picture_url: notes.url("profile_picture_url", old.profile_picture_url),
                linkedin_profile_url: notes.url("linkedin_profile_url", old.linkedin_profile_url),
                github_profile_url: notes.url("github_profile_url", old.github_profile_url),
                ..Profile::default()
            },
            role: notes.role(&old.role, old.email_verified),
            is_professional: old.is_professional,
            professional_status_updated_at: old.professional_status_updated_at,
            locked_at: notes
                .stays_locked(old.is_locked, old.failed_login_attempts, self.max_attempts)
                .then_some(updated_at),
            deletion_due_at: None,
            last_login_at: old.last_login_at,
            created_at,
            updated_at,
            revision: 1,
        };
        let hash = notes.hash(&old.hashed_password).unwrap_or_else(nobody);
        TakenOver {
            new: (user, hash),
            typed_email: old.email,
            findings: notes.findings,
        }
    }
    /// Takes away from a user what somebody before him has, and notes what he takes himself.
    pub(super) fn settle_names(
        &self,
        user: &mut User,
        typed_email: &str,
        names: &mut TakenNames,
    ) -> Option<Finding> {
        let mut finding = None;
        if let Some(email) = &user.email {
            match names.emails.entry(email.normalized()) {
                Entry::Occupied(holder) => {
                    finding = Some(address_taken(user, typed_email, *holder.get()));
                }
                Entry::Vacant(free) => {
                    free.insert(user.id);
                }
            }
        }
        if let Some(name) = &user.legacy_name
            && !names.legacy_names.insert(name.as_str().to_owned())
        {
            user.legacy_name = Some(invented_name(user.id));
        }
        let nickname = user.nickname.as_str().to_ascii_lowercase();
        if !names.nicknames.insert(nickname) {
            user.nickname = self.placeholders.of(user.id);
        }
        finding
    }
}

/// Gathers what is found in one row.
struct Notes {
    user_id: UserId,
    findings: Vec<Finding>,
}

impl Notes {
    fn add(
        &mut self,
        field: &'static str,
        problem: impl Into<Cow<'static, str>>,
        outcome: &'static str,
    ) {
        self.findings.push(Finding {
            user_id: self.user_id,
            field,
            problem: problem.into(),
            outcome: outcome.into(),
        });
    }

    /// The address, or what the user has in its place.
    fn address(&mut self, old: &OldUser) -> (Option<Email>, Option<LegacyName>) {
        match Email::parse(&old.email) {
            Ok(email) => {
                if !email.as_str().eq_ignore_ascii_case(&old.email) {
                    self.add(
                        "email",
                        "isn't written as addresses are kept",
                        "blanks around it are left out, and its domain is written in ASCII",
                    );
                }
                (Some(email), None)
            }
            Err(rule) => {
                self.add("email", rule.message, NAMELESS);
                (None, Some(name_in_place(&old.email, old.id)))
            }
        }
    }

    /// A text; what can't stand in it is left out, and so is what is too long.
    fn text<T>(
        &mut self,
        field: &'static str,
        text: Option<String>,
        most: usize,
        parse: impl Fn(&str) -> Result<T, Rule>,
    ) -> Option<T> {
        let text = text.filter(|text| !text.trim().is_empty())?;
        let rule = match parse(&text) {
            Ok(value) => return Some(value),
            Err(rule) => rule,
        };
        let can_stand = |c: &char| parse(&format!("a{c}a")).is_ok();
        let clean: String = text.trim().chars().filter(can_stand).take(most).collect();
        let kept = parse(&clean).ok();
        self.add(
            field,
            rule.message,
            match kept {
                Some(_) => "what can't stand in it is left out, and so is what is too long",
                None => "is left out",
            },
        );
        kept
    }

    fn url(&mut self, field: &'static str, url: Option<String>) -> Option<WebUrl> {
        let url = url.filter(|url| !url.trim().is_empty())?;
        WebUrl::parse(&url)
            .map_err(|rule| self.add(field, rule.message, "is left out"))
            .ok()
    }

    fn role(&mut self, name: &str, is_verified: bool) -> Role {
        name.parse().unwrap_or_else(|_| {
            self.add("role", "is unknown here", "becomes that of a plain user");
            match is_verified {
                true => Role::Authenticated,
                false => Role::Anonymous,
            }
        })
    }

    /// Whether the user stays locked, until an administrator unlocks him.
    ///
    /// The old service locked for good after `most` wrong passwords, which anybody could type: such a
    /// lock isn't taken over, our lockout takes its place. Below that number somebody must have locked
    /// him on purpose, and what was meant to keep him out must not let him in.
    fn stays_locked(&mut self, is_locked: bool, failed: i32, most: u16) -> bool {
        if !is_locked {
            return false;
        }
        let by_failures = failed >= i32::from(most);
        self.add(
            "is_locked",
            format!("is locked after {failed} failed logins; {most} lock"),
            match by_failures {
                true => "isn't locked any more: failed logins make wait for minutes here",
                false => "stays locked, as by an administrator, until one unlocks",
            },
        );
        !by_failures
    }

    fn hash(&mut self, hash: &str) -> Option<PasswordHash> {
        if let Ok(hash) = ImportedHash::parse(hash) {
            return Some(hash.stored().clone());
        }
        self.add(
            "hashed_password",
            "is no hash that is known here",
            "no password is right; the user asks for a link to a new one",
        );
        None
    }
}

/// Takes an address away that user `holder` has, who has the better claim.
fn address_taken(user: &mut User, typed: &str, holder: UserId) -> Finding {
    user.email = None;
    user.email_verified_at = None;
    user.legacy_name = Some(name_in_place(typed, user.id));
    Finding {
        user_id: user.id,
        field: "email",
        problem: format!("user {holder} has the same, but for case or blanks").into(),
        outcome: NAMELESS.into(),
    }
}

/// What stands in place of an address: what there was, if it can be.
fn name_in_place(typed: &str, id: UserId) -> LegacyName {
    LegacyName::parse(typed).unwrap_or_else(|_| invented_name(id))
}

/// A name in place of an address that nobody else has.
fn invented_name(id: UserId) -> LegacyName {
    LegacyName::from_database(format!("fastapi-{id}"))
}

/// Why a user can't keep his nickname, and one that is like it, if there is one.
pub(super) fn nickname_problem(old: &str) -> (Cow<'static, str>, Option<Nickname>) {
    let Err(rule) = Nickname::parse(old) else {
        return ("another user has the same, but for case".into(), None);
    };
    let plain: String = old
        .trim()
        .nfkd()
        .filter(|c| !is_combining_mark(*c))
        .map(|c| if c.is_whitespace() { '_' } else { c })
        .collect();
    (rule.message, Nickname::parse(&plain).ok())
}

#[cfg(test)]
mod tests;
