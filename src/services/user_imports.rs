//! Importing users from files.
//!
//! A file is read piece by piece (`source.rs`, `rows.rs`) and written in batches (`write.rs`, `step.rs`,
//! `change.rs`, `clashes.rs`, `invitations.rs`), some of which are read, checked and hashed while those before are
//! written, at once, each behind the other. A batch is one transaction: accounts, their audit entries, mails, what
//! was wrong with rows, and how far the import has got. So an import that was killed goes on behind its last batch,
//! and comes to the same end. Where all of the file is one transaction it begins again. `upload.rs` has files that
//! come by HTTP and the job that imports them.

mod change;
mod clashes;
mod invitations;
mod known;
mod rows;
mod source;
mod step;
mod upload;
mod write;

use std::{path::Path, sync::Arc, time::Duration};

use sqlx::PgConnection;
use tracing::instrument;

use self::{rows::Rows, source::Source, write::Writer};
use super::{
    Ctx, audit::Act, context::Client, mail::Mails, nicknames::Nicknames,
    password_reset::PasswordReset, platform::Platform, roles::Roles, session_cache::SessionCache,
};
use crate::{
    domain::{
        actor::Actor,
        audit::{Action, ActorKind},
        id::ImportId,
        permission::Permission,
        phone::Region,
        role::Role,
        user_import::{
            FilePlace, ImportCounts, ImportOptions, ImportState, ImportedBy, UserImport,
        },
    },
    error::{Error, ErrorCode, FieldError, Result, Rule},
    infra::{password_hasher::PasswordHasher, sealer::Sealer, user_file::Unreadable},
    repository::user_imports::{self as repository, ListedError},
};

pub use upload::{IMPORT_USERS, Ran, Upload};

/// How often, and how long apart, a file is tried that somebody imports: he may have been killed just now,
/// which the database notices a moment later.
const LOCK_TRIES: u32 = 6;
const LOCK_PAUSE: Duration = Duration::from_millis(200);
/// Errors of rows that are read at a time.
const ERRORS_PAGE: i64 = 1000;

/// Who is told how far an import has got, after each batch.
pub type Tell<'a> = &'a mut (dyn FnMut(&UserImport) + Send);

/// Imports users.
pub struct UserImports {
    platform: Platform,
    hasher: Arc<PasswordHasher>,
    cache: Arc<SessionCache>,
    mails: Arc<Mails>,
    roles: Arc<Roles>,
    resets: Arc<PasswordReset>,
    nicknames: Nicknames,
    options: Options,
}

/// What the settings say of imports.
#[derive(Debug)]
pub struct Options {
    /// For files.
    pub sealer: Sealer,
    /// The country of phone numbers that stand without a country's code.
    pub phone_default_region: Region,
    /// Most bytes of an uploaded file.
    pub max_bytes: u64,
}

impl UserImports {
    /// The service on this database.
    pub fn new(
        platform: Platform,
        hasher: Arc<PasswordHasher>,
        cache: Arc<SessionCache>,
        mails: Arc<Mails>,
        roles: Arc<Roles>,
        resets: Arc<PasswordReset>,
        options: Options,
    ) -> Self {
        Self {
            nicknames: Nicknames::new(Arc::clone(&platform.random)),
            platform,
            hasher,
            cache,
            mails,
            roles,
            resets,
            options,
        }
    }

