//! The table of sessions, and the channel that tells of changes.

use chrono::TimeDelta;
use sqlx::{Connection as _, PgConnection, postgres::PgListener};
use user_management::{
    domain::{id::SessionId, lockout::LockoutPolicy, role::Role, user::User},
    repository::{
        login_throttle,
        sessions::{self, LiveSession, NewSession, SecretDigest},
        users,
    },
};
use uuid::Uuid;

mod refresh;
mod upkeep;

use super::{EVERYBODY, after, hash, log_in, named, noon, put, told, user};
use crate::support::database::TestDatabase;

fn id(number: u128) -> SessionId {
    SessionId(Uuid::from_u128(number))
}

/// A session of a user, for an hour, with the cookie of its number.
async fn open(conn: &mut PgConnection, number: u128, of: u32) {
    open_by(conn, number, of, SecretDigest::Cookie(digest(number))).await;
}

fn digest(number: u128) -> [u8; 32] {
    let mut digest = [0; 32];
    digest[..16].copy_from_slice(&number.to_be_bytes());
    digest
}

async fn open_by(conn: &mut PgConnection, number: u128, of: u32, secret: SecretDigest) {
    let session = NewSession {
        id: id(number),
        user_id: user(of).id,
        secret,
        user_agent: Some("a browser"),
        client_address: Some("192.0.2.1".to_owned()),
        created_at: noon(),
        expires_at: after(TimeDelta::hours(1)),
        for_verified: true,
    };
    sessions::open(conn, &session, &hash(of), None, EVERYBODY, &told())
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_session_lives_until_it_expires_and_has_the_role_of_now() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let mut owner = put(&mut conn, 1).await;
    open(&mut conn, 7, 1).await;
    let end = after(TimeDelta::hours(1));
    let find =
        async |conn: &mut PgConnection, at| sessions::find_live(conn, id(7), at).await.unwrap();
    let live = |role| {
        Some(LiveSession {
            id: id(7),
            user: User {
                role,
                last_login_at: Some(noon()),
                revision: if role == Role::Manager { 2 } else { 1 },
                ..user(1)
            },
            expires_at: end,
            last_seen_at: noon(),
        })
    };
    assert_eq!(find(&mut conn, noon()).await, live(Role::Authenticated));
    assert_eq!(find(&mut conn, end).await, None);
    assert_eq!(
        sessions::find_live(&mut conn, id(8), noon()).await.unwrap(),
        None
    );
    owner.role = Role::Manager;
    users::update(&mut conn, &mut owner).await.unwrap();
    assert_eq!(find(&mut conn, noon()).await, live(Role::Manager));
    let by_cookie = async |conn: &mut PgConnection, number, at| {
        sessions::find_live_by_cookie(conn, &digest(number), at)
            .await
            .unwrap()
    };
    assert_eq!(by_cookie(&mut conn, 7, noon()).await, live(Role::Manager));
    assert_eq!(by_cookie(&mut conn, 7, end).await, None);
    assert_eq!(by_cookie(&mut conn, 8, noon()).await, None);
    owner.deletion_due_at = Some(end);
    users::update(&mut conn, &mut owner).await.unwrap();
    assert_eq!(find(&mut conn, noon()).await, None, "of one to be erased");
    owner.deletion_due_at = None;
    owner.locked_at = Some(noon());
    users::update(&mut conn, &mut owner).await.unwrap();
    assert_eq!(find(&mut conn, noon()).await, None, "of one who is locked");
    users::delete(&mut conn, owner.id).await.unwrap();
    assert_eq!(find(&mut conn, noon()).await, None);
}

#[tokio::test]
async fn all_sessions_of_a_user_end_together_and_everybody_hears_at_the_commit() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    for (number, of) in [(1, 1), (2, 1), (3, 2)] {
        if number != 2 {
            put(&mut conn, of).await;
        }
        open(&mut conn, number, of).await;
    }
    let mut listener = PgListener::connect_with(&db.pool).await.unwrap();
    listener.listen(sessions::CHANNEL).await.unwrap();

    let mut transaction = conn.begin().await.unwrap();
    assert_eq!(
        sessions::end_all(&mut transaction, user(2).id)
            .await
            .unwrap(),
        1
    );
    transaction.rollback().await.unwrap();
    let mut transaction = conn.begin().await.unwrap();
    assert_eq!(
        sessions::end_all(&mut transaction, user(1).id)
            .await
            .unwrap(),
        2
    );
    transaction.commit().await.unwrap();
    // Of what was rolled back nobody hears: the first to be heard is the second.
    let heard = listener.recv().await.unwrap();
    assert_eq!(heard.payload(), user(1).id.to_string());
    assert!(
        sessions::find_live(&mut conn, id(1), noon())
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        sessions::find_live(&mut conn, id(3), noon())
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn all_sessions_of_a_user_but_one_end_together_and_everybody_hears() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    for of in [1, 2] {
        put(&mut conn, of).await;
    }
    for (number, of) in [(1, 1), (2, 1), (3, 1), (4, 2)] {
        open(&mut conn, number, of).await;
    }
    let mut listener = PgListener::connect_with(&db.pool).await.unwrap();
    listener.listen(sessions::CHANNEL).await.unwrap();
    let ended = sessions::end_others(&mut conn, user(1).id, id(2)).await;
    assert_eq!(ended.unwrap(), 2);
    let heard = listener.recv().await.unwrap();
    assert_eq!(heard.payload(), user(1).id.to_string());
    for (number, lives) in [(1, false), (2, true), (3, false), (4, true)] {
        let found = sessions::find_live(&mut conn, id(number), noon()).await;
        assert_eq!(found.unwrap().is_some(), lives, "{number}");
    }
}

