//! Making accounts by requests that may be sent again.

use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use tracing::{Instrument as _, instrument};

use super::{NewAccount, Registered, Registration};
use crate::{
    domain::{permission::Permission, role::Role, user::User},
    error::{Error, Result},
    services::{
        Ctx,
        idempotency::{Answered, Begun, Operation, Repeatable},
    },
};

impl Registration {
    /// [Registers](Self::register) an account, once however often `request` is sent.
    ///
    /// # Errors
    ///
    /// In the answer: those of [`Self::register`], and
    /// [`ErrorCode::IdempotencyKeyInUse`](crate::error::ErrorCode::IdempotencyKeyInUse),
    /// [`ErrorCode::IdempotencyKeyReused`](crate::error::ErrorCode::IdempotencyKeyReused).
    ///
    /// # Concurrency
    ///
    /// Of any number of such requests at once, on any number of instances, one makes the account. It
    /// does so even when its client goes away, who then finds the answer when he comes back.
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn register_once(
        self: &Arc<Self>,
        ctx: &Ctx,
        account: NewAccount,
        request: Option<Repeatable>,
    ) -> Answered<Registered> {
        let Some(request) = request else {
            return Answered::now(self.register(ctx, account).await);
        };
        // What is refused without the database needs no claim.
        if let Err(error) = self.check_registration(ctx, &account) {
            return Answered::now(Err(error));
        }
        let (registration, ctx) = (Arc::clone(self), ctx.clone());
        let work = async move { registration.register_claimed(&ctx, account, &request).await };
        self.detached(work).await.into()
    }

    async fn register_claimed(
        &self,
        ctx: &Ctx,
        account: NewAccount,
        request: &Repeatable,
    ) -> Result<Answered<Registered>> {
        let begun = self.idempotency.claim(ctx, Operation::Register, request);
        let claim = match begun.await? {
            Begun::Run(claim) => claim,
            Begun::Answered(made) => return Ok(Answered::again(made.map(Registered::from))),
        };
        let made = self.register_checked(ctx, account, Some(&claim)).await;
        Ok(Answered::now(self.idempotency.settle(&claim, made).await))
    }

    /// [Adds](Self::add) an account, once however often the same actor sends `request`.
    ///
    /// # Errors
    ///
    /// In the answer: those of [`Self::add`], and
    /// [`ErrorCode::IdempotencyKeyInUse`](crate::error::ErrorCode::IdempotencyKeyInUse),
    /// [`ErrorCode::IdempotencyKeyReused`](crate::error::ErrorCode::IdempotencyKeyReused).
    ///
    /// # Concurrency
    ///
    /// As of [`Self::register_once`]. Whoever may add nobody any more is refused, whatever the answer
    /// was.
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn add_once(
        self: &Arc<Self>,
        ctx: &Ctx,
        account: NewAccount,
        role: Option<Role>,
        request: Option<Repeatable>,
    ) -> Answered<User> {
        let Some(request) = request else {
            return Answered::now(self.add(ctx, account, role).await);
        };
        if let Err(error) = ctx.require(Permission::AddUser) {
            return Answered::now(Err(error));
        }
        let (registration, ctx) = (Arc::clone(self), ctx.clone());
        let work = async move {
            registration
                .add_claimed(&ctx, account, role, &request)
                .await
        };
        self.detached(work).await.into()
    }

    async fn add_claimed(
        &self,
        ctx: &Ctx,
        account: NewAccount,
        role: Option<Role>,
        request: &Repeatable,
    ) -> Result<Answered<User>> {
        let begun = self.idempotency.claim(ctx, Operation::AddUser, request);
        let claim = match begun.await? {
            Begun::Run(claim) => claim,
            Begun::Answered(made) => {
                let missing = || Error::Internal(anyhow!("a stored answer has no user"));
                return Ok(Answered::again(
                    made.and_then(|user| user.map(|user| *user).ok_or_else(missing)),
                ));
            }
        };
        let made = self.add_permitted(ctx, account, role, Some(&claim)).await;
        Ok(Answered::now(self.idempotency.settle(&claim, made).await))
    }

    /// Brings work to its end even when whoever waits for it goes away.
    async fn detached<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let task = self.platform.detached.spawn(work.in_current_span());
        task.await
            .context("a request that may be repeated failed")?
    }
}

impl From<Option<Box<User>>> for Registered {
    fn from(made: Option<Box<User>>) -> Self {
        match made {
            Some(user) => Self::User(user),
            None => Self::Undisclosed,
        }
    }
}
