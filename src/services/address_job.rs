//! Jobs about an address that somebody typed: whether it has an account, only the job finds out, so
//! that neither the answer to him nor its time tells.

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    domain::email::Email,
    error::Result,
    infra::keys::PurposeKey,
    repository::jobs::{JobKind, NewJob},
};

#[derive(Debug, Serialize, Deserialize)]
struct Payload {
    email: String,
}

/// A job of this kind for an address in lower case.
///
/// # Errors
///
/// Never by what it is given.
pub(super) fn new(kind: JobKind, email: String) -> Result<NewJob> {
    let payload = serde_json::to_value(Payload { email }).context("can't write a job")?;
    Ok(NewJob::new(kind, payload))
}

/// A job of this kind, of which one at most waits for each address; `key` hides which one.
///
/// # Errors
///
/// Never by what it is given.
pub(super) fn deduplicated(kind: JobKind, email: &Email, key: &PurposeKey) -> Result<NewJob> {
    let email = email.normalized();
    let tag = key.tag(&[email.as_bytes()]);
    let tag = u128::from_be_bytes(*tag.first_chunk().context("a tag has 32 bytes")?);
    Ok(NewJob {
        dedupe_key: Some(format!("{}:{tag:032x}", kind.name)),
        ..new(kind, email)?
    })
}

/// The address in lower case that a job is about.
///
/// # Errors
///
/// If the job is not one of ours.
pub(super) fn read(payload: &Value) -> Result<String> {
    let Payload { email } = Deserialize::deserialize(payload).context("can't read a job")?;
    Ok(email)
}
