//! What a change of a user changed.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::Members;
use crate::domain::{
    email::Email,
    legacy_name::LegacyName,
    phone::PhoneNumber,
    profile::{Bio, Location, PersonName, WebUrl},
    user::User,
};

/// What changed, before and after.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// As it was.
    pub before: Members,
    /// As it is since.
    pub after: Members,
}

impl Change {
    /// From one state of a user to another. What follows from any change, and logins, are left out.
    #[must_use]
    pub fn between(before: &User, after: &User) -> Self {
        let mut change = Self::default();
        for ((name, before), (_, after)) in members(before).into_iter().zip(members(after)) {
            if before != after {
                change.before.insert(name.to_owned(), before);
                change.after.insert(name.to_owned(), after);
            }
        }
        change
    }

    /// Moves the members of this name into a change of their own, if they changed.
    #[must_use]
    pub fn split_off(&mut self, name: &str) -> Option<Self> {
        let (name_before, before) = self.before.remove_entry(name)?;
        let (name_after, after) = self.after.remove_entry(name)?;
        Some(Self {
            before: [(name_before, before)].into_iter().collect(),
            after: [(name_after, after)].into_iter().collect(),
        })
    }

    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.before.is_empty() && self.after.is_empty()
    }
}

/// What a new account has: every member that isn't empty.
#[must_use]
pub fn made(user: &User) -> Members {
    members(user)
        .into_iter()
        .filter(|(_, value)| !matches!(value, Value::Null | Value::Bool(false)))
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// By what people know a user who is gone: his public name and his role. More of him isn't kept for
/// having been deleted.
#[must_use]
pub fn gone(user: &User) -> Members {
    let shown = ["nickname", "role"];
    members(user)
        .into_iter()
        .filter(|(name, _)| shown.contains(name))
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// What clients may see of an account, but for what logins and any change move on. A password is no part
/// of a [`User`].
fn members(user: &User) -> Vec<(&'static str, Value)> {
    let profile = &user.profile;
    let name = |name: &Option<PersonName>| json!(name.as_ref().map(PersonName::as_str));
    let url = |url: &Option<WebUrl>| json!(url.as_ref().map(WebUrl::as_str));
    vec![
        ("nickname", json!(user.nickname.as_str())),
        ("email", json!(user.email.as_ref().map(Email::as_str))),
        ("email_verified_at", time(user.email_verified_at)),
        (
            "phone_number",
            json!(user.phone_number.as_ref().map(PhoneNumber::as_str)),
        ),
        (
            "legacy_name",
            json!(user.legacy_name.as_ref().map(LegacyName::as_str)),
        ),
        ("first_name", name(&profile.first_name)),
        ("middle_name", name(&profile.middle_name)),
        ("last_name", name(&profile.last_name)),
        ("is_name_public", json!(profile.is_name_public)),
        ("bio", json!(profile.bio.as_ref().map(Bio::as_str))),
        (
            "location",
            json!(profile.location.as_ref().map(Location::as_str)),
        ),
        ("profile_picture_url", url(&profile.profile_picture_url)),
        ("linkedin_profile_url", url(&profile.linkedin_profile_url)),
        ("github_profile_url", url(&profile.github_profile_url)),
        ("role", json!(user.role.as_str())),
        ("is_professional", json!(user.is_professional)),
        (
            "professional_status_updated_at",
            time(user.professional_status_updated_at),
        ),
        ("locked_at", time(user.locked_at)),
        ("deletion_due_at", time(user.deletion_due_at)),
    ]
}

fn time(at: Option<DateTime<Utc>>) -> Value {
    json!(at.map(|at| at.to_rfc3339_opts(SecondsFormat::Micros, true)))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::{id::UserId, nickname::Nickname, profile::Profile, role::Role};

    fn user() -> User {
        let at = DateTime::UNIX_EPOCH;
        User {
            id: UserId(Uuid::nil()),
            nickname: Nickname::parse("ada").unwrap(),
            email: Some(Email::parse("Ada@example.com").unwrap()),
            email_verified_at: None,
            phone_number: None,
            legacy_name: None,
            profile: Profile::default(),
            role: Role::Anonymous,
            is_professional: false,
            professional_status_updated_at: None,
            locked_at: None,
            deletion_due_at: None,
            last_login_at: None,
            created_at: at,
            updated_at: at,
            revision: 1,
        }
    }

    fn object(value: &Value) -> &Members {
        value.as_object().unwrap()
    }

    #[test]
    fn only_what_changed_is_told() {
        let before = user();
        let mut after = user();
        after.revision = 2;
        after.last_login_at = Some(DateTime::UNIX_EPOCH);
        after.updated_at = DateTime::<Utc>::MAX_UTC;
        assert!(Change::between(&before, &after).is_empty());
        after.role = Role::Manager;
        after.email_verified_at = Some(DateTime::UNIX_EPOCH);
        let mut change = Change::between(&before, &after);
        let role = change.split_off("role").unwrap();
        assert_eq!(&role.before, object(&json!({"role": "ANONYMOUS"})));
        assert_eq!(&role.after, object(&json!({"role": "MANAGER"})));
        assert_eq!(&change.before, object(&json!({"email_verified_at": null})));
        let verified = json!({"email_verified_at": "1970-01-01T00:00:00.000000Z"});
        assert_eq!(&change.after, object(&verified));
        assert!(change.split_off("role").is_none());
    }

    #[test]
    fn a_new_account_is_told_without_what_it_lacks_and_a_gone_one_by_its_name() {
        let new = json!({"nickname": "ada", "email": "Ada@example.com", "role": "ANONYMOUS"});
        assert_eq!(&made(&user()), object(&new));
        let old = json!({"nickname": "ada", "role": "ANONYMOUS"});
        assert_eq!(&gone(&user()), object(&old));
    }
}
