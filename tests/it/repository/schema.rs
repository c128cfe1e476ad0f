//! The migrations: what every table, column and constraint must have.

use user_management::repository::pool;

use crate::support::database::TestDatabase;

async fn names(db: &TestDatabase, query: &'static str) -> Vec<String> {
    sqlx::query_scalar(query).fetch_all(&db.pool).await.unwrap()
}

#[tokio::test]
async fn every_table_and_column_is_described() {
    let db = TestDatabase::create().await;
    let undescribed = names(
        &db,
        "select c.relname || coalesce('.' || a.attname, '') from pg_class c \
         left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped \
         where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and c.relname <> '_sqlx_migrations' \
         and (col_description(c.oid, a.attnum) is null or obj_description(c.oid) is null)",
    )
    .await;
    assert_eq!(undescribed, [""; 0]);
}

#[tokio::test]
async fn every_constraint_and_index_is_named_after_its_table() {
    let db = TestDatabase::create().await;
    let misnamed = names(
        &db,
        "select conname::text from pg_constraint k join pg_class c on c.oid = k.conrelid \
         where c.relnamespace = 'public'::regnamespace and c.relname <> '_sqlx_migrations' and k.contype <> 'n' \
         and conname !~ ('^' || c.relname || '_([a-z_]+_)?(pkey|key|fkey|check)$') \
         union all \
         select i.relname::text from pg_index x join pg_class i on i.oid = x.indexrelid join pg_class c on c.oid = x.indrelid \
         where c.relnamespace = 'public'::regnamespace and c.relname <> '_sqlx_migrations' \
         and i.relname !~ ('^' || c.relname || '_([a-z_]+_)?(pkey|key|idx)$')",
    )
    .await;
    assert_eq!(misnamed, [""; 0]);
}

#[tokio::test]
async fn times_have_a_zone_and_every_reference_an_index() {
    let db = TestDatabase::create().await;
    let without_zone = names(
        &db,
        "select table_name || '.' || column_name from information_schema.columns \
         where table_schema = 'public' and data_type like 'timestamp%without%'",
    )
    .await;
    assert_eq!(without_zone, [""; 0]);
    let without_index = names(
        &db,
        "select conname::text from pg_constraint k where contype = 'f' and not exists \
         (select 1 from pg_index i where i.indrelid = k.conrelid and i.indkey[0] = k.conkey[1])",
    )
    .await;
    assert_eq!(without_index, [""; 0]);
}

#[tokio::test]
async fn migrating_again_changes_nothing() {
    let db = TestDatabase::create().await;
    assert_eq!(pool::migrate(&db.connect_options()).await.unwrap(), 0);
    let applied: i64 = sqlx::query_scalar("select count(*) from _sqlx_migrations where success")
        .fetch_one(&db.pool)
        .await
        .unwrap();
    assert_eq!(
        applied,
        i64::try_from(pool::MIGRATIONS.iter().count()).unwrap()
    );
}
