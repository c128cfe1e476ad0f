//! What database errors mean.

use std::time::Duration;

use sqlx::{Connection as _, Executor as _, PgConnection, postgres::PgPoolOptions};
use user_management::{
    error::{Error, ErrorCode},
    repository::pool,
};

use super::put;
use crate::support::{database::TestDatabase, eventually::eventually};

fn meaning(error: sqlx::Error) -> &'static str {
    match Error::from(error) {
        Error::Unavailable(_) => "unavailable",
        Error::Internal(_) => "internal",
        Error::Conflict(_) => "conflict",
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_pool_that_gives_no_connection_is_unavailable() {
    let db = TestDatabase::create().await;
    let options = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(Duration::from_millis(50));
    let small = options.connect_lazy_with(db.connect_options());
    let held = eventually("a connection", async || small.acquire().await.ok()).await;
    assert_eq!(meaning(small.acquire().await.unwrap_err()), "unavailable");
    drop(held);
    small.close().await;
    assert_eq!(meaning(small.acquire().await.unwrap_err()), "unavailable");

    // Nobody listens there.
    let nowhere = db.connect_options().host("127.0.0.1").port(1);
    let nobody = pool::connect(nowhere, 1);
    assert_eq!(
        meaning(pool::ping(&nobody).await.unwrap_err()),
        "unavailable"
    );
}

#[tokio::test]
async fn a_connection_that_is_cut_off_is_unavailable() {
    let db = TestDatabase::create().await;
    let mut cut = PgConnection::connect_with(&db.connect_options())
        .await
        .unwrap();
    let process: i32 = sqlx::query_scalar("select pg_backend_pid()")
        .fetch_one(&mut cut)
        .await
        .unwrap();
    sqlx::query("select pg_terminate_backend($1)")
        .bind(process)
        .execute(&db.pool)
        .await
        .unwrap();
    assert_eq!(
        meaning(cut.execute("select 1").await.unwrap_err()),
        "unavailable"
    );
}

#[tokio::test]
async fn what_passes_is_unavailable_and_what_does_not_is_our_fault() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    for (what, statement, expected) in [
        (
            "a statement that takes too long",
            "set statement_timeout = 1; select pg_sleep(10)",
            "unavailable",
        ),
        (
            "a deadlock",
            "do $$ begin raise sqlstate '40P01'; end $$",
            "unavailable",
        ),
        (
            "no lock to be had",
            "do $$ begin raise sqlstate '55P03'; end $$",
            "unavailable",
        ),
        (
            "no more connections",
            "do $$ begin raise sqlstate '53300'; end $$",
            "unavailable",
        ),
        ("no such table", "select 1 from nothing", "internal"),
        ("broken SQL", "selct", "internal"),
        (
            "no right to",
            "do $$ begin raise sqlstate '42501'; end $$",
            "internal",
        ),
        (
            "a rule of the database",
            "insert into first_user (singleton, claimed_at) values (false, now())",
            "internal",
        ),
    ] {
        let error = conn.execute(sqlx::raw_sql(statement)).await.unwrap_err();
        assert_eq!(meaning(error), expected, "{what}");
        conn.execute("set statement_timeout = 0").await.unwrap();
    }
}

#[tokio::test]
async fn conflicts_are_told_by_the_name_of_their_constraint() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    put(&mut conn, 1).await;
    put(&mut conn, 2).await;
    for (statement, code) in [
        (
            "update users set email = 'USER1@example.com'",
            ErrorCode::EmailAlreadyExists,
        ),
        (
            "update users set nickname = 'USER_1'",
            ErrorCode::NicknameAlreadyExists,
        ),
    ] {
        let error = Error::from(conn.execute(statement).await.unwrap_err());
        assert!(
            matches!(error, Error::Conflict(found) if found == code),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn statements_and_idle_transactions_of_the_pool_have_limits() {
    let db = TestDatabase::create().await;
    let pool = pool::connect(db.connect_options(), 2);
    let mut conn = pool.acquire().await.unwrap();
    for (setting, value) in [
        ("statement_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "10s"),
        ("application_name", "user-management"),
    ] {
        let now: String = sqlx::query_scalar("select current_setting($1)")
            .bind(setting)
            .fetch_one(&mut *conn)
            .await
            .unwrap();
        assert_eq!(now, value, "{setting}");
    }
    pool::ping(&pool).await.unwrap();
}
