//! The table of changes of addresses.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use user_management::{
    domain::{email::Email, id::EmailChangeId, token::OneTimeToken},
    repository::email_changes::{self, EmailChange, Side, Undo, Undone},
};
use uuid::Uuid;

use super::{after, noon, put, user};
use crate::support::database::TestDatabase;

fn id(number: u128) -> EmailChangeId {
    EmailChangeId(Uuid::from_u128(number))
}

fn token(number: u8) -> OneTimeToken {
    OneTimeToken::new([number; 32])
}

fn email(text: &str) -> Email {
    Email::parse(text).unwrap()
}

fn hours(hours: i64) -> DateTime<Utc> {
    after(TimeDelta::hours(hours))
}

/// Asks for a change, good for a day, and gives it the token of its number.
async fn offered(conn: &mut PgConnection, number: u8, of: u32, new_email: &str) {
    let (change, end) = (id(number.into()), hours(24));
    email_changes::request(conn, change, user(of).id, &email(new_email), noon(), end)
        .await
        .unwrap();
    assert!(
        email_changes::offer(conn, change, &token(number), end)
            .await
            .unwrap()
    );
}

/// Confirms a change, which can be undone with the token of its number plus 100, for three days.
async fn confirm(conn: &mut PgConnection, number: u8, at: DateTime<Utc>) -> Option<Email> {
    let undo = Undo {
        old_email: &email("old@example.com"),
        token: &token(number + 100),
        expires_at: at + TimeDelta::hours(72),
    };
    email_changes::confirm(conn, id(number.into()), &token(number), at, Some(undo))
        .await
        .unwrap()
}

async fn undo(conn: &mut PgConnection, number: u8, at: DateTime<Utc>) -> Option<Undone> {
    email_changes::undo(conn, id(number.into()), &token(number + 100), at)
        .await
        .unwrap()
}

/// The ids of all changes there are.
async fn left(conn: &mut PgConnection) -> Vec<u128> {
    let ids: Vec<Uuid> = sqlx::query_scalar("select id from email_changes order by id")
        .fetch_all(conn)
        .await
        .unwrap();
    ids.into_iter().map(|id| id.as_u128()).collect()
}

#[tokio::test]
async fn a_change_is_confirmed_once_by_its_own_token_in_time() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    put(&mut conn, 1).await;
    assert_eq!(email_changes::find(&mut conn, id(1)).await.unwrap(), None);
    offered(&mut conn, 1, 1, "new@example.com").await;
    let change = EmailChange {
        user_id: user(1).id,
        new_email: email("new@example.com"),
        old_email: None,
    };
    let find = async |conn: &mut PgConnection, side, byte, at| {
        email_changes::find_with_token(conn, id(1), side, &token(byte), at)
            .await
            .unwrap()
    };
    let last = hours(24) - TimeDelta::microseconds(1);
    assert_eq!(
        email_changes::find(&mut conn, id(1))
            .await
            .unwrap()
            .as_ref(),
        Some(&change)
    );
    assert_eq!(find(&mut conn, Side::New, 1, last).await, Some(change));
    assert_eq!(find(&mut conn, Side::New, 1, hours(24)).await, None);
    assert_eq!(find(&mut conn, Side::New, 2, last).await, None);
    assert_eq!(find(&mut conn, Side::Old, 1, last).await, None);
    assert!(
        !email_changes::offer(&mut conn, id(1), &token(9), hours(48))
            .await
            .unwrap(),
        "it has a token already"
    );

    assert_eq!(confirm(&mut conn, 1, hours(24)).await, None, "too late");
    let confirmed = confirm(&mut conn, 1, last).await;
    assert_eq!(confirmed, Some(email("new@example.com")));
    assert_eq!(confirm(&mut conn, 1, last).await, None, "a second time");
    let end = last + TimeDelta::hours(72);
    let before_end = end - TimeDelta::microseconds(1);
    let found = find(&mut conn, Side::Old, 101, before_end).await.unwrap();
    assert_eq!(found.old_email, Some(email("old@example.com")));
    assert_eq!(find(&mut conn, Side::Old, 101, end).await, None);
    assert_eq!(undo(&mut conn, 1, end).await, None, "too late");
    let undone = undo(&mut conn, 1, before_end).await.unwrap();
    assert_eq!(undone.old_email, email("old@example.com"));
    assert_eq!(undone.confirmed_at, last);
    assert_eq!(undo(&mut conn, 1, before_end).await, None, "a second time");
    assert_eq!(left(&mut conn).await, [0; 0]);
}