    /// Imports a file of this machine. With `resume` it goes on with an import of this file by these
    /// options that was broken off; one that has ended is answered as it is.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] but for administrators; [`Error::Invalid`] for a file that can't be read at
    /// all; [`ErrorCode::ImportRunning`] where somebody else imports it, or where such an import was broken
    /// off and `resume` isn't given; if the database fails, or the file can't be read: what was done until
    /// then is, and `resume` goes on.
    ///
    /// # Concurrency
    ///
    /// Of several who import one file at once one does. The future can be dropped at any time.
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn import_file(
        &self,
        ctx: &Ctx,
        path: &Path,
        options: ImportOptions,
        resume: bool,
        tell: Tell<'_>,
    ) -> Result<UserImport> {
        ctx.require(Permission::ImportUsers)?;
        let (source, digest, size) = Source::open_file(path).await?;
        let _lock = self.lock(&digest).await?;
        // What can't be read leaves no trace.
        let rows = Rows::open(self, source, options).await?;
        let by = asked_by(ctx)?;
        let mut transaction = self.platform.pool.begin().await?;
        let known = repository::find_of_file(&mut transaction, &digest, false, options).await?;
        match known {
            Some(known) if known.state == ImportState::Running && options.is_whole() => {
                let why = "was broken off, and nothing of it stands";
                repository::end(&mut transaction, known.id, Some(why), ctx.now).await?;
                let act = import_given_up(known.id, why);
                let audit = &self.platform.audit;
                audit.record(&mut transaction, ctx, act).await?;
            }
            Some(known) if known.state == ImportState::Running && !resume => {
                return Err(Error::Conflict(ErrorCode::ImportRunning));
            }
            Some(known) if known.state == ImportState::Running => {
                transaction.rollback().await?;
                return self.work(known, by, rows, tell).await;
            }
            Some(known) if resume => return Ok(known),
            Some(_) | None if resume => {
                // By other options it would be another import, beside what was left half done.
                if repository::is_broken_off(&mut transaction, &digest).await? {
                    return Err(Error::Conflict(ErrorCode::ImportRunning));
                }
            }
            Some(_) | None => {}
        }
        let import = UserImport {
            file_digest: Some(digest),
            file_size: size,
            state: ImportState::Running,
            ..self.new_import(ctx, options)
        };
        repository::insert(&mut transaction, &import, &by).await?;
        self.record_begin(&mut transaction, ctx, &import).await?;
        transaction.commit().await?;
        self.work(import, by, rows, tell).await
    }

    /// Most bytes of an uploaded file.
    #[must_use]
    pub fn max_bytes(&self) -> u64 {
        self.options.max_bytes
    }

    /// An import.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] but for administrators; [`ErrorCode::ImportNotFound`].
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn read(&self, ctx: &Ctx, id: ImportId) -> Result<UserImport> {
        ctx.require(Permission::ImportUsers)?;
        let mut connection = self.platform.pool.acquire().await?;
        let found = repository::find(&mut connection, id).await?;
        found
            .map(|(import, _)| import)
            .ok_or(Error::NotFound(ErrorCode::ImportNotFound))
    }

    /// What was wrong with the rows of an import, in the order of the file: a page of what is behind
    /// `after`, empty at the end.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] but for administrators; [`Error::Unauthenticated`] when the session has ended since.
    pub async fn list_errors(
        &self,
        ctx: &Ctx,
        id: ImportId,
        after: Option<&ListedError>,
    ) -> Result<Vec<ListedError>> {
        ctx.require(Permission::ImportUsers)?;
        let mut connection = self.platform.pool.acquire().await?;
        ctx.still_logged_in(&mut connection).await?;
        let after = after.map(|error| (error.line, error.place));
        repository::list_errors(&mut connection, id, after, ERRORS_PAGE).await
    }

    fn new_import(&self, ctx: &Ctx, options: ImportOptions) -> UserImport {
        UserImport {
            id: ImportId(self.platform.random.uuid_v7(ctx.now)),
            options,
            is_upload: false,
            file_digest: None,
            file_size: 0,
            state: ImportState::Uploading,
            failure: None,
            place: FilePlace::default(),
            counts: ImportCounts::default(),
            created_at: ctx.now,
            updated_at: ctx.now,
        }
    }

    async fn record_begin(
        &self,
        connection: &mut PgConnection,
        ctx: &Ctx,
        import: &UserImport,
    ) -> Result<()> {
        let options = import.options;
        let act = Act::new(Action::UsersImported).after(serde_json::json!({
            "import_id": import.id,
            "format": options.format.as_str(),
            "on_conflict": options.on_conflict.as_str(),
            "dry_run": options.dry_run,
            "atomic": options.atomic,
            "invite": options.invite,
        }));
        self.platform.audit.record(connection, ctx, act).await
    }

