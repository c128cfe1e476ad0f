//! What became of roles.

use user_management::{
    domain::{
        page::Page,
        role::Role,
        role_change::{NewRoleChange, Reason},
    },
    repository::{role_changes, users},
};

use super::{noon, put, user};
use crate::support::database::TestDatabase;

fn change(from: Role, to: Role, by: Option<u32>) -> NewRoleChange {
    NewRoleChange {
        user_id: user(1).id,
        from,
        to,
        reason: by.map(|by| Reason::parse(&format!("By {by}\nof them")).unwrap()),
        changed_by: by.map(|by| user(by).id),
        changed_at: noon(),
    }
}

#[tokio::test]
async fn changes_of_a_role_are_kept_in_their_order_until_the_user_goes() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    put(&mut conn, 1).await;
    put(&mut conn, 2).await;
    let all = Page { skip: 0, limit: 10 };
    let none = role_changes::list(&mut conn, user(1).id, all)
        .await
        .unwrap();
    assert_eq!((none.items.len(), none.total), (0, 0));
    let made = [
        change(Role::Authenticated, Role::Manager, Some(2)),
        change(Role::Manager, Role::Admin, Some(3)),
        change(Role::Admin, Role::Anonymous, None),
    ];
    let mut ids = Vec::new();
    for change in &made {
        ids.push(role_changes::insert(&mut conn, change).await.unwrap());
    }
    assert!(ids.is_sorted());
    let listed = role_changes::list(&mut conn, user(1).id, all)
        .await
        .unwrap();
    let found: Vec<_> = listed.items.iter().map(|item| &item.change).collect();
    assert_eq!(found, [&made[2], &made[1], &made[0]]);
    let names: Vec<_> = listed
        .items
        .iter()
        .map(|item| item.changed_by_nickname.as_deref())
        .collect();
    assert_eq!(names, [None, None, Some("user_2")]);
    let page = Page { skip: 1, limit: 1 };
    let listed = role_changes::list(&mut conn, user(1).id, page)
        .await
        .unwrap();
    assert_eq!((listed.items[0].id, listed.total), (ids[1], 3));
    let beyond = Page { skip: 3, limit: 1 };
    let listed = role_changes::list(&mut conn, user(1).id, beyond)
        .await
        .unwrap();
    assert_eq!((listed.items.len(), listed.total), (0, 3));
    let others = role_changes::list(&mut conn, user(2).id, all)
        .await
        .unwrap();
    assert_eq!(others.total, 0);

    // Who made a change may go.
    assert!(users::delete(&mut conn, user(2).id).await.unwrap());
    let first = role_changes::find(&mut conn, ids[0])
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (first.change, first.changed_by_nickname),
        (made[0].clone(), None)
    );
    assert!(users::delete(&mut conn, user(1).id).await.unwrap());
    let gone = role_changes::find(&mut conn, ids[0]).await.unwrap();
    assert_eq!(gone, None);
}
