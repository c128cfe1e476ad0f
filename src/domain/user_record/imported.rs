//! What a record of a file says of a user, checked by the rules that the API holds everybody to.

use chrono::{DateTime, Datelike as _, Utc};

use super::Column;
use crate::{
    domain::{
        email::Email,
        id::UserId,
        imported_hash::ImportedHash,
        legacy_name::LegacyName,
        locale::Locale,
        nickname::Nickname,
        password::{Password, TypedPassword},
        patch::Patch,
        phone::{PhoneNumber, Region},
        profile::{Bio, Location, PersonName, ProfilePatch, WebUrl},
        role::Role,
    },
    error::Rule,
};

/// The largest number of a state that is taken: 2^53, which every client reads as it is, and far from where
/// it can't grow any more.
const MAX_REVISION: i64 = 1 << 53;

/// A cell or a member that is not empty, and its column.
pub type Field = (Column, String);

/// By what a user of a file logs in.
#[derive(Debug, Clone)]
pub enum ImportedSecret {
    /// What other software, or we, made of his password.
    Hash(ImportedHash),
    /// His password, to be hashed.
    Password(Password),
}

/// What a record gives; what it doesn't is none.
#[derive(Debug, Clone, Default)]
pub struct ImportedUser {
    /// The id.
    pub id: Option<UserId>,
    /// The public name.
    pub nickname: Option<Nickname>,
    /// The address.
    pub email: Option<Email>,
    /// When it was verified.
    pub email_verified_at: Option<DateTime<Utc>>,
    /// The phone number.
    pub phone_number: Option<PhoneNumber>,
    /// What an account of an older API has in place of an address.
    pub legacy_name: Option<LegacyName>,
    /// What he says of himself; nothing is taken away by it.
    pub profile: ProfilePatch,
    /// What he may do.
    pub role: Option<Role>,
    /// Professional status.
    pub is_professional: Option<bool>,
    /// When that last changed.
    pub professional_status_updated_at: Option<DateTime<Utc>>,
    /// When an administrator locked the account.
    pub locked_at: Option<DateTime<Utc>>,
    /// When the account is to be erased.
    pub deletion_due_at: Option<DateTime<Utc>>,
    /// The last successful login.
    pub last_login_at: Option<DateTime<Utc>>,
    /// Time of registration.
    pub created_at: Option<DateTime<Utc>>,
    /// The last change.
    pub updated_at: Option<DateTime<Utc>>,
    /// The number of the account's state.
    pub revision: Option<i64>,
    /// When whoever knew the account's name set its password, by an older API.
    pub password_reset_openly_at: Option<DateTime<Utc>>,
    /// By what he logs in; none: by nothing yet.
    pub secret: Option<ImportedSecret>,
}

impl ImportedUser {
    /// Reads a record. A phone number without a country's code is of `region`.
    ///
    /// # Errors
    ///
    /// Every rule that it breaks, with the column, in the order of the columns of the record.
    pub fn read(fields: &[Field], region: Region) -> Result<Self, Vec<(Column, Rule)>> {
        let mut user = Self::default();
        let mut broken = Vec::new();
        for (column, text) in fields {
            if let Err(rule) = user.set(*column, text, region) {
                broken.push((*column, rule));
            }
        }
        let has = |wanted: Column| fields.iter().any(|(column, _)| *column == wanted);
        user.check(has, &mut broken);
        match broken.is_empty() {
            true => Ok(user),
            false => Err(broken),
        }
    }

