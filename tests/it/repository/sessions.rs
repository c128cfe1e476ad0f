//! The table of sessions, and the channel that tells of changes.

use chrono::TimeDelta;
use sqlx::{Connection as _, PgConnection, postgres::PgListener};
use user_management::{
    domain::{id::SessionId, role::Role},
    repository::{
        sessions::{self, LiveSession, NewSession},
        users,
    },
};
use uuid::Uuid;

use super::{after, noon, put, user};
use crate::support::database::TestDatabase;

fn id(number: u128) -> SessionId {
    SessionId(Uuid::from_u128(number))
}

/// A session of a user, for an hour.
async fn open(conn: &mut PgConnection, number: u128, of: u32) {
    let session = NewSession {
        id: id(number),
        user_id: user(of).id,
        user_agent: Some("a browser"),
        client_address: None,
        created_at: noon(),
        expires_at: after(TimeDelta::hours(1)),
    };
    sessions::insert(conn, &session).await.unwrap();
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
            user_id: user(1).id,
            role,
            expires_at: end,
        })
    };
    assert_eq!(find(&mut conn, noon()).await, live(Role::Authenticated));
    assert_eq!(find(&mut conn, end).await, None);
    assert_eq!(
        sessions::find_live(&mut conn, id(8), noon()).await.unwrap(),
        None
    );
    owner.role = Role::Manager;
    users::update(&mut conn, &owner).await.unwrap();
    assert_eq!(find(&mut conn, noon()).await, live(Role::Manager));
    owner.locked_at = Some(noon());
    users::update(&mut conn, &owner).await.unwrap();
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
