//! Databases that can't be taken over, or not to the end: they stay as they are.

use sqlx::{AssertSqlSafe, Executor as _, raw_sql};
use user_management::{
    error::Error,
    repository::pool,
    services::adoption::{Adoption, Run},
};

use super::adoption::{adopt, adopting, operator};
use crate::support::{
    database::TestDatabase,
    fastapi::{empty, load, picture},
};

async fn run(database: &TestDatabase, sql: &str) {
    let sql = raw_sql(AssertSqlSafe(sql.to_owned()));
    database.pool.execute(sql).await.unwrap();
}

#[tokio::test]
async fn a_failure_leaves_the_old_database_as_it_was() {
    for (what, trouble) in [
        (
            "a migration",
            "create table orders (id integer); create index jobs_due_idx on orders (id)",
        ),
        (
            "a row",
            "alter table users drop constraint users_pkey; \
             update users set id = (select id from users where email = 'admin@example.com') \
             where email = 'user24@example.com'",
        ),
        (
            "a column",
            "alter table users alter column failed_login_attempts type text; \
             update users set failed_login_attempts = 'many' where email = 'user24@example.com'",
        ),
    ] {
        let database = TestDatabase::create().await;
        load(&database).await;
        run(&database, trouble).await;
        let before = picture(&database.pool).await;
        let (real, _) = adopt(&database, Run::Real).await;
        assert!(matches!(real, Err(Error::Internal(_))), "{what}: {real:?}");
        assert_eq!(picture(&database.pool).await, before, "{what}");
    }
}

#[tokio::test]
async fn names_that_ours_need_are_told_before_anything_is_done() {
    let database = TestDatabase::create().await;
    load(&database).await;
    run(
        &database,
        "create table sessions (id integer); create view jobs as select 1 as one; \
         create function count_users() returns integer language sql as 'select 1'",
    )
    .await;
    let before = picture(&database.pool).await;
    for kind in [Run::Trial, Run::Real] {
        let (refused, _) = adopt(&database, kind).await;
        let Ok(Adoption::InTheWay { mut names }) = refused else {
            panic!("{refused:?}");
        };
        names.sort();
        assert_eq!(names, ["count_users()", "jobs", "sessions"]);
        assert_eq!(picture(&database.pool).await, before);
    }
}

#[tokio::test]
async fn what_cannot_be_told_is_not_done() {
    let database = TestDatabase::create().await;
    load(&database).await;
    let before = picture(&database.pool).await;
    let mut told = 0;
    let mut tell = |_: &_| {
        told += 1;
        match told {
            11 => Err(Error::Internal(anyhow::anyhow!("the disk is full"))),
            _ => Ok(()),
        }
    };
    let adopting = adopting(&database, 5);
    let failed = adopting.adopt(&operator(), Run::Real, &mut tell).await;
    assert!(failed.is_err());
    assert_eq!(told, 11);
    assert_eq!(picture(&database.pool).await, before);
}

#[tokio::test]
async fn who_uses_the_old_table_is_waited_for_in_vain_for_some_seconds() {
    let database = TestDatabase::create().await;
    load(&database).await;
    let before = picture(&database.pool).await;
    let mut reader = database.pool.begin().await.unwrap();
    reader.execute("select count(*) from users").await.unwrap();
    let (refused, _) = adopt(&database, Run::Real).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    reader.rollback().await.unwrap();
    assert_eq!(picture(&database.pool).await, before);
}

#[tokio::test]
async fn databases_of_others_are_told_apart() {
    let database = TestDatabase::create().await;
    let options = database.connect_options();
    assert_eq!(adopt(&database, Run::Real).await.0.unwrap(), Adoption::Ours);

    empty(&database).await;
    assert_eq!(
        adopt(&database, Run::Real).await.0.unwrap(),
        Adoption::Empty
    );

    run(
        &database,
        "create table users (id uuid, nickname text, email text)",
    )
    .await;
    let before = picture(&database.pool).await;
    let (foreign, _) = adopt(&database, Run::Real).await;
    let Ok(Adoption::Foreign { missing_columns }) = foreign else {
        panic!("{foreign:?}");
    };
    assert_eq!(missing_columns.len(), 17);
    assert!(missing_columns.contains(&"hashed_password"));
    let refused = pool::migrate(&options).await.unwrap_err();
    assert!(refused.to_string().contains("isn't ours"), "{refused}");
    assert_eq!(picture(&database.pool).await, before);
}

#[tokio::test]
async fn a_database_of_the_fastapi_service_is_not_migrated_by_mistake() {
    let database = TestDatabase::create().await;
    load(&database).await;
    let before = picture(&database.pool).await;
    let refused = pool::migrate(&database.connect_options()).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("db adopt"), "{refused}");
    assert_eq!(picture(&database.pool).await, before);
}

#[tokio::test]
async fn the_users_of_an_earlier_takeover_are_not_overwritten() {
    let database = TestDatabase::create().await;
    load(&database).await;
    assert!(matches!(
        adopt(&database, Run::Real).await.0,
        Ok(Adoption::Done(_))
    ));
    load(&database).await;
    for kind in [Run::Trial, Run::Real] {
        let (again, _) = adopt(&database, kind).await;
        assert_eq!(again.unwrap(), Adoption::AsideTaken);
    }
    run(&database, "drop schema fastapi cascade").await;
    assert!(matches!(
        adopt(&database, Run::Real).await.0,
        Ok(Adoption::Done(_))
    ));
}

#[tokio::test]
async fn more_columns_and_other_tables_do_no_harm() {
    let database = TestDatabase::create().await;
    load(&database).await;
    run(
        &database,
        "alter table users add column shoe_size integer default 43; \
         create table orders (id integer primary key, user_id uuid references users (id)); \
         insert into orders select 1, id from users where email = 'admin@example.com'",
    )
    .await;
    let (adopted, _) = adopt(&database, Run::Real).await;
    let Ok(Adoption::Done(summary)) = adopted else {
        panic!("{adopted:?}");
    };
    assert_eq!(summary.more_columns, ["shoe_size"]);
    let kept: i64 = sqlx::query_scalar(
        "select count(*) from orders join fastapi.users u on u.id = user_id where shoe_size = 43",
    )
    .fetch_one(&database.pool)
    .await
    .unwrap();
    assert_eq!(kept, 1);
}
