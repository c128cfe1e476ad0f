//! Users as records of a file: what an export writes and an import reads. `imported.rs` beside checks
//! what a record says.

mod imported;

pub use imported::{Field, ImportedSecret, ImportedUser};

/// A column of a table of users, and a member of their JSON objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Column {
    /// The id.
    Id,
    /// The public name.
    Nickname,
    /// The address.
    Email,
    /// When the address was verified; none: it is not.
    EmailVerifiedAt,
    /// The phone number, as E.164 has it.
    PhoneNumber,
    /// What an account of an older API has in place of an address.
    LegacyName,
    /// Given name.
    FirstName,
    /// Names between.
    MiddleName,
    /// Family name.
    LastName,
    /// Whether the public profile shows the names.
    IsNamePublic,
    /// About oneself.
    Bio,
    /// Where the user says that he is.
    Location,
    /// The language that the user wants.
    Locale,
    /// A picture.
    ProfilePictureUrl,
    /// A page at LinkedIn.
    LinkedinProfileUrl,
    /// A page at GitHub.
    GithubProfileUrl,
    /// What the account may do.
    Role,
    /// Professional status.
    IsProfessional,
    /// When the professional status last changed.
    ProfessionalStatusUpdatedAt,
    /// When an administrator locked the account; none: nobody did.
    LockedAt,
    /// When the account is erased, if its owner has deleted it.
    DeletionDueAt,
    /// The last successful login.
    LastLoginAt,
    /// Time of registration.
    CreatedAt,
    /// The last change, logins left out.
    UpdatedAt,
    /// The number of the account's state, which grows with each change.
    Revision,
    /// When whoever knew the account's name set its password, by an older API; none: nobody did.
    PasswordResetOpenlyAt,
    /// The hash of the password, in one of the forms of [`imported_hash`](super::imported_hash).
    PasswordHash,
    /// The password itself, which only imports know.
    Password,
}

impl Column {
    /// What an export writes, in this order: every column of the table of users, but
    /// [`Self::PasswordHash`] only where it is asked for.
    pub const EXPORTED: [Self; 27] = [
        Self::Id,
        Self::Nickname,
        Self::Email,
        Self::EmailVerifiedAt,
        Self::PhoneNumber,
        Self::LegacyName,
        Self::FirstName,
        Self::MiddleName,
        Self::LastName,
        Self::IsNamePublic,
        Self::Bio,
        Self::Location,
        Self::Locale,
        Self::ProfilePictureUrl,
        Self::LinkedinProfileUrl,
        Self::GithubProfileUrl,
        Self::Role,
        Self::IsProfessional,
        Self::ProfessionalStatusUpdatedAt,
        Self::LockedAt,
        Self::DeletionDueAt,
        Self::LastLoginAt,
        Self::CreatedAt,
        Self::UpdatedAt,
        Self::Revision,
        Self::PasswordResetOpenlyAt,
        Self::PasswordHash,
    ];

    /// By what an account is found: a file without one of them can't be imported.
    pub const IDENTIFYING: [Self; 3] = [Self::Email, Self::PhoneNumber, Self::LegacyName];

    /// What an import reads.
    pub fn imported() -> impl Iterator<Item = Self> {
        Self::EXPORTED.into_iter().chain([Self::Password])
    }

    /// Its name in the head of a table and in objects.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Nickname => "nickname",
            Self::Email => "email",
            Self::EmailVerifiedAt => "email_verified_at",
            Self::PhoneNumber => "phone_number",
            Self::LegacyName => "legacy_name",
            Self::FirstName => "first_name",
            Self::MiddleName => "middle_name",
            Self::LastName => "last_name",
            Self::IsNamePublic => "is_name_public",
            Self::Bio => "bio",
            Self::Location => "location",
            Self::Locale => "locale",
            Self::ProfilePictureUrl => "profile_picture_url",
            Self::LinkedinProfileUrl => "linkedin_profile_url",
            Self::GithubProfileUrl => "github_profile_url",
            Self::Role => "role",
            Self::IsProfessional => "is_professional",
            Self::ProfessionalStatusUpdatedAt => "professional_status_updated_at",
            Self::LockedAt => "locked_at",
            Self::DeletionDueAt => "deletion_due_at",
            Self::LastLoginAt => "last_login_at",
            Self::CreatedAt => "created_at",
            Self::UpdatedAt => "updated_at",
            Self::Revision => "revision",
            Self::PasswordResetOpenlyAt => "password_reset_openly_at",
            Self::PasswordHash => "password_hash",
            Self::Password => "password",
        }
    }

    /// The column of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::imported().find(|column| column.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_found_by_its_name() {
        for column in Column::imported() {
            assert_eq!(Column::named(column.name()), Some(column));
        }
        assert_eq!(Column::named("Nickname"), None);
    }
}
