//! Refresh tokens: exchanged once, and again for a moment.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use user_management::{
    domain::role::Role,
    repository::sessions::{self, Lifetime, Refreshed, Rotation, SecretDigest},
};

use super::{digest, id, open_by};
use crate::{
    repository::{after, noon, put, user},
    support::database::TestDatabase,
};

const GRACE: TimeDelta = TimeDelta::seconds(10);
const LIFETIME: Lifetime = Lifetime {
    idle: TimeDelta::hours(1),
    longest: TimeDelta::hours(3),
};

/// Exchanges the token of a number for that of another at a time.
async fn exchange(
    conn: &mut PgConnection,
    (generation, presented): (i32, u128),
    next: u128,
    at: DateTime<Utc>,
) -> Option<Refreshed> {
    let rotation = Rotation {
        session_id: id(1),
        presented: &digest(presented),
        generation,
        next: &digest(next),
        grace: GRACE,
        lifetime: LIFETIME,
    };
    sessions::refresh(conn, &rotation, at, Some(at))
        .await
        .unwrap()
}

/// Whether a token is current, the generation, and whether the last exchange was just now.
async fn state(conn: &mut PgConnection, presented: u128, at: DateTime<Utc>) -> (bool, i32, bool) {
    let digest = digest(presented);
    let state = sessions::find_refresh_state(conn, id(1), &digest, GRACE, at, Some(at))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(state.user_id, user(1).id);
    assert_eq!(state.is_previous, presented == 10 && state.generation == 1);
    (state.is_current, state.generation, state.was_just_refreshed)
}

#[tokio::test]
async fn a_token_is_exchanged_once_and_again_for_a_moment_while_the_next_is_unused() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    put(&mut conn, 1).await;
    open_by(&mut conn, 1, 1, SecretDigest::Refresh(digest(10))).await;
    assert_eq!(state(&mut conn, 10, noon()).await, (true, 0, false));
    let at = after(TimeDelta::minutes(30));
    let first = exchange(&mut conn, (0, 10), 11, at).await;
    let expected = Refreshed {
        user_id: user(1).id,
        role: Role::Authenticated,
        expires_at: at + TimeDelta::hours(1),
    };
    assert_eq!(first, Some(expected));
    assert_eq!(state(&mut conn, 10, at).await, (false, 1, true));
    assert_eq!(state(&mut conn, 11, at).await, (true, 1, true));

    // A repetition replaces the next one, and doesn't lengthen the grace.
    let late = at + GRACE - TimeDelta::microseconds(1);
    assert!(exchange(&mut conn, (0, 10), 12, late).await.is_some());
    assert!(exchange(&mut conn, (1, 11), 13, late).await.is_none());
    assert!(exchange(&mut conn, (0, 10), 13, at + GRACE).await.is_none());
    assert_eq!(state(&mut conn, 12, at + GRACE).await, (true, 1, false));

    // Once the next one is used, the grace of the one before is over.
    assert!(exchange(&mut conn, (1, 12), 14, late).await.is_some());
    assert!(exchange(&mut conn, (0, 10), 15, late).await.is_none());
    // Neither the right digest with a wrong number nor another session's is good.
    assert!(exchange(&mut conn, (1, 14), 15, late).await.is_none());
    assert!(exchange(&mut conn, (2, 14), 15, late).await.is_some());
}

#[tokio::test]
async fn a_session_lives_on_by_exchanges_and_not_for_ever() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let mut owner = put(&mut conn, 1).await;
    open_by(&mut conn, 1, 1, SecretDigest::Refresh(digest(0))).await;
    let mut ends = Vec::new();
    for generation in 0..4 {
        let at = after(TimeDelta::minutes(50) * (generation + 1));
        let token = (generation, generation.unsigned_abs().into());
        let next = u128::from(generation.unsigned_abs()) + 1;
        let session = exchange(&mut conn, token, next, at).await;
        ends.push(session.map(|session| session.expires_at));
    }
    // The longest life is three hours from the login.
    let minutes = |minutes| Some(after(TimeDelta::minutes(minutes)));
    assert_eq!(ends, [minutes(110), minutes(160), minutes(180), None]);

    owner.locked_at = Some(noon());
    user_management::repository::users::update(&mut conn, &mut owner)
        .await
        .unwrap();
    let at = after(TimeDelta::minutes(151));
    assert!(exchange(&mut conn, (3, 3), 4, at).await.is_none());
    let found = sessions::find_refresh_state(&mut conn, id(1), &digest(3), GRACE, at, Some(at))
        .await
        .unwrap();
    let found = found.unwrap();
    assert!(found.is_current && !found.is_live);
    let digest = digest(3);
    let unknown = sessions::find_refresh_state(&mut conn, id(2), &digest, GRACE, at, None);
    assert_eq!(unknown.await.unwrap(), None);
}
