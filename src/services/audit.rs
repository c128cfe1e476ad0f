//! The audit log: who did what to whom. Beside, `refusals.rs` has what was refused, `log.rs` reading it,
//! `chain.rs` the chain of hashes, `verification.rs` what checks it, and `retention.rs` its end.
//!
//! # How to audit a use case
//!
//! Call [`Audit::record`] in its transaction, once for each thing that it does:
//!
//! ```text
//! let act = Act::new(Action::UserLocked).on(id).change(Change::between(&before, &user));
//! self.platform.audit.record(&mut transaction, ctx, act).await?;
//! ```
//!
//! What was refused for want of a right is noted by [`Ctx::require`], [`Ctx::require_on`] and
//! `Ctx::refuse`, and written when the request is answered, whatever became of its transaction. A
//! statement that needs no transaction takes the entry along: [`Audit::entry`]. What only reads, but
//! for exports of users, and an exchange of a refresh token, isn't audited; nor is a login that a lockout refuses unseen, of which there
//! may be any number.
//!
//! What changed is told without secrets: a [`Change`] of a user has none.

mod chain;
mod log;
mod refusals;
mod retention;
mod verification;

use std::sync::Arc;

use serde_json::Value;
use sqlx::PgConnection;
use tokio::sync::Notify;

use super::Ctx;
use crate::{
    domain::{
        actor::Actor,
        audit::{Action, ActorKind, Change, Members, NewEntry, Outcome, Subject},
        id::UserId,
    },
    error::Result,
    repository::audit_log,
};

pub use chain::keep_chained;
pub use log::{AuditLog, Entries, MAX_LIMIT};
pub use refusals::Refusals;
pub use verification::{Finding, Verification};

/// Something that is done, to be told in the audit log.
#[derive(Debug, Clone)]
#[must_use]
pub struct Act {
    action: Action,
    subject: Option<Subject>,
    /// Who did it, where he proved so by what he presented and wasn't logged in.
    owner: Option<UserId>,
    before: Option<Members>,
    after: Option<Members>,
    outcome: Outcome,
}

impl Act {
    /// An act that was done.
    pub fn new(action: Action) -> Self {
        Self {
            action,
            subject: None,
            owner: None,
            before: None,
            after: None,
            outcome: Outcome::Success,
        }
    }

    /// Done to this user.
    pub fn on(mut self, id: UserId) -> Self {
        self.subject = Some(Subject::User(id));
        self
    }

    /// Done to this.
    pub fn on_subject(mut self, subject: Subject) -> Self {
        self.subject = Some(subject);
        self
    }

    /// Done by this user to himself, who has just proved that he is he: by his password, or by a
    /// secret that only he has got.
    pub fn by_owner(mut self, id: UserId) -> Self {
        self.owner = Some(id);
        self.on(id)
    }

    /// What it changed.
    pub fn change(mut self, change: Change) -> Self {
        self.before = Some(change.before);
        self.after = Some(change.after);
        self
    }

    /// What was there before: an object.
    pub fn before(mut self, members: impl Into<Value>) -> Self {
        self.before = object(members.into());
        self
    }

    /// What is there since: an object.
    pub fn after(mut self, members: impl Into<Value>) -> Self {
        self.after = object(members.into());
        self
    }

    /// The actor didn't prove what he had to.
    pub fn failed(mut self) -> Self {
        self.outcome = Outcome::Failed;
        self
    }

    /// The actor may not do it.
    pub fn refused(mut self) -> Self {
        self.outcome = Outcome::Refused;
        self
    }

    pub(super) fn entry(self, ctx: &Ctx) -> NewEntry {
        let (actor_kind, actor_id) = match (ctx.actor, self.owner) {
            (Actor::User { id, .. }, _) => (ActorKind::User, Some(id)),
            (Actor::Nobody, Some(owner)) => (ActorKind::User, Some(owner)),
            (Actor::Nobody, None) => (ActorKind::Nobody, None),
            (Actor::Service, _) => (ActorKind::Service, None),
            (Actor::System, _) => (ActorKind::System, None),
            (Actor::Operator, _) => (ActorKind::Operator, None),
        };
        let is_told = |members: &Members| !members.is_empty();
        NewEntry {
            at: ctx.now,
            actor_kind,
            actor_id,
            actor_name: ctx.account.clone(),
            action: self.action,
            subject: self.subject,
            request_id: ctx.request_id,
            client_address: ctx.client.address,
            device: ctx.client.user_agent.clone(),
            before: self.before.filter(is_told),
            after: self.after.filter(is_told),
            outcome: self.outcome,
        }
    }
}

fn object(value: Value) -> Option<Members> {
    match value {
        Value::Object(members) => Some(members),
        _ => None,
    }
}

/// Writes the audit log; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Audit {
    written: Arc<Notify>,
}

impl Audit {
    /// Writes what is done, in the transaction that does it.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn record(&self, connection: &mut PgConnection, ctx: &Ctx, act: Act) -> Result<()> {
        audit_log::insert(connection, &self.entry(ctx, act)).await?;
        Ok(())
    }

    /// Writes what is done to many, in the transaction that does it.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn record_all(
        &self,
        connection: &mut PgConnection,
        ctx: &Ctx,
        acts: impl IntoIterator<Item = Act>,
    ) -> Result<()> {
        let entries: Vec<_> = acts.into_iter().map(|act| self.entry(ctx, act)).collect();
        match entries.is_empty() {
            true => Ok(()),
            false => audit_log::insert_all(connection, &entries).await,
        }
    }

    /// The entry of an act, for a statement that writes it itself.
    #[must_use]
    pub fn entry(&self, ctx: &Ctx, act: Act) -> NewEntry {
        // A hint: what is committed later than the chain looks, it finds the next time.
        self.written.notify_one();
        act.entry(ctx)
    }
}
