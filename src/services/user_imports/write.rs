//! Writing batches, each in a transaction, or all of them in one; `step.rs` beside has what is written of
//! one.

use std::{collections::VecDeque, sync::atomic::AtomicBool};

use futures::{StreamExt as _, stream::FuturesOrdered};
use sqlx::{Connection as _, PgPool, Postgres, Transaction};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use super::{Tell, UserImports, invitations::Pace, rows::Batch, step::Step};
use crate::{
    domain::user_import::{FilePlace, ImportCounts, ImportState, ImportedBy, UserImport},
    error::{Error, ErrorCode, Result},
    repository::{error::is_held_up, user_imports as repository, users},
};

/// Why an import is ended whose rows were good, but not all of them.
const NOT_ALL_GOOD: &str = "rows were rejected, so that nothing was imported";

/// Users who are taken into the indexes of texts together: the more they are, the less each costs there, and the
/// more is read by every search meanwhile, some milliseconds for a thousand, or taken in by a login that comes
/// before us.
const MANY_OUTSIDE: u64 = 6_000;
/// So many wait at most while others are taken in: then the import waits for that.
const MOST_OUTSIDE: u64 = 12_000;

/// How often a batch is written that is held up by others.
const TRIES: u32 = 5;

/// Sets of batches that are written one by one where those of one couldn't be written at once: the rows of a file
/// are alike, and each try costs a second.
const APART: u32 = 10;

