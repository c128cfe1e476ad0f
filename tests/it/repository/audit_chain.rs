use chrono::TimeDelta;
use sqlx::PgConnection;
use user_management::{
    domain::audit::GENESIS,
    repository::{
        audit_chain::{self, Link, LookedThrough},
        audit_log,
    },
};

use super::{after, noon, told};
use crate::support::database::TestDatabase;

/// Writes this many entries a day apart.
async fn write(conn: &mut PgConnection, count: u32) {
    for number in 0..count {
        let mut entry = told();
        entry.at = after(TimeDelta::days(number.into()));
        audit_log::insert(conn, &entry).await.unwrap();
    }
}

/// Gives the entries that wait their places, and answers the places.
async fn chain(conn: &mut PgConnection) -> Vec<(i64, Link)> {
    let head = audit_chain::find_head(conn).await.unwrap();
    let mut head = head.unwrap_or(Link {
        sequence: 0,
        hash: GENESIS,
    });
    let mut links = Vec::new();
    for waiting in audit_chain::list_pending(conn, 100).await.unwrap() {
        assert!(!waiting.is_chained);
        head = Link {
            sequence: head.sequence + 1,
            hash: waiting.entry.hash(&head.hash),
        };
        links.push((waiting.entry.id, head));
    }
    audit_chain::append(conn, &links).await.unwrap();
    let ids: Vec<i64> = links.iter().map(|(id, _)| *id).collect();
    audit_chain::settle(conn, &ids).await.unwrap();
    links
}

#[tokio::test]
async fn entries_wait_until_they_have_their_places() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    assert!(!audit_chain::is_behind(&mut conn).await.unwrap());
    assert_eq!(audit_chain::find_head(&mut conn).await.unwrap(), None);
    assert_eq!(audit_chain::find_first(&mut conn).await.unwrap(), None);
    write(&mut conn, 3).await;
    assert!(audit_chain::is_behind(&mut conn).await.unwrap());
    let waiting = audit_chain::waiting(&mut conn).await.unwrap();
    assert_eq!((waiting.entries, waiting.oldest), (3, Some(noon())));
    let one = audit_chain::list_pending(&mut conn, 1).await.unwrap();
    assert_eq!(one[0].entry.id, 1);
    let links = chain(&mut conn).await;
    assert!(!audit_chain::is_behind(&mut conn).await.unwrap());
    let waiting = audit_chain::waiting(&mut conn).await.unwrap();
    assert_eq!((waiting.entries, waiting.oldest), (0, None));
    let head = audit_chain::find_head(&mut conn).await.unwrap();
    assert_eq!(head, Some(links[2].1));
    assert_eq!(audit_chain::find_first(&mut conn).await.unwrap(), Some(1));
    let rows = audit_chain::list_chained(&mut conn, 1, 10).await.unwrap();
    let places: Vec<_> = rows.iter().map(|row| row.link).collect();
    assert_eq!(places, [links[1].1, links[2].1]);
    assert_eq!(rows[0].entry.as_ref().map(|entry| entry.id), Some(2));
    let again = audit_chain::append(&mut conn, &links[..1]).await;
    assert!(again.is_err(), "a place is given once");
}

#[tokio::test]
async fn one_at_a_time_gives_places() {
    let db = TestDatabase::create().await;
    let (mut one, mut other) = (
        db.pool.begin().await.unwrap(),
        db.pool.begin().await.unwrap(),
    );
    assert!(audit_chain::try_lock(&mut one).await.unwrap());
    assert!(!audit_chain::try_lock(&mut other).await.unwrap());
    one.rollback().await.unwrap();
    assert!(audit_chain::try_lock(&mut other).await.unwrap());
}

#[tokio::test]
async fn what_has_no_place_and_what_is_lost_is_found() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    write(&mut conn, 3).await;
    let none = LookedThrough {
        last: Some(2),
        stray: None,
    };
    let found = audit_chain::find_stray(&mut conn, 0, 2).await.unwrap();
    assert_eq!(found, none, "they wait");
    let counted = audit_chain::count_entries(&mut conn, 1, 10).await.unwrap();
    assert_eq!((counted.last, counted.entries), (Some(3), 2));
    let counted = audit_chain::count_entries(&mut conn, 3, 10).await.unwrap();
    assert_eq!((counted.last, counted.entries), (None, 0));
    let unchained = audit_chain::count_unchained(&mut conn).await.unwrap();
    assert_eq!(unchained, 3);
    audit_chain::settle(&mut conn, &[3]).await.unwrap();
    let stray = LookedThrough {
        last: Some(3),
        stray: Some(3),
    };
    let found = audit_chain::find_stray(&mut conn, 2, 2).await.unwrap();
    assert_eq!(found, stray);
    let end = audit_chain::find_stray(&mut conn, 3, 2).await.unwrap();
    assert_eq!(end.last, None);
    assert_eq!(audit_chain::find_lost(&mut conn).await.unwrap(), None);
    sqlx::query("insert into audit_pending (entry_id) values (4711)")
        .execute(&mut *conn)
        .await
        .unwrap();
    assert_eq!(audit_chain::find_lost(&mut conn).await.unwrap(), Some(4711));
}

#[tokio::test]
async fn an_anchor_takes_the_place_of_what_is_old() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.begin().await.unwrap();
    write(&mut conn, 4).await;
    let links = chain(&mut conn).await;
    assert_eq!(audit_chain::find_anchor(&mut conn).await.unwrap(), None);
    let before = after(TimeDelta::days(2));
    let find = async |conn: &mut PgConnection, before, limit| {
        let found = audit_chain::find_removable(conn, before, limit).await;
        found.unwrap().map(|link| link.sequence)
    };
    assert_eq!(find(&mut conn, noon(), 10).await, None);
    assert_eq!(find(&mut conn, before, 1).await, Some(1));
    assert_eq!(find(&mut conn, before, 10).await, Some(2));
    let later = after(TimeDelta::days(9));
    assert_eq!(find(&mut conn, later, 10).await, Some(4));
    let (_, second) = links[1];
    let removed = audit_chain::remove_up_to(&mut conn, second, later).await;
    assert_eq!(removed.unwrap(), 2);
    let anchor = audit_chain::find_anchor(&mut conn).await.unwrap().unwrap();
    assert_eq!((anchor.link, anchor.removed_at), (second, later));
    let is_anchored = async |conn: &mut PgConnection, hash: [u8; 32]| {
        audit_chain::is_anchored(conn, &hash).await.unwrap()
    };
    assert!(is_anchored(&mut conn, second.hash).await);
    let told = audit_chain::is_told_of(&mut conn, 2, "abc").await;
    assert!(!told.unwrap());
    sqlx::query(
        "insert into audit_log (at, actor_kind, action, after, outcome) values (now(), 'system', \
         'audit_log_trimmed', '{\"sequence\": 2, \"hash\": \"abc\"}', 'success')",
    )
    .execute(&mut *conn)
    .await
    .unwrap();
    assert!(audit_chain::is_told_of(&mut conn, 2, "abc").await.unwrap());
    let other = audit_chain::is_told_of(&mut conn, 2, "abd").await;
    assert!(!other.unwrap());
    assert!(!is_anchored(&mut conn, links[0].1.hash).await);
    assert_eq!(audit_chain::find_first(&mut conn).await.unwrap(), Some(3));
    // With nothing left it goes on from the anchor.
    let (_, last) = links[3];
    let removed = audit_chain::remove_up_to(&mut conn, last, later).await;
    assert_eq!(removed.unwrap(), 2);
    assert_eq!(audit_chain::find_head(&mut conn).await.unwrap(), Some(last));
}
