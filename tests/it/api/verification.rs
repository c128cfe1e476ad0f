//! `/verify-email/…`

use chrono::TimeDelta;
use serde_json::json;
use user_management::domain::role::Role;

use crate::support::{
    accounts::{BROWSER, id_of},
    app::TestApp,
    request::{TestResponse, link_in},
};

const INVALID: &str = "invalid_verification_token";

async fn resend(app: &TestApp, email: &str) -> TestResponse {
    let request = app
        .post("/verify-email/resend")
        .json(&json!({"email": email}));
    request.send().await
}

#[tokio::test]
async fn a_browser_gets_a_page_whose_button_confirms() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let user = app.unverified("ada@example.com").await;
    // Programs that check mails for bad links look at them, as often as they like.
    for _ in 0..2 {
        let page = app
            .get(&user.link)
            .header("accept", BROWSER)
            .send()
            .await
            .expect(200);
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        assert!(
            page.body.contains("<form method=\"post\">"),
            "{}",
            page.body
        );
        assert!(!page.body.contains("<script"));
    }
    let head = app.request("HEAD", &user.link).send().await.expect(200);
    assert_eq!(head.body, "");
    assert_eq!(app.role_of(user.id).await, "ANONYMOUS");

    let confirm = || {
        app.post(&user.link)
            .header("accept", BROWSER)
            .raw("application/x-www-form-urlencoded", "")
    };
    let done = confirm().send().await.expect(200);
    assert!(
        done.body.contains("Your address is confirmed"),
        "{}",
        done.body
    );
    assert_eq!(app.role_of(user.id).await, "AUTHENTICATED");
    let again = confirm().send().await.expect(400);
    assert_eq!(again.header("content-type"), "text/html; charset=utf-8");
    assert!(
        again.body.contains("This link is not valid"),
        "{}",
        again.body
    );
    assert!(
        app.read(&admin, user.id).await.json()["email_verified"]
            .as_bool()
            .unwrap()
    );
}

#[tokio::test]
async fn other_clients_confirm_at_once_and_once() {
    let app = TestApp::start().await;
    for (number, accept) in [None, Some("*/*"), Some("application/json")]
        .into_iter()
        .enumerate()
    {
        let user = app.unverified(&format!("user{number}@example.com")).await;
        let request = || {
            let request = app.get(&user.link);
            match accept {
                Some(accept) => request.header("accept", accept),
                None => request,
            }
        };
        let done = request().send().await.expect(200);
        assert_eq!(
            done.json(),
            json!({"message": "Email verified successfully"})
        );
        let again = request().send().await.expect_problem(400, INVALID);
        assert_eq!(
            again.text("detail"),
            "Invalid or expired verification token"
        );
    }
    // The button's request by a program.
    let user = app.unverified("last@example.com").await;
    app.post(&user.link).send().await.expect(200);
    app.post(&user.link)
        .send()
        .await
        .expect_problem(400, INVALID);
}

#[tokio::test]
async fn a_link_is_good_for_a_day() {
    let app = TestApp::start().await;
    let early = app.unverified("early@example.com").await;
    let late = app.unverified("late@example.com").await;
    app.clock
        .advance(TimeDelta::hours(24) - TimeDelta::microseconds(1));
    app.get(&early.link).send().await.expect(200);
    app.clock.advance(TimeDelta::microseconds(1));
    app.get(&late.link)
        .send()
        .await
        .expect_problem(400, INVALID);
    assert_eq!(app.role_of(late.id).await, "ANONYMOUS");
}

#[tokio::test]
async fn a_token_is_good_for_its_own_user_and_purpose_only() {
    let app = TestApp::start().await;
    let ada = app.unverified("ada@example.com").await;
    let eve = app.unverified("eve@example.com").await;
    let swapped = ada.link.replace(&ada.id.to_string(), &eve.id.to_string());
    app.get(&swapped).send().await.expect_problem(400, INVALID);
    let other_purpose = ada.link.replace("verify-email", "unlock-account");
    app.get(&other_purpose)
        .send()
        .await
        .expect_problem(400, "invalid_unlock_token");
    app.get(&ada.link).send().await.expect(200);
}

#[tokio::test]
async fn another_mail_takes_the_place_of_the_first_once_a_minute_at_most() {
    let app = TestApp::start().await;
    let user = app.unverified("ada@example.com").await;
    app.clock.advance(TimeDelta::seconds(59));
    resend(&app, "ada@example.com").await.expect(202);
    assert_eq!(app.deliver_mail().await, []);
    app.clock.advance(TimeDelta::seconds(1));
    for _ in 0..3 {
        resend(&app, "ADA@example.com").await.expect(202);
    }
    let mails = app.deliver_mail().await;
    assert_eq!(mails.len(), 1);
    app.get(&user.link)
        .send()
        .await
        .expect_problem(400, INVALID);
    app.get(&link_in(&mails[0].text)).send().await.expect(200);
    app.log_in("ada@example.com").await.expect(200);
}

#[tokio::test]
async fn a_new_mail_is_answered_alike_for_every_address() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let locked = app.user(Role::Authenticated, "locked@example.com").await;
    app.lock(&admin, locked.id).await.expect(200);
    app.unverified("unverified@example.com").await;
    app.clock.advance(TimeDelta::minutes(5));
    let mut answers = Vec::new();
    for email in [
        "nobody@example.com",
        "admin@example.com",
        "locked@example.com",
        "unverified@example.com",
    ] {
        let answer = resend(&app, email).await.expect(202);
        answers.push((answer.status, answer.body));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    let mails = app.deliver_mail().await;
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].to.address, "unverified@example.com");
}

#[tokio::test]
async fn verification_changes_no_role_but_anonymous() {
    let app = TestApp::start().await;
    let first = app.unverified("first@example.com").await;
    app.get(&first.link).send().await.expect(200);
    assert_eq!(app.role_of(first.id).await, "ADMIN");
    let admin = app.admin().await;
    for (role, after) in [
        ("ANONYMOUS", "AUTHENTICATED"),
        ("AUTHENTICATED", "AUTHENTICATED"),
        ("MANAGER", "MANAGER"),
        ("ADMIN", "ADMIN"),
    ] {
        let email = format!("new.{role}@example.com").to_lowercase();
        let added = app.add(&admin, &email, role).await.expect(201).json();
        assert_eq!(added["email_verified"], false);
        let mail = app.deliver_mail().await.remove(0);
        app.get(&link_in(&mail.text)).send().await.expect(200);
        assert_eq!(app.role_of(id_of(&added)).await, after);
    }
}

#[tokio::test]
async fn a_mail_whose_link_is_not_good_any_more_is_not_sent() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let moved = app.register("old@example.com").await.expect(200).json();
    let gone = app.register("gone@example.com").await.expect(200).json();
    app.change(&admin, id_of(&moved), &json!({"email": "new@example.com"}))
        .await
        .expect(200);
    let path = format!("/users/{}", id_of(&gone));
    app.delete(&path).by(&admin).send().await.expect(204);
    let mails = app.deliver_mail().await;
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].to.address, "new@example.com");
    app.get(&link_in(&mails[0].text)).send().await.expect(200);
}
