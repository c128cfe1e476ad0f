//! The database as a whole, and what our migrations make in it.

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, raw_sql};
use user_management::repository::{
    pool::{MIGRATIONS, connect_alone},
    schema::{
        FASTAPI_COLUMNS, Origin, Thing, applied_migrations, drop_things, enter_trial, facts,
        find_origin, in_the_way, migrate, own_things, present, server_version,
    },
};

use crate::support::{
    database::TestDatabase,
    fastapi::{empty, load, picture},
};

async fn run(conn: &mut PgConnection, sql: &str) {
    let sql = raw_sql(AssertSqlSafe(sql.to_owned()));
    conn.execute(sql).await.unwrap();
}

fn thing(kind: &str, name: &str) -> Thing {
    Thing {
        kind: kind.to_owned(),
        name: name.to_owned(),
    }
}

#[tokio::test]
async fn databases_are_told_apart_by_what_is_in_them() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    assert_eq!(find_origin(&mut conn).await.unwrap(), Origin::Ours);
    let count = MIGRATIONS.iter().count();
    assert_eq!(applied_migrations(&mut conn).await.unwrap().len(), count);

    let mut conn = empty(&db).await;
    assert_eq!(find_origin(&mut conn).await.unwrap(), Origin::Empty);
    assert!(applied_migrations(&mut conn).await.unwrap().is_empty());
    // What a start of the service in vain leaves behind is nothing.
    run(&mut conn, "create table _sqlx_migrations (version bigint, description text, success boolean, checksum bytea)").await;
    assert_eq!(find_origin(&mut conn).await.unwrap(), Origin::Empty);
    run(&mut conn, "create table users (id uuid)").await;
    let missing_columns = FASTAPI_COLUMNS[1..].to_vec();
    assert_eq!(
        find_origin(&mut conn).await.unwrap(),
        Origin::Foreign { missing_columns }
    );

    load(&db).await;
    let plain = Origin::FastApi {
        more_columns: vec![],
    };
    assert_eq!(find_origin(&mut conn).await.unwrap(), plain);
    run(&mut conn, "alter table users add column shoe_size integer").await;
    let more_columns = vec!["shoe_size".to_owned()];
    assert_eq!(
        find_origin(&mut conn).await.unwrap(),
        Origin::FastApi { more_columns }
    );
}

#[tokio::test]
async fn facts_count_the_sessions_of_the_service_apart() {
    let db = TestDatabase::create().await;
    let mut conn = connect_alone(&db.connect_options()).await.unwrap();
    let version = server_version(&mut conn).await.unwrap();
    let alone = facts(&mut conn).await.unwrap();
    assert_eq!((alone.server_version, alone.own_sessions), (version, 0));
    assert_eq!(Some(&*alone.name), db.connect_options().get_database());
    assert!(alone.size > 1024 * 1024);
    let other = connect_alone(&db.connect_options()).await.unwrap();
    let two = facts(&mut conn).await.unwrap();
    assert_eq!(two.own_sessions, 1);
    assert_eq!(two.other_sessions, alone.other_sessions);
    other.close().await.unwrap();
}

#[tokio::test]
async fn a_trial_makes_everything_elsewhere_and_leaves_nothing() {
    let db = TestDatabase::create().await;
    let before = picture(&db.pool).await;
    let mut conn = connect_alone(&db.connect_options()).await.unwrap();
    let mut trial = conn.begin().await.unwrap();
    enter_trial(&mut trial).await.unwrap();
    migrate(&mut trial).await.unwrap();
    let places: Vec<String> = sqlx::query_scalar(
        "select relnamespace::regnamespace::text from pg_class where relname = 'users' order by 1",
    )
    .fetch_all(&mut *trial)
    .await
    .unwrap();
    assert_eq!(places, ["public", "user_management_trial"]);
    trial.rollback().await.unwrap();
    assert_eq!(picture(&db.pool).await, before);
}

#[tokio::test]
async fn what_is_ours_is_dropped_with_what_depends_on_it_and_nothing_else() {
    let db = TestDatabase::create().await;
    let mut conn = connect_alone(&db.connect_options()).await.unwrap();
    run(
        &mut conn,
        "create table orders (id integer primary key, user_id uuid references users (id)); \
         create function orders() returns integer language sql as 'select 1'; \
         create type size as enum ('s', 'm'); \
         create view names as select nickname from users; \
         create schema elsewhere; create table elsewhere.users (id integer)",
    )
    .await;
    let mut trial = conn.begin().await.unwrap();
    let own = own_things(&mut trial).await.unwrap();
    trial.rollback().await.unwrap();
    for ours in [
        thing("table", "users"),
        thing("table", "_sqlx_migrations"),
        thing("function", "count_users()"),
    ] {
        assert!(own.contains(&ours), "{own:?}");
    }
    let there = present(&mut conn, &own).await.unwrap();
    assert!(there.is_subset(&own));
    let dropped_since: Vec<_> = own.difference(&there).collect();
    let words = "search_words_of(nickname text, email text, first_name text, middle_name text, last_name text)";
    assert_eq!(dropped_since, [&thing("function", words)]);
    let names = in_the_way(&mut conn, &own).await.unwrap();
    assert!(names.contains(&"sessions".to_owned()), "{names:?}");
    assert!(!names.contains(&"users".to_owned()) && !names.contains(&"orders".to_owned()));
    drop_things(&mut conn, &there).await.unwrap();
    assert!(present(&mut conn, &own).await.unwrap().is_empty());
    let left = picture(&db.pool).await;
    let expected = [
        "function orders()",
        "i orders_pkey id integer false",
        "r elsewhere.users id integer false",
        "r orders id integer true, user_id uuid false",
        "schema elsewhere",
        "schema public",
        "type size",
    ];
    assert_eq!(left, expected);
    migrate(&mut conn).await.unwrap();
    migrate(&mut conn).await.unwrap();
    assert_eq!(present(&mut conn, &own).await.unwrap(), there);
}
