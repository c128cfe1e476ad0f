//! Accounts by their addresses and phone numbers.

use sqlx::PgConnection;
use user_management::{
    domain::{
        legacy_name::LegacyName, lockout::LockoutPolicy, login_name::LoginName, phone::PhoneNumber,
        user::User,
    },
    error::{Error, ErrorCode},
    repository::{login_throttle, users},
};

use super::{EVERYBODY, hash, named, noon, put, told, user};
use crate::support::database::TestDatabase;

/// Stores a user of this number who has no address.
async fn put_nameless(conn: &mut PgConnection, number: u32, phone_number: &str) -> User {
    let mut new = user(number);
    new.email = None;
    new.email_verified_at = None;
    new.phone_number = Some(PhoneNumber::from_database(phone_number.to_owned()));
    assert!(
        users::insert(conn, &new, &hash(number), &told())
            .await
            .unwrap()
    );
    new
}

#[tokio::test]
async fn an_account_is_found_by_either_of_its_names() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let both = put(&mut conn, 1).await;
    let phone = put_nameless(&mut conn, 2, "+442079460958").await;
    // As an older client had it.
    let digits = put_nameless(&mut conn, 3, "1234567890").await;
    let policy = LockoutPolicy { max_attempts: 99 };
    for (typed, expected) in [
        ("USER1@example.com", Some(&both)),
        ("(415) 555-0001", Some(&both)),
        ("+44 20 7946 0958", Some(&phone)),
        ("1234567890", Some(&digits)),
        ("+1 415 555 0009", None),
        ("nobody", None),
    ] {
        let name = named(typed);
        let found = users::find_credentials(&mut conn, &name).await.unwrap();
        let attempt = login_throttle::charge(&mut conn, EVERYBODY, &name, policy, Some(noon()));
        let (_, charged) = attempt.await.unwrap();
        for credentials in [found, charged] {
            let id = credentials.as_ref().map(|found| found.user_id);
            assert_eq!(id, expected.map(|user| user.id), "{typed}");
            // There is nothing to verify where there is no address.
            assert!(credentials.is_none_or(|found| found.is_verified), "{typed}");
        }
        if let LoginName::PhoneNumber(number) = &name {
            let found = users::find_by_phone_number(&mut conn, number);
            assert_eq!(found.await.unwrap().as_ref(), expected, "{typed}");
        }
    }
}

#[tokio::test]
async fn a_legacy_name_is_found_as_it_stands_and_by_itself() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let mut stored = Vec::new();
    for (number, name) in [(1, "bob"), (2, "Bob"), (3, "+14155550001")] {
        let mut new = user(number);
        (new.email, new.email_verified_at, new.phone_number) = (None, None, None);
        new.legacy_name = Some(LegacyName::parse(name).unwrap());
        assert!(
            users::insert(&mut conn, &new, &hash(number), &told())
                .await
                .unwrap()
        );
        let read = users::find(&mut conn, new.id).await.unwrap();
        assert_eq!(read.as_ref(), Some(&new));
        stored.push(new);
    }
    for new in &stored {
        let legacy = new.legacy_name.as_ref().unwrap();
        let name = LoginName::from(legacy);
        let found = users::find_credentials(&mut conn, &name).await.unwrap();
        let policy = LockoutPolicy { max_attempts: 99 };
        let attempt = login_throttle::charge(&mut conn, EVERYBODY, &name, policy, Some(noon()));
        let (_, charged) = attempt.await.unwrap();
        for credentials in [found, charged] {
            assert_eq!(credentials.unwrap().user_id, new.id);
        }
        // Nothing that somebody types at a native login is one.
        let typed = named(legacy.as_str());
        let native = users::find_credentials(&mut conn, &typed).await.unwrap();
        assert!(native.is_none());
        let mut second = user(9);
        (second.email, second.email_verified_at) = (None, None);
        second.legacy_name.clone_from(&new.legacy_name);
        let refused = users::insert(&mut conn, &second, &hash(9), &told()).await;
        assert!(matches!(
            refused,
            Err(Error::Conflict(ErrorCode::EmailAlreadyExists))
        ));
    }
}

#[tokio::test]
async fn of_several_names_that_are_taken_the_address_is_told_first() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let first = put(&mut conn, 1).await;
    let mut second = user(2);
    second.phone_number = first.phone_number;
    let refusal = async |conn: &mut PgConnection, user: &User| match users::insert(
        conn,
        user,
        &hash(2),
        &told(),
    )
    .await
    {
        Err(Error::Conflict(code)) => code,
        answer => panic!("{answer:?}"),
    };
    let code = refusal(&mut conn, &second).await;
    assert_eq!(code, ErrorCode::PhoneNumberAlreadyExists);
    second.email = first.email;
    let code = refusal(&mut conn, &second).await;
    assert_eq!(code, ErrorCode::EmailAlreadyExists);
}

#[tokio::test]
async fn an_account_has_an_address_or_a_phone_number() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let mut nameless = user(1);
    nameless.email = None;
    nameless.email_verified_at = None;
    nameless.phone_number = None;
    let refused = users::insert(&mut conn, &nameless, &hash(1), &told()).await;
    assert!(matches!(refused, Err(Error::Internal(_))), "{refused:?}");
    let mut phone = put_nameless(&mut conn, 2, "+442079460958").await;
    phone.phone_number = None;
    let refused = users::update(&mut conn, &mut phone).await;
    assert!(matches!(refused, Err(Error::Internal(_))), "{refused:?}");
}
