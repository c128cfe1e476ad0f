//! What somebody with a stolen session tries, so that the account stays his.

use chrono::TimeDelta;
use serde_json::{Value, json};
use user_management::{domain::role::Role, infra::clock::Clock as _};

use crate::support::{
    app::{TestApp, TestUser},
    request::link_in,
};

async fn ada(app: &TestApp) -> TestUser {
    app.user(Role::Authenticated, "ada@example.com").await
}

/// Takes the account over as far as a session leads: to an address and a password of the thief's.
async fn take_over(app: &TestApp, user: &TestUser) -> String {
    let undo = app.move_to(user, "thief@example.org").await;
    let body = json!({"email": "thief@example.org"});
    app.post("/password-reset")
        .json(&body)
        .send()
        .await
        .expect(202);
    let link = link_in(&app.mail_to("thief@example.org").await);
    let body = json!({"token": link.rsplit('/').next(), "new_password": "Stolen*5678"});
    app.put("/password-reset")
        .json(&body)
        .send()
        .await
        .expect(200);
    app.mail_to("thief@example.org").await;
    undo
}

#[tokio::test]
async fn a_password_of_his_is_void_when_the_owner_undoes_his_change() {
    let app = TestApp::start().await;
    let user = ada(&app).await;
    let undo = take_over(&app, &user).await;
    app.get(&undo).send().await.expect(200);
    for email in ["ada@example.com", "thief@example.org"] {
        let refused = app.log_in_with(email, "Stolen*5678").await;
        refused.expect_problem(401, "invalid_credentials");
    }
    let reset = link_in(&app.mail_to("ada@example.com").await);
    let body = json!({"token": reset.rsplit('/').next(), "new_password": "Better*5678"});
    app.put("/password-reset")
        .json(&body)
        .send()
        .await
        .expect(200);
    app.log_in_with("ada@example.com", "Better*5678")
        .await
        .expect(200);
    app.deliver_mail().await;
}

#[tokio::test]
async fn the_old_address_comes_back_whatever_he_registers_with_it() {
    let app = TestApp::start().await;
    app.admin().await;
    let user = ada(&app).await;
    let undo = app.move_to(&user, "thief@example.org").await;
    let squatter = json!({"email": "ada@example.com", "password": "Other*9876", "phone_number": "+14155552671"});
    app.post("/register/")
        .json(&squatter)
        .send()
        .await
        .expect(200);
    app.get(&undo).send().await.expect(200);
    assert_eq!(app.email_of(user.id).await, "ada@example.com");
    app.deliver_mail().await;
}

#[tokio::test]
async fn nor_does_an_older_api_that_logs_in_whoever_registers_keep_it() {
    let app = TestApp::start_with(&[("COMPAT_APIS", "mflix")]).await;
    app.admin().await;
    let user = ada(&app).await;
    let undo = app.move_to(&user, "thief@example.org").await;
    let squatter = json!({"name": "Ada L", "email": "ada@example.com", "password": "Other*9876"});
    let made = app
        .post("/compat/mflix/api/v1/user/register")
        .json(&squatter)
        .send()
        .await
        .expect(201);
    let token = made.text("auth_token");
    app.get("/me").bearer(&token).send().await.expect(200);
    app.get(&undo).send().await.expect(200);
    assert_eq!(app.email_of(user.id).await, "ada@example.com");
    let gone = app.get("/me").bearer(&token).send().await;
    gone.expect_problem(401, "not_authenticated");
    app.deliver_mail().await;
}

#[tokio::test]
async fn nor_does_his_own_account_that_gets_its_address_back_erase_the_one_he_closed() {
    let app = TestApp::start().await;
    app.admin().await;
    // He moves his own account away, so that its address can be had, and brought back.
    let thief = app.user(Role::Authenticated, "thief@example.org").await;
    let his_undo = app.move_to(&thief, "elsewhere@example.org").await;
    let user = ada(&app).await;
    let undo = take_over(&app, &user).await;
    let login = app.log_in_with("thief@example.org", "Stolen*5678").await;
    let taken = TestUser {
        token: login.expect(200).text("access_token"),
        ..user.clone()
    };
    let close = app.delete("/me").by(&taken);
    let body = json!({"password": "Stolen*5678"});
    close.json(&body).send().await.expect(202);
    let refused = app.get(&his_undo).send().await;
    refused.expect_problem(409, "email_taken");
    app.get(&undo).send().await.expect(200);
    assert_eq!(app.email_of(user.id).await, "ada@example.com");
    app.deliver_mail().await;
}

