//! Files that come by HTTP: they are kept in the database, sealed since they may hold passwords, and
//! imported by a job, on whichever instance.

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tracing::instrument;

use super::{
    UserImports, asked_by, import_given_up,
    rows::Rows,
    source::{PIECE, Source, place_of},
};
use crate::{
    domain::{
        actor::Actor,
        id::ImportId,
        permission::Permission,
        user_import::{ImportOptions, ImportState, UserImport},
    },
    error::{Error, ErrorCode, FieldError, Result, Rule},
    repository::{
        jobs::{JobKind, NewJob},
        user_imports as repository, users,
    },
    services::{Ctx, audit::Act},
};

/// The job that imports an uploaded file. Each run goes on where the one before broke off.
pub const IMPORT_USERS: JobKind = JobKind {
    name: "import_users",
    max_attempts: 25,
};

/// Uploaded files are imported one after the other, so that they leave the database to others.
const SERIAL_KEY: &str = "import_users";
/// Why an import is ended whose actor has lost the right to it.
const NOT_PERMITTED: &str = "whoever asked for it may not import users any more";

/// A file that is coming.
pub struct Upload {
    id: ImportId,
    digest: Sha256,
    /// Bytes that are kept.
    kept: u64,
    /// Bytes that have come and aren't kept yet.
    piece: Vec<u8>,
}

impl Upload {
    /// Of which import it is.
    #[must_use]
    pub fn id(&self) -> ImportId {
        self.id
    }
}

/// What became of a run of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ran {
    /// The import has ended.
    Ended,
    /// Somebody else works on it.
    Busy,
}

#[derive(Serialize, Deserialize)]
struct Payload {
    import_id: ImportId,
}

impl UserImports {
    /// Begins to take a file.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] but for administrators.
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn begin_upload(&self, ctx: &Ctx) -> Result<Upload> {
        ctx.require(Permission::ImportUsers)?;
        let by = asked_by(ctx)?;
        let import = UserImport {
            is_upload: true,
            ..self.new_import(ctx, ImportOptions::default())
        };
        let mut connection = self.platform.pool.acquire().await?;
        repository::insert(&mut connection, &import, &by).await?;
        Ok(Upload {
            id: import.id,
            digest: Sha256::new(),
            kept: 0,
            piece: Vec::with_capacity(PIECE),
        })
    }

    /// Forgets a file that isn't brought to its end. Where that can't be done now, it is cleared away as
    /// one that stands still.
    pub async fn abandon_upload(&self, id: ImportId) {
        if let Err(error) = self.forget(id).await {
            tracing::warn!(%error, import_id = %id, "an upload can't be forgotten");
        }
    }

    /// Takes the next bytes of a file.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a file that is too large; if the database fails.
    pub async fn add_to_upload(&self, upload: &mut Upload, mut bytes: &[u8]) -> Result<()> {
        let size = upload.kept + (upload.piece.len() + bytes.len()) as u64;
        if size > self.options.max_bytes {
            self.forget(upload.id).await?;
            let rule = Rule {
                kind: "too_large",
                message: format!("must have at most {} bytes", self.options.max_bytes).into(),
            };
            return Err(Error::invalid(FieldError::body("file", rule)));
        }
        upload.digest.update(bytes);
        while !bytes.is_empty() {
            let (fitting, rest) = bytes.split_at(bytes.len().min(PIECE - upload.piece.len()));
            upload.piece.extend_from_slice(fitting);
            bytes = rest;
            if upload.piece.len() == PIECE {
                self.keep_piece(upload).await?;
            }
        }
        Ok(())
    }

