//! The last administrator who can log in can be neither demoted nor locked nor deleted.

use serde_json::json;
use user_management::domain::role::Role;

use crate::support::app::{TestApp, TestUser};

/// Tries all that would take the administrator's power.
async fn refuse(app: &TestApp, actor: &TestUser, target: &TestUser) {
    let tries = [
        app.change(actor, target.id, &json!({"role": "MANAGER"}))
            .await,
        app.change(actor, target.id, &json!({"role": "ANONYMOUS", "bio": "x"}))
            .await,
        app.put(&format!("/users/{}/role", target.id))
            .by(actor)
            .json(&json!({"role": "AUTHENTICATED", "reason": "x"}))
            .send()
            .await,
        app.lock(actor, target.id).await,
        app.delete(&format!("/users/{}", target.id))
            .by(actor)
            .send()
            .await,
    ];
    for response in tries {
        let response = response.expect_problem(403, "last_administrator");
        assert!(
            response
                .text("detail")
                .starts_with("Operation not permitted")
        );
    }
    assert_eq!(app.role_of(target.id).await, "ADMIN");
    app.get("/users/").by(target).send().await.expect(200);
}

#[tokio::test]
async fn the_only_administrator_stays() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    app.user(Role::Manager, "manager@example.com").await;
    refuse(&app, &admin, &admin).await;
    // What leaves him his power is allowed.
    app.change(&admin, admin.id, &json!({"bio": "x", "role": "ADMIN"}))
        .await
        .expect(200);
    app.unlock(&admin, admin.id).await.expect(200);
}

#[tokio::test]
async fn an_administrator_who_cannot_log_in_is_no_other_one() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let locked = app.user(Role::Admin, "locked@example.com").await;
    app.lock(&admin, locked.id).await.expect(200);
    refuse(&app, &admin, &admin).await;
    app.add(&admin, "unverified@example.com", "ADMIN")
        .await
        .expect(201);
    refuse(&app, &admin, &admin).await;
    // Those who have no power lose none.
    app.delete(&format!("/users/{}", locked.id))
        .by(&admin)
        .send()
        .await
        .expect(204);
    app.deliver_mail().await;
}

#[tokio::test]
async fn a_new_address_does_not_keep_the_last_administrator_out() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let changed = app
        .change(&admin, admin.id, &json!({"email": "mistyped@example.com"}))
        .await
        .expect(200)
        .json();
    assert_eq!(changed["email_verified"], true);
    app.log_in("mistyped@example.com").await.expect(200);
    app.deliver_mail().await;
    // Where there is another one, it is as with everybody.
    app.user(Role::Admin, "other@example.com").await;
    let changed = app
        .change(&admin, admin.id, &json!({"email": "new@example.com"}))
        .await
        .expect(200)
        .json();
    assert_eq!(changed["email_verified"], false);
    app.deliver_mail().await;
}

#[tokio::test]
async fn of_two_administrators_either_may_go() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let other = app.user(Role::Admin, "other@example.com").await;
    app.change(&admin, admin.id, &json!({"role": "AUTHENTICATED"}))
        .await
        .expect(200);
    app.deliver_mail().await;
    refuse(&app, &other, &other).await;
}
