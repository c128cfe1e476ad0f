//! `/password-reset`

use chrono::TimeDelta;
use serde_json::json;
use user_management::domain::role::Role;

use crate::support::{
    accounts::BROWSER,
    app::TestApp,
    request::{TestResponse, link_in},
};

const NEW: &str = "Better*5678";
const INVALID: &str = "invalid_password_reset_token";

fn token_of(link: &str) -> &str {
    link.strip_prefix("/password-reset/").unwrap()
}

async fn ask(app: &TestApp, email: &str) -> TestResponse {
    let body = json!({"email": email});
    app.post("/password-reset").json(&body).send().await
}

async fn reset(app: &TestApp, link: &str, password: &str) -> TestResponse {
    let body = json!({"token": token_of(link), "new_password": password});
    app.put("/password-reset").json(&body).send().await
}

#[tokio::test]
async fn a_new_password_ends_what_came_before_it() {
    let app = TestApp::start().await;
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    app.lock_out("ada@example.com").await;
    app.deliver_mail().await;
    ask(&app, "Ada@Example.com").await.expect(202);
    let mail = app.mail_to("ada@example.com").await;
    assert!(mail.contains("30 minutes"), "{mail}");
    let link = link_in(&mail);

    let done = reset(&app, &link, NEW).await.expect(200);
    assert_eq!(done.json(), json!({"message": "Password updated"}));
    assert!(!app.is_logged_in(&user.token).await);
    app.log_in_with("ada@example.com", NEW).await.expect(200);
    app.log_in("ada@example.com")
        .await
        .expect_problem(401, "invalid_credentials");
    let mail = app.mail_to("ada@example.com").await;
    assert!(mail.contains("was changed"), "{mail}");
    assert!(!mail.contains("https://"), "it has no link: {mail}");

    let again = reset(&app, &link, "Other*5678").await;
    let again = again.expect_problem(400, INVALID);
    assert_eq!(
        again.text("detail"),
        "Invalid or expired password reset token"
    );
    app.log_in_with("ada@example.com", NEW).await.expect(200);
}

#[tokio::test]
async fn whoever_resets_has_verified_his_address() {
    let app = TestApp::start().await;
    app.admin().await;
    // Somebody registered with another's address, and knows the password.
    let user = app.unverified("ada@example.com").await;
    let link = app.reset_link("ada@example.com").await;
    reset(&app, &link, NEW).await.expect(200);
    assert_eq!(app.role_of(user.id).await, "AUTHENTICATED");
    app.log_in_with("ada@example.com", NEW).await.expect(200);
    app.log_in("ada@example.com").await.expect(401);
    app.get(&user.link)
        .send()
        .await
        .expect_problem(400, "invalid_verification_token");
    app.deliver_mail().await;
}

#[tokio::test]
async fn a_lock_by_an_administrator_stays() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    app.lock(&admin, user.id).await.expect(200);
    app.deliver_mail().await;
    let link = app.reset_link("ada@example.com").await;
    reset(&app, &link, NEW).await.expect(200);
    app.log_in_with("ada@example.com", NEW)
        .await
        .expect_problem(400, "account_locked");
    app.deliver_mail().await;
}

#[tokio::test]
async fn a_password_that_is_refused_does_not_use_the_token_up() {
    let app = TestApp::start().await;
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    let link = app.reset_link("ada@example.com").await;
    for (password, problem) in [
        ("short", "password_too_short"),
        ("password1", "password_too_common"),
        ("my ada@example.com", "password_contains_identifier"),
    ] {
        let refused = reset(&app, &link, password).await;
        let refused = refused.expect_problem(422, "invalid_input");
        let expected = format!("body.new_password {problem}");
        assert_eq!(refused.invalid_fields(), [expected]);
    }
    let missing = app.put("/password-reset").json(&json!({})).send().await;
    assert_eq!(
        missing.expect(422).invalid_fields(),
        ["body.token missing", "body.new_password missing"]
    );
    assert!(app.is_logged_in(&user.token).await);
    reset(&app, &link, NEW).await.expect(200);
    app.deliver_mail().await;
}

#[tokio::test]
async fn a_link_is_good_for_half_an_hour_and_until_there_is_a_newer_one() {
    let app = TestApp::start().await;
    app.user(Role::Authenticated, "ada@example.com").await;
    let first = app.reset_link("ada@example.com").await;
    app.clock.advance(TimeDelta::minutes(1));
    let second = app.reset_link("ada@example.com").await;
    reset(&app, &first, NEW).await.expect_problem(400, INVALID);
    let lifetime = TimeDelta::minutes(30);
    app.clock.advance(lifetime - TimeDelta::microseconds(1));
    reset(&app, &second, NEW).await.expect(200);
    app.deliver_mail().await;
    let third = app.reset_link("ada@example.com").await;
    app.clock.advance(lifetime);
    reset(&app, &third, "Other*5678")
        .await
        .expect_problem(400, INVALID);
    app.log_in_with("ada@example.com", NEW).await.expect(200);
}

