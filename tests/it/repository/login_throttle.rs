//! Charges of logins.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use user_management::{
    domain::lockout::{Charge, LockoutPolicy},
    repository::login_throttle::{
        self, Bucket, charge, clear, clear_all, find_blocked_until, refund, sweep,
    },
};

use super::{after, named, noon};
use crate::support::database::TestDatabase;

const POLICY: LockoutPolicy = LockoutPolicy { max_attempts: 5 };
const KEY: [u8; 32] = [1; 32];
const EVERYBODY: Bucket<'static> = Bucket {
    key: &KEY,
    device: &[],
};
const DEVICE: Bucket<'static> = Bucket {
    key: &KEY,
    device: &[7; 16],
};

async fn charge_by(
    conn: &mut PgConnection,
    bucket: Bucket<'_>,
    policy: LockoutPolicy,
    now: Option<DateTime<Utc>>,
) -> Charge {
    let charged = charge(conn, bucket, &named("nobody@example.com"), policy, now).await;
    let (charge, credentials) = charged.unwrap();
    assert!(credentials.is_none());
    charge
}

async fn try_at(conn: &mut PgConnection, bucket: Bucket<'_>, at: DateTime<Utc>) -> Charge {
    charge_by(conn, bucket, POLICY, Some(at)).await
}

/// Charges until the bucket is blocked.
async fn block(conn: &mut PgConnection, bucket: Bucket<'_>) {
    for number in 1..=5 {
        let reached_limit = number == 5;
        assert_eq!(
            try_at(conn, bucket, noon()).await,
            Charge::Admitted { reached_limit }
        );
    }
}

fn refused(seconds: i64) -> Charge {
    Charge::Refused {
        retry_after: TimeDelta::seconds(seconds),
    }
}

const REACHED: Charge = Charge::Admitted {
    reached_limit: true,
};
const FREE: Charge = Charge::Admitted {
    reached_limit: false,
};

#[tokio::test]
async fn the_wait_doubles_from_30_seconds_to_15_minutes() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    block(&mut conn, EVERYBODY).await;
    let mut now = noon();
    for wait in [30, 60, 120, 240, 480, 900, 900, 900, 900] {
        assert_eq!(try_at(&mut conn, EVERYBODY, now).await, refused(wait));
        // A refusal costs nothing.
        assert_eq!(try_at(&mut conn, EVERYBODY, now).await, refused(wait));
        now += TimeDelta::seconds(wait);
        let just_before = now - TimeDelta::milliseconds(1);
        let almost = Charge::Refused {
            retry_after: TimeDelta::milliseconds(1),
        };
        assert_eq!(try_at(&mut conn, EVERYBODY, just_before).await, almost);
        assert_eq!(try_at(&mut conn, EVERYBODY, now).await, REACHED);
    }
}

#[tokio::test]
async fn one_charge_is_forgiven_every_quarter_of_an_hour() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    block(&mut conn, EVERYBODY).await;
    // Two are forgiven: one try is free, and the second is the fifth again.
    let later = after(TimeDelta::minutes(30));
    assert_eq!(try_at(&mut conn, EVERYBODY, later).await, FREE);
    assert_eq!(try_at(&mut conn, EVERYBODY, later).await, REACHED);
    assert_eq!(try_at(&mut conn, EVERYBODY, later).await, refused(30));
    // In a long time all are, and no more than all.
    let much_later = after(TimeDelta::days(10_000));
    for number in 1..=5 {
        let reached_limit = number == 5;
        assert_eq!(
            try_at(&mut conn, EVERYBODY, much_later).await,
            Charge::Admitted { reached_limit }
        );
    }
}

#[tokio::test]
async fn however_long_somebody_guesses_the_account_recovers_in_hours() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    block(&mut conn, EVERYBODY).await;
    let mut now = noon();
    for _ in 0..200 {
        now += TimeDelta::minutes(15);
        try_at(&mut conn, EVERYBODY, now).await;
    }
    // Five tries, and eight doublings.
    now += TimeDelta::minutes(15) * 13;
    assert_eq!(try_at(&mut conn, EVERYBODY, now).await, FREE);
}

#[tokio::test]
async fn a_limit_of_one_waits_after_the_first_try() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let policy = LockoutPolicy { max_attempts: 1 };
    let first = charge_by(&mut conn, EVERYBODY, policy, Some(noon())).await;
    assert_eq!(first, REACHED);
    let second = charge_by(&mut conn, EVERYBODY, policy, Some(noon())).await;
    assert_eq!(second, refused(30));
}

#[tokio::test]
async fn buckets_know_nothing_of_each_other() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    block(&mut conn, EVERYBODY).await;
    assert_eq!(try_at(&mut conn, DEVICE, noon()).await, FREE);
    let other_key = Bucket {
        key: &[2; 32],
        device: &[],
    };
    assert_eq!(try_at(&mut conn, other_key, noon()).await, FREE);
    clear(&mut conn, DEVICE).await.unwrap();
    assert_eq!(try_at(&mut conn, EVERYBODY, noon()).await, refused(30));
    clear(&mut conn, EVERYBODY).await.unwrap();
    assert_eq!(try_at(&mut conn, EVERYBODY, noon()).await, FREE);
}

