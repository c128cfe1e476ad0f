//! The tables of the FastAPI service, read and set aside.

use std::collections::BTreeSet;

use sqlx::{Connection as _, Executor as _};
use user_management::{
    domain::{legacy_name::LegacyName, nickname::Nickname, role::Role},
    repository::{
        adoption::{
            NewUser, analyze, find_nameless, find_old_users, forget_old_users, insert,
            is_aside_taken, lock_old_users, next_old_users, open_old_users, rename, set_old_aside,
            take_turn, taken_names,
        },
        pool::connect_alone,
        schema::{enter_trial, migrate},
        users,
    },
};

use super::{hash, told, user};
use crate::support::{database::TestDatabase, fastapi::load};

fn nickname(name: &str) -> Nickname {
    Nickname::parse(name).unwrap()
}

#[tokio::test]
async fn old_users_are_read_in_the_order_of_their_claims() {
    let db = TestDatabase::create().await;
    load(&db).await;
    for change in [
        "update users set email_verified = false where role = 'ADMIN'",
        "update users set last_login_at = '2025-01-01' where nickname = 'sly_fox_3'",
        "update users set created_at = '2020-01-01' where nickname = 'brave_panda_9'",
        "update users set created_at = 'infinity', updated_at = '-infinity', is_locked = null, \
         failed_login_attempts = null where nickname = 'brave_panda_8'",
    ] {
        db.pool.execute(change).await.unwrap();
    }
    let mut conn = connect_alone(&db.connect_options()).await.unwrap();
    let mut transaction = conn.begin().await.unwrap();
    let conn = &mut *transaction;
    take_turn(conn).await.unwrap();
    lock_old_users(conn).await.unwrap();
    assert!(!is_aside_taken(conn).await.unwrap());
    find_old_users(conn).await.unwrap();
    set_old_aside(conn).await.unwrap();
    assert!(is_aside_taken(conn).await.unwrap());
    migrate(conn).await.unwrap();
    open_old_users(conn).await.unwrap();
    let old = next_old_users(conn).await.unwrap();
    assert!(next_old_users(conn).await.unwrap().is_empty());
    assert_eq!(old.len(), 43);
    let order: Vec<_> = old.iter().map(|old| &*old.nickname).collect();
    // A manager, the one who logged in, the oldest, …, those of no time that a calendar has, and the
    // unverified: the administrator before the others.
    assert_eq!(order[..3], ["jolly_fox_22", "sly_fox_3", "brave_panda_9"]);
    assert_eq!(order[41..], ["clever_lion_1", "sly_raccoon_9"]);
    let timeless: BTreeSet<_> = order[39..41].iter().copied().collect();
    assert_eq!(timeless, ["brave_panda_8", "gentle_fox_58"].into());
    let odd = old.iter().find(|old| old.nickname == "brave_panda_8");
    let odd = odd.unwrap();
    assert_eq!((odd.created_at, odd.updated_at), (None, None));
    assert_eq!((odd.is_locked, odd.failed_login_attempts), (false, 0));
    forget_old_users(conn).await.unwrap();
}

/// As the old service's users are.
fn plain(number: u32) -> NewUser {
    let mut user = user(number);
    user.phone_number = None;
    user.profile.middle_name = None;
    user.profile.location = None;
    user.profile.locale = None;
    user.profile.is_name_public = false;
    (user, hash(number))
}

#[tokio::test]
async fn users_are_stored_at_once_or_not_at_all() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let mut third = plain(3);
    third.0.role = Role::Manager;
    third.0.email = None;
    third.0.email_verified_at = None;
    third.0.legacy_name = Some(LegacyName::parse("bob").unwrap());
    third.0.locked_at = Some(third.0.created_at);
    let new = [plain(1), plain(2), third];
    insert(&mut conn, &new).await.unwrap();
    insert(&mut conn, &[]).await.unwrap();
    for (number, (new, _)) in (1..).zip(&new) {
        let read = users::find(&mut conn, new.id).await.unwrap().unwrap();
        assert_eq!(&read, new);
        let kept = users::find_password_hash(&mut conn, new.id).await.unwrap();
        assert_eq!(kept.unwrap().expose(), hash(number).expose());
    }
    assert!(insert(&mut conn, &[plain(4), plain(1)]).await.is_err());
    assert_eq!(users::count(&mut conn).await.unwrap(), 3);

    let mut wanted = [plain(1), plain(7), plain(8)];
    wanted[0].0.nickname = nickname("USER_2");
    wanted[1].0.legacy_name = Some(LegacyName::parse("bob").unwrap());
    let taken = taken_names(&mut conn, &wanted).await.unwrap();
    let email = "user1@example.com".to_owned();
    assert_eq!(taken.emails, [(email, user(1).id)].into());
    assert_eq!(taken.nicknames, ["user_2".to_owned()].into());
    assert_eq!(taken.legacy_names, ["bob".to_owned()].into());
}

#[tokio::test]
async fn a_nickname_is_given_unless_somebody_has_it() {
    let db = TestDatabase::create().await;
    load(&db).await;
    let mut conn = connect_alone(&db.connect_options()).await.unwrap();
    let mut transaction = conn.begin().await.unwrap();
    let conn = &mut *transaction;
    find_old_users(conn).await.unwrap();
    enter_trial(conn).await.unwrap();
    migrate(conn).await.unwrap();
    open_old_users(conn).await.unwrap();
    let old = next_old_users(conn).await.unwrap();
    for (number, name) in [
        (1, "adopted-1-a"),
        (2, "adopted-1-b"),
        (3, "taken"),
        (4, "adopted-2-a"),
    ] {
        let mut new = user(number);
        new.id = old[usize::try_from(number).unwrap()].id;
        new.nickname = nickname(name);
        assert!(
            users::insert(conn, &new, &hash(number), &told())
                .await
                .unwrap()
        );
    }
    analyze(conn).await.unwrap();
    let nameless = find_nameless(conn, "adopted-1-", "adopted-1.")
        .await
        .unwrap();
    let names: Vec<_> = nameless.iter().map(|it| &*it.old_nickname).collect();
    assert_eq!(names, [&*old[1].nickname, &*old[2].nickname]);
    let after = &nameless[0].placeholder;
    let rest = find_nameless(conn, after, "adopted-1.").await.unwrap();
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0].id, nameless[1].id);
    let id = nameless[0].id;
    assert!(!rename(conn, id, &nickname("TAKEN")).await.unwrap());
    assert!(rename(conn, id, &nickname("free")).await.unwrap());
    let nameless = find_nameless(conn, "adopted-1-", "adopted-1.")
        .await
        .unwrap();
    assert_eq!(nameless.len(), 1);
}
