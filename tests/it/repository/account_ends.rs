//! New passwords, and rows of users that go.

use chrono::TimeDelta;
use sqlx::{Connection as _, PgConnection};
use user_management::{
    domain::{role::Role, user::User},
    repository::users::{
        self, delete_unproven, erase_due, put_open_reset, set_password_hash, take_open_reset,
    },
};

use super::{after, hash, noon, put, told, user};
use crate::support::database::TestDatabase;

#[tokio::test]
async fn a_new_password_hash_is_stored_and_nothing_else() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let stored = put(&mut conn, 1).await;
    put(&mut conn, 2).await;
    let set = async |conn: &mut PgConnection, number| {
        set_password_hash(conn, user(number).id, &hash(9))
            .await
            .unwrap()
    };
    assert!(set(&mut conn, 1).await);
    assert!(!set(&mut conn, 3).await, "nobody");
    for (number, now) in [(1, 9), (2, 2)] {
        let found = users::find_password_hash(&mut conn, user(number).id).await;
        assert_eq!(found.unwrap().unwrap().expose(), hash(now).expose());
    }
    let now = users::find(&mut conn, stored.id).await.unwrap();
    assert_eq!(now, Some(stored));
}

#[tokio::test]
async fn a_password_that_somebody_else_set_is_remembered_until_it_is_taken_back_once() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    put(&mut conn, 1).await;
    let id = user(1).id;
    assert!(!take_open_reset(&mut conn, id).await.unwrap());
    put_open_reset(&mut conn, id, noon()).await.unwrap();
    assert!(take_open_reset(&mut conn, id).await.unwrap());
    assert!(!take_open_reset(&mut conn, id).await.unwrap());
}

#[tokio::test]
async fn accounts_are_erased_when_their_time_has_come_a_batch_at_a_time() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    for (number, hours) in [(1, Some(3)), (2, Some(2)), (3, Some(1)), (4, None)] {
        let mut user = put(&mut conn, number).await;
        user.deletion_due_at = hours.map(|hours| after(TimeDelta::hours(hours)));
        users::update(&mut conn, &mut user).await.unwrap();
    }
    let erase = async |conn: &mut PgConnection, at, limit| -> Vec<u128> {
        let erased = erase_due(conn, at, limit).await.unwrap();
        erased.into_iter().map(|id| id.0.as_u128()).collect()
    };
    let due = after(TimeDelta::hours(1));
    let early = due - TimeDelta::microseconds(1);
    assert_eq!(erase(&mut conn, early, 9).await, [0; 0]);
    assert_eq!(erase(&mut conn, due, 9).await, [3]);
    // Somebody is restoring the second.
    let mut other = PgConnection::connect_with(&db.connect_options())
        .await
        .unwrap();
    let mut transaction = other.begin().await.unwrap();
    users::find_for_update(&mut transaction, user(2).id)
        .await
        .unwrap();
    let all_due = after(TimeDelta::hours(3));
    assert_eq!(erase(&mut conn, all_due, 1).await, [1]);
    assert_eq!(erase(&mut conn, all_due, 9).await, [0; 0]);
    transaction.rollback().await.unwrap();
    assert_eq!(erase(&mut conn, all_due, 9).await, [2]);
    assert_eq!(users::count(&mut conn).await.unwrap(), 1);
}

#[tokio::test]
async fn only_an_account_whose_address_nobody_proved_makes_way() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let mut unproven = user(1);
    unproven.email_verified_at = None;
    unproven.phone_number = None;
    unproven.role = Role::Anonymous;
    for (number, used) in [
        (
            2,
            &(|user: &mut User| user.email_verified_at = Some(noon())) as &dyn Fn(&mut User),
        ),
        // Its owner may restore it.
        (3, &|user| {
            user.email_verified_at = Some(noon());
            user.deletion_due_at = Some(noon());
        }),
        (5, &|user| user.role = Role::Manager),
    ] {
        let mut user = user(number);
        user.email_verified_at = None;
        user.phone_number = None;
        user.role = Role::Anonymous;
        used(&mut user);
        users::insert(&mut conn, &user, &hash(number), &told())
            .await
            .unwrap();
        let address = user.email.unwrap().normalized();
        assert!(
            delete_unproven(&mut conn, &address, unproven.id)
                .await
                .unwrap()
                .is_none(),
            "{number}"
        );
    }
    // A number and a login by an older API keep it no more than nothing.
    unproven.last_login_at = Some(noon());
    unproven.phone_number = super::user(1).phone_number;
    users::insert(&mut conn, &unproven, &hash(1), &told())
        .await
        .unwrap();
    let address = unproven.email.unwrap().normalized();
    let mut delete = async |but| delete_unproven(&mut conn, &address, but).await.unwrap();
    assert_eq!(delete(unproven.id).await, None, "the account itself");
    assert_eq!(delete(user(9).id).await, Some(unproven.id));
    assert_eq!(delete(user(9).id).await, None);
    assert_eq!(users::count(&mut conn).await.unwrap(), 3);
}
