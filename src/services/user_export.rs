//! Exports of users: all that a selection chooses, as a stream.
//!
//! # One state, or no waiting
//!
//! An export reads the users in the order of their ids, a window of the table at a time, and holds neither
//! a connection nor a snapshot between two windows. So whoever takes it slowly keeps nobody waiting, and no
//! dead rows from being cleared away. The price: it is no picture of one moment. Everybody who was there
//! from its beginning to its end is in it once, as he was when his window was read.

use std::sync::Arc;

use anyhow::Context as _;
use futures::{Stream, stream};
use serde_json::{Map, Value, json};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;
use tracing::instrument;

use super::{Ctx, audit::Act, platform::Platform, user_search};
use crate::{
    domain::{
        audit::Action, exported_user::ExportedUser, id::UserId, permission::Permission,
        user_search::UserFilter, user_selection::UserSelection,
    },
    error::Result,
    repository::{
        search_words,
        user_search::{Scope, Word, find_window, list_window},
    },
};

/// Rows of the table that are looked at at a time: some 5 ms of reading, and 2 MiB.
const WINDOW: u32 = 1000;

/// Exports users.
pub struct UserExport {
    platform: Platform,
}

/// What is read for an export.
struct Source {
    platform: Platform,
    ctx: Ctx,
    filter: UserFilter,
    words: Vec<Word>,
    with_password_hashes: bool,
}

/// The users of a window.
#[derive(Default)]
struct Batch {
    users: Vec<ExportedUser>,
    /// The end of the window; none where nobody was left.
    until: Option<UserId>,
}

impl Source {
    async fn read(&self, after: Option<UserId>) -> Result<Batch> {
        let mut connection = self.platform.pool.acquire().await?;
        // Somebody who loses his session or his role takes no more.
        self.ctx.still_logged_in(&mut connection).await?;
        let Some(window) = find_window(&mut connection, after, WINDOW).await? else {
            return Ok(Batch::default());
        };
        let (filter, words) = (&self.filter, &self.words);
        let with_hashes = self.with_password_hashes;
        let users = list_window(&mut connection, filter, words, window, with_hashes).await?;
        let until = Some(window.until);
        Ok(Batch { users, until })
    }

    /// Reads a batch while the one before it is written.
    fn read_ahead(self: &Arc<Self>, after: UserId) -> Reading {
        let source = Arc::clone(self);
        AbortOnDropHandle::new(tokio::spawn(async move { source.read(Some(after)).await }))
    }
}

type Reading = AbortOnDropHandle<Result<Batch>>;

/// An export on its way.
struct Export {
    source: Arc<Source>,
    /// What was read before the first users were asked for.
    first: Option<Batch>,
    next: Option<Reading>,
    ending: Ending,
}

impl Export {
    /// The next users; none when all have been given.
    async fn next(mut self) -> Result<Option<(Vec<ExportedUser>, Self)>> {
        loop {
            let batch = match (self.first.take(), self.next.take()) {
                (Some(batch), _) => batch,
                (None, Some(reading)) => {
                    let read = reading.await;
                    read.context("the reading of users broke off")??
                }
                (None, None) => Batch::default(),
            };
            let Some(until) = batch.until else {
                self.ending.tell(true).await?;
                return Ok(None);
            };
            self.next = Some(self.source.read_ahead(until));
            if !batch.users.is_empty() {
                self.ending.users += batch.users.len();
                return Ok(Some((batch.users, self)));
            }
        }
    }
}

/// Tells in the audit log how many users were given, however it ends.
struct Ending {
    platform: Platform,
    ctx: Ctx,
    users: usize,
    is_told: bool,
}

impl Ending {
    async fn tell(&mut self, is_complete: bool) -> Result<()> {
        let mut connection = self.platform.pool.acquire().await?;
        let after = json!({"users": self.users, "is_complete": is_complete});
        let act = Act::new(Action::ExportEnded).after(after);
        let audit = &self.platform.audit;
        // When it ended, and not when it was asked for.
        let ctx = Ctx {
            now: self.platform.clock.now(),
            ..self.ctx.clone()
        };
        audit.record(&mut connection, &ctx, act).await?;
        // Not before: where it fails, the drop tries once more.
        self.is_told = true;
        // At a terminal it would stand in the bar that shows the progress.
        tracing::debug!(users = self.users, is_complete, actor = ?self.ctx.actor, "users exported");
        Ok(())
    }
}

/// Whoever takes them goes away, or the database does.
impl Drop for Ending {
    fn drop(&mut self) {
        if self.is_told {
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            tracing::error!("the end of an export isn't audited: the program ends");
            return;
        };
        let mut ending = Self {
            platform: self.platform.clone(),
            ctx: self.ctx.clone(),
            users: self.users,
            is_told: true,
        };
        let tell = async move {
            if let Err(error) = ending.tell(false).await {
                tracing::error!(%error, "the end of an export isn't audited");
            }
        };
        self.platform.detached.spawn_on(tell, &runtime);
    }
}

impl UserExport {
    /// The service on this database.
    pub fn new(platform: Platform) -> Self {
        Self { platform }
    }

    /// All users whom a selection chooses, in the order of their ids, in batches; with the hashes of their
    /// passwords for operators only, since whoever steals an administrator's session must not get what
    /// passwords are guessed by.
    ///
    /// That it began stands in the audit log before anybody is given away, and how many were when it
    /// ends.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`](crate::error::Error::Forbidden) but for administrators; if the database fails,
    /// then or in the stream; in the stream also
    /// [`Error::Unauthenticated`](crate::error::Error::Unauthenticated) when the session of the one who asks
    /// has ended.
    ///
    /// # Concurrency
    ///
    /// See [the module](self) for what changes meanwhile.
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn stream(
        &self,
        ctx: &Ctx,
        selection: &UserSelection,
        with_password_hashes: bool,
    ) -> Result<impl Stream<Item = Result<Vec<ExportedUser>>> + Send + 'static> {
        let permission = match with_password_hashes {
            true => Permission::ExportPasswordHashes,
            false => Permission::ExportUsers,
        };
        ctx.require(permission)?;
        let filter = selection.at(ctx.now);
        let mut connection = self.platform.pool.acquire().await?;
        let mut words = match &filter.text {
            Some(text) => user_search::words(text, Scope::Names),
            None => Vec::new(),
        };
        search_words::look_up(&mut connection, &mut words).await?;
        let given = selection.given().iter();
        let given: Map<String, Value> = given
            .map(|(name, text)| ((*name).to_owned(), json!(text)))
            .collect();
        let act = Act::new(Action::of(permission)).after(json!({"filter": given}));
        let audit = &self.platform.audit;
        audit.record(&mut connection, ctx, act).await?;
        drop(connection);
        let ending = Ending {
            platform: self.platform.clone(),
            ctx: ctx.clone(),
            users: 0,
            is_told: false,
        };
        let source = Arc::new(Source {
            platform: self.platform.clone(),
            ctx: ctx.clone(),
            filter,
            words,
            with_password_hashes,
        });
        // The first are read now: what is wrong with the database is told by a status then.
        let first = source.read(None).await?;
        let export = Export {
            source,
            first: Some(first),
            next: None,
            ending,
        };
        Ok(stream::try_unfold(export, Export::next))
    }
}
