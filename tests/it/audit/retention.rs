//! The oldest part of the audit log is removed, and the rest still verifies.

use chrono::TimeDelta;
use serde_json::Value;
use user_management::{domain::role::Role, infra::clock::Clock as _};

use super::tampering::tamper;
use crate::support::app::TestApp;

async fn trim(app: &TestApp) -> u64 {
    app.app.services.audit.trim(app.clock.now()).await.unwrap()
}

#[tokio::test]
async fn what_is_older_than_the_setting_goes_and_the_rest_verifies() {
    let app = TestApp::start_with(&[("AUDIT_RETENTION_DAYS", "30")]).await;
    for name in ["ada", "bob"] {
        app.user(Role::Authenticated, &format!("{name}@example.com"))
            .await;
    }
    app.chain().await;
    let early = app.verify().await.head.unwrap();
    app.clock.advance(TimeDelta::days(20));
    app.user(Role::Authenticated, "cyd@example.com").await;
    app.chain().await;
    let late = app.verify().await.head.unwrap();
    assert_eq!(trim(&app).await, 0, "it is young");
    app.clock.advance(TimeDelta::days(11));
    assert_eq!(trim(&app).await, 4);
    assert_eq!(trim(&app).await, 0);
    app.chain().await;
    app.assert_chained().await;
    let verified = app.verify().await;
    assert_eq!(verified.anchor.unwrap().link, early);
    assert_eq!(verified.anchor.unwrap().removed_at, app.clock.now());
    // Two of Cyd, and that the others were removed.
    assert_eq!(verified.entries, 3);
    let told: Value = sqlx::query_scalar(
        "select to_jsonb(a) from audit_log a where action = 'audit_log_trimmed'",
    )
    .fetch_one(&app.database.pool)
    .await
    .unwrap();
    assert_eq!(told["actor_kind"], "system");
    assert_eq!(told["after"]["sequence"], 4);
    // Whoever has noted an end of the chain still finds it, also the one that became its beginning.
    for (noted, is_known) in [(late.hash, true), (early.hash, true), ([7; 32], false)] {
        let verified = app.verify_head(Some(&noted)).await;
        assert_eq!(verified.is_head_known, Some(is_known));
    }
}

#[tokio::test]
async fn a_log_of_which_everything_is_old_goes_on_from_its_anchor() {
    let app = TestApp::start_with(&[("AUDIT_RETENTION_DAYS", "30")]).await;
    app.user(Role::Authenticated, "ada@example.com").await;
    app.chain().await;
    app.clock.advance(TimeDelta::days(40));
    assert_eq!(trim(&app).await, 2);
    let verified = app.verify().await;
    assert!(verified.is_good());
    assert_eq!((verified.entries, verified.waiting), (0, 1));
    assert_eq!(verified.head, verified.anchor.map(|anchor| anchor.link));
    app.user(Role::Authenticated, "bob@example.com").await;
    app.chain().await;
    app.assert_chained().await;
    assert_eq!(app.verify().await.head.unwrap().sequence, 5);
}

#[tokio::test]
async fn a_worker_removes_it_by_itself() {
    let app = TestApp::start_with(&[("AUDIT_RETENTION_DAYS", "30")]).await;
    app.user(Role::Authenticated, "ada@example.com").await;
    app.chain().await;
    app.run_jobs().await;
    app.clock.advance(TimeDelta::days(40));
    app.run_jobs().await;
    assert_eq!(app.count("audit_chain").await, 0);
    assert_eq!(app.count("audit_anchors").await, 1);
}

#[tokio::test]
async fn nothing_is_removed_where_everything_is_kept_or_has_no_place_yet() {
    let app = TestApp::start_with(&[("AUDIT_RETENTION_DAYS", "0")]).await;
    app.user(Role::Authenticated, "ada@example.com").await;
    app.chain().await;
    app.clock.advance(TimeDelta::days(10_000));
    assert_eq!(trim(&app).await, 0);
    let app = TestApp::start_with(&[("AUDIT_RETENTION_DAYS", "1")]).await;
    app.user(Role::Authenticated, "ada@example.com").await;
    app.clock.advance(TimeDelta::days(10));
    assert_eq!(trim(&app).await, 0);
    app.chain().await;
    app.assert_chained().await;
}

#[tokio::test]
async fn a_missing_entry_stays_to_be_found() {
    let app = TestApp::start_with(&[("AUDIT_RETENTION_DAYS", "30")]).await;
    app.user(Role::Authenticated, "ada@example.com").await;
    app.chain().await;
    tamper(&app.database, &["delete from audit_log where id = 2"]).await;
    app.clock.advance(TimeDelta::days(40));
    assert_eq!(trim(&app).await, 1);
    assert!(app.verify().await.finding.is_some());
}
