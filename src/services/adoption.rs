//! Taking over the database of the FastAPI service; `rules.rs` beside says what becomes of each value.
//!
//! Everything happens in one transaction, migrations included, and in batches, so that neither a
//! failure nor a million users does harm. A trial does the same in a schema that is rolled back, and
//! locks nobody out meanwhile.

mod rules;

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use anyhow::anyhow;
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use tracing::instrument;
use uuid::Uuid;

use self::rules::{Placeholders, Rules, TakenOver};
use super::{
    Ctx,
    audit::{Act, Audit},
    nicknames::Nicknames,
    schema::leave,
};
use crate::{
    domain::{audit::Action, id::UserId, nickname::Nickname, permission::Permission},
    error::{Error, Result},
    infra::{password_hasher::PasswordHasher, random::Random},
    repository::{
        adoption as repository, pool,
        schema::{self, Origin},
        users,
    },
};

/// How many generated nicknames are tried before something must be wrong.
const NICKNAME_TRIES: usize = 20;
/// After how many users the log has a line.
const PROGRESS: u64 = 100_000;

/// Whether it is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// Finds out what would happen. The database stays as it is, and others go on using it.
    Trial,
    /// Does it.
    Real,
}

/// A value of an old row that we don't take as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whose it is.
    pub user_id: UserId,
    /// The old column.
    pub field: &'static str,
    /// What is wrong with it, without the value.
    pub problem: Cow<'static, str>,
    /// What becomes of it.
    pub outcome: Cow<'static, str>,
}

/// What was taken over.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Users; nobody is left out.
    pub users: u64,
    /// Values that weren't taken as they are, by column.
    pub findings: BTreeMap<&'static str, u64>,
    /// Users whose address isn't verified. Links in mails of the old service verify it no more.
    pub unverified: u64,
    /// Users who stay locked.
    pub locked: u64,
    /// Columns of the old table that nothing was taken from.
    pub more_columns: Vec<String>,
    /// Whether somebody can log in as administrator.
    pub has_admin: bool,
    /// Sessions of others that were connected to the database: the old service, if it runs.
    pub other_sessions: i64,
}

/// What became of a wish to take a database over.
#[derive(Debug, PartialEq, Eq)]
pub enum Adoption {
    /// It is taken over, or can be.
    Done(Summary),
    /// Nothing was done: it is ours already.
    Ours,
    /// Nothing was done: it has no users.
    Empty,
    /// Nothing was done: its table `users` isn't the FastAPI service's.
    Foreign {
        /// Columns that it lacks.
        missing_columns: Vec<&'static str>,
    },
    /// Nothing was done: the schema `fastapi` has the users of an earlier takeover.
    AsideTaken,
    /// Nothing was done: it has more tables or functions, of names that ours have.
    InTheWay {
        /// Those names.
        names: Vec<String>,
    },
}

/// Takes the database of the FastAPI service over.
pub struct Adopting {
    database: PgConnectOptions,
    random: Arc<dyn Random>,
    hasher: Arc<PasswordHasher>,
    /// `MAX_LOGIN_ATTEMPTS`, which the old service went by too.
    max_attempts: u16,
}

/// Who is told of each finding as it is made, so that none has to be kept.
pub type Tell<'a> = &'a mut (dyn FnMut(&Finding) -> Result<()> + Send);

impl Adopting {
    /// The service on this database.
    #[must_use]
    pub fn new(
        database: PgConnectOptions,
        random: Arc<dyn Random>,
        hasher: Arc<PasswordHasher>,
        max_attempts: u16,
    ) -> Self {
        Self {
            database,
            random,
            hasher,
            max_attempts,
        }
    }

    /// Makes the database one of ours, with all its users: all of it or nothing. The old tables are kept
    /// in the schema `fastapi`.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] also when somebody holds the old table for more than 5 seconds; whatever
    /// `tell` answers.
    ///
    /// # Concurrency
    ///
    /// Of several at once one takes it over, and the others find it ours. A real run keeps the old
    /// service from its table until it is done, a trial doesn't.
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn adopt(&self, ctx: &Ctx, run: Run, tell: Tell<'_>) -> Result<Adoption> {
        ctx.require(Permission::ManageDatabase)?;
        let mut connection = pool::connect_alone(&self.database).await?;
        let adoption = self.adopt_on(&mut connection, ctx, run, tell).await;
        leave(connection).await;
        adoption
    }

