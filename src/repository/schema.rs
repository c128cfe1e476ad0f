//! The database as a whole: whose it is, and what our migrations have made in it.

use std::collections::BTreeSet;

use sqlx::{
    AssertSqlSafe, Executor as _, FromRow, PgConnection,
    migrate::{Migrate as _, MigrateError},
};

use super::pool::MIGRATIONS;
use crate::error::{Error, Result};

/// The columns of the table `users` of the FastAPI service, in its order.
pub const FASTAPI_COLUMNS: &[&str] = &[
    "id",
    "nickname",
    "email",
    "first_name",
    "last_name",
    "bio",
    "profile_picture_url",
    "linkedin_profile_url",
    "github_profile_url",
    "role",
    "is_professional",
    "professional_status_updated_at",
    "last_login_at",
    "failed_login_attempts",
    "is_locked",
    "created_at",
    "updated_at",
    "verification_token",
    "email_verified",
    "hashed_password",
];

/// The schema in which a trial is made, which is rolled back.
const TRIAL: &str = "user_management_trial";

/// Whose a database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Our migrations have been applied, at least some of them.
    Ours,
    /// The FastAPI service made it.
    FastApi {
        /// Columns of its table `users` that it doesn't make, and that aren't known here.
        more_columns: Vec<String>,
    },
    /// It has a table `users` of somebody else's.
    Foreign {
        /// Columns that the FastAPI service's table has and this one hasn't.
        missing_columns: Vec<&'static str>,
    },
    /// It has no table `users`.
    Empty,
}

/// Whose the database is.
///
/// # Errors
///
/// If the database fails.
pub async fn find_origin(connection: &mut PgConnection) -> Result<Origin> {
    let applied = applied_migrations(connection).await?;
    let is_known = |applied: &AppliedMigration| MIGRATIONS.version_exists(applied.version);
    if applied.iter().any(is_known) {
        return Ok(Origin::Ours);
    }
    let columns: Vec<String> = sqlx::query_scalar(
        "select attname::text from pg_attribute a join pg_class c on c.oid = a.attrelid \
         where c.relname = 'users' and c.relnamespace = current_schema()::regnamespace \
         and c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped order by a.attnum",
    )
    .fetch_all(connection)
    .await?;
    if columns.is_empty() {
        return Ok(Origin::Empty);
    }
    let missing: Vec<_> = FASTAPI_COLUMNS
        .iter()
        .filter(|column| !columns.iter().any(|known| known == *column))
        .copied()
        .collect();
    if !missing.is_empty() {
        return Ok(Origin::Foreign {
            missing_columns: missing,
        });
    }
    let is_more = |column: &String| !FASTAPI_COLUMNS.contains(&column.as_str());
    Ok(Origin::FastApi {
        more_columns: columns.into_iter().filter(is_more).collect(),
    })
}

/// A migration that the database has noted.
#[derive(Debug, Clone, FromRow)]
pub struct AppliedMigration {
    /// Its number.
    pub version: i64,
    /// What it is about.
    pub description: String,
    /// Whether it came to its end.
    pub success: bool,
    /// The digest of its text.
    pub checksum: Vec<u8>,
}

/// The migrations that the database has noted, in their order; none where it has noted nothing.
///
/// # Errors
///
/// If the database fails.
pub async fn applied_migrations(connection: &mut PgConnection) -> Result<Vec<AppliedMigration>> {
    let is_there: bool = sqlx::query_scalar(
        "select exists (select 1 from pg_class where relname = '_sqlx_migrations' \
         and relnamespace = current_schema()::regnamespace)",
    )
    .fetch_one(&mut *connection)
    .await?;
    if !is_there {
        return Ok(Vec::new());
    }
    let applied = sqlx::query_as(
        "select version, description, success, checksum from _sqlx_migrations order by version",
    )
    .fetch_all(connection)
    .await?;
    Ok(applied)
}

/// What PostgreSQL tells of a database.
#[derive(Debug, Clone, FromRow)]
pub struct Facts {
    /// Its name.
    pub name: String,
    /// PostgreSQL's version.
    pub server_version: String,
    /// Its size on disk, in bytes.
    pub size: i64,
    /// Sessions of this service, this one left out.
    pub own_sessions: i64,
    /// Sessions of anybody else.
    pub other_sessions: i64,
}

/// What PostgreSQL tells of the database.
///
/// # Errors
///
/// If the database fails.
pub async fn facts(connection: &mut PgConnection) -> Result<Facts> {
    let facts = sqlx::query_as(
        "select current_database()::text as name, current_setting('server_version') as server_version, \
         pg_database_size(current_database()) as size, \
         count(*) filter (where application_name = 'user-management') as own_sessions, \
         count(*) filter (where application_name <> 'user-management') as other_sessions \
         from pg_stat_activity where datname = current_database() \
         and backend_type = 'client backend' and pid <> pg_backend_pid()",
    )
    .fetch_one(connection)
    .await?;
    Ok(facts)
}

/// PostgreSQL's version.
///
/// # Errors
///
/// If the database fails.
pub async fn server_version(connection: &mut PgConnection) -> Result<String> {
    let version = sqlx::query_scalar("select current_setting('server_version')")
        .fetch_one(connection)
        .await?;
    Ok(version)
}