#[tokio::test]
async fn nothing_is_left_of_a_change_that_cannot_be_undone() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    put(&mut conn, 1).await;
    offered(&mut conn, 1, 1, "new@example.com").await;
    let confirm = async |conn: &mut PgConnection, byte| {
        email_changes::confirm(conn, id(1), &token(byte), noon(), None)
            .await
            .unwrap()
    };
    assert_eq!(confirm(&mut conn, 2).await, None);
    let confirmed = confirm(&mut conn, 1).await;
    assert_eq!(confirmed, Some(email("new@example.com")));
    assert_eq!(left(&mut conn).await, [0; 0]);
}

#[tokio::test]
async fn a_new_wish_replaces_the_one_that_waits_and_no_other() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    for number in [1, 2] {
        put(&mut conn, number).await;
    }
    offered(&mut conn, 1, 1, "one@example.com").await;
    confirm(&mut conn, 1, noon()).await.unwrap();
    offered(&mut conn, 2, 1, "two@example.com").await;
    offered(&mut conn, 3, 2, "three@example.com").await;
    offered(&mut conn, 4, 1, "four@example.com").await;
    assert_eq!(left(&mut conn).await, [1, 3, 4]);
    assert_eq!(confirm(&mut conn, 2, noon()).await, None);
    email_changes::discard_unconfirmed(&mut conn, user(1).id)
        .await
        .unwrap();
    assert_eq!(left(&mut conn).await, [1, 3]);
    email_changes::discard_all(&mut conn, user(1).id)
        .await
        .unwrap();
    assert_eq!(left(&mut conn).await, [3]);
}

#[tokio::test]
async fn later_changes_are_forgotten_with_an_earlier_one() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    for number in [1, 2] {
        put(&mut conn, number).await;
    }
    for number in 1..=3 {
        offered(&mut conn, number, 1, "new@example.com").await;
        confirm(&mut conn, number, hours(number.into()))
            .await
            .unwrap();
    }
    offered(&mut conn, 4, 1, "new@example.com").await;
    offered(&mut conn, 5, 2, "new@example.com").await;
    email_changes::discard_since(&mut conn, user(1).id, hours(2))
        .await
        .unwrap();
    assert_eq!(left(&mut conn).await, [1, 5]);
}

#[tokio::test]
async fn changes_that_are_over_are_swept_a_batch_at_a_time() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    for number in [1, 2] {
        put(&mut conn, number).await;
    }
    offered(&mut conn, 1, 1, "one@example.com").await;
    confirm(&mut conn, 1, hours(1)).await.unwrap();
    offered(&mut conn, 2, 1, "two@example.com").await;
    offered(&mut conn, 3, 2, "three@example.com").await;
    let sweep = async |conn: &mut PgConnection, at, limit| {
        email_changes::sweep(conn, at, limit).await.unwrap()
    };
    let before = hours(24) - TimeDelta::microseconds(1);
    assert_eq!(sweep(&mut conn, before, 9).await, 0);
    assert_eq!(sweep(&mut conn, hours(24), 1).await, 1);
    assert_eq!(sweep(&mut conn, hours(24), 9).await, 1);
    assert_eq!(left(&mut conn).await, [1], "it can still be undone");
    assert_eq!(sweep(&mut conn, hours(73), 9).await, 1);
}

#[tokio::test]
async fn the_last_undo_that_is_open_is_found() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    for number in [1, 2] {
        put(&mut conn, number).await;
    }
    let until = async |conn: &mut PgConnection, of, at| {
        email_changes::find_last_undo(conn, user(of).id, at)
            .await
            .unwrap()
    };
    offered(&mut conn, 1, 1, "new@example.com").await;
    assert_eq!(until(&mut conn, 1, noon()).await, None);
    confirm(&mut conn, 1, noon()).await.unwrap();
    offered(&mut conn, 2, 1, "newer@example.com").await;
    confirm(&mut conn, 2, hours(2)).await.unwrap();
    assert_eq!(until(&mut conn, 1, noon()).await, Some(hours(74)));
    assert_eq!(until(&mut conn, 1, hours(74)).await, None);
    assert_eq!(until(&mut conn, 2, noon()).await, None);
}
