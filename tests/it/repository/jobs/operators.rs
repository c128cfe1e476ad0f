//! What operators and upkeep do.

use std::time::Duration;

use sqlx::PgConnection;
use user_management::repository::jobs::{
    Counts, Due, NewJob, SealedSecret, bury, counts, delete_dead_before, list_dead, retry, revive,
    wipe_expired_secrets,
};

use super::{after, job, noon, put, take, take_one};
use crate::support::database::TestDatabase;

async fn secrets(conn: &mut PgConnection) -> Vec<i64> {
    sqlx::query_scalar("select id from jobs where sealed_secret is not null order by id")
        .fetch_all(conn)
        .await
        .unwrap()
}

fn with_secret(number: u32, seconds: i64) -> NewJob {
    NewJob {
        secret: Some(SealedSecret {
            bytes: vec![1, 2, 3],
            expires_at: after(seconds),
        }),
        ..job(number)
    }
}

#[tokio::test]
async fn a_dead_job_is_listed_and_can_be_revived_with_its_secret_and_all_its_attempts() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let id = put(&mut conn, with_secret(1, 3600)).await;
    let lease = take_one(&mut conn, 0).await.lease;
    assert!(
        bury(&mut conn, lease, "refused", Some(after(5)))
            .await
            .unwrap()
    );

    assert!(take(&mut conn, 1000).await.is_empty());
    let dead = list_dead(&mut conn, 10).await.unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].id, dead[0].kind.as_str()), (id, "test"));
    assert_eq!(dead[0].last_error.as_deref(), Some("refused"));
    assert_eq!((dead[0].attempts, dead[0].secret_wiped), (1, false));
    assert_eq!((dead[0].created_at, dead[0].dead_at), (noon(), after(5)));

    assert!(revive(&mut conn, id, Some(after(60))).await.unwrap());
    assert!(!revive(&mut conn, id, Some(after(60))).await.unwrap());
    assert!(list_dead(&mut conn, 10).await.unwrap().is_empty());
    let job = take_one(&mut conn, 60).await;
    assert_eq!((job.lease.claims, job.attempts), (2, 1));
    assert_eq!(job.sealed_secret, Some(vec![1, 2, 3]));
}

#[tokio::test]
async fn the_last_to_die_is_listed_first() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    for number in 1..=3 {
        put(&mut conn, job(number)).await;
    }
    let mut died = Vec::new();
    for (job, seconds) in take(&mut conn, 0).await.into_iter().zip(1..) {
        assert!(
            bury(&mut conn, job.lease, "e", Some(after(seconds)))
                .await
                .unwrap()
        );
        died.insert(0, job.lease.id);
    }
    let listed = list_dead(&mut conn, 2).await.unwrap();
    assert_eq!(
        listed.iter().map(|job| job.id).collect::<Vec<_>>(),
        died[..2]
    );
}

#[tokio::test]
async fn secrets_are_wiped_when_they_expire_from_the_waiting_and_from_the_dead() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let dead = put(&mut conn, with_secret(1, 100)).await;
    let lease = take_one(&mut conn, 0).await.lease;
    assert!(bury(&mut conn, lease, "e", Some(noon())).await.unwrap());
    let waiting = put(&mut conn, with_secret(2, 100)).await;
    let lasting = put(&mut conn, with_secret(3, 101)).await;

    let wiped = wipe_expired_secrets(&mut conn, Some(after(99))).await;
    assert_eq!(wiped.unwrap(), 0);
    assert_eq!(secrets(&mut conn).await, [dead, waiting, lasting]);
    let wiped = wipe_expired_secrets(&mut conn, Some(after(100))).await;
    assert_eq!(wiped.unwrap(), 2);
    assert_eq!(secrets(&mut conn).await, [lasting]);
    assert!(list_dead(&mut conn, 1).await.unwrap()[0].secret_wiped);
    assert_eq!(take(&mut conn, 100).await[0].sealed_secret, None);
}

#[tokio::test]
async fn jobs_that_have_been_dead_for_long_are_deleted() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    for (number, seconds) in [(1, 10), (2, 20)] {
        put(&mut conn, job(number)).await;
        let lease = take_one(&mut conn, 0).await.lease;
        assert!(
            bury(&mut conn, lease, "e", Some(after(seconds)))
                .await
                .unwrap()
        );
    }
    put(&mut conn, job(3)).await;
    assert_eq!(delete_dead_before(&mut conn, after(20)).await.unwrap(), 1);
    assert_eq!(list_dead(&mut conn, 10).await.unwrap().len(), 1);
    assert_eq!(take(&mut conn, 0).await.len(), 1);
}

#[tokio::test]
async fn jobs_are_counted_by_state_and_the_longest_wait_is_told() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let empty = counts(&mut conn, None).await.unwrap();
    assert_eq!(empty, Counts::default());

    for number in 1..=3 {
        put(&mut conn, job(number)).await;
    }
    let claimed = take(&mut conn, 0).await;
    bury(&mut conn, claimed[0].lease, "e", Some(noon()))
        .await
        .unwrap();
    let due = Due::At(after(500));
    retry(&mut conn, claimed[1].lease, due, "e", Some(noon()))
        .await
        .unwrap();
    let first = put(&mut conn, serial(4)).await;
    let blocked = put(&mut conn, serial(5)).await;
    assert!(first < blocked);
    let now = counts(&mut conn, Some(after(90))).await.unwrap();
    assert_eq!((now.waiting, now.running, now.dead), (3, 1, 1));
    assert_eq!(now.overdue, Some(Duration::from_secs(90)));

    // the one behind it is not late, for it could not run
    take(&mut conn, 90).await;
    let now = counts(&mut conn, Some(after(91))).await.unwrap();
    assert_eq!((now.waiting, now.running, now.overdue), (2, 2, None));
}

fn serial(number: u32) -> NewJob {
    NewJob {
        serial_key: Some("key".to_owned()),
        ..job(number)
    }
}
