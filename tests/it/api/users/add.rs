//! `POST /users/`

use serde_json::json;
use user_management::domain::role::Role;

use crate::support::{
    app::{PASSWORD, TestApp},
    request::link_in,
};

#[tokio::test]
async fn a_new_user_has_an_address_of_his_own_and_gets_a_mail() {
    let app = TestApp::start().await;
    let manager = app.user(Role::Manager, "manager@example.com").await;
    let body = json!({
        "email": "ada@example.com", "password": PASSWORD, "nickname": "countess", "first_name": "Ada",
        "role": "AUTHENTICATED", "email_verified": true,
    });
    let added = app
        .post("/users/")
        .by(&manager)
        .json(&body)
        .send()
        .await
        .expect(201);
    let user = added.json();
    let href = format!(
        "https://users.example.com/users/{}",
        user["id"].as_str().unwrap()
    );
    assert_eq!(added.header("location"), href);
    assert_eq!(user["links"][0]["href"], href);
    assert_eq!(user["role"], "AUTHENTICATED");
    assert_eq!(user["nickname"], "countess");
    assert_eq!(user["email_verified"], false);

    app.log_in("ada@example.com")
        .await
        .expect_problem(401, "email_not_verified");
    let mail = app.deliver_mail().await.remove(0);
    app.get(&link_in(&mail.text)).send().await.expect(200);
    app.log_in("ada@example.com").await.expect(200);
}

#[tokio::test]
async fn the_role_is_anonymous_where_none_is_given() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    for role in [json!(null), json!("absent")] {
        let mut body = json!({"email": "ada@example.com", "password": PASSWORD, "role": role});
        if role == "absent" {
            body["email"] = json!("eve@example.com");
            body.as_object_mut().unwrap().remove("role");
        }
        let added = app
            .post("/users/")
            .by(&admin)
            .json(&body)
            .send()
            .await
            .expect(201);
        assert_eq!(added.text("role"), "ANONYMOUS");
    }
    app.deliver_mail().await;
}

#[tokio::test]
async fn what_others_have_is_refused_and_nothing_is_stored() {
    // Managers see all accounts anyway.
    let app = TestApp::start_with(&[("HIDE_ACCOUNT_EXISTENCE", "true")]).await;
    let admin = app.admin().await;
    app.change(&admin, admin.id, &json!({"nickname": "the_boss"}))
        .await
        .expect(200);
    let before = app.stored().await;
    app.add(&admin, "ADMIN@example.com", "ANONYMOUS")
        .await
        .expect_problem(400, "email_already_exists");
    let body = json!({"email": "new@example.com", "password": PASSWORD, "nickname": "THE_BOSS"});
    app.post("/users/")
        .by(&admin)
        .json(&body)
        .send()
        .await
        .expect_problem(409, "nickname_already_exists");
    let manager = app.user(Role::Manager, "manager@example.com").await;
    let with_manager = app.stored().await;
    assert_ne!(before, with_manager);
    app.add(&manager, "new@example.com", "MANAGER")
        .await
        .expect_problem(403, "operation_not_permitted");
    assert_eq!(app.stored().await, with_manager);
}
