//! Rows of a file, read, checked and with their passwords hashed, a batch at a time.

use std::{collections::VecDeque, mem, sync::Arc};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::task::spawn_blocking;

use super::{UserImports, broken, source::Source};
use crate::{
    domain::{
        password::PasswordHash,
        phone::Region,
        user_import::{FilePlace, ImportOptions, RowError},
        user_record::{Column, ImportedSecret, ImportedUser},
    },
    error::Result,
    infra::user_file::{Fault, Record, UserFile},
};

/// Rows of a transaction: many enough to make the database's work for a transaction small beside that
/// for rows, few enough that a row which it locks is soon free.
const BATCH: usize = 1000;
/// Rows of a transaction with passwords to be hashed: a batch that is lost by a kill costs seconds.
const HASHED_BATCH: usize = 100;

/// Batches that are written at once, by a command and by a server: while one waits for another, or for us, the rest
/// keep two of the database's processors busy, or one and a half.
const AT_ONCE: usize = 3;
const AT_ONCE_BESIDE_OTHERS: usize = 2;

/// A row that keeps every rule that doesn't need the database.
#[derive(Clone)]
pub(super) struct Row {
    pub(super) line: u64,
    pub(super) user: Arc<ImportedUser>,
    /// What the account is to have, and the column that gives it; none: no password.
    pub(super) hash: Option<(Column, PasswordHash)>,
}

/// Rows to be written at once.
#[derive(Clone)]
pub(super) struct Batch {
    pub(super) rows: Vec<Row>,
    /// What was wrong with others, and how many of them there are.
    pub(super) errors: Vec<RowError>,
    pub(super) rejected: u64,
    /// The place of the first of all.
    pub(super) from: FilePlace,
    /// The place behind the last one.
    pub(super) end: FilePlace,
}

/// A record that was checked.
struct Checked {
    line: u64,
    end: FilePlace,
    user: std::result::Result<Box<ImportedUser>, Vec<RowError>>,
}

impl Checked {
    fn of(record: Record, region: Region) -> Self {
        let Record { line, end, fields } = record;
        let read = fields.and_then(|fields| {
            let read = ImportedUser::read(&fields, region).map(Box::new);
            read.map_err(|broken| {
                let of_column = |(column, rule)| (Some(column), rule);
                broken.into_iter().map(of_column).collect::<Vec<Fault>>()
            })
        });
        let user = read.map_err(|faults| {
            let error = |(column, rule): Fault| RowError {
                line,
                column: column.map(Column::name),
                reason: rule.message.into_owned(),
            };
            faults.into_iter().map(error).collect()
        });
        Self { line, end, user }
    }

    fn has_password(&self) -> bool {
        let secret = self
            .user
            .as_ref()
            .ok()
            .and_then(|user| user.secret.as_ref());
        matches!(secret, Some(ImportedSecret::Password(_)))
    }
}

/// The rows of a file.
pub(super) struct Rows<'a> {
    imports: &'a UserImports,
    source: Source,
    options: ImportOptions,
    /// Where the next batch begins.
    place: FilePlace,
    /// None at the end.
    file: Option<UserFile>,
    waiting: VecDeque<Checked>,
    /// How many passwords are hashed at a time.
    hashers: usize,
    /// How many batches are written at a time.
    at_once: usize,
}

impl<'a> Rows<'a> {
    /// The rows of a file, whose columns are read at once.
    pub(super) async fn open(
        imports: &'a UserImports,
        source: Source,
        options: ImportOptions,
    ) -> Result<Self> {
        let threads = imports.hasher.threads();
        let (hashers, at_once) = match source {
            Source::File(_) => (threads, AT_ONCE),
            // Logins must find a thread free.
            Source::Stored(..) => (threads.saturating_sub(1).max(1), AT_ONCE_BESIDE_OTHERS),
        };
        let mut rows = Self {
            imports,
            source,
            options,
            place: FilePlace::default(),
            file: Some(UserFile::new(options.format)),
            waiting: VecDeque::new(),
            hashers,
            at_once,
        };
        while rows.file.as_ref().is_some_and(|file| !file.has_head()) {
            rows.read().await?;
        }
        Ok(rows)
    }

