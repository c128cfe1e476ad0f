//! The tables of the FastAPI service, read and set aside.

use std::collections::BTreeSet;

use sqlx::{Connection as _, Executor as _};
use user_management::{
    domain::{nickname::Nickname, role::Role},
    repository::{
        adoption::{
            analyze, find_nameless, find_old_users, forget_old_users, in_the_way, insert,
            is_aside_taken, lock_old_users, next_old_users, open_old_users, rename, set_old_aside,
            take_turn,
        },
        pool::connect_alone,
        schema::{enter_trial, migrate},
        users,
    },
};

use super::{hash, user};
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

#[tokio::test]
async fn users_whose_names_are_taken_are_left_out_and_told() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let (mut same_email, mut same_name) = (user(3), user(4));
    same_email.email = user(1).email;
    same_name.nickname = nickname("USER_2");
    let mut plain = user(5);
    plain.role = Role::Manager;
    let new = [user(1), user(2), same_email, same_name, plain.clone()];
    // Numbers are none of the old service's.
    let new = new.map(|mut user| {
        user.phone_number = None;
        user.profile.middle_name = None;
        user.profile.location = None;
        user.profile.is_name_public = false;
        (user, hash(1))
    });
    let stored = insert(&mut conn, &new).await.unwrap();
    let stored: BTreeSet<_> = stored.into_iter().collect();
    assert_eq!(stored, [user(1).id, user(2).id, plain.id].into());
    let read = users::find(&mut conn, plain.id).await.unwrap().unwrap();
    assert_eq!(read, new[4].0);
    let kept = users::find_password_hash(&mut conn, plain.id)
        .await
        .unwrap();
    assert_eq!(kept.unwrap().expose(), hash(1).expose());
    assert!(insert(&mut conn, &[]).await.unwrap().is_empty());
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
        assert!(users::insert(conn, &new, &hash(number)).await.unwrap());
    }
    analyze(conn).await.unwrap();
    let nameless = find_nameless(conn, "adopted-1-", "adopted-1.")
        .await
        .unwrap();
    let names: Vec<_> = nameless.iter().map(|it| &*it.old_nickname).collect();
    assert_eq!(names, [&*old[1].nickname, &*old[2].nickname]);
    let id = nameless[0].id;
    assert!(!rename(conn, id, &nickname("TAKEN")).await.unwrap());
    assert!(rename(conn, id, &nickname("free")).await.unwrap());
    let nameless = find_nameless(conn, "adopted-1-", "adopted-1.")
        .await
        .unwrap();
    assert_eq!(nameless.len(), 1);
}

#[tokio::test]
async fn tables_of_our_names_are_in_the_way() {
    let db = TestDatabase::create().await;
    load(&db).await;
    let mut conn = connect_alone(&db.connect_options()).await.unwrap();
    conn.execute("create table sessions (id integer)")
        .await
        .unwrap();
    conn.execute("create table orders (id integer)")
        .await
        .unwrap();
    let mut transaction = conn.begin().await.unwrap();
    enter_trial(&mut transaction).await.unwrap();
    migrate(&mut transaction).await.unwrap();
    let tables = in_the_way(&mut transaction).await.unwrap();
    assert_eq!(tables, ["sessions"]);
}
