//! The table of jobs.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sqlx::PgConnection;
use user_management::repository::jobs::{
    self, ClaimedJob, Due, JobKind, NewJob, SealedSecret, bury, claim, enqueue, finish,
    finish_lazily, hand_over, heartbeat, release, retry, schedule_key,
};

mod announcing;
mod operators;
mod serial;

use crate::support::database::TestDatabase;

const KIND: JobKind = JobKind {
    name: "test",
    max_attempts: 3,
};
const LEASE: Duration = Duration::from_secs(30);

fn noon() -> DateTime<Utc> {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn after(seconds: i64) -> DateTime<Utc> {
    noon() + TimeDelta::seconds(seconds)
}

fn job(number: u32) -> NewJob {
    NewJob::new(KIND, json!({ "number": number }))
}

async fn put(conn: &mut PgConnection, job: NewJob) -> i64 {
    enqueue(conn, &job, Some(noon())).await.unwrap().unwrap()
}

/// Claims whatever is due at `seconds` after noon.
async fn take(conn: &mut PgConnection, seconds: i64) -> Vec<ClaimedJob> {
    claim(conn, 100, "a worker", LEASE, Some(after(seconds)))
        .await
        .unwrap()
}

/// Claims the one job that is due at `seconds` after noon.
async fn take_one(conn: &mut PgConnection, seconds: i64) -> ClaimedJob {
    let mut jobs = take(conn, seconds).await;
    assert_eq!(jobs.len(), 1);
    jobs.remove(0)
}

#[tokio::test]
async fn a_claim_gives_what_was_enqueued() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let id = put(
        &mut conn,
        NewJob {
            secret: Some(SealedSecret {
                bytes: b"sealed".to_vec(),
                expires_at: after(3600),
            }),
            ..job(1)
        },
    )
    .await;

    let job = take_one(&mut conn, 0).await;
    assert_eq!((job.lease.id, job.lease.claims), (id, 1));
    assert_eq!(job.kind, "test");
    assert_eq!(job.payload, json!({ "number": 1 }));
    assert_eq!(job.sealed_secret.as_deref(), Some(&b"sealed"[..]));
    assert_eq!((job.attempts, job.max_attempts), (1, 3));
    assert_eq!(job.created_at, noon());
    assert!(!job.serial);
    let debug = format!("{job:?}");
    assert!(
        !debug.contains("number") && !debug.contains("sealed"),
        "{debug}"
    );
    assert!(take(&mut conn, 1).await.is_empty());
}

#[tokio::test]
async fn an_enqueued_job_goes_with_its_transaction() {
    let db = TestDatabase::create().await;
    let mut tx = db.pool.begin().await.unwrap();
    put(&mut tx, job(1)).await;
    tx.rollback().await.unwrap();
    let mut conn = db.pool.acquire().await.unwrap();
    assert!(take(&mut conn, 0).await.is_empty());
}

#[tokio::test]
async fn jobs_are_claimed_when_due_and_those_first_that_are_due_longest() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    for (number, seconds) in [(1, 20), (2, 10), (3, 30)] {
        put(
            &mut conn,
            NewJob {
                run_at: Some(after(seconds)),
                ..job(number)
            },
        )
        .await;
    }
    assert!(take(&mut conn, 9).await.is_empty());
    for number in [2, 1, 3] {
        let job = claim(&mut conn, 1, "w", LEASE, Some(after(30)))
            .await
            .unwrap();
        assert_eq!(job[0].payload, json!({ "number": number }));
    }
}

#[tokio::test]
async fn without_a_clock_of_a_test_times_are_the_databases() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    enqueue(&mut conn, &job(1), None).await.unwrap().unwrap();
    let claimed = claim(&mut conn, 1, "w", LEASE, None).await.unwrap();
    let lease = claimed[0].lease;
    let left: bool = sqlx::query_scalar(
        "select run_at between now() + interval '20 s' and now() + interval '31 s' from jobs",
    )
    .fetch_one(&mut *conn)
    .await
    .unwrap();
    assert!(left);
    assert!(
        retry(&mut conn, lease, Due::In(LEASE), "later", None)
            .await
            .unwrap()
    );
    assert!(
        claim(&mut conn, 1, "w", LEASE, None)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn an_ended_lease_is_claimed_again_and_a_heartbeat_prevents_it() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    put(&mut conn, job(1)).await;
    let first = take_one(&mut conn, 0).await.lease;
    let held = heartbeat(&mut conn, &[first], LEASE, Some(after(29))).await;
    assert_eq!(held.unwrap(), [first.id]);
    assert!(take(&mut conn, 58).await.is_empty());

    let second = take_one(&mut conn, 59).await;
    assert_eq!((second.lease.claims, second.attempts), (2, 2));
    let held = heartbeat(&mut conn, &[first, second.lease], LEASE, Some(after(60))).await;
    assert_eq!(
        held.unwrap(),
        [first.id],
        "the second's, whose id is the same"
    );
    let held = heartbeat(&mut conn, &[first], LEASE, Some(after(60))).await;
    assert!(held.unwrap().is_empty());
}

