//! `DELETE /me`, `/restore-account/…` and `POST /users/{user_id}/restore`

use chrono::TimeDelta;
use serde_json::json;
use user_management::{domain::role::Role, infra::clock::Clock as _};

use crate::support::{
    accounts::BROWSER,
    app::{TestApp, TestUser},
    request::link_in,
};

const INVALID: &str = "invalid_restore_token";

/// Closes an account, and gives the path of the link that restores it.
async fn closed(app: &TestApp, user: &TestUser) -> String {
    app.close(user).await.expect(202);
    link_in(&app.mail_to(&user.email).await)
}

#[tokio::test]
async fn an_account_that_is_deleted_is_closed_at_once_and_erased_after_its_grace() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    let other = app.log_in("ada@example.com").await.expect(200);
    let closed = app.close(&user).await.expect(202);
    assert_eq!(
        closed.json(),
        json!({"message": "Your account will be erased", "deletion_due_at": "2026-01-16T03:04:05.000000Z"})
    );
    for token in [user.token, other.text("access_token")] {
        assert!(!app.is_logged_in(&token).await);
    }
    app.log_in("ada@example.com")
        .await
        .expect_problem(401, "invalid_credentials");
    let mail = app.mail_to("ada@example.com").await;
    assert!(mail.contains("16 January 2026"), "{mail}");
    let shown = app.read(&admin, user.id).await.expect(200).json();
    assert_eq!(shown["deletion_due_at"], "2026-01-16T03:04:05.000000Z");

    let maintenance = &app.app.services.maintenance;
    app.clock
        .advance(TimeDelta::days(14) - TimeDelta::microseconds(1));
    maintenance.sweep(app.clock.now()).await.unwrap();
    assert_eq!(app.count("users").await, 2);
    app.clock.advance(TimeDelta::microseconds(1));
    // A worker does so by itself.
    app.run_jobs().await;
    assert_eq!(app.count("users").await, 1);
    let link = link_in(&mail);
    app.get(&link).send().await.expect_problem(400, INVALID);
    app.register("ada@example.com").await.expect(200);
    app.deliver_mail().await;
}

#[tokio::test]
async fn the_owner_restores_his_account_by_the_link_of_the_mail() {
    let app = TestApp::start().await;
    let user = app.user(Role::Manager, "ada@example.com").await;
    let link = closed(&app, &user).await;
    app.clock
        .advance(TimeDelta::days(14) - TimeDelta::microseconds(1));
    let page = app.get(&link).header("accept", BROWSER).send().await;
    assert!(page.expect(200).body.contains("Restore my account"));
    app.log_in("ada@example.com").await.expect(401);
    let button = || app.post(&link).header("accept", BROWSER).form(&[]);
    let done = button().send().await.expect(200);
    assert!(
        done.body.contains("Your account is restored"),
        "{}",
        done.body
    );
    let again = button().send().await.expect(400);
    assert!(again.body.contains("This link is not valid"));
    app.log_in("ada@example.com").await.expect(200);
    assert_eq!(app.role_of(user.id).await, "MANAGER");
    let mail = app.mail_to("ada@example.com").await;
    assert!(mail.contains("restored") || mail.contains("back"), "{mail}");
    app.clock.advance(TimeDelta::days(30));
    app.run_jobs().await;
    assert_eq!(app.count("users").await, 1);
}

#[tokio::test]
async fn a_link_that_restores_is_good_until_the_account_is_due() {
    let app = TestApp::start_with(&[("ACCOUNT_DELETION_GRACE_DAYS", "1")]).await;
    let early = app.user(Role::Authenticated, "early@example.com").await;
    let late = app.user(Role::Authenticated, "late@example.com").await;
    let (early, late_link) = (closed(&app, &early).await, closed(&app, &late).await);
    app.clock
        .advance(TimeDelta::days(1) - TimeDelta::microseconds(1));
    let done = app.get(&early).send().await.expect(200);
    assert_eq!(
        done.json(),
        json!({"message": "Account restored successfully"})
    );
    app.clock.advance(TimeDelta::microseconds(1));
    app.get(&late_link)
        .send()
        .await
        .expect_problem(400, INVALID);
    app.deliver_mail().await;
    assert_eq!(app.count("users").await, 1);
}

