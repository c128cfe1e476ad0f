//! Messages for others.

use chrono::TimeDelta;
use sqlx::{PgConnection, PgPool};
use user_management::{
    domain::{
        outbox::OutboxMessage,
        role::Role,
        role_change::{NewRoleChange, RoleChangeId},
    },
    repository::outbox,
};
use uuid::Uuid;

use super::{after, noon, user};
use crate::support::database::TestDatabase;

async fn leave(conn: &mut PgConnection, number: u32) -> Uuid {
    let change = NewRoleChange {
        user_id: user(number).id,
        from: Role::Authenticated,
        to: Role::Manager,
        reason: None,
        changed_by: None,
        changed_at: noon(),
    };
    let id = Uuid::from_u128(number.into());
    let message = OutboxMessage::role_changed(id, RoleChangeId(number.into()), &change);
    outbox::insert(conn, &message).await.unwrap();
    id
}

async fn left(pool: &PgPool) -> Vec<Uuid> {
    sqlx::query_scalar("select id from outbox_messages order by id")
        .fetch_all(pool)
        .await
        .unwrap()
}

/// What the README tells consumers to run.
fn documented() -> [&'static str; 2] {
    let readme = include_str!("../../../README.md");
    let take = readme.find("select id, topic, key, payload").unwrap();
    let done = readme.find("update outbox_messages set").unwrap();
    [take, done].map(|at| readme[at..].split(';').next().unwrap())
}

#[tokio::test]
async fn consumers_take_each_message_once_and_in_nobodys_way() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let mut ids = Vec::new();
    for number in 1..=150 {
        ids.push(leave(&mut conn, number).await);
    }
    let [take, done] = documented();
    let mut seen = Vec::new();
    let mut consumers = Vec::new();
    for expected in [100, 50, 0] {
        let mut consumer = db.pool.begin().await.unwrap();
        let taken: Vec<(Uuid, String, Uuid)> = sqlx::query_as(sqlx::AssertSqlSafe(take))
            .fetch_all(&mut *consumer)
            .await
            .unwrap();
        assert_eq!(taken.len(), expected);
        let taken: Vec<_> = taken.into_iter().map(|(id, ..)| id).collect();
        sqlx::query(sqlx::AssertSqlSafe(done))
            .bind(&taken)
            .execute(&mut *consumer)
            .await
            .unwrap();
        seen.extend(taken);
        consumers.push(consumer);
    }
    assert_eq!(seen, ids);
    // One who fails leaves his for the next.
    consumers.remove(0).rollback().await.unwrap();
    let mut consumer = db.pool.begin().await.unwrap();
    let again: Vec<(Uuid, String, Uuid)> = sqlx::query_as(sqlx::AssertSqlSafe(take))
        .fetch_all(&mut *consumer)
        .await
        .unwrap();
    assert_eq!(again.len(), 100);
}

#[tokio::test]
async fn only_what_was_consumed_long_ago_is_swept() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    for number in 1..=4 {
        leave(&mut conn, number).await;
    }
    for (number, at) in [(1, noon()), (2, noon()), (3, after(TimeDelta::seconds(1)))] {
        sqlx::query("update outbox_messages set published_at = $2 where id = $1")
            .bind(Uuid::from_u128(number))
            .bind(at)
            .execute(&mut *conn)
            .await
            .unwrap();
    }
    assert_eq!(outbox::sweep(&mut conn, noon(), 1).await.unwrap(), 1);
    assert_eq!(outbox::sweep(&mut conn, noon(), 10).await.unwrap(), 1);
    assert_eq!(outbox::sweep(&mut conn, noon(), 10).await.unwrap(), 0);
    assert_eq!(left(&db.pool).await, [3, 4].map(Uuid::from_u128));
}
