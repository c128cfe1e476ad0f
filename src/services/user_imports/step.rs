//! What is written of a batch: new accounts in one statement, and what becomes of rows whose account is
//! there.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::anyhow;
use sqlx::{Connection as _, PgConnection};

use super::{
    UserImports,
    change::Changed,
    clashes::Clash,
    invitations::Pace,
    known::{Again, Known, names_of},
    rows::{Batch, Row},
};
use crate::{
    domain::{
        id::UserId,
        password::PasswordHash,
        permission::Permission,
        profile::Profile,
        role::Role,
        user::User,
        user_import::{FilePlace, ImportCounts, ImportedBy, OnConflict, RowError, UserImport},
        user_record::{Column, ImportedUser},
    },
    error::{Error, ErrorCode, Result},
    repository::{
        user_imports,
        users::{self, NewUser},
    },
    services::Ctx,
};

/// How often rows are tried in vain whose generated nicknames are taken, or whose account went away
/// meanwhile.
const TRIES: usize = 20;

/// A row on its way to an account.
pub(super) struct Candidate {
    pub(super) line: u64,
    pub(super) given: Arc<ImportedUser>,
    /// What the row gives of a password, and by which column.
    pub(super) hash: Option<(Column, PasswordHash)>,
    /// The account that it would be.
    pub(super) user: User,
    /// What is stored where no password is given.
    stored_hash: PasswordHash,
}

/// A batch on its way.
pub(super) struct Step<'a> {
    pub(super) imports: &'a UserImports,
    pub(super) import: &'a UserImport,
    pub(super) ctx: Ctx,
    /// When invitations are due.
    pub(super) pace: &'a Pace,
    /// Whether nobody had the names of the batch before: those of the next one are new too, most likely.
    are_new: &'a AtomicBool,
    /// What the actor may do now.
    pub(super) actor_role: Role,
    pub(super) counts: ImportCounts,
    pub(super) errors: Vec<RowError>,
    /// Accounts of this batch, and the lines that made them.
    pub(super) made: HashMap<UserId, u64>,
    /// Rows that want what others have, which are not among the errors yet.
    pub(super) clashes: Vec<Clash>,
    /// Accounts that are not as other instances may remember them.
    pub(super) changed: Vec<UserId>,
}

impl<'a> Step<'a> {
    /// A batch of an import, to be written now.
    pub(super) fn new(
        imports: &'a UserImports,
        import: &'a UserImport,
        by: &ImportedBy,
        pace: &'a Pace,
        are_new: &'a AtomicBool,
    ) -> Self {
        Self {
            imports,
            import,
            ctx: imports.ctx_of(by),
            pace,
            are_new,
            actor_role: Role::Anonymous,
            counts: ImportCounts::default(),
            errors: Vec::new(),
            made: HashMap::new(),
            clashes: Vec::new(),
            changed: Vec::new(),
        }
    }

    /// Writes it, in the caller's transaction. Where the batch before it, which begins at `behind`, is being written
    /// too, it waits for that one as soon as accounts are made; what it does then depends on them.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] where the actor may not import users any more.
    pub(super) async fn write(
        &mut self,
        connection: &mut PgConnection,
        by: &ImportedBy,
        batch: Batch,
        mut behind: Option<FilePlace>,
    ) -> Result<()> {
        self.actor_role = self.permitted_role(connection, by).await?;
        self.counts.rejected = batch.rejected;
        self.errors = batch.errors;
        let candidates = batch.rows.into_iter().filter_map(|row| self.candidate(row));
        let mut pending: Vec<Candidate> = candidates.collect();
        let makes_users = !pending.is_empty() && !self.import.options.dry_run;
        if makes_users && behind.is_none() {
            self.claim_first(connection).await?;
        }
        let mut in_vain = 0;
        while !pending.is_empty() {
            let before = pending.len();
            let left = self.create(connection, pending).await?;
            if let Some(before) = behind.take() {
                user_imports::await_batch(connection, self.import.id, before).await?;
                if makes_users {
                    self.claim_first(connection).await?;
                }
            }
            pending = self.settle(connection, left).await?;
            in_vain = match pending.len() < before {
                true => 0,
                false => in_vain + 1,
            };
            if in_vain == TRIES {
                return Err(Error::Internal(anyhow!(
                    "{TRIES} generated nicknames were all taken"
                )));
            }
        }
        if let Some(before) = behind {
            user_imports::await_batch(connection, self.import.id, before).await?;
        }
        self.tell_clashes().await?;
        self.errors.sort_by_key(|error| error.line);
        Ok(())
    }