/// Writes the batches of one import.
pub(super) struct Writer<'a> {
    imports: &'a UserImports,
    import: UserImport,
    by: ImportedBy,
    /// When the next invitation is due.
    pace: Pace,
    /// Whether nobody had the names of the batch before.
    are_new: AtomicBool,
    /// How many sets of batches are written one by one yet.
    apart: u32,
    /// The transaction of the whole file, where all of it is one.
    whole: Option<Transaction<'static, Postgres>>,
    /// Takes into the indexes of texts, beside the next batches, what the ones before left outside.
    indexing: Option<AbortOnDropHandle<()>>,
    /// How many users had come when that began.
    taken_in: u64,
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
            repository::count_apart(&mut transaction).await?;
            users::expect_many(&mut transaction).await?;
            whole = Some(transaction);
        }
        Ok(Self {
            imports,
            import: import.clone(),
            by,
            pace: Pace::from(imports.platform.clock.now()),
            are_new: AtomicBool::new(true),
            apart: 0,
            whole,
            indexing: None,
            taken_in: import.counts.created + import.counts.updated,
        })
    }

    /// Writes batches, one behind the other, and tells after each how far the import has got.
    pub(super) async fn write(
        &mut self,
        batches: Vec<Batch>,
        import: &mut UserImport,
        tell: Tell<'_>,
    ) -> Result<()> {
        let left = match self.whole {
            Some(_) => batches,
            None => self.write_at_once(batches, import, tell).await?,
        };
        for batch in left {
            let end = batch.end;
            let counts = self.write_one(batch).await?;
            go_on(import, end, counts, tell);
        }
        let outside = import.counts.created + import.counts.updated - self.taken_in;
        let is_indexing = |task: &AbortOnDropHandle<()>| !task.is_finished();
        let most = match self.indexing.as_ref().is_some_and(is_indexing) {
            true => MOST_OUTSIDE,
            false => MANY_OUTSIDE,
        };
        if outside >= most {
            self.take_in(import).await?;
        }
        Ok(())
    }

    /// Writes batches at once, each in a transaction of its own, since each keeps no more than one of the
    /// database's processors busy. They make their accounts and then wait for the one before, so that all comes
    /// out as if they were written one by one. Answers those that still are to be: the ones behind that had what
    /// one before waited for.
    async fn write_at_once(
        &mut self,
        batches: Vec<Batch>,
        import: &mut UserImport,
        tell: Tell<'_>,
    ) -> Result<Vec<Batch>> {
        let (pool, id) = (&self.imports.platform.pool, self.import.id);
        let (mut writing, mut before) = (FuturesOrdered::new(), None);
        for batch in &batches {
            let is_first = before.is_none();
            // Others need connections too.
            if !is_first && (self.apart > 0 || !is_spare(pool)) {
                break;
            }
            let begun = async {
                let mut transaction = pool.begin().await?;
                repository::begin_batch(&mut transaction, id, batch.from).await?;
                if !is_first {
                    // The batch before, for which it waits, may need the place where others count.
                    repository::count_apart(&mut transaction).await?;
                }
                Ok::<_, Error>(transaction)
            };
            match begun.await {
                Ok(begun) => writing.push_back(self.write_in(begun, batch.clone(), before)),
                // An import needs no more than one connection.
                Err(Error::Unavailable(_)) if !is_first => break,
                Err(error) => return Err(error),
            }
            before = Some(batch.from);
        }
        let mut batches = VecDeque::from(batches);
        let mut has_failed = false;
        while let Some(written) = writing.next().await {
            match written {
                Ok(counts) => {
                    let end = batches.pop_front().map_or(import.place, |batch| batch.end);
                    go_on(import, end, counts, tell);
                }
                Err(Error::Unavailable(why)) => {
                    tracing::debug!(error = %why, "batches of an import are written one by one");
                    has_failed = true;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        while writing.next().await.is_some() {}
        drop(writing);
        self.apart = self.apart.saturating_sub(1);
        if has_failed {
            self.apart = APART;
            // It may have been committed all the same, and what is behind it too.
            let mut connection = pool.acquire().await?;
            if let Some((stored, _)) = repository::find(&mut connection, id).await? {
                batches.retain(|batch| batch.from.offset >= stored.place.offset);
                (import.place, import.counts) = (stored.place, stored.counts);
            }
        }
        Ok(batches.into())
    }

    async fn write_one(&mut self, batch: Batch) -> Result<ImportCounts> {
        let pool = &self.imports.platform.pool;
        // Where it fails, nothing of it stands.
        let Some(mut whole) = self.whole.take() else {
            return self.write_alone(batch).await;
        };
        let (from, end) = (batch.from, batch.end);
        let mut step = self.step();
        step.write(&mut whole, &self.by, batch, None).await?;
        // What is told of the file is not part of its transaction.
        self.keep_books(pool.begin().await?, &step, from, end)
            .await?;
        let counts = step.counts;
        self.whole = Some(whole);
        Ok(counts)
    }

    /// Writes a batch in a transaction of its own, once more where it waited for long for somebody who writes the same
    /// people, or he for it.
    async fn write_alone(&self, batch: Batch) -> Result<ImportCounts> {
        for _ in 1..TRIES {
            let transaction = self.imports.platform.pool.begin().await?;
            match self.write_in(transaction, batch.clone(), None).await {
                Err(error) if is_held_up(&error) => {
                    tracing::debug!(%error, "a batch of an import is written once more");
                }
                written => return written,
            }
        }
        let transaction = self.imports.platform.pool.begin().await?;
        self.write_in(transaction, batch, None).await
    }

    /// Writes a batch in this transaction, behind the one that begins at `behind`, and commits it.
    async fn write_in(
        &self,
        mut transaction: Transaction<'static, Postgres>,
        batch: Batch,
        behind: Option<FilePlace>,
    ) -> Result<ImportCounts> {
        let (from, end) = (batch.from, batch.end);
        users::expect_many(&mut transaction).await?;
        let mut step = self.step();
        step.write(&mut transaction, &self.by, batch, behind)
            .await?;
        self.keep_books(transaction, &step, from, end).await?;
        for id in &step.changed {
            self.imports.cache.forget(*id);
        }
        self.imports.platform.queue.wake();
        metrics::counter!("users_created_total").increment(step.counts.created);
        Ok(step.counts)
    }

    fn step(&self) -> Step<'_> {
        Step::new(
            self.imports,
            &self.import,
            &self.by,
            &self.pace,
            &self.are_new,
        )
    }

    /// Notes what became of a batch, and commits.
    async fn keep_books(
        &self,
        mut books: Transaction<'static, Postgres>,
        step: &Step<'_>,
        from: FilePlace,
        end: FilePlace,
    ) -> Result<()> {
        let (id, now) = (self.import.id, step.ctx.now);
        if !step.errors.is_empty() {
            repository::insert_errors(&mut books, id, &step.errors).await?;
        }
        if !repository::advance(&mut books, id, from, end, step.counts, now).await? {
            return Err(Error::Conflict(ErrorCode::ImportRunning));
        }
        books.commit().await?;
        Ok(())
    }

    /// Begins to take in what is left outside the indexes by now, when what was begun before has ended, or leaves
    /// it to the next time where all connections are in use. What fails of it is done by the next one, or by
    /// whoever writes after it.
    async fn take_in(&mut self, import: &UserImport) -> Result<()> {
        self.end_indexing().await?;
        let Some(mut connection) = self.imports.platform.pool.try_acquire() else {
            return Ok(());
        };
        self.taken_in = import.counts.created + import.counts.updated;
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
        let is_spoilt = import.options.atomic && import.counts.rejected > 0;
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
        if !repository::end(&mut transaction, id, failure, now).await? {
            return Err(Error::Conflict(ErrorCode::ImportRunning));
        }
        repository::delete_chunks(&mut transaction, id).await?;
        transaction.commit().await?;
        self.take_in(import).await?;
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

fn go_on(import: &mut UserImport, end: FilePlace, counts: ImportCounts, tell: Tell<'_>) {
    import.counts = import.counts.and(counts);
    import.place = end;
    tell(import);
}

/// Whether less than half of the connections there may be are in use.
fn is_spare(pool: &PgPool) -> bool {
    let in_use = pool
        .size()
        .saturating_sub(u32::try_from(pool.num_idle()).unwrap_or(0));
    2 * in_use < pool.options().get_max_connections()
}