    async fn adopt_on(
        &self,
        connection: &mut PgConnection,
        ctx: &Ctx,
        run: Run,
        tell: Tell<'_>,
    ) -> Result<Adoption> {
        let mut transaction = connection.begin().await?;
        if run == Run::Real {
            repository::take_turn(&mut transaction).await?;
        }
        let more_columns = match schema::find_origin(&mut transaction).await? {
            Origin::Ours => return Ok(Adoption::Ours),
            Origin::Empty => return Ok(Adoption::Empty),
            Origin::Foreign { missing_columns } => {
                return Ok(Adoption::Foreign { missing_columns });
            }
            Origin::FastApi { more_columns } => more_columns,
        };
        if repository::is_aside_taken(&mut transaction).await? {
            return Ok(Adoption::AsideTaken);
        }
        let mut trial = transaction.begin().await?;
        let own = schema::own_things(&mut trial).await?;
        trial.rollback().await?;
        let names = schema::in_the_way(&mut transaction, &own).await?;
        if !names.is_empty() {
            return Ok(Adoption::InTheWay { names });
        }
        let facts = schema::facts(&mut transaction).await?;
        match run {
            Run::Trial => {
                repository::find_old_users(&mut transaction).await?;
                schema::enter_trial(&mut transaction).await?;
            }
            Run::Real => {
                repository::lock_old_users(&mut transaction).await?;
                repository::find_old_users(&mut transaction).await?;
                repository::set_old_aside(&mut transaction).await?;
            }
        }
        schema::migrate(&mut transaction).await?;
        let mut work = Work {
            rules: Rules {
                now: ctx.now,
                max_attempts: self.max_attempts,
                placeholders: Placeholders::new(self.random.below(u32::MAX)),
            },
            run,
            nicknames: Nicknames::new(Arc::clone(&self.random)),
            hasher: &self.hasher,
            tell,
            summary: Summary {
                more_columns,
                other_sessions: facts.own_sessions + facts.other_sessions,
                ..Summary::default()
            },
        };
        work.take_users(&mut transaction).await?;
        work.name_users(&mut transaction).await?;
        repository::forget_old_users(&mut transaction).await?;
        let mut summary = work.summary;
        if summary.users > 0 {
            // Nobody becomes administrator by registering first any more.
            users::claim_first(&mut transaction, ctx.now).await?;
        }
        let nobody = UserId(Uuid::nil());
        summary.has_admin = users::has_other_admin(&mut transaction, nobody).await?;
        match run {
            Run::Trial => transaction.rollback().await?,
            Run::Real => {
                let act = Act::new(Action::DatabaseAdopted);
                let audit = Audit::default();
                audit.record(&mut transaction, ctx, act).await?;
                transaction.commit().await?;
                tracing::info!(users = summary.users, "the database was taken over");
            }
        }
        Ok(Adoption::Done(summary))
    }
}

/// One run.
struct Work<'a> {
    rules: Rules,
    run: Run,
    nicknames: Nicknames,
    hasher: &'a PasswordHasher,
    tell: Tell<'a>,
    summary: Summary,
}

impl Work<'_> {
    async fn take_users(&mut self, connection: &mut PgConnection) -> Result<()> {
        repository::open_old_users(connection).await?;
        loop {
            let old = repository::next_old_users(connection).await?;
            if old.is_empty() {
                return Ok(());
            }
            let hasher = self.hasher;
            let taken: Vec<TakenOver> = old
                .into_iter()
                .map(|old| self.rules.take_over(old, || hasher.hash_of_nobody()))
                .collect();
            self.store(connection, taken).await?;
        }
    }

    /// Stores users; who comes first has the better claim to a name.
    async fn store(&mut self, connection: &mut PgConnection, taken: Vec<TakenOver>) -> Result<()> {
        let (mut new, mut notes): (Vec<_>, Vec<_>) = taken
            .into_iter()
            .map(|taken| (taken.new, (taken.typed_email, taken.findings)))
            .unzip();
        let mut names = repository::taken_names(connection, &new).await?;
        for ((user, _), (typed_email, findings)) in new.iter_mut().zip(&mut notes) {
            findings.extend(self.rules.settle_names(user, typed_email, &mut names));
        }
        // Nobody else is there to take a name meanwhile; an id that two rows have is refused here.
        repository::insert(connection, &new).await?;
        for ((user, _), (_, findings)) in new.iter().zip(&notes) {
            self.summary.users += 1;
            self.summary.unverified +=
                u64::from(user.email.is_some() && user.email_verified_at.is_none());
            self.summary.locked += u64::from(user.locked_at.is_some());
            for finding in findings {
                self.found(finding)?;
            }
            if self.summary.users.is_multiple_of(PROGRESS) {
                tracing::info!(users = self.summary.users, "taken over so far");
            }
        }
        Ok(())
    }

    /// Finds nicknames for those who can't keep theirs: last, when all others have theirs.
    async fn name_users(&mut self, connection: &mut PgConnection) -> Result<()> {
        repository::analyze(connection).await?;
        let (mut after, to) = self.rules.placeholders.range();
        loop {
            let nameless = repository::find_nameless(connection, &after, &to).await?;
            let Some(last) = nameless.last() else {
                return Ok(());
            };
            after.clone_from(&last.placeholder);
            for user in nameless {
                let (problem, wish) = rules::nickname_problem(&user.old_nickname);
                let outcome = self.name_user(connection, user.id, wish).await?;
                self.found(&Finding {
                    user_id: user.id,
                    field: "nickname",
                    problem,
                    outcome,
                })?;
            }
        }
    }

    async fn name_user(
        &self,
        connection: &mut PgConnection,
        id: UserId,
        wish: Option<Nickname>,
    ) -> Result<Cow<'static, str>> {
        if let Some(wish) = wish
            && repository::rename(connection, id, &wish).await?
        {
            return Ok(format!("becomes {wish}").into());
        }
        for _ in 0..NICKNAME_TRIES {
            let nickname = self.nicknames.generate();
            if repository::rename(connection, id, &nickname).await? {
                return Ok(match self.run {
                    Run::Real => format!("becomes {nickname}, which was generated").into(),
                    Run::Trial => "becomes a generated one".into(),
                });
            }
        }
        Err(Error::Internal(anyhow!(
            "{NICKNAME_TRIES} generated nicknames were all taken"
        )))
    }

    fn found(&mut self, finding: &Finding) -> Result<()> {
        *self.summary.findings.entry(finding.field).or_default() += 1;
        (self.tell)(finding)
    }
}
