//! The fields of a profile in the bodies that make or change an account.

use crate::{
    domain::{
        locale::Locale,
        patch::Patch,
        profile::{Bio, Location, PersonName, Profile, ProfilePatch, WebUrl},
    },
    error::{FieldErrors, Rule},
};

/// Reads a text that may be missing.
pub(super) fn optional<T>(
    errors: &mut FieldErrors,
    field: &'static str,
    text: Option<&str>,
    parse: impl Fn(&str) -> Result<T, Rule>,
) -> Option<T> {
    text.and_then(|text| errors.take(field, parse(text)))
}

/// Reads the change of a value that can't be taken away.
pub(super) fn required<T>(
    errors: &mut FieldErrors,
    field: &'static str,
    patch: Patch<String>,
    parse: impl Fn(&str) -> Result<T, Rule>,
) -> Option<T> {
    match patch {
        Patch::Keep => None,
        Patch::Clear => errors.take(field, Err(Rule::new("required", "can't be taken away"))),
        Patch::Set(text) => errors.take(field, parse(&text)),
    }
}

/// Reads the change of a value that can be taken away.
pub(super) fn change<T>(
    errors: &mut FieldErrors,
    field: &'static str,
    patch: Patch<String>,
    parse: impl Fn(&str) -> Result<T, Rule>,
) -> Patch<T> {
    errors
        .take(field, patch.try_map(|text| parse(&text)))
        .unwrap_or_default()
}

/// The profile of a new account, unchecked.
#[derive(Debug, Default)]
pub(super) struct ProfileTexts<'a> {
    pub(super) first_name: Option<&'a str>,
    pub(super) middle_name: Option<&'a str>,
    pub(super) last_name: Option<&'a str>,
    pub(super) bio: Option<&'a str>,
    pub(super) location: Option<&'a str>,
    pub(super) locale: Option<&'a str>,
    pub(super) profile_picture_url: Option<&'a str>,
    pub(super) linkedin_profile_url: Option<&'a str>,
    pub(super) github_profile_url: Option<&'a str>,
}

impl ProfileTexts<'_> {
    /// The profile; what is wrong with it is noted.
    pub(super) fn parse(self, errors: &mut FieldErrors) -> Profile {
        Profile {
            first_name: optional(errors, "first_name", self.first_name, PersonName::parse),
            middle_name: optional(errors, "middle_name", self.middle_name, PersonName::parse),
            last_name: optional(errors, "last_name", self.last_name, PersonName::parse),
            is_name_public: false,
            bio: optional(errors, "bio", self.bio, Bio::parse),
            location: optional(errors, "location", self.location, Location::parse),
            locale: optional(errors, "locale", self.locale, Locale::parse),
            profile_picture_url: optional(
                errors,
                "profile_picture_url",
                self.profile_picture_url,
                WebUrl::parse,
            ),
            linkedin_profile_url: optional(
                errors,
                "linkedin_profile_url",
                self.linkedin_profile_url,
                WebUrl::parse,
            ),
            github_profile_url: optional(
                errors,
                "github_profile_url",
                self.github_profile_url,
                WebUrl::parse,
            ),
        }
    }
}

/// A change of a profile, unchecked.
pub(super) struct ProfileChange {
    pub(super) first_name: Patch<String>,
    pub(super) middle_name: Patch<String>,
    pub(super) last_name: Patch<String>,
    pub(super) is_name_public: Patch<bool>,
    pub(super) bio: Patch<String>,
    pub(super) location: Patch<String>,
    pub(super) locale: Patch<String>,
    pub(super) profile_picture_url: Patch<String>,
    pub(super) linkedin_profile_url: Patch<String>,
    pub(super) github_profile_url: Patch<String>,
}

impl ProfileChange {
    /// The change; what is wrong with it is noted.
    pub(super) fn parse(self, errors: &mut FieldErrors) -> ProfilePatch {
        ProfilePatch {
            first_name: change(errors, "first_name", self.first_name, PersonName::parse),
            middle_name: change(errors, "middle_name", self.middle_name, PersonName::parse),
            last_name: change(errors, "last_name", self.last_name, PersonName::parse),
            is_name_public: match self.is_name_public {
                Patch::Keep => None,
                Patch::Clear => errors.take(
                    "is_name_public",
                    Err(Rule::new("required", "can't be taken away")),
                ),
                Patch::Set(is_public) => Some(is_public),
            },
            bio: change(errors, "bio", self.bio, Bio::parse),
            location: change(errors, "location", self.location, Location::parse),
            locale: change(errors, "locale", self.locale, Locale::parse),
            profile_picture_url: change(
                errors,
                "profile_picture_url",
                self.profile_picture_url,
                WebUrl::parse,
            ),
            linkedin_profile_url: change(
                errors,
                "linkedin_profile_url",
                self.linkedin_profile_url,
                WebUrl::parse,
            ),
            github_profile_url: change(
                errors,
                "github_profile_url",
                self.github_profile_url,
                WebUrl::parse,
            ),
        }
    }
}