    /// Lets nobody become administrator by registering first any more. Before the accounts, as registration does
    /// it, so that neither waits for the other at once; behind another batch that has done it, most likely.
    async fn claim_first(&self, connection: &mut PgConnection) -> Result<()> {
        users::claim_first(connection, self.ctx.now).await?;
        Ok(())
    }

    /// What the actor may do now; kept from changing until the transaction ends, where that is soon.
    async fn permitted_role(&self, connection: &mut PgConnection, by: &ImportedBy) -> Result<Role> {
        let Some((id, _)) = by.user else {
            return Ok(Role::Admin);
        };
        let role = match self.import.options.is_whole() {
            // A lock for as long as all of a file takes would keep him from logging in.
            true => users::find(connection, id).await?.and_then(|user| {
                let is_open = user.locked_at.is_none() && user.deletion_due_at.is_none();
                is_open.then_some(user.role)
            }),
            false => users::find_role_for_share(connection, id).await?,
        };
        match role {
            Some(role) if role.grants(Permission::ImportUsers) => Ok(role),
            _ => Err(Error::Forbidden(ErrorCode::OperationNotPermitted)),
        }
    }

    pub(super) fn reject(&mut self, line: u64, column: Option<Column>, reason: impl Into<String>) {
        self.counts.rejected += 1;
        self.errors.push(RowError {
            line,
            column: column.map(Column::name),
            reason: reason.into(),
        });
    }

    /// The account that a row would be, unless the actor may not make it.
    fn candidate(&mut self, row: Row) -> Option<Candidate> {
        let Row {
            line,
            user: given,
            hash,
        } = row;
        if given
            .role
            .is_some_and(|role| !self.actor_role.may_grant(role))
        {
            let reason = "is a role that you may not give";
            self.reject(line, Some(Column::Role), reason);
            return None;
        }
        let begun = self.import.created_at;
        let mut profile = Profile::default();
        given.profile.clone().apply(&mut profile);
        let created_at = given.created_at.unwrap_or(begun);
        let by_address = match given.email_verified_at {
            Some(_) => Role::Authenticated,
            None => Role::Anonymous,
        };
        let nickname = given.nickname.clone();
        let user = User {
            id: given
                .id
                .unwrap_or_else(|| UserId(self.imports.platform.random.uuid_v7(begun))),
            nickname: nickname.unwrap_or_else(|| self.imports.nicknames.generate()),
            email: given.email.clone(),
            email_verified_at: given.email_verified_at,
            phone_number: given.phone_number.clone(),
            legacy_name: given.legacy_name.clone(),
            profile,
            role: given.role.unwrap_or(by_address),
            is_professional: given.is_professional.unwrap_or_default(),
            professional_status_updated_at: given.professional_status_updated_at,
            locked_at: given.locked_at,
            deletion_due_at: given.deletion_due_at,
            last_login_at: given.last_login_at,
            created_at,
            updated_at: given.updated_at.unwrap_or(created_at),
            revision: given.revision.unwrap_or(1),
        };
        let nobodys = || self.imports.hasher.hash_of_nobody();
        let given_hash = hash.as_ref().map(|(_, hash)| hash.clone());
        let stored_hash = given_hash.unwrap_or_else(nobodys);
        Some(Candidate {
            line,
            given,
            hash,
            user,
            stored_hash,
        })
    }

