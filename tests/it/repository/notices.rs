//! What users were told of.

use chrono::TimeDelta;
use sqlx::PgConnection;
use user_management::repository::notices::{Notice, claim, find_wait, forget};

use super::{after, put, user};
use crate::support::database::TestDatabase;

/// Tells a user, with a first wait of an hour: whether he was told.
async fn tell(conn: &mut PgConnection, number: u32, notice: Notice, minutes: i64) -> bool {
    let now = after(TimeDelta::minutes(minutes));
    let first_wait = TimeDelta::hours(1);
    claim(conn, user(number).id, notice, now, first_wait)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_user_is_told_of_each_thing_by_itself() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    for number in [1, 2] {
        put(&mut conn, number).await;
    }
    assert!(tell(&mut conn, 1, Notice::AccountExists, 0).await);
    assert!(!tell(&mut conn, 1, Notice::AccountExists, 59).await);
    for notice in [Notice::AccountLocked, Notice::VerificationResent] {
        assert!(tell(&mut conn, 1, notice, 59).await, "{notice:?}");
    }
    assert!(tell(&mut conn, 2, Notice::AccountExists, 59).await);
    assert!(tell(&mut conn, 1, Notice::AccountExists, 60).await);
}

#[tokio::test]
async fn the_wait_doubles_with_each_notice_up_to_six_hours_until_a_day_without_one() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    put(&mut conn, 1).await;
    let mut now = 0;
    assert!(tell(&mut conn, 1, Notice::AccountLocked, now).await);
    for hours in [1, 2, 4, 6, 6, 6] {
        // It counts from when he was told, not from when he was spared.
        now += hours * 60;
        assert!(
            !tell(&mut conn, 1, Notice::AccountLocked, now - 1).await,
            "{hours}"
        );
        assert!(
            tell(&mut conn, 1, Notice::AccountLocked, now).await,
            "{hours}"
        );
    }
    now += 24 * 60;
    assert!(tell(&mut conn, 1, Notice::AccountLocked, now).await);
    assert!(!tell(&mut conn, 1, Notice::AccountLocked, now + 59).await);
    assert!(tell(&mut conn, 1, Notice::AccountLocked, now + 60).await);
}

#[tokio::test]
async fn the_wait_for_a_link_to_a_new_password_is_never_longer_than_the_last_one_is_good() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    put(&mut conn, 1).await;
    let id = user(1).id;
    let first_wait = TimeDelta::minutes(1);
    let mut now = after(TimeDelta::zero());
    for minutes in [0, 1, 2, 4, 8, 16, 30, 30, 30] {
        let notice = Notice::PasswordReset;
        let wait = TimeDelta::minutes(minutes);
        assert_eq!(
            find_wait(&mut conn, id, notice, now, first_wait)
                .await
                .unwrap(),
            wait
        );
        let early = now + wait - TimeDelta::microseconds(1);
        if minutes > 0 {
            assert!(
                !claim(&mut conn, id, notice, early, first_wait)
                    .await
                    .unwrap()
            );
        }
        now += wait;
        assert!(claim(&mut conn, id, notice, now, first_wait).await.unwrap());
    }
    let wait = find_wait(&mut conn, id, Notice::EmailChange, now, first_wait);
    assert_eq!(wait.await.unwrap(), TimeDelta::zero());
}

#[tokio::test]
async fn what_is_forgotten_is_told_again_at_once() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    put(&mut conn, 1).await;
    for notice in [Notice::AccountLocked, Notice::AccountExists] {
        assert!(tell(&mut conn, 1, notice, 0).await);
    }
    forget(&mut conn, user(1).id, Notice::AccountLocked)
        .await
        .unwrap();
    assert!(tell(&mut conn, 1, Notice::AccountLocked, 0).await);
    assert!(!tell(&mut conn, 1, Notice::AccountExists, 0).await);
}
