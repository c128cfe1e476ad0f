//! Users as files have them, and by whatever they are called.

use std::collections::BTreeSet;

use sqlx::PgConnection;
use user_management::{
    domain::{
        id::UserId, legacy_name::LegacyName, nickname::Nickname, role::Role, user_record::Column,
        user_search::UserFilter,
    },
    repository::{
        user_search::{Window, find_window, list_window},
        users,
    },
};

use super::{hash, named, noon, put, told, user};
use crate::support::database::TestDatabase;

#[tokio::test]
async fn windows_lead_through_all_users_and_a_filter_lets_some_of_each_pass() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let empty = find_window(&mut conn, None, 2).await.unwrap();
    assert_eq!(empty, None);
    let mut all = Vec::new();
    for number in [3, 1, 5, 2, 4] {
        all.push(put(&mut conn, number).await);
    }
    all.sort_unstable_by_key(|user| user.id);
    let opened = all[3].id;
    users::put_open_reset(&mut conn, opened, noon())
        .await
        .unwrap();
    let managers = UserFilter {
        roles: vec![Role::Manager],
        ..UserFilter::default()
    };
    sqlx::query("update users set role = 'MANAGER' where nickname in ('user_1', 'user_4')")
        .execute(&mut *conn)
        .await
        .unwrap();
    let (mut after, mut read, mut passed) = (None, Vec::new(), Vec::new());
    while let Some(window) = find_window(&mut conn, after, 2).await.unwrap() {
        assert_eq!(window.after, after);
        let everybody = UserFilter::default();
        read.extend(
            list_window(&mut conn, &everybody, &[], window, true)
                .await
                .unwrap(),
        );
        passed.extend(
            list_window(&mut conn, &managers, &[], window, false)
                .await
                .unwrap(),
        );
        after = Some(window.until);
    }
    assert_eq!(after, Some(all[4].id));
    for (number, (read, expected)) in read.iter().zip(&all).enumerate() {
        assert_eq!(read.user.id, expected.id);
        assert_eq!(read.user.profile, expected.profile);
        let hashed = read.password_hash.as_ref().unwrap();
        assert_eq!(hashed.expose(), format!("$hash${}", number + 1));
        let is_opened = read.user.id == opened;
        assert_eq!(read.password_reset_openly_at, is_opened.then(noon));
    }
    assert_eq!(read.len(), 5);
    let ids: Vec<_> = passed.iter().map(|passed| passed.user.id).collect();
    assert_eq!(ids, [all[0].id, all[3].id]);
    assert!(passed.iter().all(|passed| passed.password_hash.is_none()));
    let gone = Window {
        after: Some(all[1].id),
        until: all[1].id,
    };
    let none = list_window(&mut conn, &UserFilter::default(), &[], gone, true).await;
    assert!(none.unwrap().is_empty());
}

#[tokio::test]
async fn every_column_of_the_table_is_exported() {
    let db = TestDatabase::create().await;
    let columns: Vec<String> = sqlx::query_scalar(
        "select column_name::text from information_schema.columns \
         where table_schema = 'public' and table_name = 'users' and is_generated = 'NEVER'",
    )
    .fetch_all(&db.pool)
    .await
    .unwrap();
    let columns: BTreeSet<_> = columns.iter().map(String::as_str).collect();
    let exported: BTreeSet<_> = Column::EXPORTED.map(Column::name).into();
    assert_eq!(
        exported, columns,
        "add what the table has gained to Column::EXPORTED, or say here why it isn't exported"
    );
}

#[tokio::test]
async fn a_user_is_found_by_whatever_he_is_called() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let ada = put(&mut conn, 1).await;
    let mut legacy = user(2);
    (legacy.email, legacy.email_verified_at) = (None, None);
    legacy.legacy_name = Some(LegacyName::parse("Bob the builder").unwrap());
    // Digits that are the number of somebody else.
    legacy.nickname = Nickname::parse("4155550001").unwrap();
    let inserted = users::insert(&mut conn, &legacy, &hash(2), &told()).await;
    assert!(inserted.unwrap());
    for (typed, expected) in [
        (&*ada.id.to_string(), vec![ada.id]),
        ("USER_1", vec![ada.id]),
        ("user1@EXAMPLE.com", vec![ada.id]),
        ("(415) 555-0001", vec![ada.id]),
        ("4155550001", vec![ada.id, legacy.id]),
        ("Bob the builder", vec![legacy.id]),
        ("bob the builder", vec![]),
        ("nobody", vec![]),
        ("", vec![]),
    ] {
        assert_eq!(ids_of(&mut conn, typed).await, expected, "{typed}");
    }
}

async fn ids_of(connection: &mut PgConnection, typed: &str) -> Vec<UserId> {
    let found = users::find_named(connection, typed, &named(typed)).await;
    found.unwrap().iter().map(|user| user.id).collect()
}

#[tokio::test]
async fn nobody_is_taken_for_another_whose_id_or_name_he_has_chosen() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let ada = put(&mut conn, 1).await;
    let mut mimic = user(2);
    mimic.nickname = Nickname::parse(&ada.id.to_string()).unwrap();
    let mut legacy = user(3);
    (legacy.email, legacy.email_verified_at) = (None, None);
    legacy.legacy_name = Some(LegacyName::parse("user_1").unwrap());
    for (number, user) in [(2, &mimic), (3, &legacy)] {
        let inserted = users::insert(&mut conn, user, &hash(number), &told()).await;
        assert!(inserted.unwrap());
    }
    for typed in [ada.id.to_string(), ada.id.0.simple().to_string()] {
        assert_eq!(ids_of(&mut conn, &typed).await, [ada.id], "{typed}");
    }
    assert_eq!(ids_of(&mut conn, "user_1").await, [ada.id]);
    users::delete(&mut conn, ada.id).await.unwrap();
    let nobody = ids_of(&mut conn, &ada.id.to_string()).await;
    assert!(nobody.is_empty(), "an id that is gone is nobody's name");
    assert_eq!(ids_of(&mut conn, "user_1").await, [legacy.id]);
}
