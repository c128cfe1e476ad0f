//! Many users at once, and what comes with them.

use std::{collections::HashSet, time::Duration};

use chrono::TimeDelta;
use serde_json::json;
use sqlx::Connection as _;
use user_management::{
    domain::{
        audit::{Action, AuditFilter},
        legacy_name::LegacyName,
        nickname::Nickname,
        token::{OneTimeToken, Purpose},
        user::User,
    },
    error::{Error, ErrorCode},
    repository::{
        audit_log,
        jobs::{self, JobKind, NewJob, SealedSecret},
        one_time_tokens,
        users::{self, NewUser},
    },
};

use crate::{
    repository::{after, hash, noon, put, told, user},
    support::database::TestDatabase,
};

#[tokio::test]
async fn of_many_users_those_are_stored_whose_names_are_free() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let known = put(&mut conn, 1).await;
    let mut same_address = user(2);
    same_address.email.clone_from(&known.email);
    let mut same_name = user(3);
    same_name.nickname = Nickname::parse("USER_1").unwrap();
    let (free, twin) = (user(4), user(4));
    let twin = User {
        id: user(5).id,
        ..twin
    };
    let hash = hash(9);
    let new: Vec<_> = [&same_address, &same_name, &free, &twin]
        .map(|user| NewUser {
            user,
            password_hash: &hash,
            password_reset_openly_at: Some(noon()),
        })
        .into();
    users::expect_many(&mut conn).await.unwrap();
    let stored = users::insert_all(&mut conn, &new).await.unwrap();
    assert_eq!(stored, HashSet::from([free.id]));
    let found = users::find(&mut conn, free.id).await.unwrap();
    assert_eq!(found, Some(free.clone()));
    assert!(users::take_open_reset(&mut conn, free.id).await.unwrap());
    let kept = users::find_password_hash(&mut conn, free.id).await.unwrap();
    assert_eq!(kept.unwrap().expose(), "$hash$9");
    assert_eq!(users::count(&mut conn).await.unwrap(), 2);

    let wanted = [&same_address, &same_name, &twin];
    let holders = users::find_holders(&mut conn, &wanted).await.unwrap();
    let ids: HashSet<_> = holders.iter().map(|holder| holder.id).collect();
    assert_eq!(ids, HashSet::from([known.id, free.id]));
    let holder = holders.iter().find(|holder| holder.id == known.id).unwrap();
    assert_eq!(
        (holder.email.as_deref(), &*holder.nickname),
        (Some("user1@example.com"), "user_1")
    );
    let nobody = users::find_holders(&mut conn, &[&user(7)]).await.unwrap();
    assert_eq!(nobody, []);

    let ids = [user(7).id, known.id, free.id];
    let there = users::find_ids(&mut conn, &ids).await.unwrap();
    assert_eq!(
        HashSet::from_iter(there),
        HashSet::from([known.id, free.id])
    );
}

#[tokio::test]
async fn all_of_many_users_are_stored_unless_somebody_has_a_name_or_an_id() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let hash = hash(9);
    let known = put(&mut conn, 1).await;
    let mut same_id = user(2);
    same_id.id = known.id;
    let mut same_name = user(3);
    same_name.nickname = known.nickname.clone();
    let (four, five) = (user(4), user(5));
    for (all, are_stored) in [
        ([&four, &same_id], false),
        ([&four, &same_name], false),
        ([&four, &five], true),
    ] {
        let new = all.map(|user| NewUser {
            user,
            password_hash: &hash,
            password_reset_openly_at: None,
        });
        let mut transaction = conn.begin().await.unwrap();
        let stored = users::insert_unless_taken(&mut transaction, &new).await;
        assert_eq!(stored.unwrap(), are_stored);
        match are_stored {
            true => transaction.commit().await.unwrap(),
            false => transaction.rollback().await.unwrap(),
        }
    }
    assert_eq!(users::count(&mut conn).await.unwrap(), 3);
}

