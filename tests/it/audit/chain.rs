//! The chain of hashes grows behind the writers.

use chrono::TimeDelta;
use sqlx::Row as _;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use user_management::{domain::role::Role, repository::audit_chain};

use crate::support::{app::TestApp, eventually::wait_until};

/// Writes an entry in a transaction of its own, which is left open.
async fn write_open(app: &TestApp) -> sqlx::Transaction<'static, sqlx::Postgres> {
    let mut transaction = app.database.pool.begin().await.unwrap();
    sqlx::query(
        "with entry as ( \
           insert into audit_log (at, actor_kind, action, outcome) \
           values ('2026-01-02T03:04:05Z', 'system', 'users_listed', 'success') returning id \
         ) \
         insert into audit_pending (entry_id) select id from entry",
    )
    .execute(&mut *transaction)
    .await
    .unwrap();
    transaction
}

#[tokio::test]
async fn an_entry_that_is_committed_late_gets_its_place_after_those_that_came_later() {
    let app = TestApp::start().await;
    let early = write_open(&app).await;
    app.user(Role::Authenticated, "ada@example.com").await;
    app.chain().await;
    app.assert_chained().await;
    early.commit().await.unwrap();
    assert_eq!(app.verify().await.waiting, 1);
    app.chain().await;
    app.assert_chained().await;
    let order = sqlx::query("select sequence, entry_id from audit_chain order by sequence")
        .fetch_all(&app.database.pool)
        .await
        .unwrap();
    let ids: Vec<i64> = order.iter().map(|row| row.get("entry_id")).collect();
    assert!(ids.len() > 2 && ids.last() == ids.iter().min(), "{ids:?}");
    let places: Vec<i64> = order.iter().map(|row| row.get("sequence")).collect();
    let expected: Vec<i64> = (1..=places.len().try_into().unwrap()).collect();
    assert_eq!(places, expected);
}

#[tokio::test]
async fn what_is_rolled_back_leaves_a_gap_in_ids_and_none_in_the_chain() {
    let app = TestApp::start().await;
    app.user(Role::Authenticated, "ada@example.com").await;
    write_open(&app).await.rollback().await.unwrap();
    app.user(Role::Authenticated, "bob@example.com").await;
    app.chain().await;
    app.assert_chained().await;
}

#[tokio::test]
async fn a_process_gives_entries_their_places_by_itself_and_what_is_left_at_its_stop() {
    let app = TestApp::start().await;
    // Those of a process that died.
    app.user(Role::Authenticated, "before@example.com").await;
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    app.app.start_chaining(&tasks, &stop);
    let is_done = async || app.count("audit_pending").await == 0;
    wait_until("those of before have their places", is_done).await;
    app.user(Role::Authenticated, "ada@example.com").await;
    wait_until("those since have their places", is_done).await;
    app.user(Role::Authenticated, "last@example.com").await;
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    app.assert_chained().await;
}

#[tokio::test]
async fn while_somebody_else_writes_the_chain_nothing_is_done_and_nobody_waits() {
    let app = TestApp::start().await;
    app.user(Role::Authenticated, "ada@example.com").await;
    let mut other = app.database.pool.begin().await.unwrap();
    assert!(audit_chain::try_lock(&mut other).await.unwrap());
    assert!(!app.app.services.audit.extend_chain().await.unwrap());
    app.user(Role::Authenticated, "bob@example.com").await;
    other.rollback().await.unwrap();
    app.chain().await;
    app.assert_chained().await;
}

#[tokio::test]
async fn an_entry_that_waits_again_keeps_its_place() {
    let app = TestApp::start().await;
    app.user(Role::Authenticated, "ada@example.com").await;
    app.chain().await;
    let again = "insert into audit_pending (entry_id) select min(id) from audit_log";
    sqlx::query(again)
        .execute(&app.database.pool)
        .await
        .unwrap();
    app.user(Role::Authenticated, "bob@example.com").await;
    app.chain().await;
    app.assert_chained().await;
}

#[tokio::test]
async fn clocks_that_differ_leave_the_chain_whole() {
    let app = TestApp::start().await;
    app.user(Role::Authenticated, "ada@example.com").await;
    app.clock.advance(-TimeDelta::hours(3));
    app.user(Role::Authenticated, "bob@example.com").await;
    app.chain().await;
    app.assert_chained().await;
}

#[tokio::test]
async fn more_entries_than_go_at_once_get_their_places() {
    let app = TestApp::start().await;
    sqlx::query(
        "with entry as ( \
           insert into audit_log (at, actor_kind, action, outcome) \
           select now(), 'system', 'users_listed', 'success' from generate_series(1, 5500) returning id \
         ) \
         insert into audit_pending (entry_id) select id from entry",
    )
    .execute(&app.database.pool)
    .await
    .unwrap();
    app.chain().await;
    app.assert_chained().await;
    assert_eq!(app.verify().await.entries, 5500);
}
