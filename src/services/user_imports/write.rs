//! Writing batches, each in a transaction, or all of them in one; `step.rs` beside has what is written of
//! one.

use sqlx::{Connection as _, Postgres, Transaction};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use super::{UserImports, invitations::Pace, rows::Batch, step::Step};
use crate::{
    domain::user_import::{FilePlace, ImportCounts, ImportState, ImportedBy, UserImport},
    error::{Error, ErrorCode, Result},
    repository::{user_imports as repository, users},
};

/// Why an import is ended whose rows were good, but not all of them.
const NOT_ALL_GOOD: &str = "rows were rejected, so that nothing was imported";

/// Batches that are taken into the indexes of texts together: the more they are, the less each row costs there,
/// and the more is read by every search meanwhile, or taken in by a login that comes before us.
const MOST_OUTSIDE: u32 = 2;

/// Writes the batches of one import.
pub(super) struct Writer<'a> {
    imports: &'a UserImports,
    import: UserImport,
    by: ImportedBy,
    /// When the next invitation is due.
    pace: Pace,
    /// The transaction of the whole file, where all of it is one.
    whole: Option<Transaction<'static, Postgres>>,
    rejected: u64,
    /// Takes into the indexes of texts, beside the next batch, what the ones before left outside.
    indexing: Option<AbortOnDropHandle<()>>,
    /// Batches since then.
    left_outside: u32,
}

impl<'a> Writer<'a> {
    /// Goes on with an import, from its beginning where all of it is one transaction.
    ///
    /// That stays open while passwords are hashed: their hashes are kept nowhere else, since a file of any
    /// size is imported in little memory.
    pub(super) async fn begin(
        imports: &'a UserImports,
        import: &mut UserImport,
        by: ImportedBy,
    ) -> Result<Self> {
        let mut whole = None;
        if import.options.is_whole() {
            let now = imports.platform.clock.now();
            let mut books = imports.platform.pool.begin().await?;
            repository::restart(&mut books, import.id, now).await?;
            repository::delete_errors(&mut books, import.id).await?;
            books.commit().await?;
            (import.place, import.counts) = (FilePlace::default(), ImportCounts::default());
            let mut transaction = imports.platform.pool.begin().await?;
            repository::allow_pauses(&mut transaction).await?;
            users::expect_many(&mut transaction).await?;
            whole = Some(transaction);
        }
        Ok(Self {
            imports,
            import: import.clone(),
            by,
            pace: Pace::from(imports.platform.clock.now()),
            whole,
            rejected: import.counts.rejected,
            indexing: None,
            left_outside: 0,
        })
    }

    /// Writes a batch that begins at `from`: what became of its rows.
    pub(super) async fn write(&mut self, batch: Batch, from: FilePlace) -> Result<ImportCounts> {
        let end = batch.end;
        let platform = &self.imports.platform;
        let mut step = Step::new(self.imports, &self.import, &self.by, &mut self.pace);
        // Where all of the file is one transaction, what is told of it is not part of it.
        let mut books = match &mut self.whole {
            Some(whole) => {
                step.write(whole, &self.by, batch).await?;
                platform.pool.begin().await?
            }
            None => {
                let mut transaction = platform.pool.begin().await?;
                users::expect_many(&mut transaction).await?;
                step.write(&mut transaction, &self.by, batch).await?;
                transaction
            }
        };
        let (id, counts, now) = (self.import.id, step.counts, step.ctx.now);
        if !step.errors.is_empty() {
            repository::insert_errors(&mut books, id, &step.errors).await?;
        }
        if !repository::advance(&mut books, id, from, end, counts, now).await? {
            return Err(Error::Conflict(ErrorCode::ImportRunning));
        }
        books.commit().await?;
        if self.whole.is_none() {
            for id in &step.changed {
                self.imports.cache.forget(*id);
            }
            platform.queue.wake();
            metrics::counter!("users_created_total").increment(counts.created);
        }
        self.rejected += counts.rejected;
        self.left_outside += 1;
        if self.left_outside >= MOST_OUTSIDE {
            self.take_in().await?;
        }
        Ok(counts)
    }

    /// Begins to take in what is left outside the indexes by now, when what was begun before has ended, or leaves
    /// it to the next time where all connections are in use. What fails of it is done by the next one, or by
    /// whoever writes after it.
    async fn take_in(&mut self) -> Result<()> {
        self.end_indexing().await?;
        let Some(mut connection) = self.imports.platform.pool.try_acquire() else {
            return Ok(());
        };
        self.left_outside = 0;
        let take_in = async move {
            let taken_in: Result<()> = async {
                let mut transaction = connection.begin().await?;
                users::take_in(&mut transaction).await?;
                transaction.commit().await?;
                Ok(())
            }
            .await;
            if let Err(error) = taken_in {
                tracing::warn!(%error, "users that were imported are not in the indexes of texts yet");
            }
        };
        let task = tokio::spawn(take_in.in_current_span());
        self.indexing = Some(AbortOnDropHandle::new(task));
        Ok(())
    }

    async fn end_indexing(&mut self) -> Result<()> {
        match self.indexing.take() {
            Some(indexing) => indexing
                .await
                .map_err(|error| Error::Internal(error.into())),
            None => Ok(()),
        }
    }

    /// Ends the import.
    pub(super) async fn end(mut self, import: &mut UserImport) -> Result<()> {
        let platform = &self.imports.platform;
        let (id, now) = (import.id, platform.clock.now());
        let is_spoilt = import.options.atomic && self.rejected > 0;
        let is_kept = !import.options.dry_run && !is_spoilt;
        let failure = is_spoilt.then_some(NOT_ALL_GOOD);
        let mut transaction = match self.whole.take() {
            Some(whole) if is_kept => whole,
            Some(whole) => {
                whole.rollback().await?;
                platform.pool.begin().await?
            }
            None => platform.pool.begin().await?,
        };
        if failure.is_some() {
            repository::forget_good_rows(&mut transaction, id).await?;
        }
        if !repository::end(&mut transaction, id, failure, now).await? {
            return Err(Error::Conflict(ErrorCode::ImportRunning));
        }
        repository::delete_chunks(&mut transaction, id).await?;
        transaction.commit().await?;
        self.take_in().await?;
        self.end_indexing().await?;
        let mut connection = platform.pool.acquire().await?;
        if let Some((ended, _)) = repository::find(&mut connection, id).await? {
            *import = ended;
        }
        if import.options.atomic && is_kept && import.state == ImportState::Done {
            platform.queue.wake();
            metrics::counter!("users_created_total").increment(import.counts.created);
        }
        Ok(())
    }
}
