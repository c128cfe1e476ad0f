//! The table of one-time tokens.

use chrono::TimeDelta;
use sqlx::PgConnection;
use user_management::{
    domain::token::{OneTimeToken, Purpose, VERIFICATION_LIFETIME},
    repository::{one_time_tokens, users},
};

use super::{after, noon, put, user};
use crate::support::database::TestDatabase;

const VERIFY: Purpose = Purpose::EmailVerification;
const UNLOCK: Purpose = Purpose::AccountUnlock;

fn token(number: u8) -> OneTimeToken {
    OneTimeToken::new([number; 32])
}

async fn issue(conn: &mut PgConnection, number: u32, purpose: Purpose, token: &OneTimeToken) {
    let id = user(number).id;
    let end = noon() + VERIFICATION_LIFETIME;
    one_time_tokens::replace(conn, id, purpose, token, noon(), end)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_token_is_used_once_by_its_user_for_its_purpose() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    for number in [1, 2] {
        put(&mut conn, number).await;
    }
    issue(&mut conn, 1, VERIFY, &token(1)).await;
    issue(&mut conn, 1, UNLOCK, &token(2)).await;
    let use_up = async |conn: &mut PgConnection, number, purpose, byte| {
        one_time_tokens::consume(conn, user(number).id, purpose, &token(byte), noon())
            .await
            .unwrap()
    };
    assert!(!use_up(&mut conn, 2, VERIFY, 1).await, "another user");
    assert!(!use_up(&mut conn, 1, UNLOCK, 1).await, "another purpose");
    assert!(!use_up(&mut conn, 1, VERIFY, 3).await, "another token");
    assert!(use_up(&mut conn, 1, VERIFY, 1).await);
    assert!(!use_up(&mut conn, 1, VERIFY, 1).await, "a second time");
    assert!(use_up(&mut conn, 1, UNLOCK, 2).await);
}

#[tokio::test]
async fn a_token_lives_until_it_expires_is_replaced_or_taken_away() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    put(&mut conn, 1).await;
    let id = user(1).id;
    let lives = async |conn: &mut PgConnection, byte, at| {
        let found = users::find_with_token(conn, id, VERIFY, &token(byte), at)
            .await
            .unwrap();
        let (found, is_live) = found.unwrap();
        assert_eq!(found, user(1));
        is_live
    };
    assert_eq!(
        one_time_tokens::find_issued_at(&mut conn, id, VERIFY)
            .await
            .unwrap(),
        None
    );
    issue(&mut conn, 1, VERIFY, &token(1)).await;
    assert_eq!(
        one_time_tokens::find_issued_at(&mut conn, id, VERIFY)
            .await
            .unwrap(),
        Some(noon())
    );
    let end = after(TimeDelta::hours(24));
    assert!(lives(&mut conn, 1, end - TimeDelta::microseconds(1)).await);
    assert!(!lives(&mut conn, 1, end).await);
    assert!(
        !one_time_tokens::consume(&mut conn, id, VERIFY, &token(1), end)
            .await
            .unwrap()
    );

    let later = after(TimeDelta::hours(1));
    let its_end = later + VERIFICATION_LIFETIME;
    one_time_tokens::replace(&mut conn, id, VERIFY, &token(2), later, its_end)
        .await
        .unwrap();
    assert!(!lives(&mut conn, 1, later).await);
    assert!(lives(&mut conn, 2, end).await, "a day of its own");
    assert_eq!(
        one_time_tokens::find_issued_at(&mut conn, id, VERIFY)
            .await
            .unwrap(),
        Some(later)
    );
    one_time_tokens::discard(&mut conn, id, &[UNLOCK])
        .await
        .unwrap();
    assert!(lives(&mut conn, 2, later).await);
    one_time_tokens::discard(&mut conn, id, &[UNLOCK, VERIFY])
        .await
        .unwrap();
    assert!(!lives(&mut conn, 2, later).await);
}

#[tokio::test]
async fn the_owner_of_a_token_is_found_while_it_is_good() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    put(&mut conn, 1).await;
    let reset = Purpose::PasswordReset;
    issue(&mut conn, 1, reset, &token(1)).await;
    let find = async |conn: &mut PgConnection, purpose, byte, at| {
        one_time_tokens::find_owner(conn, purpose, &token(byte), at)
            .await
            .unwrap()
    };
    let end = noon() + VERIFICATION_LIFETIME;
    let last = end - TimeDelta::microseconds(1);
    let id = user(1).id;
    assert_eq!(find(&mut conn, reset, 1, last).await, Some(id));
    assert_eq!(find(&mut conn, reset, 1, end).await, None, "too late");
    assert_eq!(find(&mut conn, reset, 2, last).await, None, "another one");
    let restore = Purpose::AccountRestore;
    assert_eq!(find(&mut conn, restore, 1, last).await, None);
    issue(&mut conn, 1, restore, &token(3)).await;
    assert_eq!(find(&mut conn, restore, 3, last).await, Some(id));
}

#[tokio::test]
async fn the_database_never_has_the_token_itself() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    put(&mut conn, 1).await;
    issue(&mut conn, 1, VERIFY, &token(1)).await;
    let row: String = sqlx::query_scalar("select row_to_json(t)::text from one_time_tokens t")
        .fetch_one(&mut *conn)
        .await
        .unwrap();
    assert!(
        !row.contains(token(1).expose()) && !row.contains("0101010101"),
        "{row}"
    );
}

#[tokio::test]
async fn expired_tokens_are_swept_a_batch_at_a_time_and_a_users_go_with_him() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    for number in 1..=3 {
        put(&mut conn, number).await;
        issue(
            &mut conn,
            number,
            VERIFY,
            &token(u8::try_from(number).unwrap()),
        )
        .await;
    }
    let end = after(TimeDelta::hours(24));
    let before_end = end - TimeDelta::microseconds(1);
    assert_eq!(
        one_time_tokens::sweep(&mut conn, before_end, 10)
            .await
            .unwrap(),
        0
    );
    assert_eq!(one_time_tokens::sweep(&mut conn, end, 2).await.unwrap(), 2);
    assert_eq!(one_time_tokens::sweep(&mut conn, end, 2).await.unwrap(), 1);
    issue(&mut conn, 1, VERIFY, &token(9)).await;
    users::delete(&mut conn, user(1).id).await.unwrap();
    let left: i64 = sqlx::query_scalar("select count(*) from one_time_tokens")
        .fetch_one(&mut *conn)
        .await
        .unwrap();
    assert_eq!(left, 0);
}