#[tokio::test]
async fn a_deletion_waits_until_the_old_address_can_undo_no_more() {
    let app = TestApp::start_with(&[("ACCOUNT_DELETION_GRACE_DAYS", "0")]).await;
    app.admin().await;
    let user = ada(&app).await;
    let undo = app.move_to(&user, "thief@example.org").await;
    let closed = app.close(&user).await.expect(202);
    assert_eq!(
        closed.text("deletion_due_at"),
        "2026-01-05T03:04:05.000000Z"
    );
    app.clock.advance(TimeDelta::hours(71));
    app.deliver_mail().await;
    app.get(&undo).send().await.expect(200);
    assert_eq!(app.email_of(user.id).await, "ada@example.com");
    app.deliver_mail().await;
}

#[tokio::test]
async fn a_wish_for_another_address_ends_with_the_sessions() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let fresh_admin = async || TestUser {
        token: app.log_in(&admin.email).await.text("access_token"),
        ..admin.clone()
    };
    let user = ada(&app).await;
    for way in ["one", "others", "all", "lock", "reuse"] {
        let login = app.log_in("ada@example.com").await.expect(200);
        let thief = TestUser {
            token: login.text("access_token"),
            ..user.clone()
        };
        let link = app
            .confirm_link(&thief, &format!("{way}@example.org"))
            .await;
        match way {
            "one" => {
                let fresh = app.log_in("ada@example.com").await.expect(200);
                let fresh = fresh.text("access_token");
                let listed = app.get("/sessions").bearer(&fresh).send().await;
                let sessions = listed.expect(200).json();
                let others = sessions["items"].as_array().unwrap().iter();
                for other in others.filter(|session| session["current"] == false) {
                    let path = format!("/sessions/{}", other["id"].as_str().unwrap());
                    app.delete(&path).bearer(&fresh).send().await.expect(204);
                }
                app.get("/me").by(&thief).send().await.expect(401);
            }
            "others" => {
                let fresh = app.log_in("ada@example.com").await.expect(200);
                let fresh = fresh.text("access_token");
                app.delete("/sessions")
                    .bearer(&fresh)
                    .send()
                    .await
                    .expect(204);
            }
            "all" => {
                let admin = fresh_admin().await;
                let path = format!("/users/{}/sessions", user.id);
                app.delete(&path).by(&admin).send().await.expect(204);
            }
            "lock" => {
                let admin = fresh_admin().await;
                app.lock(&admin, user.id).await.expect(200);
                app.unlock(&admin, user.id).await.expect(200);
            }
            _ => {
                let refresh = async |token: &str| {
                    let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
                    app.post("/login/").form(&form).send().await
                };
                let first = login.text("refresh_token");
                let second = refresh(&first).await.expect(200).text("refresh_token");
                refresh(&second).await.expect(200);
                refresh(&first).await.expect(400);
            }
        }
        let refused = app.get(&link).send().await;
        refused.expect_problem(400, "invalid_email_change_token");
        app.clock.advance(TimeDelta::hours(25));
        app.deliver_mail().await;
    }
}

#[tokio::test]
async fn his_export_does_not_tell_whether_an_address_has_an_account() {
    let app = TestApp::start().await;
    app.user(Role::Authenticated, "known@example.com").await;
    let mut wishes = Vec::new();
    for (email, address) in [
        ("ada@example.com", "known@example.com"),
        ("bob@example.com", "free@example.com"),
    ] {
        let user = app.user(Role::Authenticated, email).await;
        app.ask_for(&user, address).await.expect(202);
        // Looked up, but not mailed yet.
        let payload: Value =
            sqlx::query_scalar("select payload from jobs where kind = 'offer_email_change'")
                .fetch_one(&app.database.pool)
                .await
                .unwrap();
        let offer = app
            .app
            .services
            .email_changes
            .offer(&payload, app.clock.now());
        offer.await.unwrap();
        let export = app
            .get("/me/export")
            .by(&user)
            .send()
            .await
            .expect(200)
            .json();
        assert_eq!(export["data"]["jobs"], json!([]), "{address}");
        let mut wish = export["data"]["email_changes"][0].clone();
        assert_eq!(wish["new_email"], address);
        for member in ["id", "new_email"] {
            wish[member] = Value::Null;
        }
        wishes.push(wish);
        app.deliver_mail().await;
    }
    assert_eq!(wishes[0], wishes[1]);
}