    fn set(&mut self, column: Column, text: &str, region: Region) -> Result<(), Rule> {
        let profile = &mut self.profile;
        match column {
            Column::Id => self.id = Some(id(text)?),
            Column::Nickname => self.nickname = Some(Nickname::parse(text)?),
            Column::Email => self.email = Some(Email::parse(text)?),
            Column::EmailVerifiedAt => self.email_verified_at = Some(time(text)?),
            Column::PhoneNumber => {
                self.phone_number = Some(PhoneNumber::parse_or_bare(text, region)?);
            }
            Column::LegacyName => self.legacy_name = Some(LegacyName::parse(text)?),
            Column::FirstName => profile.first_name = Patch::Set(PersonName::parse(text)?),
            Column::MiddleName => profile.middle_name = Patch::Set(PersonName::parse(text)?),
            Column::LastName => profile.last_name = Patch::Set(PersonName::parse(text)?),
            Column::IsNamePublic => profile.is_name_public = Some(boolean(text)?),
            Column::Bio => profile.bio = Patch::Set(Bio::parse(text)?),
            Column::Location => profile.location = Patch::Set(Location::parse(text)?),
            Column::Locale => profile.locale = Patch::Set(Locale::parse(text)?),
            Column::ProfilePictureUrl => {
                profile.profile_picture_url = Patch::Set(WebUrl::parse(text)?);
            }
            Column::LinkedinProfileUrl => {
                profile.linkedin_profile_url = Patch::Set(WebUrl::parse(text)?);
            }
            Column::GithubProfileUrl => {
                profile.github_profile_url = Patch::Set(WebUrl::parse(text)?);
            }
            Column::Role => self.role = Some(role(text)?),
            Column::IsProfessional => self.is_professional = Some(boolean(text)?),
            Column::ProfessionalStatusUpdatedAt => {
                self.professional_status_updated_at = Some(time(text)?);
            }
            Column::LockedAt => self.locked_at = Some(time(text)?),
            Column::DeletionDueAt => self.deletion_due_at = Some(time(text)?),
            Column::LastLoginAt => self.last_login_at = Some(time(text)?),
            Column::CreatedAt => self.created_at = Some(time(text)?),
            Column::UpdatedAt => self.updated_at = Some(time(text)?),
            Column::Revision => self.revision = Some(revision(text)?),
            Column::PasswordResetOpenlyAt => self.password_reset_openly_at = Some(time(text)?),
            Column::PasswordHash => {
                self.secret = Some(ImportedSecret::Hash(ImportedHash::parse(text)?));
            }
            Column::Password => {
                let password = Password::parse(&TypedPassword::new(text.to_owned()))?;
                self.secret = Some(ImportedSecret::Password(password));
            }
        }
        Ok(())
    }

    /// The rules that are about more than one column.
    fn check(&self, has: impl Fn(Column) -> bool, broken: &mut Vec<(Column, Rule)>) {
        if !Column::IDENTIFYING.into_iter().any(&has) {
            let rule = Rule::new(
                "missing",
                "an e-mail address, a phone number or a legacy name is required",
            );
            broken.push((Column::Email, rule));
        }
        if has(Column::EmailVerifiedAt) && !has(Column::Email) {
            let rule = Rule::new("no_email", "is given without an e-mail address");
            broken.push((Column::EmailVerifiedAt, rule));
        }
        if has(Column::Password) && has(Column::PasswordHash) {
            let rule = Rule::new("two_passwords", "is given beside the hash of one");
            broken.push((Column::Password, rule));
        } else if let Some(ImportedSecret::Password(password)) = &self.secret {
            let (email, nickname) = (self.email.as_ref(), self.nickname.as_ref());
            let checked = password.check_owner(email, nickname, self.phone_number.as_ref());
            if let Err(rule) = checked {
                broken.push((Column::Password, rule));
            }
        }
    }
}

fn id(text: &str) -> Result<UserId, Rule> {
    text.parse()
        .map_err(|_| Rule::new("invalid_id", "must be a UUID"))
}

fn revision(text: &str) -> Result<i64, Rule> {
    let number = text.parse().ok();
    let number = number.filter(|number| (1..=MAX_REVISION).contains(number));
    number.ok_or(Rule::new(
        "invalid_revision",
        "must be a number from 1 to 9007199254740992",
    ))
}

fn role(text: &str) -> Result<Role, Rule> {
    text.parse().map_err(|_| {
        Rule::new(
            "unknown_role",
            "must be one of ANONYMOUS, AUTHENTICATED, MANAGER, ADMIN",
        )
    })
}

/// Spreadsheets write them in capitals.
fn boolean(text: &str) -> Result<bool, Rule> {
    match text {
        "true" | "TRUE" => Ok(true),
        "false" | "FALSE" => Ok(false),
        _ => Err(Rule::new("invalid_boolean", "must be true or false")),
    }
}