#[tokio::test]
async fn who_lost_the_lease_changes_nothing() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    put(&mut conn, job(1)).await;
    let lost = take_one(&mut conn, 0).await.lease;
    let held = take_one(&mut conn, 31).await.lease;
    let now = Some(after(32));

    let row = "select to_jsonb(jobs) from jobs";
    let before: serde_json::Value = sqlx::query_scalar(row).fetch_one(&mut *conn).await.unwrap();
    assert!(!finish(&mut conn, lost).await.unwrap());
    assert!(!finish_lazily(&mut conn, lost).await.unwrap());
    assert!(
        !retry(&mut conn, lost, Due::At(after(0)), "e", now)
            .await
            .unwrap()
    );
    assert!(!bury(&mut conn, lost, "e", now).await.unwrap());
    assert!(!release(&mut conn, lost, LEASE, now).await.unwrap());
    let after: serde_json::Value = sqlx::query_scalar(row).fetch_one(&mut *conn).await.unwrap();
    assert_eq!(before, after);

    // nor does who holds it, once he has given it back
    assert!(release(&mut conn, held, Duration::ZERO, now).await.unwrap());
    assert!(!finish(&mut conn, held).await.unwrap());
    assert!(!bury(&mut conn, held, "e", now).await.unwrap());
}

#[tokio::test]
async fn a_heartbeat_does_not_wait_for_a_job_that_is_just_ending() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    put(&mut conn, job(1)).await;
    put(&mut conn, job(2)).await;
    let leases: Vec<_> = take(&mut conn, 0)
        .await
        .iter()
        .map(|job| job.lease)
        .collect();
    let mut ending = db.pool.begin().await.unwrap();
    assert!(finish(&mut ending, leases[0]).await.unwrap());

    let held = heartbeat(&mut conn, &leases, LEASE, Some(after(20))).await;
    assert_eq!(held.unwrap().len(), 2);
    ending.rollback().await.unwrap();
    // the lease of the one that was locked was not renewed, and can be when the lock is gone
    assert_eq!(take_one(&mut conn, 31).await.lease.id, leases[0].id);
}

#[tokio::test]
async fn a_job_that_was_returned_has_lost_no_attempt() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    put(&mut conn, job(1)).await;
    for claims in 1..=10 {
        let job = take_one(&mut conn, 0).await;
        assert_eq!((job.lease.claims, job.attempts), (claims, 1));
        let returned = release(&mut conn, job.lease, Duration::ZERO, Some(noon())).await;
        assert!(returned.unwrap());
    }
}

#[tokio::test]
async fn a_duplicate_is_refused_while_the_first_waits_for_its_run() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let duplicate = || NewJob {
        dedupe_key: Some("only one".to_owned()),
        ..job(1)
    };
    put(&mut conn, duplicate()).await;
    let again = enqueue(&mut conn, &duplicate(), Some(noon()))
        .await
        .unwrap();
    assert_eq!(again, None);
    let running = take_one(&mut conn, 0).await.lease;
    // what happens after a run has begun may need another
    put(&mut conn, duplicate()).await;
    let again = enqueue(&mut conn, &duplicate(), Some(noon()))
        .await
        .unwrap();
    assert_eq!(again, None);
    assert!(finish_lazily(&mut conn, running).await.unwrap());
    assert_eq!(take(&mut conn, 0).await.len(), 1);
}

#[tokio::test]
async fn a_job_that_breaks_a_rule_is_refused_by_name() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let long = || Some("x".repeat(201));
    let cases = [
        (NewJob::new(KIND, json!([1])), "jobs_payload_check"),
        (
            NewJob {
                serial_key: long(),
                ..job(1)
            },
            "jobs_serial_key_check",
        ),
        (
            NewJob {
                dedupe_key: long(),
                ..job(1)
            },
            "jobs_dedupe_key_check",
        ),
        (
            NewJob {
                kind: JobKind {
                    max_attempts: 0,
                    ..KIND
                },
                ..job(1)
            },
            "jobs_max_attempts_check",
        ),
    ];
    for (job, constraint) in cases {
        let error = enqueue(&mut conn, &job, None).await.unwrap_err();
        let error = error.as_database_error().unwrap();
        assert_eq!(error.constraint(), Some(constraint));
    }
    assert_eq!(jobs::counts(&mut conn, None).await.unwrap().waiting, 0);
}

#[tokio::test]
async fn a_recurring_job_holds_its_key_until_it_hands_it_over() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let slot = |seconds| NewJob {
        run_at: Some(after(seconds)),
        serial_key: Some(schedule_key(KIND)),
        dedupe_key: Some(schedule_key(KIND)),
        ..job(1)
    };
    put(&mut conn, slot(3600)).await;
    let lease = take_one(&mut conn, 3600).await.lease;
    // a worker that read the time before the slot comes late
    let late = enqueue(&mut conn, &slot(3600), Some(noon())).await;
    assert_eq!(late.unwrap(), None);
    let mut tx = db.pool.begin().await.unwrap();
    hand_over(&mut tx, lease).await.unwrap();
    put(&mut tx, slot(7200)).await;
    tx.commit().await.unwrap();
    let late = enqueue(&mut conn, &slot(3600), Some(noon())).await;
    assert_eq!(late.unwrap(), None);

    // the dead hold no keys
    assert!(finish(&mut conn, lease).await.unwrap());
    let lease = take_one(&mut conn, 7200).await.lease;
    assert!(bury(&mut conn, lease, "e", Some(noon())).await.unwrap());
    put(&mut conn, slot(10_800)).await;
}