    /// Ends a file, and has it imported.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a file that can't be read at all; [`ErrorCode::ImportRunning`] where an
    /// import of the same file by the same options hasn't ended; [`Error::Forbidden`] or
    /// [`Error::Unauthenticated`] where the actor has lost his right to it since; if the database fails.
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn end_upload(
        &self,
        ctx: &Ctx,
        mut upload: Upload,
        options: ImportOptions,
    ) -> Result<UserImport> {
        ctx.require(Permission::ImportUsers)?;
        // An empty file has a piece too.
        if !upload.piece.is_empty() || upload.kept == 0 {
            self.keep_piece(&mut upload).await?;
        }
        let Upload {
            id, kept, digest, ..
        } = upload;
        let digest: [u8; 32] = digest.finalize().into();
        if let Err(error) = Rows::open(self, Source::Stored(id, 0), options).await {
            self.forget(id).await?;
            return Err(error);
        }
        let mut transaction = self.platform.pool.begin().await?;
        if let Actor::User { id, .. } = ctx.actor {
            // The upload may have taken minutes.
            match users::find_role_for_share(&mut transaction, id).await? {
                Some(now) if now.grants(Permission::ImportUsers) => {}
                _ => {
                    let code = ErrorCode::OperationNotPermitted;
                    return Err(ctx.refuse(Permission::ImportUsers, None, code));
                }
            }
            ctx.still_logged_in(&mut transaction).await?;
        }
        let known = repository::find_of_file(&mut transaction, &digest, true, options).await?;
        if known.is_some_and(|known| known.state == ImportState::Running) {
            transaction.rollback().await?;
            self.forget(id).await?;
            return Err(Error::Conflict(ErrorCode::ImportRunning));
        }
        let gone = || Error::NotFound(ErrorCode::ImportNotFound);
        let now = self.platform.clock.now();
        if !repository::end_upload(&mut transaction, id, &digest, kept, options, now).await? {
            return Err(gone());
        }
        let payload =
            serde_json::to_value(Payload { import_id: id }).context("can't write a job")?;
        let job = NewJob {
            serial_key: Some(SERIAL_KEY.to_owned()),
            ..NewJob::new(IMPORT_USERS, payload)
        };
        let (import, _) = repository::find(&mut transaction, id)
            .await?
            .ok_or_else(gone)?;
        self.record_begin(&mut transaction, ctx, &import).await?;
        self.platform.queue.enqueue(&mut transaction, &job).await?;
        transaction.commit().await?;
        self.platform.queue.wake();
        tracing::info!(import_id = %id, bytes = kept, "a file of users was uploaded");
        Ok(import)
    }

    async fn keep_piece(&self, upload: &mut Upload) -> Result<()> {
        let (id, begin) = (upload.id, upload.kept);
        upload.kept += upload.piece.len() as u64;
        let random = &*self.platform.random;
        let sealed = self
            .options
            .sealer
            .seal(random, &place_of(id, begin), &upload.piece);
        upload.piece.clear();
        let now = self.platform.clock.now();
        let mut connection = self.platform.pool.acquire().await?;
        let kept =
            repository::add_chunk(&mut connection, id, begin, &sealed, upload.kept, now).await?;
        match kept {
            true => Ok(()),
            // It stood still for so long that it was cleared away.
            false => Err(Error::NotFound(ErrorCode::ImportNotFound)),
        }
    }

    async fn forget(&self, id: ImportId) -> Result<()> {
        let mut connection = self.platform.pool.acquire().await?;
        repository::delete_upload(&mut connection, id).await
    }

    /// Does the job [`IMPORT_USERS`].
    ///
    /// # Errors
    ///
    /// If the database fails, or the job is not one of ours; a later run goes on.
    ///
    /// # Concurrency
    ///
    /// Of several runs at once one works. The future can be dropped at any time.
    pub async fn run_uploaded(&self, payload: &Value) -> Result<Ran> {
        let Payload { import_id } =
            Deserialize::deserialize(payload).context("can't read a job")?;
        let mut connection = self.platform.pool.acquire().await?;
        let found = repository::find(&mut connection, import_id).await?;
        drop(connection);
        let Some((import, by)) = found.filter(|(import, _)| import.state == ImportState::Running)
        else {
            return Ok(Ran::Ended);
        };
        let digest = import.file_digest.context("an import names no file")?;
        let _lock = match self.lock(&digest).await {
            Err(Error::Conflict(_)) => return Ok(Ran::Busy),
            lock => lock?,
        };
        let source = Source::Stored(import_id, 0);
        let rows = Rows::open(self, source, import.options).await?;
        match self.work(import, by, rows, &mut |_| ()).await {
            Ok(_) => Ok(Ran::Ended),
            Err(Error::Forbidden(_)) => {
                self.end_early(payload, NOT_PERMITTED, Act::refused).await?;
                Ok(Ran::Ended)
            }
            Err(error) => Err(error),
        }
    }

    /// Ends an import that can't be brought to its end.
    ///
    /// # Errors
    ///
    /// If the database fails, or the job is not one of ours.
    pub async fn give_up(&self, payload: &Value, why: &str) -> Result<()> {
        self.end_early(payload, why, |act| act).await
    }

    /// Ends an import before its end, which the audit log tells after `outcome`, as done by whoever asked for it.
    async fn end_early(
        &self,
        payload: &Value,
        why: &str,
        outcome: impl FnOnce(Act) -> Act,
    ) -> Result<()> {
        let Payload { import_id } =
            Deserialize::deserialize(payload).context("can't read a job")?;
        let now: DateTime<Utc> = self.platform.clock.now();
        let mut transaction = self.platform.pool.begin().await?;
        let is_ended = repository::end(&mut transaction, import_id, Some(why), now).await?;
        repository::delete_chunks(&mut transaction, import_id).await?;
        let ended = repository::find(&mut transaction, import_id).await?;
        if let (true, Some((_, by))) = (is_ended, ended) {
            let act = import_given_up(import_id, why);
            let ctx = self.ctx_of(&by);
            let audit = &self.platform.audit;
            audit.record(&mut transaction, &ctx, outcome(act)).await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}