    /// Makes those accounts of which nobody has the id or a name, and answers the other rows.
    async fn create(
        &mut self,
        connection: &mut PgConnection,
        candidates: Vec<Candidate>,
    ) -> Result<Vec<Candidate>> {
        let mut names = HashSet::new();
        // Of two that have a name in common the second comes when it is known what became of the first.
        let (first, mut left): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|candidate| {
            let own = names_of(candidate);
            let is_first = own.iter().all(|name| !names.contains(name));
            names.extend(own);
            is_first
        });
        let new: Vec<_> = first
            .iter()
            .map(|candidate| NewUser {
                user: &candidate.user,
                password_hash: &candidate.stored_hash,
                password_reset_openly_at: candidate.given.password_reset_openly_at,
            })
            .collect();
        let stored = self.insert(connection, &new).await?;
        let (made, taken): (Vec<_>, Vec<_>) = first
            .into_iter()
            .partition(|candidate| stored.contains(&candidate.user.id));
        left.extend(taken);
        left.sort_by_key(|candidate| candidate.line);
        self.counts.created += made.len() as u64;
        self.made.extend(
            made.iter()
                .map(|candidate| (candidate.user.id, candidate.line)),
        );
        if !self.import.options.dry_run {
            self.tell(connection, &made).await?;
        }
        Ok(left)
    }

    /// Stores those of whom nobody has the id or a name: all at once where nobody had one lately, which spares the
    /// database a look at each name before it stores it.
    async fn insert(
        &self,
        connection: &mut PgConnection,
        new: &[NewUser<'_>],
    ) -> Result<HashSet<UserId>> {
        if self.are_new.load(Ordering::Relaxed) {
            let mut savepoint = connection.begin().await?;
            if users::insert_unless_taken(&mut savepoint, new).await? {
                savepoint.commit().await?;
                return Ok(new.iter().map(|new| new.user.id).collect());
            }
            savepoint.rollback().await?;
        }
        let stored = users::insert_all(connection, new).await?;
        self.are_new
            .store(stored.len() == new.len(), Ordering::Relaxed);
        Ok(stored)
    }

    /// Decides what becomes of rows whose id or names somebody has, and answers those to be tried again.
    async fn settle(
        &mut self,
        connection: &mut PgConnection,
        candidates: Vec<Candidate>,
    ) -> Result<Vec<Candidate>> {
        if candidates.is_empty() {
            return Ok(candidates);
        }
        let wanted: Vec<_> = candidates.iter().map(|candidate| &candidate.user).collect();
        let mut known = Known::of(users::find_holders(connection, &wanted).await?);
        let mut again = Again::default();
        for mut candidate in candidates {
            if again.decides(&candidate) {
                again.push(candidate);
                continue;
            }
            let Candidate {
                line, given, user, ..
            } = &candidate;
            let line = *line;
            let same = known.same_as(given);
            let Some((column, holder)) = same.first().copied() else {
                match (known.holder_of_nickname(user), &given.nickname) {
                    (Some(holder), Some(_)) => {
                        self.clash(line, Column::Nickname, holder);
                    }
                    (Some(_), None) => {
                        candidate.user.nickname = self.imports.nicknames.generate();
                        again.push(candidate);
                    }
                    // Whoever was in the way has gone meanwhile.
                    (None, _) => again.push(candidate),
                }
                continue;
            };
            match self.import.options.on_conflict {
                OnConflict::Skip => self.counts.skipped += 1,
                OnConflict::Fail => self.clash(line, column, holder),
                OnConflict::Update => {
                    if let Some((other, _)) = same.iter().find(|(_, id)| *id != holder) {
                        let (one, two) = (column.name(), other.name());
                        let reason = format!("{one} and {two} are those of different accounts");
                        self.reject(line, Some(*other), reason);
                        continue;
                    }
                    match self.change(connection, holder, &candidate).await? {
                        Changed::Done => {
                            self.counts.updated += 1;
                            self.changed.push(holder);
                            known.learn(holder, given);
                        }
                        Changed::IsSoAlready => self.counts.skipped += 1,
                        Changed::Refused(column, reason) => self.reject(line, column, reason),
                        Changed::Gone => again.push(candidate),
                    }
                }
            }
        }
        Ok(again.candidates)
    }
}