#[tokio::test]
async fn what_many_users_left_outside_the_indexes_is_taken_in() {
    let db = TestDatabase::create().await;
    let mut transaction = db.pool.begin().await.unwrap();
    users::expect_many(&mut transaction).await.unwrap();
    let (all, hash): (Vec<_>, _) = ((1..=100).map(user).collect(), hash(9));
    let new: Vec<_> = all
        .iter()
        .map(|user| NewUser {
            user,
            password_hash: &hash,
            password_reset_openly_at: None,
        })
        .collect();
    users::insert_each(&mut transaction, &new).await.unwrap();
    transaction.commit().await.unwrap();
    let mut conn = db.pool.acquire().await.unwrap();
    let mut transaction = conn.begin().await.unwrap();
    users::take_in(&mut transaction).await.unwrap();
    transaction.commit().await.unwrap();
    let left: (i64, i64) = sqlx::query_as(
        "select gin_clean_pending_list('users_search_idx'), gin_clean_pending_list('users_search_words_idx')",
    )
    .fetch_one(&mut *conn)
    .await
    .unwrap();
    assert_eq!(left, (0, 0));
}

#[tokio::test]
async fn all_of_a_user_can_be_replaced_and_names_that_are_taken_cannot() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let (mut changed, other) = (put(&mut conn, 1).await, put(&mut conn, 2).await);
    changed.legacy_name = Some(LegacyName::parse("bob").unwrap());
    changed.is_professional = true;
    changed.professional_status_updated_at = Some(noon());
    changed.last_login_at = Some(noon());
    changed.created_at = noon() - TimeDelta::days(1);
    changed.profile.last_name = None;
    assert!(users::replace(&mut conn, &mut changed).await.unwrap());
    assert_eq!(changed.revision, 2);
    let found = users::find(&mut conn, changed.id).await.unwrap();
    assert_eq!(found, Some(changed.clone()));
    changed.phone_number = other.phone_number;
    let taken = users::replace(&mut conn, &mut changed).await;
    let Err(Error::Conflict(code)) = taken else {
        panic!("{taken:?}");
    };
    assert_eq!(code, ErrorCode::PhoneNumberAlreadyExists);
    assert!(!users::replace(&mut conn, &mut user(3)).await.unwrap());
}

#[tokio::test]
async fn what_comes_with_many_users_is_written_in_one_statement() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    for number in [1, 2] {
        put(&mut conn, number).await;
    }
    let mut second = told();
    second.action = Action::UserAdded;
    second.after = json!({"nickname": "ada"}).as_object().cloned();
    audit_log::insert_all(&mut conn, &[told(), second])
        .await
        .unwrap();
    let filter = AuditFilter::default();
    let entries = audit_log::list(&mut conn, &filter, None, 2).await.unwrap();
    assert_eq!(entries[0].action, "user_added");
    assert_eq!(entries[0].after.as_deref(), Some(r#"{"nickname": "ada"}"#));
    assert_eq!(
        (&*entries[1].action, &entries[1].after),
        ("user_registered", &None)
    );
    let pending: i64 = sqlx::query_scalar("select count(*) from audit_pending")
        .fetch_one(&mut *conn)
        .await
        .unwrap();
    assert_eq!(pending, 4);

    let tokens: Vec<_> = [1, 2]
        .map(|number| (user(number).id, OneTimeToken::new([number as u8; 32])))
        .into();
    let (purpose, end) = (Purpose::PasswordReset, after(TimeDelta::days(7)));
    one_time_tokens::insert_all(&mut conn, &tokens, purpose, noon(), end)
        .await
        .unwrap();
    let owner = one_time_tokens::find_owner(&mut conn, purpose, &tokens[1].1, noon()).await;
    assert_eq!(owner.unwrap(), Some(user(2).id));

    let kind = JobKind {
        name: "test",
        max_attempts: 3,
    };
    let plain = NewJob::new(kind, json!({"number": 1}));
    let sealed = NewJob {
        secret: Some(SealedSecret {
            bytes: vec![1, 2],
            expires_at: end,
        }),
        ..NewJob::new(kind, json!({"number": 2}))
    };
    jobs::enqueue_all(&mut conn, &[plain, sealed], Some(noon()))
        .await
        .unwrap();
    let lease = Duration::from_secs(30);
    let claimed = jobs::claim(&mut conn, 10, "a worker", lease, Some(noon())).await;
    let claimed: Vec<_> = claimed
        .unwrap()
        .into_iter()
        .map(|job| {
            (
                job.payload["number"].clone(),
                job.sealed_secret,
                job.max_attempts,
            )
        })
        .collect();
    assert_eq!(claimed.len(), 2);
    assert!(claimed.contains(&(json!(1), None, 3)));
    assert!(claimed.contains(&(json!(2), Some(vec![1, 2]), 3)));
}