#[tokio::test]
async fn a_refund_takes_back_one_charge_and_its_wait() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    refund(&mut conn, EVERYBODY).await.unwrap();
    block(&mut conn, EVERYBODY).await;
    refund(&mut conn, EVERYBODY).await.unwrap();
    assert_eq!(try_at(&mut conn, EVERYBODY, noon()).await, REACHED);
    assert_eq!(try_at(&mut conn, EVERYBODY, noon()).await, refused(30));
    // The same beyond the limit: the next try costs what this one would have cost.
    let later = after(TimeDelta::seconds(30));
    assert_eq!(try_at(&mut conn, EVERYBODY, later).await, REACHED);
    refund(&mut conn, EVERYBODY).await.unwrap();
    assert_eq!(try_at(&mut conn, EVERYBODY, later).await, REACHED);
    assert_eq!(try_at(&mut conn, EVERYBODY, later).await, refused(60));
    // Never more than there is, and what is nothing is swept at once.
    for _ in 0..20 {
        refund(&mut conn, EVERYBODY).await.unwrap();
    }
    assert_eq!(sweep(&mut conn, Some(later), 9).await.unwrap(), 1);
    try_at(&mut conn, EVERYBODY, later).await;
    refund(&mut conn, EVERYBODY).await.unwrap();
    assert_eq!(try_at(&mut conn, EVERYBODY, later).await, FREE);
}

#[tokio::test]
async fn all_buckets_of_a_name_are_forgiven_together() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    assert!(!clear_all(&mut conn, &KEY, Some(noon())).await.unwrap());
    try_at(&mut conn, EVERYBODY, noon()).await;
    assert!(
        !clear_all(&mut conn, &KEY, Some(noon())).await.unwrap(),
        "nobody had to wait"
    );
    block(&mut conn, EVERYBODY).await;
    block(&mut conn, DEVICE).await;
    let over = after(TimeDelta::seconds(30));
    assert!(
        clear_all(&mut conn, &KEY, Some(over - TimeDelta::seconds(1)))
            .await
            .unwrap()
    );
    for bucket in [EVERYBODY, DEVICE] {
        assert_eq!(try_at(&mut conn, bucket, noon()).await, FREE);
    }
    block_rest(&mut conn).await;
    assert!(
        !clear_all(&mut conn, &KEY, Some(over)).await.unwrap(),
        "the wait was over"
    );
}

#[tokio::test]
async fn a_name_is_blocked_until_whoever_waits_longest_may_try_again() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    try_at(&mut conn, EVERYBODY, noon()).await;
    let blocked_until = async |conn: &mut PgConnection, seconds| {
        let now = after(TimeDelta::seconds(seconds));
        find_blocked_until(conn, &KEY, Some(now)).await.unwrap()
    };
    assert_eq!(blocked_until(&mut conn, 0).await, None);
    block_rest(&mut conn).await;
    block(&mut conn, DEVICE).await;
    let over = after(TimeDelta::seconds(30));
    assert_eq!(try_at(&mut conn, DEVICE, over).await, REACHED);
    let last = Some(after(TimeDelta::seconds(90)));
    assert_eq!(blocked_until(&mut conn, 0).await, last);
    assert_eq!(blocked_until(&mut conn, 89).await, last);
    assert_eq!(blocked_until(&mut conn, 90).await, None);
}

/// Charges the four that are left until everybody is blocked.
async fn block_rest(conn: &mut PgConnection) {
    for _ in 0..4 {
        try_at(conn, EVERYBODY, noon()).await;
    }
    assert_eq!(try_at(conn, EVERYBODY, noon()).await, refused(30));
}

#[tokio::test]
async fn what_has_decayed_is_swept_and_nothing_else() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    block(&mut conn, EVERYBODY).await;
    try_at(&mut conn, DEVICE, noon()).await;
    let sweep_at = async |conn: &mut PgConnection, minutes| {
        sweep(conn, Some(after(TimeDelta::minutes(minutes))), 10)
            .await
            .unwrap()
    };
    assert_eq!(sweep_at(&mut conn, 14).await, 0);
    assert_eq!(sweep_at(&mut conn, 15).await, 1, "the one of one charge");
    assert_eq!(sweep_at(&mut conn, 74).await, 0);
    assert_eq!(sweep_at(&mut conn, 75).await, 1);
    assert_eq!(sweep_at(&mut conn, 75).await, 0);
}

#[tokio::test]
async fn without_a_clock_of_its_own_the_database_counts_by_its_time() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    for _ in 0..5 {
        charge_by(&mut conn, EVERYBODY, POLICY, None).await;
    }
    let Charge::Refused { retry_after } = charge_by(&mut conn, EVERYBODY, POLICY, None).await
    else {
        panic!("not refused");
    };
    assert!(retry_after > TimeDelta::zero() && retry_after <= TimeDelta::seconds(30));
    assert_eq!(sweep(&mut conn, None, 10).await.unwrap(), 0);
    assert!(
        login_throttle::clear_all(&mut conn, &KEY, None)
            .await
            .unwrap()
    );
}
