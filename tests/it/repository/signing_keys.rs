//! The table of key pairs, and the channel that tells of changes.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{Connection as _, PgConnection, postgres::PgListener};
use user_management::{
    domain::signing_key::{KeyAlgorithm, KeyId},
    repository::signing_keys::{self, CHANNEL, StoredKey, insert, list, retire_all, sweep},
};

use super::{after, noon};
use crate::support::database::TestDatabase;

fn key(number: u8, algorithm: KeyAlgorithm, created_at: DateTime<Utc>) -> StoredKey {
    StoredKey {
        id: KeyId::parse(&BASE64_URL_SAFE_NO_PAD.encode([number; 32])).unwrap(),
        algorithm,
        sealed_private_key: vec![number; 40],
        created_at,
        retired_at: None,
    }
}

fn retired(key: &StoredKey, at: DateTime<Utc>) -> StoredKey {
    StoredKey {
        retired_at: Some(at),
        ..key.clone()
    }
}

async fn retire(conn: &mut PgConnection, at: DateTime<Utc>) -> u64 {
    let mut transaction = conn.begin().await.unwrap();
    let retired = retire_all(&mut transaction, Some(at)).await.unwrap();
    transaction.commit().await.unwrap();
    retired
}

async fn all(conn: &mut PgConnection) -> Vec<StoredKey> {
    list(conn, None).await.unwrap()
}

#[tokio::test]
async fn one_key_of_each_algorithm_signs_and_the_first_to_come_wins() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let first = key(1, KeyAlgorithm::EdDsa, noon());
    assert!(insert(&mut conn, &first).await.unwrap());
    let second = key(2, KeyAlgorithm::EdDsa, after(TimeDelta::seconds(1)));
    assert!(!insert(&mut conn, &second).await.unwrap());
    let other = key(3, KeyAlgorithm::Es256, after(TimeDelta::seconds(2)));
    assert!(insert(&mut conn, &other).await.unwrap());
    assert_eq!(all(&mut conn).await, [other.clone(), first.clone()]);
    for key in [first, other] {
        let listed = list(&mut conn, Some(key.algorithm)).await.unwrap();
        assert_eq!(listed, [key]);
    }
}

#[tokio::test]
async fn all_keys_retire_together_and_everybody_hears_at_the_commit() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let old = key(1, KeyAlgorithm::EdDsa, noon());
    // Made by a machine whose clock is ahead.
    let early = key(2, KeyAlgorithm::Es256, after(TimeDelta::minutes(1)));
    for key in [&old, &early] {
        assert!(insert(&mut conn, key).await.unwrap());
    }
    let mut listener = PgListener::connect_with(&db.pool).await.unwrap();
    listener.listen(CHANNEL).await.unwrap();
    let at = after(TimeDelta::seconds(9));
    let mut transaction = conn.begin().await.unwrap();
    assert_eq!(retire_all(&mut transaction, Some(at)).await.unwrap(), 2);
    let new = key(3, KeyAlgorithm::EdDsa, at);
    assert!(insert(&mut transaction, &new).await.unwrap());
    assert!(listener.next_buffered().is_none());
    transaction.commit().await.unwrap();
    assert_eq!(listener.recv().await.unwrap().channel(), CHANNEL);
    let early = retired(&early, early.created_at);
    assert_eq!(
        all(&mut conn).await,
        [new.clone(), early.clone(), retired(&old, at)]
    );
    // What is retired isn't retired again.
    let later = after(TimeDelta::hours(1));
    assert_eq!(retire(&mut conn, later).await, 1);
    assert_eq!(
        all(&mut conn).await,
        [retired(&new, later), early, retired(&old, at)]
    );
}

#[tokio::test]
async fn keys_that_were_retired_long_ago_are_swept() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let hour = |hour| after(TimeDelta::hours(hour));
    for number in 1..=3 {
        let key = key(number, KeyAlgorithm::EdDsa, hour(number.into()));
        assert!(insert(&mut conn, &key).await.unwrap());
        if number < 3 {
            retire(&mut conn, hour(i64::from(number) + 1)).await;
        }
    }
    assert_eq!(
        signing_keys::sweep(&mut conn, hour(2), 10).await.unwrap(),
        0
    );
    assert_eq!(sweep(&mut conn, hour(9), 1).await.unwrap(), 1);
    let left: Vec<_> = all(&mut conn)
        .await
        .into_iter()
        .map(|key| key.created_at)
        .collect();
    assert_eq!(left, [hour(3), hour(2)]);
    assert_eq!(sweep(&mut conn, hour(9), 10).await.unwrap(), 1);
    assert_eq!(
        sweep(&mut conn, hour(9), 10).await.unwrap(),
        0,
        "the one that signs stays"
    );
}
