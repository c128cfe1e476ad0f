//! How accounts come to be.

use std::fmt;

use chrono::TimeDelta;

use super::Reader;
use crate::domain::{
    email::Email,
    password::{Password, TypedPassword},
    phone::Region,
};

/// How accounts come to be.
#[derive(Debug, Clone)]
pub struct AccountsConfig {
    /// Whether the first account to register becomes administrator.
    pub first_user_is_admin: bool,
    /// An administrator to make at start, if there is no account of this address.
    pub first_admin: Option<FirstAdmin>,
    /// Whether a registration answers alike for addresses that have an account and those that
    /// don't.
    pub hide_account_existence: bool,
    /// The country of phone numbers that stand without a country's code.
    pub phone_default_region: Region,
    /// How long an account that was deleted can be restored before it is erased.
    pub deletion_grace: TimeDelta,
    /// Most bytes of an uploaded file of users.
    pub import_max_bytes: u64,
}

/// An administrator to make at start.
#[derive(Clone)]
pub struct FirstAdmin {
    /// His address.
    pub email: Email,
    /// His password.
    pub password: Password,
}

impl fmt::Debug for FirstAdmin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FirstAdmin(…)")
    }
}

impl AccountsConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        reader.section("Accounts");
        let first_user_is_admin = reader
            .switch(
                "FIRST_USER_IS_ADMIN",
                "true",
                "Whether the first account to register becomes ADMIN.",
            )
            .unwrap_or(true);
        let email: Option<String> = reader.optional(
            "ADMIN_USER",
            "E-mail address of an administrator that is made at start, if there is no account of that address; ADMIN_PASSWORD goes with it.",
        );
        let password: Option<String> = reader
            .secret()
            .optional("ADMIN_PASSWORD", "That administrator's first password.");
        let hide_account_existence = reader
            .switch(
                "HIDE_ACCOUNT_EXISTENCE",
                "false",
                "Answer each registration with the same 202, and tell the owner of an address by mail that he has an account. A chosen nickname is passed over then, and a phone number beside an address: whether it was taken would tell. Numbers alone aren't hidden: whoever registers one logs in with it at once, or can't.",
            )
            .unwrap_or(false);
        let phone_default_region = reader.with_default(
            "PHONE_DEFAULT_REGION",
            "US",
            "The country of phone numbers that are written without a country's code, by its two letters: `US`, `DE`.",
        );
        let grace_days: u16 = reader.with_default(
            "ACCOUNT_DELETION_GRACE_DAYS",
            "14",
            "How long an account that its owner, or `users delete`, has deleted can be restored before it is erased, in days: 0 to 365. 0 erases at once.",
        );
        if grace_days > 365 {
            reader.problem("ACCOUNT_DELETION_GRACE_DAYS", "must be from 0 to 365");
        }
        let import_max_bytes = reader.with_default(
            "IMPORT_MAX_BYTES",
            "268435456",
            "How large a file of users may be that is uploaded to `POST /users/import`, in bytes; `user-management users import` takes any.",
        );
        let first_admin = match (email, password) {
            (Some(email), Some(password)) => first_admin(reader, &email, password),
            (None, None) => None,
            (Some(_), None) => {
                reader.problem("ADMIN_PASSWORD", "is required with ADMIN_USER");
                None
            }
            (None, Some(_)) => {
                reader.problem("ADMIN_USER", "is required with ADMIN_PASSWORD");
                None
            }
        };
        Self {
            first_user_is_admin,
            first_admin,
            hide_account_existence,
            phone_default_region,
            deletion_grace: TimeDelta::days(grace_days.into()),
            import_max_bytes,
        }
    }
}

fn first_admin(reader: &mut Reader<'_>, email: &str, password: String) -> Option<FirstAdmin> {
    let email = Email::parse(email)
        .map_err(|rule| reader.problem("ADMIN_USER", &rule.message))
        .ok();
    let password = Password::parse(&TypedPassword::new(password))
        .map_err(|rule| reader.problem("ADMIN_PASSWORD", &rule.message))
        .ok();
    let (email, password) = email.zip(password)?;
    if let Err(rule) = password.check_owner(Some(&email), None, None) {
        reader.problem("ADMIN_PASSWORD", &rule.message);
    }
    Some(FirstAdmin { email, password })
}
