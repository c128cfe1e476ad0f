//! The table of users.

use std::time::Duration;

use chrono::TimeDelta;
use sqlx::{Connection as _, PgConnection};
use user_management::{
    domain::{
        email::Email,
        legacy_name::LegacyName,
        nickname::Nickname,
        page::Page,
        profile::Profile,
        role::Role,
        token::{OneTimeToken, Purpose},
        user::User,
    },
    error::{Error, ErrorCode},
    repository::{
        jobs::{self, JobKind, NewJob, SealedSecret},
        users,
    },
};

use super::{after, hash, log_in, noon, put, told, user};
use crate::support::{database::TestDatabase, eventually::wait_until};

#[tokio::test]
async fn a_user_is_found_as_he_was_stored() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let stored = put(&mut conn, 1).await;
    let id = stored.id;
    assert_eq!(
        users::find(&mut conn, id).await.unwrap(),
        Some(stored.clone())
    );
    assert_eq!(
        users::find_for_update(&mut conn, id).await.unwrap(),
        Some(stored.clone())
    );
    let normalized = stored.email.as_ref().unwrap().normalized();
    assert_eq!(normalized, "user1@example.com");
    assert_eq!(
        users::find_by_nickname(&mut conn, &Nickname::parse("USER_1").unwrap())
            .await
            .unwrap(),
        Some(stored.clone())
    );
    assert_eq!(
        users::find_by_nickname(&mut conn, &Nickname::parse("user_9").unwrap())
            .await
            .unwrap(),
        None
    );
    assert_eq!(
        users::find_by_email(&mut conn, &normalized).await.unwrap(),
        Some(stored)
    );
    assert_eq!(
        users::find_by_email(&mut conn, "User1@example.com")
            .await
            .unwrap(),
        None
    );
    assert_eq!(users::find(&mut conn, user(2).id).await.unwrap(), None);
    assert_eq!(
        users::find_for_update(&mut conn, user(2).id).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn a_taken_nickname_leaves_the_transaction_usable_and_a_taken_address_does_not() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    put(&mut conn, 1).await;
    let mut transaction = conn.begin().await.unwrap();
    let mut second = user(2);
    second.nickname = Nickname::parse("USER_1").unwrap();
    assert!(
        !users::insert(&mut transaction, &second, &hash(2), &told())
            .await
            .unwrap()
    );
    second.nickname = Nickname::parse("user_2").unwrap();
    assert!(
        users::insert(&mut transaction, &second, &hash(2), &told())
            .await
            .unwrap()
    );
    let mut third = user(3);
    third.email = Some(Email::parse("USER1@example.com").unwrap());
    let refused = users::insert(&mut transaction, &third, &hash(3), &told())
        .await
        .unwrap_err();
    assert!(
        matches!(refused, Error::Conflict(ErrorCode::EmailAlreadyExists)),
        "{refused:?}"
    );
    drop(transaction);
    assert_eq!(users::find(&mut conn, second.id).await.unwrap(), None);
}

#[tokio::test]
async fn an_unverified_user_is_stored_with_his_token_and_his_mail_or_not_at_all() {
    const KIND: JobKind = JobKind {
        name: "mail",
        max_attempts: 7,
    };
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let token = OneTimeToken::new([1; 32]);
    let expires_at = after(TimeDelta::hours(1));
    let mail = NewJob {
        secret: Some(SealedSecret {
            bytes: b"sealed".to_vec(),
            expires_at,
        }),
        ..NewJob::new(KIND, serde_json::json!({ "to": 1 }))
    };
    let insert = async |conn: &mut PgConnection, user: &User| {
        users::insert_unverified(conn, user, &hash(1), &token, &mail, &told(), Some(noon())).await
    };
    let stored = user(1);
    assert!(insert(&mut conn, &stored).await.unwrap());
    let (found, is_live) = users::find_with_token(
        &mut conn,
        stored.id,
        Purpose::EmailVerification,
        &token,
        noon(),
    )
    .await
    .unwrap()
    .unwrap();
    assert_eq!((&found, is_live), (&stored, true));

    let mut same_nickname = user(2);
    same_nickname.nickname = stored.nickname.clone();
    assert!(!insert(&mut conn, &same_nickname).await.unwrap());
    let mut same_address = user(3);
    same_address.email = stored.email.clone();
    let refused = insert(&mut conn, &same_address).await.unwrap_err();
    assert!(
        matches!(refused, Error::Conflict(ErrorCode::EmailAlreadyExists)),
        "{refused:?}"
    );
    assert_eq!(users::count(&mut conn).await.unwrap(), 1);

    let lease = Duration::from_secs(1);
    let jobs = jobs::claim(&mut conn, 9, "a worker", lease, Some(noon()))
        .await
        .unwrap();
    let [job] = jobs.as_slice() else {
        panic!("{jobs:?}");
    };
    assert_eq!((job.kind.as_str(), job.max_attempts), ("mail", 7));
    assert_eq!(job.payload, mail.payload);
    assert_eq!(job.sealed_secret.as_deref(), Some(&b"sealed"[..]));
    assert_eq!(job.created_at, noon());
    assert!(!job.serial);
    assert_eq!(
        jobs::wipe_expired_secrets(&mut conn, Some(expires_at))
            .await
            .unwrap(),
        1
    );
}

