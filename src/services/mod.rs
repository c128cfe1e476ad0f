//! Use cases: they own every rule. One file a family.
//!
//! # How to add a use case
//!
//! A method whose first argument is `&Ctx` and whose first line is `ctx.require(..)`, unless
//! anybody may do it. It hashes before it opens a transaction, opens at most one, and begins and
//! commits it visibly; what has an effect outside the database is a job in that transaction.

pub mod access_tokens;
pub mod context;
pub mod login;
pub mod mail;
pub mod maintenance;
pub mod nicknames;
pub mod platform;
pub mod queue;
pub mod rate_limits;
pub mod registration;
pub mod session_cache;
pub mod users;
pub mod verification;

pub use context::{Client, Ctx};

use crate::{error::Error, infra::password_hasher::Busy};

impl From<Busy> for Error {
    fn from(busy: Busy) -> Self {
        Self::Unavailable(busy.into())
    }
}
