//! How workers hear of jobs, and what time they go by.

use sqlx::{Connection as _, postgres::PgListener};
use user_management::repository::jobs::{CHANNEL, announce, database_time};

use super::noon;
use crate::support::database::TestDatabase;

#[tokio::test]
async fn who_listens_hears_at_the_commit_that_there_may_be_jobs() {
    let db = TestDatabase::create().await;
    let mut listener = PgListener::connect_with(&db.pool).await.unwrap();
    listener.listen(CHANNEL).await.unwrap();
    let mut conn = db.pool.acquire().await.unwrap();
    let mut transaction = conn.begin().await.unwrap();
    announce(&mut transaction).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(listener.recv().await.unwrap().channel(), CHANNEL);
}

#[tokio::test]
async fn the_time_is_the_databases_but_in_tests() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    assert_eq!(
        database_time(&mut conn, Some(noon())).await.unwrap(),
        noon()
    );
    let one = database_time(&mut conn, None).await.unwrap();
    let next = database_time(&mut conn, None).await.unwrap();
    assert!(one < next);
}