/// Applies the migrations that the database lacks, in the caller's transaction.
///
/// # Errors
///
/// If one fails, or the database has some that this program doesn't know.
///
/// # Concurrency
///
/// An advisory lock, which others who migrate take too, is held while it runs, and not until the
/// transaction ends.
pub async fn migrate(connection: &mut PgConnection) -> Result<()> {
    MIGRATIONS.run(&mut *connection).await.map_err(of_migration)
}

fn of_migration(error: MigrateError) -> Error {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
        error => Error::Internal(error.into()),
    }
}

/// Makes a schema of its own in which what follows in the transaction is tried: tables are made there,
/// and found there first.
///
/// # Errors
///
/// If the database fails, or the role may make no schemas.
pub async fn enter_trial(connection: &mut PgConnection) -> Result<()> {
    // The name is a constant of ours.
    connection
        .execute(AssertSqlSafe(format!("create schema {TRIAL}")))
        .await?;
    sqlx::query(
        "select set_config('search_path', $1 || ', ' || current_setting('search_path'), true)",
    )
    .bind(TRIAL)
    .execute(connection)
    .await?;
    Ok(())
}

/// Something in a schema, as `drop` names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, FromRow)]
pub struct Thing {
    /// `table`, `function`, `type` and the like.
    pub kind: String,
    /// Its name, quoted where it must be; of a function with its arguments.
    pub name: String,
}

/// What our migrations make, those things too that a later one drops again. It is found out in a trial:
/// roll back to before this.
///
/// # Errors
///
/// If the database fails, or a migration.
pub async fn own_things(connection: &mut PgConnection) -> Result<BTreeSet<Thing>> {
    const TABLE: &str = "_sqlx_migrations";
    enter_trial(connection).await?;
    connection
        .ensure_migrations_table(TABLE)
        .await
        .map_err(of_migration)?;
    let mut own = things(connection).await?;
    for migration in MIGRATIONS.iter() {
        connection
            .apply(TABLE, migration)
            .await
            .map_err(of_migration)?;
        own.extend(things(connection).await?);
    }
    Ok(own)
}

/// What is in the current schema, but for what belongs to a table or to an extension.
async fn things(connection: &mut PgConnection) -> Result<BTreeSet<Thing>> {
    let things = sqlx::query_as(
        "with things as ( \
           select 'pg_class'::regclass as class, c.oid, quote_ident(c.relname) as name, \
             case c.relkind when 'v' then 'view' when 'm' then 'materialized view' \
             when 'S' then 'sequence' else 'table' end as kind \
           from pg_class c \
           where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'S') \
           union all \
           select 'pg_proc'::regclass, p.oid, \
             quote_ident(p.proname) || '(' || pg_get_function_identity_arguments(p.oid) || ')', \
             case p.prokind when 'a' then 'aggregate' when 'p' then 'procedure' else 'function' end \
           from pg_proc p where p.pronamespace = current_schema()::regnamespace \
           union all \
           select 'pg_type'::regclass, t.oid, quote_ident(t.typname), \
             case t.typtype when 'd' then 'domain' else 'type' end \
           from pg_type t where t.typnamespace = current_schema()::regnamespace and t.typtype in ('d', 'e', 'r') \
         ) \
         select kind, name from things where not exists ( \
           select 1 from pg_depend d \
           where d.classid = things.class and d.objid = things.oid and d.deptype in ('a', 'i', 'e'))",
    )
    .fetch_all(connection)
    .await?;
    Ok(things.into_iter().collect())
}

/// Those of `own` that are in the current schema.
///
/// # Errors
///
/// If the database fails.
pub async fn present(
    connection: &mut PgConnection,
    own: &BTreeSet<Thing>,
) -> Result<BTreeSet<Thing>> {
    let there = things(connection).await?;
    Ok(there.intersection(own).cloned().collect())
}

/// Names in the current schema that `own` needs, the tables `users` and `_sqlx_migrations` left out.
///
/// # Errors
///
/// If the database fails.
pub async fn in_the_way(
    connection: &mut PgConnection,
    own: &BTreeSet<Thing>,
) -> Result<Vec<String>> {
    let names: BTreeSet<_> = own.iter().map(|own| &*own.name).collect();
    let there = things(connection).await?;
    let is_needed =
        |name: &String| !matches!(&**name, "users" | "_sqlx_migrations") && names.contains(&**name);
    Ok(there
        .into_iter()
        .map(|thing| thing.name)
        .filter(is_needed)
        .collect())
}

/// Drops things of the current schema, and whatever depends on them.
///
/// # Errors
///
/// If the database fails; [`Error::Unavailable`] when somebody uses them for longer than the
/// connection waits.
pub async fn drop_things(connection: &mut PgConnection, things: &BTreeSet<Thing>) -> Result<()> {
    // Tables first: they take what belongs to them along, and little is left that depends on the rest.
    let (tables, others): (Vec<_>, Vec<_>) = things.iter().partition(|thing| thing.kind == "table");
    for Thing { kind, name } in tables.into_iter().chain(others) {
        // PostgreSQL quoted the names, and they are those of our own migrations.
        let statement = AssertSqlSafe(format!("drop {kind} if exists {name} cascade"));
        connection.execute(statement).await?;
    }
    Ok(())
}