fn time(text: &str) -> Result<DateTime<Utc>, Rule> {
    const INVALID: Rule = Rule::new(
        "invalid_time",
        "must be a time as RFC 3339 has it, such as 2026-11-21T12:00:00Z",
    );
    let time = DateTime::parse_from_rfc3339(text).map_err(|_| INVALID)?;
    let time = time.with_timezone(&Utc);
    match time.year() {
        1..=9999 => Ok(time),
        _ => Err(INVALID),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[(Column, &str)]) -> Result<ImportedUser, Vec<(Column, &'static str)>> {
        let fields: Vec<Field> = fields
            .iter()
            .map(|(column, text)| (*column, (*text).to_owned()))
            .collect();
        let region = "US".parse().unwrap();
        ImportedUser::read(&fields, region).map_err(|broken| {
            let kinds = broken.into_iter().map(|(column, rule)| (column, rule.kind));
            kinds.collect()
        })
    }

    #[test]
    fn what_a_record_gives_is_taken_and_the_rest_is_none() {
        let user = read(&[
            (Column::Email, "Ada@Example.com"),
            (Column::EmailVerifiedAt, "2026-11-21T13:00:00+01:00"),
            (Column::IsProfessional, "TRUE"),
            (Column::FirstName, "Ada"),
            (Column::PhoneNumber, "(415) 555-2671"),
        ])
        .unwrap();
        assert_eq!(user.email.unwrap().as_str(), "Ada@example.com");
        let noon: DateTime<Utc> = "2026-11-21T12:00:00Z".parse().unwrap();
        assert_eq!(user.email_verified_at, Some(noon));
        assert_eq!(user.is_professional, Some(true));
        assert_eq!(user.phone_number.unwrap().as_str(), "+14155552671");
        assert!(matches!(user.profile.first_name, Patch::Set(_)));
        assert_eq!(user.profile.last_name, Patch::Keep);
        assert!(user.role.is_none() && user.secret.is_none() && user.id.is_none());
    }

    #[test]
    fn numbers_that_older_clients_left_come_back_as_they_are() {
        let user = read(&[(Column::PhoneNumber, "1234567890")]).unwrap();
        assert_eq!(user.phone_number.unwrap().as_str(), "1234567890");
    }

    #[test]
    fn the_number_of_a_state_has_room_to_grow() {
        let number = |text| read(&[(Column::Email, "a@example.com"), (Column::Revision, text)]);
        let largest = number("9007199254740992").unwrap().revision;
        assert_eq!(largest, Some(MAX_REVISION));
        for text in ["0", "9007199254740993", "9223372036854775807"] {
            let broken = number(text).unwrap_err();
            assert_eq!(broken, [(Column::Revision, "invalid_revision")]);
        }
    }

    #[test]
    fn every_broken_rule_is_told_with_its_column() {
        let broken = read(&[
            (Column::Id, "7"),
            (Column::Email, "nobody"),
            (Column::Role, "admin"),
            (Column::IsNamePublic, "yes"),
            (Column::CreatedAt, "21.11.2026"),
            (Column::UpdatedAt, "+12026-11-21T12:00:00Z"),
            (Column::PasswordHash, "5f4dcc3b5aa765d61d8327deb882cf99"),
            (Column::Password, "Secure*1234"),
        ])
        .unwrap_err();
        assert_eq!(
            broken,
            [
                (Column::Id, "invalid_id"),
                (Column::Email, "invalid_email"),
                (Column::Role, "unknown_role"),
                (Column::IsNamePublic, "invalid_boolean"),
                (Column::CreatedAt, "invalid_time"),
                (Column::UpdatedAt, "invalid_time"),
                (Column::PasswordHash, "unknown_password_hash"),
                (Column::Password, "two_passwords"),
            ]
        );
    }

    #[test]
    fn who_could_be_found_by_nothing_is_refused() {
        let broken = read(&[(Column::Nickname, "ada")]).unwrap_err();
        assert_eq!(broken, [(Column::Email, "missing")]);
        let verified = [
            (Column::LegacyName, "bob"),
            (Column::EmailVerifiedAt, "2026-11-21T12:00:00Z"),
        ];
        let broken = read(&verified).unwrap_err();
        assert_eq!(broken, [(Column::EmailVerifiedAt, "no_email")]);
    }

    #[test]
    fn a_password_is_held_to_the_policy_and_not_to_be_the_own_name() {
        let own = [
            (Column::Email, "ada@example.com"),
            (Column::Password, "xada@example.com"),
        ];
        let broken = read(&own).unwrap_err();
        assert_eq!(broken, [(Column::Password, "password_contains_identifier")]);
        let short = [
            (Column::Email, "ada@example.com"),
            (Column::Password, "short"),
        ];
        let broken = read(&short).unwrap_err();
        assert_eq!(broken, [(Column::Password, "password_too_short")]);
    }
}