#[tokio::test]
async fn expired_sessions_are_swept_a_batch_at_a_time() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    put(&mut conn, 1).await;
    for number in 1..=3 {
        open(&mut conn, number, 1).await;
    }
    let end = after(TimeDelta::hours(1));
    let before_end = end - TimeDelta::microseconds(1);
    assert_eq!(sessions::sweep(&mut conn, before_end, 10).await.unwrap(), 0);
    assert_eq!(sessions::sweep(&mut conn, end, 2).await.unwrap(), 2);
    assert_eq!(sessions::sweep(&mut conn, end, 2).await.unwrap(), 1);
}

#[tokio::test]
async fn a_login_counts_only_for_the_account_as_it_was_read() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let stored = put(&mut conn, 1).await;
    let found = users::find_credentials(&mut conn, &named("user1@example.com"))
        .await
        .unwrap();
    let found = found.unwrap();
    assert_eq!(found.user_id, stored.id);
    assert_eq!(found.password_hash.expose(), "$hash$1");
    assert_eq!((found.is_verified, found.is_locked), (true, false));
    let stored_hash = users::find_password_hash(&mut conn, stored.id)
        .await
        .unwrap();
    assert_eq!(stored_hash.unwrap().expose(), "$hash$1");
    assert!(
        users::find_credentials(&mut conn, &named("nobody@example.com"))
            .await
            .unwrap()
            .is_none()
    );

    let at = after(TimeDelta::hours(1));
    let renewed = hash(5);
    let record = async |conn: &mut PgConnection, known, renewed| {
        log_in(conn, 1, &hash(known), renewed, at).await
    };
    let counts = async |conn: &mut PgConnection| -> (i64, i64) {
        sqlx::query_as(
            "select (select count(*) from sessions), (select count(*) from login_throttle)",
        )
        .fetch_one(conn)
        .await
        .unwrap()
    };
    let policy = LockoutPolicy { max_attempts: 5 };
    let address = named("user1@example.com");
    let charged = login_throttle::charge(&mut conn, EVERYBODY, &address, policy, Some(at));
    let (_, credentials) = charged.await.unwrap();
    let credentials = credentials.unwrap();
    assert_eq!(credentials.user_id, stored.id);
    assert_eq!(credentials.password_hash.expose(), "$hash$1");
    assert!(credentials.is_verified && !credentials.is_locked);
    assert_eq!(
        record(&mut conn, 2, None).await,
        None,
        "another password meanwhile"
    );
    assert_eq!(counts(&mut conn).await, (0, 1), "refused: nothing changed");
    assert_eq!(
        record(&mut conn, 1, Some(&renewed)).await,
        Some(Role::Authenticated)
    );
    assert_eq!(counts(&mut conn).await, (1, 0), "forgiven");
    let user_now = users::find(&mut conn, stored.id).await.unwrap().unwrap();
    assert_eq!(user_now.last_login_at, Some(at));
    assert_eq!(user_now.updated_at, stored.updated_at);
    assert_eq!(
        record(&mut conn, 1, None).await,
        None,
        "the renewed hash counts"
    );
    assert_eq!(record(&mut conn, 5, None).await, Some(Role::Authenticated));

    let mut locked = user_now.clone();
    locked.locked_at = Some(at);
    users::update(&mut conn, &mut locked).await.unwrap();
    assert_eq!(record(&mut conn, 5, None).await, None, "locked meanwhile");
    let mut unverified = user_now;
    unverified.email_verified_at = None;
    users::update(&mut conn, &mut unverified).await.unwrap();
    assert_eq!(
        record(&mut conn, 5, None).await,
        None,
        "another address meanwhile"
    );
    let found = users::find_credentials(&mut conn, &named("user1@example.com"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((found.is_verified, found.is_locked), (false, false));
}