#[tokio::test]
async fn a_request_is_answered_alike_for_every_address() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let locked = app.user(Role::Authenticated, "locked@example.com").await;
    app.lock(&admin, locked.id).await.expect(200);
    app.unverified("unverified@example.com").await;
    let closed = app.user(Role::Authenticated, "closed@example.com").await;
    app.close(&closed).await;
    app.deliver_mail().await;
    let mut answers = Vec::new();
    for email in [
        "nobody@example.com",
        "admin@example.com",
        "locked@example.com",
        "unverified@example.com",
        "closed@example.com",
    ] {
        let answer = ask(&app, email).await.expect(202);
        answers.push((answer.status, answer.body));
    }
    assert_eq!(app.jobs_of("mail_password_reset").await, 5);
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    let mails = app.deliver_mail().await;
    let mut told: Vec<_> = mails.iter().map(|mail| &*mail.to.address).collect();
    told.sort_unstable();
    let known = [
        "admin@example.com",
        "locked@example.com",
        "unverified@example.com",
    ];
    assert_eq!(told, known);
    let invalid = ask(&app, "no address").await.expect(422);
    assert_eq!(invalid.invalid_fields(), ["body.email invalid_email"]);
}

#[tokio::test]
async fn an_account_gets_few_mails_and_always_has_a_good_link() {
    let app = TestApp::start().await;
    app.user(Role::Authenticated, "ada@example.com").await;
    let mut link = String::new();
    let mut mails = 0;
    // Somebody asks in her name, without end.
    for _ in 0..65 {
        ask(&app, "ada@example.com").await.expect(202);
        ask(&app, "ADA@example.com").await.expect(202);
        for mail in app.deliver_mail().await {
            link = link_in(&mail.text);
            mails += 1;
        }
        app.clock.advance(TimeDelta::minutes(1));
    }
    assert_eq!(mails, 7, "after 0, 1, 3, 7, 15, 31 and 61 minutes");
    reset(&app, &link, NEW).await.expect(200);
    app.deliver_mail().await;
}

#[tokio::test]
async fn a_browser_gets_a_form_that_sets_the_password() {
    let app = TestApp::start().await;
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    let link = app.reset_link("ada@example.com").await;
    for method in ["GET", "HEAD", "GET"] {
        let page = app.request(method, &link).header("accept", BROWSER);
        let page = page.send().await.expect(200);
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        assert!(method == "HEAD" || page.body.contains("autocomplete=\"new-password\""));
        assert!(!page.body.contains("<script"));
    }
    let submit = async |fields: &[(&str, &str)]| {
        let request = app.post(&link).header("accept", BROWSER);
        request.form(fields).send().await
    };
    for (fields, says) in [
        (
            vec![("new_password", "short")],
            "The password must have at least 8 characters.",
        ),
        (vec![], "The password is required."),
    ] {
        let page = submit(&fields).await.expect(422);
        assert!(page.body.contains(says), "{}", page.body);
        assert!(page.body.contains("<form method=\"post\">"));
    }
    assert!(app.is_logged_in(&user.token).await);
    let done = submit(&[("new_password", NEW)]).await.expect(200);
    assert!(done.body.contains("Your password is set"), "{}", done.body);
    assert!(!app.is_logged_in(&user.token).await);
    let again = submit(&[("new_password", NEW)]).await.expect(400);
    assert!(
        again.body.contains("This link is not valid"),
        "{}",
        again.body
    );
    app.log_in_with("ada@example.com", NEW).await.expect(200);
    app.deliver_mail().await;
}

#[tokio::test]
async fn other_clients_are_told_what_to_send_and_may_send_the_form() {
    let app = TestApp::start().await;
    app.user(Role::Authenticated, "ada@example.com").await;
    let link = app.reset_link("ada@example.com").await;
    let told = app.get(&link).send().await.expect(200);
    assert!(told.text("message").contains("PUT"), "{}", told.body);
    let form = |password| app.post(&link).form(&[("new_password", password)]);
    form("short")
        .send()
        .await
        .expect_problem(422, "invalid_input");
    let done = form(NEW).send().await.expect(200);
    assert_eq!(done.json(), json!({"message": "Password updated"}));
    form(NEW).send().await.expect_problem(400, INVALID);
    app.deliver_mail().await;
}

#[tokio::test]
async fn a_link_to_an_address_that_is_no_longer_the_accounts_is_void() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    let link = app.reset_link("ada@example.com").await;
    app.change(&admin, user.id, &json!({"email": "new@example.com"}))
        .await
        .expect(200);
    reset(&app, &link, NEW).await.expect_problem(400, INVALID);
    app.deliver_mail().await;
}