#[tokio::test]
async fn an_update_stores_all_but_what_is_not_for_it() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let before = put(&mut conn, 1).await;
    put(&mut conn, 2).await;
    let mut changed = before.clone();
    changed.nickname = Nickname::parse("another").unwrap();
    changed.email = Some(Email::parse("another@example.com").unwrap());
    changed.email_verified_at = None;
    changed.profile = Profile::default();
    changed.role = Role::Manager;
    changed.phone_number = None;
    changed.locked_at = Some(after(TimeDelta::hours(1)));
    changed.deletion_due_at = Some(after(TimeDelta::hours(9)));
    changed.updated_at = after(TimeDelta::hours(2));
    assert!(users::update(&mut conn, &mut changed).await.unwrap());
    assert_eq!(changed.revision, 2);
    assert_eq!(
        users::find(&mut conn, before.id).await.unwrap(),
        Some(changed.clone())
    );

    // A login between the reading and the writing is not undone.
    let at = after(TimeDelta::hours(3));
    changed.locked_at = None;
    changed.deletion_due_at = None;
    changed.email_verified_at = Some(noon());
    users::update(&mut conn, &mut changed).await.unwrap();
    log_in(&mut conn, 1, &hash(1), None, at).await.unwrap();
    users::update(&mut conn, &mut changed).await.unwrap();
    let found = users::find(&mut conn, before.id).await.unwrap().unwrap();
    assert_eq!(found.last_login_at, Some(at));

    for (nickname, email, code) in [
        (
            "User_2",
            "free@example.com",
            ErrorCode::NicknameAlreadyExists,
        ),
        ("free", "USER2@example.com", ErrorCode::EmailAlreadyExists),
    ] {
        changed.nickname = Nickname::parse(nickname).unwrap();
        changed.email = Some(Email::parse(email).unwrap());
        let refused = users::update(&mut conn, &mut changed).await.unwrap_err();
        assert!(
            matches!(refused, Error::Conflict(found) if found == code),
            "{refused:?}"
        );
    }
    changed = found;
    changed.phone_number = user(2).phone_number;
    let refused = users::update(&mut conn, &mut changed).await.unwrap_err();
    assert!(matches!(
        refused,
        Error::Conflict(ErrorCode::PhoneNumberAlreadyExists)
    ));
    assert!(!users::update(&mut conn, &mut user(3)).await.unwrap());
}

#[tokio::test]
async fn verification_raises_anonymous_and_keeps_the_first_time() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    for (number, role, raised) in [
        (1, Role::Anonymous, Role::Authenticated),
        (2, Role::Authenticated, Role::Authenticated),
        (3, Role::Manager, Role::Manager),
        (4, Role::Admin, Role::Admin),
    ] {
        let mut new = user(number);
        new.role = role;
        new.email_verified_at = None;
        users::insert(&mut conn, &new, &hash(number), &told())
            .await
            .unwrap();
        for hours in [1, 2] {
            let at = after(TimeDelta::hours(hours));
            assert!(users::verify_email(&mut conn, new.id, at).await.unwrap());
        }
        let found = users::find(&mut conn, new.id).await.unwrap().unwrap();
        assert_eq!(found.role, raised);
        assert_eq!(found.email_verified_at, Some(after(TimeDelta::hours(1))));
    }
    assert!(
        !users::verify_email(&mut conn, user(9).id, noon())
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn a_list_is_in_order_of_registration_and_then_of_ids() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    for number in [3, 1, 2] {
        put(&mut conn, number).await;
    }
    // At the same time as the first, with a higher id.
    let mut twin = user(9);
    twin.created_at = user(1).created_at;
    users::insert(&mut conn, &twin, &hash(9), &told())
        .await
        .unwrap();
    let page = async |conn: &mut PgConnection, skip, limit| {
        let listed = users::list(conn, Page { skip, limit }).await.unwrap();
        let ids = listed.items.iter().map(|user| user.id.0.as_u128());
        (ids.collect::<Vec<_>>(), listed.total)
    };
    assert_eq!(page(&mut conn, 0, 100).await, (vec![1, 9, 2, 3], 4));
    assert_eq!(page(&mut conn, 1, 2).await, (vec![9, 2], 4));
    assert_eq!(page(&mut conn, 4, 2).await, (vec![], 4));
    assert!(users::delete(&mut conn, twin.id).await.unwrap());
    assert!(!users::delete(&mut conn, twin.id).await.unwrap());
    assert_eq!(page(&mut conn, 0, 2).await, (vec![1, 2], 3));
}

