//! The table of requests that may be sent again.

use chrono::TimeDelta;
use serde_json::json;
use sqlx::PgConnection;
use user_management::{
    domain::user::User,
    repository::{
        idempotency_keys::{Claim, Claimed, claim, finish, release, sweep},
        users::{self, Snapshot},
    },
};

use super::{after, noon, put, user};
use crate::support::database::TestDatabase;

const BODY: [u8; 32] = [1; 32];

/// Claims the key of this number at `at` seconds after noon.
async fn claim_at(conn: &mut PgConnection, key: u8, body: [u8; 32], at: TimeDelta) -> Claimed {
    let now = Some(after(at));
    claim(conn, [key; 32], body, now).await.unwrap()
}

async fn run(conn: &mut PgConnection, key: u8, at: TimeDelta) -> Claim {
    match claim_at(conn, key, BODY, at).await {
        Claimed::Run(claim) => claim,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_key_runs_once_and_is_then_answered() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let zero = TimeDelta::zero();
    let claim = run(&mut conn, 1, zero).await;
    let other_body = claim_at(&mut conn, 1, [2; 32], zero).await;
    assert!(matches!(other_body, Claimed::OtherRequest));
    let again = claim_at(&mut conn, 1, BODY, zero).await;
    assert!(matches!(again, Claimed::Running));
    let result = json!({"a": [1, "x"]});
    assert!(finish(&mut conn, &claim, &result, None).await.unwrap());
    let again = claim_at(&mut conn, 1, BODY, zero).await;
    assert!(matches!(again, Claimed::Answered(kept) if kept == result));
    let other_body = claim_at(&mut conn, 1, [2; 32], zero).await;
    assert!(matches!(other_body, Claimed::OtherRequest));
    // What is finished can be neither finished nor given up.
    assert!(!finish(&mut conn, &claim, &json!(2), None).await.unwrap());
    assert!(!release(&mut conn, &claim).await.unwrap());
    run(&mut conn, 2, zero).await;
}

#[tokio::test]
async fn a_claim_ends_with_its_lease_or_when_it_is_given_up() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let lease = TimeDelta::seconds(30);
    let first = run(&mut conn, 1, TimeDelta::zero()).await;
    let before_end = lease - TimeDelta::microseconds(1);
    let early = claim_at(&mut conn, 1, BODY, before_end).await;
    assert!(matches!(early, Claimed::Running));
    let other_body = claim_at(&mut conn, 1, [2; 32], lease).await;
    assert!(matches!(other_body, Claimed::OtherRequest));
    let second = run(&mut conn, 1, lease).await;
    // Whoever lost it can neither answer nor give up what is somebody else's now.
    assert!(!finish(&mut conn, &first, &json!(1), None).await.unwrap());
    assert!(!release(&mut conn, &first).await.unwrap());
    assert!(release(&mut conn, &second).await.unwrap());
    let third = run(&mut conn, 1, lease).await;
    assert!(finish(&mut conn, &third, &json!(3), None).await.unwrap());
}

#[tokio::test]
async fn keys_expire_and_are_swept_a_batch_at_a_time() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let day = TimeDelta::hours(24);
    for key in 1..=4 {
        let claim = run(&mut conn, key, TimeDelta::zero()).await;
        assert!(finish(&mut conn, &claim, &json!(1), None).await.unwrap());
    }
    let before_end = day - TimeDelta::microseconds(1);
    let known = claim_at(&mut conn, 4, BODY, before_end).await;
    assert!(matches!(known, Claimed::Answered(_)));
    let before_end = Some(after(before_end));
    assert_eq!(sweep(&mut conn, before_end, 10).await.unwrap(), 0);
    // With any body.
    let anew = claim_at(&mut conn, 4, [2; 32], day).await;
    assert!(matches!(anew, Claimed::Run(_)));
    let end = Some(after(day));
    assert_eq!(sweep(&mut conn, end, 2).await.unwrap(), 2);
    assert_eq!(sweep(&mut conn, end, 2).await.unwrap(), 1);
    assert_eq!(sweep(&mut conn, end, 2).await.unwrap(), 0);
    let running = claim_at(&mut conn, 4, [2; 32], day).await;
    assert!(matches!(running, Claimed::Running));
}

#[tokio::test]
async fn times_are_the_databases_where_no_other_is_given() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    claim(&mut conn, [1; 32], BODY, None).await.unwrap();
    let is_right: bool = sqlx::query_scalar(
        "select running_until - now() between interval '20 s' and interval '30 s' \
         and expires_at - created_at = interval '1 day' from idempotency_keys",
    )
    .fetch_one(&mut *conn)
    .await
    .unwrap();
    assert!(is_right);
    assert_eq!(sweep(&mut conn, None, 10).await.unwrap(), 0);
}

#[tokio::test]
async fn what_is_kept_of_a_user_is_all_of_him_and_goes_with_him() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let stored = put(&mut conn, 1).await;
    let claim = run(&mut conn, 1, TimeDelta::zero()).await;
    let kept = serde_json::to_value(Snapshot::from(&stored)).unwrap();
    let finished = finish(&mut conn, &claim, &kept, Some(stored.id)).await;
    assert!(finished.unwrap());
    let Claimed::Answered(found) = claim_at(&mut conn, 1, BODY, TimeDelta::zero()).await else {
        panic!("it isn't answered");
    };
    assert!(!found.to_string().contains("hash"), "{found}");
    let snapshot: Snapshot = serde_json::from_value(found).unwrap();
    assert_eq!(User::try_from(snapshot).unwrap(), stored);

    // A user with all that may be there, and one with nothing that may be missing.
    let full = User {
        is_professional: true,
        professional_status_updated_at: Some(noon()),
        locked_at: Some(noon()),
        deletion_due_at: Some(noon()),
        last_login_at: Some(noon()),
        ..user(2)
    };
    let bare = User {
        email: None,
        email_verified_at: None,
        profile: Default::default(),
        ..user(3)
    };
    for user in [full, bare] {
        let kept = serde_json::to_value(Snapshot::from(&user)).unwrap();
        let snapshot: Snapshot = serde_json::from_value(kept).unwrap();
        assert_eq!(User::try_from(snapshot).unwrap(), user);
    }

    users::delete(&mut conn, stored.id).await.unwrap();
    run(&mut conn, 1, TimeDelta::zero()).await;
}
