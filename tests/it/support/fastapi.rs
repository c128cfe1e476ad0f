//! A database as the FastAPI service leaves it.

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, PgPool, raw_sql};

use super::database::TestDatabase;

/// A plain dump of one: 43 users, all with the password [`PASSWORD`](super::app::PASSWORD) but one
/// whose hash is no hash.
const DUMP: &str = include_str!("../data/fastapi_database.sql");

/// Puts the FastAPI service's tables in the place of whatever is in the database.
pub async fn load(database: &TestDatabase) {
    // The dump changes settings of its session.
    let mut connection = empty(database).await;
    let mut lines = DUMP.lines();
    let mut sql = String::new();
    while let Some(line) = lines.next() {
        if line.starts_with("COPY ") {
            run(&mut connection, std::mem::take(&mut sql)).await;
            let rows: Vec<_> = lines.by_ref().take_while(|row| *row != "\\.").collect();
            let mut copy = connection.copy_in_raw(line).await.unwrap();
            copy.send((rows.join("\n") + "\n").as_bytes())
                .await
                .unwrap();
            copy.finish().await.unwrap();
        } else if !line.starts_with('\\') {
            // Lines that begin with a backslash are psql's own.
            sql += line;
            sql.push('\n');
        }
    }
    run(&mut connection, sql).await;
    connection.close().await.unwrap();
}

/// A database without anything in it, and a connection to it.
pub async fn empty(database: &TestDatabase) -> PgConnection {
    let options = database.connect_options();
    let mut connection = PgConnection::connect_with(&options).await.unwrap();
    let empty = "drop schema public cascade; create schema public".to_owned();
    run(&mut connection, empty).await;
    connection
}

async fn run(connection: &mut PgConnection, sql: String) {
    connection
        .execute(raw_sql(AssertSqlSafe(sql)))
        .await
        .unwrap();
}

/// All that is in a database: what is defined, and the rows of the FastAPI service's tables, if it has
/// them.
pub async fn picture(pool: &PgPool) -> Vec<String> {
    let mut picture: Vec<String> = sqlx::query_scalar(
        "select 'schema ' || nspname from pg_namespace where nspname !~ '^(pg_|information_schema)' \
         union all \
         select c.relkind::text || ' ' || c.oid::regclass || ' ' || coalesce(string_agg( \
           a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull, ', ' order by a.attnum), '') \
         from pg_class c left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 \
         where c.relnamespace in (select oid from pg_namespace where nspname !~ '^(pg_|information_schema)') \
         group by c.oid \
         union all \
         select 'function ' || p.oid::regprocedure from pg_proc p \
         where p.pronamespace in (select oid from pg_namespace where nspname !~ '^(pg_|information_schema)') \
           and not exists (select 1 from pg_depend d where d.objid = p.oid and d.deptype = 'e') \
         union all \
         select 'type ' || t.oid::regtype from pg_type t where t.typtype = 'e' \
         order by 1",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    for table in ["users", "alembic_version"] {
        let query = AssertSqlSafe(format!("select t::text from public.{table} t order by 1"));
        if let Ok(rows) = sqlx::query_scalar::<_, String>(query).fetch_all(pool).await {
            picture.extend(rows);
        }
    }
    picture
}