#[tokio::test]
async fn the_first_place_is_taken_once_and_given_back_by_a_rollback() {
    let db = TestDatabase::create().await;
    let mut one = db.pool.acquire().await.unwrap();
    let mut other = db.pool.acquire().await.unwrap();
    let mut transaction = one.begin().await.unwrap();
    assert!(users::claim_first(&mut transaction, noon()).await.unwrap());
    transaction.rollback().await.unwrap();
    assert!(users::claim_first(&mut other, noon()).await.unwrap());
    assert!(!users::claim_first(&mut one, noon()).await.unwrap());
}

#[tokio::test]
async fn an_administrator_of_the_settings_is_noted_once() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let email = Email::parse("Boss@example.com").unwrap();
    let same = Email::parse("boss@EXAMPLE.com").unwrap();
    let other = Email::parse("other@example.com").unwrap();
    for (expected, email) in [(true, &email), (false, &same), (true, &other)] {
        let known = users::is_configured_admin(&mut conn, email).await.unwrap();
        assert_eq!(known, !expected);
        let claimed = users::claim_configured_admin(&mut conn, email, noon());
        assert_eq!(claimed.await.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_role_that_was_read_for_a_decision_stays_until_the_decision_is_made() {
    let db = TestDatabase::create().await;
    let mut deciding = db.pool.acquire().await.unwrap();
    let mut changing = db.pool.acquire().await.unwrap();
    let mut actor = put(&mut deciding, 1).await;
    assert_eq!(
        users::find_role_for_share(&mut deciding, user(2).id)
            .await
            .unwrap(),
        None
    );

    let mut transaction = deciding.begin().await.unwrap();
    let role = users::find_role_for_share(&mut transaction, actor.id)
        .await
        .unwrap();
    assert_eq!(role, Some(Role::Authenticated));
    actor.locked_at = Some(noon());
    let pool = db.pool.clone();
    let id = actor.id;
    let change = tokio::spawn(async move { users::update(&mut changing, &mut actor).await });
    wait_until("the change waits", async || {
        let waiting: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
        )
        .fetch_one(&pool)
        .await
        .unwrap();
        waiting == 1
    })
    .await;
    transaction.commit().await.unwrap();
    assert!(change.await.unwrap().unwrap());
    // Who is locked has no role to act by.
    assert_eq!(
        users::find_role_for_share(&mut deciding, id).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn another_administrator_is_one_who_can_log_in() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let mut other = put(&mut conn, 2).await;
    let id = user(1).id;
    for (role, verified, locked, expected) in [
        (Role::Manager, true, false, false),
        (Role::Admin, false, false, false),
        (Role::Admin, true, true, false),
        (Role::Admin, true, false, true),
    ] {
        other.role = role;
        other.email_verified_at = verified.then(noon);
        other.locked_at = locked.then(noon);
        users::update(&mut conn, &mut other).await.unwrap();
        let found = users::has_other_admin(&mut conn, id).await.unwrap();
        assert_eq!(found, expected, "{role} {verified} {locked}");
    }
    assert!(!users::has_other_admin(&mut conn, other.id).await.unwrap());
    // By a phone number he can, by a legacy name only where an older API is switched on.
    other.email = None;
    users::update(&mut conn, &mut other).await.unwrap();
    assert!(users::has_other_admin(&mut conn, id).await.unwrap());
    let mut legacy = user(3);
    (legacy.email, legacy.phone_number) = (None, None);
    legacy.legacy_name = Some(LegacyName::parse("bob").unwrap());
    legacy.role = Role::Admin;
    assert!(
        users::insert(&mut conn, &legacy, &hash(3), &told())
            .await
            .unwrap()
    );
    assert!(!users::has_other_admin(&mut conn, other.id).await.unwrap());
}
