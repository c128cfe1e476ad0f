//! Jobs of one serial key: one at a time, in order.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use tokio::task::JoinHandle;
use user_management::repository::jobs::{
    ClaimedJob, Due, Lease, NewJob, bury, enqueue, finish, retry, revive,
};

use super::{after, job, noon, put, take, take_one};
use crate::support::{database::TestDatabase, eventually::eventually};

fn serial(number: u32) -> NewJob {
    of_key("key", number)
}

fn of_key(key: &str, number: u32) -> NewJob {
    NewJob {
        serial_key: Some(key.to_owned()),
        ..job(number)
    }
}

fn number(job: &ClaimedJob) -> u64 {
    job.payload["number"].as_u64().unwrap()
}

async fn take_number(conn: &mut PgConnection, seconds: i64, expected: u64) -> ClaimedJob {
    let job = take_one(conn, seconds).await;
    assert_eq!(number(&job), expected);
    job
}

/// Waits until a statement of this database waits for a lock.
async fn somebody_waits(pool: &PgPool) {
    eventually("a statement waits for a lock", async || {
        sqlx::query_scalar::<_, bool>(
            "select exists (select from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock')",
        )
        .fetch_one(pool)
        .await
        .unwrap()
        .then_some(())
    })
    .await;
}

#[tokio::test]
async fn jobs_of_one_key_run_one_at_a_time_in_order_and_other_keys_beside_them() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    for number in 1..=3 {
        put(&mut conn, serial(number)).await;
    }
    put(&mut conn, of_key("other", 4)).await;
    put(&mut conn, job(5)).await;
    let jobs = take(&mut conn, 0).await;
    let mut numbers: Vec<_> = jobs.iter().map(number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 4, 5]);
    for job in jobs {
        assert_eq!(job.serial, number(&job) != 5);
        assert!(finish(&mut conn, job.lease).await.unwrap());
    }
    for expected in [2, 3] {
        let job = take_number(&mut conn, 0, expected).await;
        assert!(take(&mut conn, 0).await.is_empty());
        assert!(finish(&mut conn, job.lease).await.unwrap());
    }
}

#[tokio::test]
async fn a_crash_and_a_retry_do_not_change_the_order() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    put(&mut conn, serial(1)).await;
    put(&mut conn, serial(2)).await;
    take_number(&mut conn, 0, 1).await;
    // its worker dies; the lease ends
    let job = take_number(&mut conn, 31, 1).await;
    let due = Due::In(Duration::from_secs(100));
    assert!(
        retry(&mut conn, job.lease, due, "e", Some(after(40)))
            .await
            .unwrap()
    );
    assert!(take(&mut conn, 139).await.is_empty());
    let job = take_number(&mut conn, 140, 1).await;
    assert!(finish(&mut conn, job.lease).await.unwrap());
    take_number(&mut conn, 140, 2).await;
}

#[tokio::test]
async fn a_dead_job_does_not_hold_up_its_key_and_a_revived_one_goes_before_younger_ones() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let first = put(&mut conn, serial(1)).await;
    put(&mut conn, serial(2)).await;
    put(&mut conn, serial(3)).await;
    let job = take_number(&mut conn, 0, 1).await;
    assert!(bury(&mut conn, job.lease, "e", Some(noon())).await.unwrap());
    let second = take_number(&mut conn, 0, 2).await;

    assert!(revive(&mut conn, first, Some(noon())).await.unwrap());
    assert!(take(&mut conn, 0).await.is_empty());
    assert!(finish(&mut conn, second.lease).await.unwrap());
    let revived = take_number(&mut conn, 0, 1).await;
    assert!(
        bury(&mut conn, revived.lease, "e", Some(noon()))
            .await
            .unwrap()
    );
    let third = take_number(&mut conn, 0, 3).await;
    assert!(finish(&mut conn, third.lease).await.unwrap());
    // of a key that nobody else is in, it runs at once
    assert!(revive(&mut conn, first, Some(noon())).await.unwrap());
    take_number(&mut conn, 0, 1).await;
}

#[tokio::test]
async fn rows_deleted_by_hand_leave_nobody_blocked() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let mut ids = Vec::new();
    for number in 1..=4 {
        ids.push(put(&mut conn, serial(number)).await);
    }
    sqlx::query("delete from jobs where id = any ($1)")
        .bind(&ids[..3])
        .execute(&mut *conn)
        .await
        .unwrap();
    take_number(&mut conn, 0, 4).await;
}

