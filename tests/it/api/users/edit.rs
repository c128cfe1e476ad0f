//! `PUT /users/{user_id}`

use chrono::TimeDelta;
use serde_json::json;
use user_management::domain::role::Role;

use crate::support::{
    app::{PASSWORD, TestApp},
    request::link_in,
};

#[tokio::test]
async fn a_member_sets_null_clears_and_what_is_left_out_stays() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    let whole = json!({
        "nickname": "countess", "first_name": "Ada", "last_name": "Lovelace", "bio": "Programs",
        "profile_picture_url": "https://example.com/a.png", "linkedin_profile_url": "https://linkedin.com/in/ada",
        "github_profile_url": "https://github.com/ada",
    });
    let changed = app.change(&admin, user.id, &whole).await.expect(200).json();
    for (member, value) in whole.as_object().unwrap() {
        assert_eq!(&changed[member], value, "{member}");
    }
    app.clock.advance(TimeDelta::seconds(1));
    let change =
        json!({"first_name": "Augusta", "bio": null, "github_profile_url": null, "unknown": 1});
    let changed = app
        .change(&admin, user.id, &change)
        .await
        .expect(200)
        .json();
    let mut expected = whole;
    expected["first_name"] = json!("Augusta");
    expected["bio"] = json!(null);
    expected["github_profile_url"] = json!(null);
    for (member, value) in expected.as_object().unwrap() {
        assert_eq!(&changed[member], value, "{member}");
    }
    assert_eq!(changed["updated_at"], "2026-01-02T03:04:06.000000Z");
    assert_eq!(changed["created_at"], "2026-01-02T03:04:05.000000Z");
    assert_eq!(app.read(&admin, user.id).await.json(), changed);
    // His session goes on: nothing about his rights has changed.
    assert_eq!(app.count("sessions").await, 2);
}

#[tokio::test]
async fn a_change_to_what_is_already_so_changes_nothing() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    let before = app.read(&admin, user.id).await.json();
    app.clock.advance(TimeDelta::seconds(1));
    let change = json!({
        "email": "ada@example.com", "role": "AUTHENTICATED", "nickname": before["nickname"], "bio": null,
    });
    let after = app
        .change(&admin, user.id, &change)
        .await
        .expect(200)
        .json();
    assert_eq!(after, before);
    assert_eq!(app.count("sessions").await, 2);
    assert_eq!(app.jobs_of("send_mail").await, 0);
}

#[tokio::test]
async fn a_new_address_must_be_verified_again() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let user = app.user(Role::Manager, "old@example.com").await;
    let changed = app
        .change(&admin, user.id, &json!({"email": "New@example.com"}))
        .await;
    let changed = changed.expect(200).json();
    assert_eq!(changed["email"], "New@example.com");
    assert_eq!(changed["email_verified"], false);
    assert_eq!(changed["role"], "MANAGER");
    app.log_in("old@example.com")
        .await
        .expect_problem(401, "invalid_credentials");
    app.log_in("new@example.com")
        .await
        .expect_problem(401, "email_not_verified");
    let mails = app.deliver_mail().await;
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].to.address, "New@example.com");
    app.get(&link_in(&mails[0].text)).send().await.expect(200);
    app.log_in("new@example.com").await.expect(200);
    assert_eq!(app.role_of(user.id).await, "MANAGER");
    // The old one is free again.
    app.register("old@example.com").await.expect(200);
    app.deliver_mail().await;
}

#[tokio::test]
async fn the_same_address_in_other_letters_stays_verified() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    let changed = app
        .change(&admin, user.id, &json!({"email": "Ada@Example.com"}))
        .await;
    let changed = changed.expect(200).json();
    assert_eq!(changed["email"], "Ada@example.com");
    assert_eq!(changed["email_verified"], true);
    assert_eq!(app.deliver_mail().await, []);
}

#[tokio::test]
async fn a_lock_notice_of_the_old_address_unlocks_nothing_any_more() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let user = app.user(Role::Authenticated, "old@example.com").await;
    app.lock_out("old@example.com").await;
    let link = link_in(&app.deliver_mail().await.remove(0).text);
    app.change(&admin, user.id, &json!({"email": "new@example.com"}))
        .await
        .expect(200);
    app.get(&link)
        .send()
        .await
        .expect_problem(400, "invalid_unlock_token");
    app.deliver_mail().await;
}

#[tokio::test]
async fn a_new_role_ends_the_sessions_at_once_on_every_instance() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let other = app.second_instance(&[]);
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    for instance in [&app, &other] {
        instance
            .get("/users/")
            .by(&user)
            .send()
            .await
            .expect_problem(403, "operation_not_permitted");
    }
    app.change(&admin, user.id, &json!({"role": "MANAGER"}))
        .await
        .expect(200);
    app.get("/users/")
        .by(&user)
        .send()
        .await
        .expect_problem(401, "not_authenticated");
    crate::support::eventually::wait_until("the other instance hears of it", async || {
        other.get("/users/").by(&user).send().await.status == 401
    })
    .await;
    let token = app
        .log_in("ada@example.com")
        .await
        .expect(200)
        .text("access_token");
    app.get("/users/").bearer(&token).send().await.expect(200);
    app.deliver_mail().await;
}

#[tokio::test]
async fn what_others_have_cannot_be_taken() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    app.change(&admin, admin.id, &json!({"nickname": "the_boss"}))
        .await
        .expect(200);
    let before = app.read(&admin, user.id).await.json();
    for (change, code, detail) in [
        (
            json!({"nickname": "The_Boss", "bio": "x"}),
            "nickname_already_exists",
            "Nickname already exists",
        ),
        (
            json!({"email": "ADMIN@example.com", "bio": "x"}),
            "email_taken",
            "Email already exists",
        ),
    ] {
        let refused = app
            .change(&admin, user.id, &change)
            .await
            .expect_problem(409, code);
        assert_eq!(refused.text("detail"), detail);
    }
    assert_eq!(app.read(&admin, user.id).await.json(), before);
    assert_eq!(app.jobs_of("send_mail").await, 0);
}

#[tokio::test]
async fn nobody_sets_what_is_not_for_him_to_set() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    let before = app.read(&admin, user.id).await.json();
    let change = json!({
        "bio": "x", "id": admin.id, "is_locked": true, "email_verified": false, "is_professional": true,
        "password": "Another*1234", "password_hash": "x", "created_at": "2000-01-01T00:00:00Z", "last_login_at": null,
    });
    let mut after = app
        .change(&admin, user.id, &change)
        .await
        .expect(200)
        .json();
    assert_eq!(after["bio"].take(), "x");
    assert_eq!(after, before);
    let form = [("username", "ada@example.com"), ("password", PASSWORD)];
    app.post("/login/").form(&form).send().await.expect(200);
}
