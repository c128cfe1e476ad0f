//! The harness itself.

use sqlx::{Connection as _, PgConnection};

use crate::support::database::TestDatabase;

#[tokio::test]
async fn each_test_has_a_database_of_its_own() {
    let one = TestDatabase::create().await;
    let other = TestDatabase::create().await;
    sqlx::query("create table only_here ()")
        .execute(&one.pool)
        .await
        .unwrap();
    let table = "select to_regclass('only_here') is not null";
    let mut second_instance = PgConnection::connect_with(&one.connect_options())
        .await
        .unwrap();
    let here: bool = sqlx::query_scalar(table)
        .fetch_one(&mut second_instance)
        .await
        .unwrap();
    let there: bool = sqlx::query_scalar(table)
        .fetch_one(&other.pool)
        .await
        .unwrap();
    assert_eq!((here, there), (true, false));
}

#[test]
fn databases_outlive_the_runtime_that_made_them() {
    let new_runtime = || tokio::runtime::Runtime::new().unwrap();
    let first = new_runtime().block_on(TestDatabase::create());
    let options = first.connect_options();
    new_runtime().block_on(async {
        let mut connection = PgConnection::connect_with(&options).await.unwrap();
        connection.ping().await.unwrap();
        TestDatabase::create().await;
    });
}
