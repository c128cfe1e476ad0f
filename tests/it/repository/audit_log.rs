use std::net::IpAddr;

use chrono::TimeDelta;
use serde_json::json;
use user_management::{
    domain::{
        audit::{Action, ActorKind, AuditEntry, AuditFilter, NewEntry, Outcome, Position, Subject},
        id::RequestId,
    },
    repository::audit_log,
};
use uuid::Uuid;

use super::{after, noon, told, user};
use crate::support::database::TestDatabase;

/// An entry that has everything, of the user of this number about the next one.
fn full(number: u32) -> NewEntry {
    let object = |value: serde_json::Value| value.as_object().cloned();
    NewEntry {
        at: after(TimeDelta::seconds(number.into())),
        actor_kind: ActorKind::User,
        actor_id: Some(user(number).id),
        actor_name: None,
        action: Action::UserLocked,
        subject: Some(Subject::User(user(number + 1).id)),
        request_id: RequestId(Uuid::from_u128(number.into())),
        client_address: Some(IpAddr::from([192, 0, 2, 1])),
        device: Some("a \"browser\"".to_owned()),
        before: object(json!({"locked_at": null})),
        after: object(json!({"b": 1, "a": "ü\n"})),
        outcome: Outcome::Success,
    }
}

#[tokio::test]
async fn an_entry_comes_back_as_it_was_written_and_waits_for_its_place() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let id = audit_log::insert(&mut conn, &full(1)).await.unwrap();
    let second = audit_log::insert(&mut conn, &told()).await.unwrap();
    assert!(second > id);
    let filter = AuditFilter::default();
    let found = audit_log::list(&mut conn, &filter, None, 10).await.unwrap();
    let full = AuditEntry {
        id,
        at: after(TimeDelta::seconds(1)),
        actor_kind: "user".to_owned(),
        actor_id: Some(user(1).id.0),
        actor_name: None,
        on_behalf_of: None,
        action: "user_locked".to_owned(),
        subject_kind: Some("user".to_owned()),
        subject_id: Some(user(2).id.to_string()),
        request_id: Some(Uuid::from_u128(1)),
        client_address: Some("192.0.2.1".to_owned()),
        device: Some("a \"browser\"".to_owned()),
        before: Some(r#"{"locked_at": null}"#.to_owned()),
        after: Some(r#"{"a": "ü\n", "b": 1}"#.to_owned()),
        outcome: "success".to_owned(),
    };
    assert_eq!(found[0], full);
    assert_eq!((found[1].id, found[1].at), (second, noon()));
    let waiting: i64 = sqlx::query_scalar("select count(*) from audit_pending")
        .fetch_one(&mut *conn)
        .await
        .unwrap();
    assert_eq!(waiting, 2);
}

#[tokio::test]
async fn each_filter_finds_its_entries_and_pages_go_on_where_they_ended() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    for number in 1..=4 {
        let mut entry = full(number);
        if number == 3 {
            entry.action = Action::UserUnlocked;
            entry.outcome = Outcome::Refused;
            entry.client_address = Some("2001:db8::1".parse().unwrap());
        }
        audit_log::insert(&mut conn, &entry).await.unwrap();
    }
    let mut ids = async |filter: AuditFilter, after, limit| -> Vec<i64> {
        let found = audit_log::list(&mut conn, &filter, after, limit).await;
        found.unwrap().iter().map(|entry| entry.id).collect()
    };
    for (name, text, expected) in [
        ("actor", user(2).id.to_string(), vec![2]),
        ("subject", user(2).id.to_string(), vec![1]),
        ("action", "user_unlocked".to_owned(), vec![3]),
        ("outcome", "refused".to_owned(), vec![3]),
        ("outcome", "success".to_owned(), vec![4, 2, 1]),
        ("request_id", Uuid::from_u128(4).to_string(), vec![4]),
        ("client_address", "2001:DB8::1".to_owned(), vec![3]),
        ("from", "2026-11-21T12:00:03Z".to_owned(), vec![4, 3]),
        ("to", "2026-11-21T12:00:03Z".to_owned(), vec![2, 1]),
    ] {
        let mut filter = AuditFilter::default();
        filter.set(name, &text).unwrap();
        assert_eq!(ids(filter, None, 10).await, expected, "{name}={text}");
    }
    let all = AuditFilter::default;
    assert_eq!(ids(all(), None, 2).await, [4, 3]);
    let third = Position {
        at: after(TimeDelta::seconds(3)),
        id: 3,
    };
    assert_eq!(ids(all(), Some(third), 10).await, [2, 1]);
}

#[tokio::test]
async fn the_entries_of_a_user_are_those_by_him_and_about_him() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    for number in 1..=4 {
        audit_log::insert(&mut conn, &full(number)).await.unwrap();
    }
    let mut own = full(3);
    own.subject = Some(Subject::User(user(3).id));
    audit_log::insert(&mut conn, &own).await.unwrap();
    let mut ids = async |after, limit| -> Vec<i64> {
        let found = audit_log::list_of(&mut conn, user(3).id, after, limit).await;
        found.unwrap().iter().map(|entry| entry.id).collect()
    };
    assert_eq!(ids(None, 10).await, [5, 3, 2]);
    assert_eq!(ids(None, 1).await, [5]);
    let last = Position {
        at: after(TimeDelta::seconds(3)),
        id: 5,
    };
    assert_eq!(ids(Some(last), 10).await, [3, 2]);
}

/// Each filter by its index, also where few of many rows fit.
#[tokio::test]
async fn filters_are_answered_by_indexes() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    sqlx::query(
        "insert into audit_log (at, actor_kind, actor_id, action, subject_kind, subject_id, request_id, \
           client_address, outcome) \
         select now() - n * interval '1 minute', 'user', gen_random_uuid(), 'session_opened', 'user', \
           gen_random_uuid()::text, gen_random_uuid(), '192.0.2.' || n % 250, 'success' \
         from generate_series(1, 20000) n",
    )
    .execute(&mut *conn)
    .await
    .unwrap();
    sqlx::query("analyze audit_log")
        .execute(&mut *conn)
        .await
        .unwrap();
    for (filter, index) in [
        ("actor_id = gen_random_uuid()", "actor_id"),
        ("subject_id = 'x'", "subject_id"),
        ("action = 'user_locked'", "action"),
        ("outcome = 'refused'", "outcome"),
        (
            "request_id = '00000000-0000-0000-0000-000000000001'",
            "request_id",
        ),
        ("client_address = '203.0.113.7'", "client_address"),
        ("at < now() - interval '13 days'", "at"),
    ] {
        let filter = filter.replace(
            "gen_random_uuid()",
            "'00000000-0000-0000-0000-000000000001'",
        );
        let query = format!(
            "explain select id from audit_log where {filter} order by at desc, id desc limit 50"
        );
        let plan: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
            .fetch_all(&mut *conn)
            .await
            .unwrap();
        let plan = plan.join("\n");
        assert!(plan.contains(&format!("audit_log_{index}_idx")), "{plan}");
    }
}
