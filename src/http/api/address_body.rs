//! The body that has nothing but an address.

use serde::Deserialize;
use utoipa::ToSchema;

use super::registration::MISSING;
use crate::{
    domain::email::Email,
    error::{FieldErrors, Result},
};

/// An address.
#[derive(Deserialize, ToSchema)]
#[schema(as = Address, example = json!({"email": "ada@example.com"}))]
pub struct AddressBody {
    /// The address.
    #[schema(value_type = String, format = Email, required, max_length = 254)]
    email: Option<String>,
}

impl AddressBody {
    /// The address.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::error::Error::Invalid).
    pub(super) fn parse(&self) -> Result<Email> {
        let mut errors = FieldErrors::default();
        let email = errors.take(
            "email",
            self.email.as_deref().ok_or(MISSING).and_then(Email::parse),
        );
        errors.finish(email)
    }
}