fn spawn_end(pool: &PgPool, lease: Lease, dies: bool) -> JoinHandle<bool> {
    let pool = pool.clone();
    tokio::spawn(async move {
        let mut conn = pool.acquire().await.unwrap();
        if dies {
            bury(&mut conn, lease, "e", Some(noon())).await.unwrap()
        } else {
            finish(&mut conn, lease).await.unwrap()
        }
    })
}

#[tokio::test]
async fn a_head_that_ends_while_another_is_enqueued_behind_it_waits_and_frees_it() {
    for dies in [false, true] {
        for committed in [true, false] {
            let db = TestDatabase::create().await;
            let mut conn = db.pool.acquire().await.unwrap();
            put(&mut conn, serial(1)).await;
            let head = take_number(&mut conn, 0, 1).await;

            let mut tx = db.pool.begin().await.unwrap();
            put(&mut tx, serial(2)).await;
            let end = spawn_end(&db.pool, head.lease, dies);
            somebody_waits(&db.pool).await;
            if committed {
                tx.commit().await.unwrap();
                assert!(end.await.unwrap());
                take_number(&mut conn, 0, 2).await;
            } else {
                tx.rollback().await.unwrap();
                assert!(end.await.unwrap());
                assert!(take(&mut conn, 0).await.is_empty());
            }
        }
    }
}

#[tokio::test]
async fn who_enqueues_while_the_head_is_ending_becomes_the_head() {
    for dies in [false, true] {
        for committed in [true, false] {
            let db = TestDatabase::create().await;
            let mut conn = db.pool.acquire().await.unwrap();
            put(&mut conn, serial(1)).await;
            let head = take_number(&mut conn, 0, 1).await;

            let mut tx = db.pool.begin().await.unwrap();
            let ended = if dies {
                bury(&mut tx, head.lease, "e", Some(noon())).await
            } else {
                finish(&mut tx, head.lease).await
            };
            assert!(ended.unwrap());
            let newcomer = spawn_enqueue(&db.pool, serial(2));
            somebody_waits(&db.pool).await;
            if committed {
                tx.commit().await.unwrap();
                newcomer.await.unwrap();
                take_number(&mut conn, 0, 2).await;
            } else {
                tx.rollback().await.unwrap();
                newcomer.await.unwrap();
                assert!(take(&mut conn, 0).await.is_empty());
                assert!(finish(&mut conn, head.lease).await.unwrap());
                take_number(&mut conn, 0, 2).await;
            }
        }
    }
}

fn spawn_enqueue(pool: &PgPool, job: NewJob) -> JoinHandle<i64> {
    let pool = pool.clone();
    tokio::spawn(async move {
        let mut conn = pool.acquire().await.unwrap();
        enqueue(&mut conn, &job, Some(noon()))
            .await
            .unwrap()
            .unwrap()
    })
}

#[tokio::test]
async fn of_two_first_jobs_of_a_key_one_is_the_head() {
    for committed in [true, false] {
        let db = TestDatabase::create().await;
        let mut conn = db.pool.acquire().await.unwrap();
        let mut tx = db.pool.begin().await.unwrap();
        put(&mut tx, serial(1)).await;
        let other = spawn_enqueue(&db.pool, serial(2));
        somebody_waits(&db.pool).await;
        if committed {
            tx.commit().await.unwrap();
            other.await.unwrap();
            let first = take_number(&mut conn, 0, 1).await;
            assert!(finish(&mut conn, first.lease).await.unwrap());
        } else {
            tx.rollback().await.unwrap();
            other.await.unwrap();
        }
        take_number(&mut conn, 0, 2).await;
    }
}

#[tokio::test]
async fn a_head_can_be_claimed_kept_and_retried_while_another_is_enqueued_behind_it() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    put(&mut conn, serial(1)).await;
    let mut tx = db.pool.begin().await.unwrap();
    put(&mut tx, serial(2)).await;
    let head = take_number(&mut conn, 0, 1).await;
    let due = Due::At(noon());
    assert!(
        retry(&mut conn, head.lease, due, "e", Some(noon()))
            .await
            .unwrap()
    );
    take_number(&mut conn, 0, 1).await;
    tx.commit().await.unwrap();
}
