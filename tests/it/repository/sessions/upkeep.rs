//! What is seen of sessions, how they end, and how many there are.

use chrono::TimeDelta;
use sqlx::PgConnection;
use user_management::{
    domain::session::Session,
    repository::sessions::{self, Lifetime, SecretDigest},
};

use super::{digest, id, open, open_by};
use crate::{
    repository::{after, noon, put, user},
    support::database::TestDatabase,
};

async fn numbers(conn: &mut PgConnection, of: u32) -> Vec<u128> {
    let listed = sessions::list(conn, user(of).id, noon()).await.unwrap();
    let mut numbers: Vec<_> = listed.iter().map(|found| found.id.0.as_u128()).collect();
    numbers.sort_unstable();
    numbers
}

#[tokio::test]
async fn sessions_are_listed_with_their_last_use_which_lengthens_those_of_cookies() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    put(&mut conn, 1).await;
    open(&mut conn, 1, 1).await;
    open_by(&mut conn, 2, 1, SecretDigest::Refresh(digest(2))).await;
    let lifetime = Lifetime {
        idle: TimeDelta::hours(1),
        longest: TimeDelta::minutes(80),
    };
    let ids = [id(1), id(2), id(9)];
    for minutes in [10, 30, 20] {
        let at = after(TimeDelta::minutes(minutes));
        sessions::see(&mut conn, &ids, at, lifetime).await.unwrap();
    }
    let session = |number, has_cookie, minutes| Session {
        id: id(number),
        user_agent: Some("a browser".to_owned()),
        client_address: Some("192.0.2.1".to_owned()),
        created_at: noon(),
        last_seen_at: after(TimeDelta::minutes(30)),
        expires_at: after(TimeDelta::minutes(minutes)),
        has_cookie,
    };
    let listed = sessions::list(&mut conn, user(1).id, noon()).await;
    assert_eq!(
        listed.unwrap(),
        [session(2, false, 60), session(1, true, 80)]
    );
    let later = after(TimeDelta::minutes(70));
    let listed = sessions::list(&mut conn, user(1).id, later).await.unwrap();
    assert_eq!(
        listed,
        [session(1, true, 80)],
        "the expired one isn't there"
    );
}

#[tokio::test]
async fn a_session_is_ended_alone_or_with_all_others_by_its_owner_only() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    for number in [1, 2] {
        put(&mut conn, number).await;
    }
    for (number, of) in [(1, 1), (2, 1), (3, 1), (4, 2)] {
        open(&mut conn, number, of).await;
    }
    let (first, second) = (user(1).id, user(2).id);
    let end = async |conn: &mut PgConnection, number, of| {
        sessions::end(conn, id(number), of).await.unwrap()
    };
    let is_there = async |conn: &mut PgConnection, number, of| {
        sessions::is_there(conn, id(number), of).await.unwrap()
    };
    assert!(is_there(&mut conn, 1, first).await);
    assert!(!is_there(&mut conn, 1, second).await);
    assert_eq!(end(&mut conn, 4, Some(first)).await, None);
    assert_eq!(end(&mut conn, 1, Some(first)).await, Some(first));
    assert_eq!(end(&mut conn, 1, Some(first)).await, None);
    assert!(!is_there(&mut conn, 1, first).await);
    assert_eq!(numbers(&mut conn, 1).await, [2, 3]);
    let ended = sessions::end_others(&mut conn, first, id(3)).await.unwrap();
    assert_eq!(ended, 1);
    assert_eq!(numbers(&mut conn, 1).await, [3]);
    assert_eq!(numbers(&mut conn, 2).await, [4]);
    assert_eq!(end(&mut conn, 4, None).await, Some(second));
}

#[tokio::test]
async fn a_user_keeps_his_fifty_newest_sessions() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    for number in [1, 2] {
        put(&mut conn, number).await;
    }
    open(&mut conn, 1000, 2).await;
    for number in 1..=53 {
        open(&mut conn, number, 1).await;
    }
    // All are of one time, so that the highest numbers count as the newest; but the new one stays,
    // as one must whose instance has a clock that is behind.
    let kept: Vec<u128> = (4..=53).collect();
    assert_eq!(numbers(&mut conn, 1).await, kept);
    open(&mut conn, 1, 1).await;
    let kept: Vec<u128> = [1].into_iter().chain(5..=53).collect();
    assert_eq!(numbers(&mut conn, 1).await, kept);
    assert_eq!(numbers(&mut conn, 2).await, [1000]);
}