#[tokio::test]
async fn an_administrator_restores_as_often_as_he_likes_and_the_link_is_void_then() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let user = app.user(Role::Admin, "ada@example.com").await;
    let link = closed(&app, &user).await;
    let restored = app.restore(&admin, user.id).await.expect(200).json();
    assert_eq!(restored["deletion_due_at"], json!(null));
    app.mail_to("ada@example.com").await;
    let again = app.restore(&admin, user.id).await.expect(200).json();
    assert_eq!(again, restored);
    assert_eq!(app.deliver_mail().await, []);
    app.get(&link).send().await.expect_problem(400, INVALID);
    app.log_in("ada@example.com").await.expect(200);
    app.restore(&admin, uuid::Uuid::nil())
        .await
        .expect_problem(404, "user_not_found");
}

#[tokio::test]
async fn who_does_not_know_the_password_deletes_nothing() {
    let app = TestApp::start().await;
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    let delete =
        async |body: serde_json::Value| app.delete("/me").by(&user).json(&body).send().await;
    for (body, wrong) in [
        (
            json!({"password": "a guess"}),
            "body.password wrong_password",
        ),
        (json!({}), "body.password missing"),
    ] {
        let refused = delete(body).await.expect_problem(422, "invalid_input");
        assert_eq!(refused.invalid_fields(), [wrong]);
    }
    for _ in 0..4 {
        delete(json!({"password": "a guess"})).await.expect(422);
    }
    app.close(&user)
        .await
        .expect_problem(400, "account_locked")
        .header("retry-after");
    assert!(app.is_logged_in(&user.token).await);
    app.log_in("ada@example.com").await.expect(200);
}

#[tokio::test]
async fn the_last_administrator_cannot_delete_himself() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    app.close(&admin)
        .await
        .expect_problem(403, "last_administrator");
    let other = app.user(Role::Admin, "other@example.com").await;
    app.close(&admin).await.expect(202);
    // One who is to be erased is no other one.
    app.close(&other)
        .await
        .expect_problem(403, "last_administrator");
    app.restore(&other, admin.id).await.expect(200);
    app.close(&other).await.expect(202);
    app.deliver_mail().await;
}

#[tokio::test]
async fn without_a_grace_the_account_is_gone_at_once() {
    let app = TestApp::start_with(&[("ACCOUNT_DELETION_GRACE_DAYS", "0")]).await;
    app.admin().await;
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    let closed = app.close(&user).await.expect(202);
    assert_eq!(
        closed.text("deletion_due_at"),
        "2026-01-02T03:04:05.000000Z"
    );
    assert_eq!(app.count("users").await, 1);
    assert_eq!(app.deliver_mail().await, []);
    assert!(!app.is_logged_in(&user.token).await);
}

#[tokio::test]
async fn an_account_without_an_address_is_restored_by_an_administrator_only() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    sqlx::query("update users set email = null, phone_number = '+14155552671' where id = $1")
        .bind(user.id)
        .execute(&app.database.pool)
        .await
        .unwrap();
    app.close(&user).await.expect(202);
    assert_eq!(app.deliver_mail().await, []);
    app.restore(&admin, user.id).await.expect(200);
    assert_eq!(app.deliver_mail().await, []);
    assert_eq!(app.count("users").await, 2);
}

#[tokio::test]
async fn a_link_that_went_to_an_address_which_an_administrator_replaced_restores_nothing() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    let link = closed(&app, &user).await;
    app.change(&admin, user.id, &json!({"email": "new@example.com"}))
        .await
        .expect(200);
    app.get(&link).send().await.expect_problem(400, INVALID);
    app.deliver_mail().await;
}

#[tokio::test]
async fn a_closed_account_is_told_of_no_lockout() {
    let app = TestApp::start().await;
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    closed(&app, &user).await;
    app.lock_out("ada@example.com").await;
    assert_eq!(app.jobs_of("notify_lockout").await, 1);
    assert_eq!(app.deliver_mail().await, []);
}

#[tokio::test]
async fn what_was_mailed_before_leads_back_into_no_closed_account() {
    let app = TestApp::start().await;
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    let reset = app.reset_link("ada@example.com").await;
    let confirm = app.confirm_link(&user, "new@example.com").await;
    closed(&app, &user).await;
    let token = reset.rsplit('/').next();
    let body = json!({"token": token, "new_password": "Better*5678"});
    app.put("/password-reset")
        .json(&body)
        .send()
        .await
        .expect_problem(400, "invalid_password_reset_token");
    app.get(&confirm)
        .send()
        .await
        .expect_problem(400, "invalid_email_change_token");
    app.log_in("ada@example.com").await.expect(401);
}