    /// Goes on there.
    pub(super) async fn go_to(&mut self, place: FilePlace) -> Result<()> {
        self.place = place;
        if place == FilePlace::default() {
            return Ok(());
        }
        self.source.go_to(place.offset).await?;
        self.waiting.clear();
        // A file that has ended with its head has no place to go on at.
        if let Some(file) = &mut self.file {
            file.go_to(place);
        }
        Ok(())
    }

    /// The next batches, as many as are written at once; none at the end. None comes behind passwords that
    /// were hashed: what is lost by a kill took long.
    pub(super) async fn next_some(&mut self) -> Result<Vec<Batch>> {
        let mut batches = Vec::new();
        let is_hashed = |row: &Row| matches!(row.hash, Some((Column::Password, _)));
        while batches.len() < self.at_once {
            let Some(batch) = self.next().await? else {
                break;
            };
            let took_long = batch.rows.iter().any(is_hashed);
            batches.push(batch);
            if took_long {
                break;
            }
        }
        Ok(batches)
    }

    /// The next batch; none at the end. Which rows are in it depends on nothing but the file and where
    /// the first batch began.
    async fn next(&mut self) -> Result<Option<Batch>> {
        while self.waiting.len() < BATCH && self.file.is_some() {
            self.read().await?;
        }
        let (mut checked, mut hashed) = (Vec::new(), 0);
        while checked.len() < BATCH && hashed < HASHED_BATCH {
            let Some(next) = self.waiting.pop_front() else {
                break;
            };
            hashed += usize::from(next.has_password());
            checked.push(next);
        }
        let Some(end) = checked.last().map(|last| last.end) else {
            return Ok(None);
        };
        let (mut good, mut errors, mut rejected) = (Vec::new(), Vec::new(), 0);
        for Checked { line, user, .. } in checked {
            match user {
                Ok(user) => good.push((line, user)),
                Err(more) => {
                    rejected += 1;
                    errors.extend(more);
                }
            }
        }
        let rows = stream::iter(good)
            .map(|(line, user)| self.with_hash(line, user))
            .buffered(self.hashers);
        let rows = rows.try_collect().await?;
        Ok(Some(Batch {
            rows,
            errors,
            rejected,
            from: mem::replace(&mut self.place, end),
            end,
        }))
    }

    async fn with_hash(&self, line: u64, mut user: Box<ImportedUser>) -> Result<Row> {
        let hash = match &user.secret {
            None => None,
            Some(ImportedSecret::Hash(hash)) => Some((Column::PasswordHash, hash.stored().clone())),
            // Nobody will see it.
            Some(ImportedSecret::Password(_)) if self.options.dry_run => {
                Some((Column::Password, self.imports.hasher.hash_of_nobody()))
            }
            Some(ImportedSecret::Password(password)) => {
                let hash = self.imports.hasher.hash_when_free(password).await?;
                Some((Column::Password, hash))
            }
        };
        user.secret = None;
        Ok(Row {
            line,
            user: user.into(),
            hash,
        })
    }

    /// Reads a piece of the file, and checks the rows that end in it, apart from the runtime's threads.
    async fn read(&mut self) -> Result<()> {
        let piece = self.source.next(self.imports).await?;
        let Some(mut file) = self.file.take() else {
            return Ok(());
        };
        let region = self.imports.options.phone_default_region;
        let reading = spawn_blocking(move || {
            let mut records = Vec::new();
            let read = match &piece {
                Some(piece) => file.feed(piece, &mut records),
                None => file.finish(&mut records),
            };
            let checked = records
                .into_iter()
                .map(|record| Checked::of(record, region));
            let checked: Vec<_> = checked.collect();
            read.map(|()| (piece.is_some().then_some(file), checked))
        });
        let read = reading.await;
        let (file, checked) = read.map_err(|error| broken(error, "reading a file broke off"))??;
        self.file = file;
        self.waiting.extend(checked);
        Ok(())
    }
}
