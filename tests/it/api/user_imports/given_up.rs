//! Imports that don't come to their end.

use serde_json::{Value, json};
use user_management::{
    domain::{id::RequestId, role::Role},
    infra::clock::Clock as _,
    services::Ctx,
};
use uuid::Uuid;

use super::import;
use crate::support::app::TestApp;

#[tokio::test]
async fn an_upload_that_stands_still_is_cleared_away() {
    let app = TestApp::start().await;
    let ctx = Ctx::operator(RequestId(Uuid::nil()), app.clock.now());
    let imports = &app.app.services.user_imports;
    let mut upload = imports.begin_upload(&ctx).await.unwrap();
    let piece = vec![b'x'; 100_000];
    imports.add_to_upload(&mut upload, &piece).await.unwrap();
    assert_eq!(app.count("user_import_chunks").await, 1);
    app.clock.advance(chrono::TimeDelta::hours(2));
    let maintenance = &app.app.services.maintenance;
    maintenance.sweep(app.clock.now()).await.unwrap();
    assert_eq!(app.count("user_imports").await, 0);
    assert_eq!(app.count("user_import_chunks").await, 0);
}

#[tokio::test]
async fn an_upload_that_no_job_goes_on_with_is_ended_and_told() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let begun = import(&app, &admin, &[("file", "email\nada@example.com\n")]).await;
    let begun = begun.expect(202);
    sqlx::query("update jobs set dead_at = now() where kind = 'import_users'")
        .execute(&app.database.pool)
        .await
        .unwrap();
    let maintenance = &app.app.services.maintenance;
    maintenance.sweep(app.clock.now()).await.unwrap();
    let path = format!("/users/imports/{}", begun.text("id"));
    let failed = app.get(&path).by(&admin).send().await.expect(200).json();
    assert_eq!(failed["state"], "failed");
    let told: Vec<Value> =
        sqlx::query_scalar("select to_jsonb(a) from audit_log a where action = 'import_given_up'")
            .fetch_all(&app.database.pool)
            .await
            .unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["actor_kind"], "system");
    assert_eq!(told[0]["after"]["import_id"], json!(begun.text("id")));
    assert_eq!(told[0]["after"]["failure"], failed["failure"]);
}

#[tokio::test]
async fn whoever_may_not_import_any_more_imports_nothing() {
    let app = TestApp::start().await;
    let (root, admin) = (
        app.admin().await,
        app.user(Role::Admin, "second@example.com").await,
    );
    let begun = import(&app, &admin, &[("file", "email\nada@example.com\n")]).await;
    let begun = begun.expect(202);
    let id = begun.text("id");
    app.change(&root, admin.id, &json!({"role": "MANAGER"}))
        .await
        .expect(200);
    app.deliver_mail().await;
    let path = format!("/users/imports/{id}");
    let failed = app.get(&path).by(&root).send().await.expect(200).json();
    assert_eq!(failed["state"], "failed");
    assert_eq!(
        failed["failure"],
        "whoever asked for it may not import users any more"
    );
    let told = app.audited(&begun).await;
    let ended = told.last().unwrap();
    assert_eq!(ended["action"], "import_given_up");
    assert_eq!(ended["outcome"], "refused");
    assert_eq!(ended["actor_id"], json!(admin.id));
    assert_eq!(ended["after"]["import_id"], json!(id));
    assert_eq!(ended["after"]["failure"], failed["failure"]);
    assert_eq!(app.count("users").await, 2);
    assert_eq!(app.count("user_import_chunks").await, 0);
}