    /// Keeps others from importing this file for as long as the connection lives: one of its own, which
    /// is closed when it is dropped.
    async fn lock(&self, digest: &[u8; 32]) -> Result<PgConnection> {
        let mut connection = self.platform.pool.acquire().await?.detach();
        for attempt in 1..=LOCK_TRIES {
            if repository::try_lock(&mut connection, digest).await? {
                return Ok(connection);
            }
            if attempt < LOCK_TRIES {
                tokio::time::sleep(LOCK_PAUSE).await;
            }
        }
        Err(Error::Conflict(ErrorCode::ImportRunning))
    }

    /// Does an import from where it stands, to its end.
    async fn work(
        &self,
        mut import: UserImport,
        by: ImportedBy,
        mut rows: Rows<'_>,
        tell: Tell<'_>,
    ) -> Result<UserImport> {
        let mut writer = Writer::begin(self, &mut import, by).await?;
        rows.go_to(import.place).await?;
        tell(&import);
        let mut next = rows.next_some().await?;
        while !next.is_empty() {
            // The next ones are read, checked and hashed while these are written.
            let (read, written) =
                tokio::join!(rows.next_some(), writer.write(next, &mut import, tell));
            written?;
            next = read?;
        }
        writer.end(&mut import).await?;
        let ImportCounts {
            created,
            updated,
            skipped,
            rejected,
            undone: _,
        } = import.counts;
        let import_id = import.id;
        match import.options.dry_run {
            // Nobody was: these would be.
            true => {
                tracing::info!(%import_id, created, updated, skipped, rejected, dry_run = true, "an import was tried");
            }
            false => {
                tracing::info!(%import_id, created, updated, skipped, rejected, "users imported");
            }
        }
        Ok(import)
    }

    /// The context of an import: what it does is done by whoever asked for it, now.
    fn ctx_of(&self, by: &ImportedBy) -> Ctx {
        let now = self.platform.clock.now();
        let ctx = Ctx::system(by.request_id, now);
        Ctx {
            actor: match (by.actor, by.user) {
                (ActorKind::User, Some((id, session))) => Actor::User {
                    id,
                    // The one that counts is read in each transaction.
                    role: Role::Anonymous,
                    session,
                },
                (ActorKind::Operator, _) => Actor::Operator,
                _ => Actor::System,
            },
            account: by.account.clone(),
            client: Client {
                address: by.client_address,
                user_agent: by.device.clone(),
                device_tokens: Vec::new(),
            },
            ..ctx
        }
    }
}

/// That an import was ended before its end.
pub(super) fn import_given_up(id: ImportId, why: &str) -> Act {
    Act::new(Action::ImportGivenUp).after(serde_json::json!({
        "import_id": id,
        "failure": why,
    }))
}

/// Who asks, to be kept with an import.
fn asked_by(ctx: &Ctx) -> Result<ImportedBy> {
    let (actor, user) = match ctx.actor {
        Actor::User { id, session, .. } => (ActorKind::User, Some((id, session))),
        Actor::Operator => (ActorKind::Operator, None),
        Actor::System => (ActorKind::System, None),
        Actor::Nobody | Actor::Service => {
            return Err(Error::Forbidden(ErrorCode::OperationNotPermitted));
        }
    };
    Ok(ImportedBy {
        actor,
        user,
        account: ctx.account.clone(),
        request_id: ctx.request_id,
        client_address: ctx.client.address,
        device: ctx.client.user_agent.clone(),
    })
}

impl From<Unreadable> for Error {
    fn from(unreadable: Unreadable) -> Self {
        let rule = Rule {
            kind: "unreadable_file",
            message: unreadable.to_string().into(),
        };
        Self::invalid(FieldError::body("file", rule))
    }
}

/// A fault of a file or a task that isn't the file's content.
fn broken(error: impl std::error::Error + Send + Sync + 'static, what: &'static str) -> Error {
    Error::Internal(anyhow::Error::new(error).context(what))
}
