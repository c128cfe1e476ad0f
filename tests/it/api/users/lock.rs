//! `POST /users/{user_id}/lock` and `/unlock`

use chrono::TimeDelta;
use user_management::domain::role::Role;

use crate::support::app::TestApp;

#[tokio::test]
async fn a_lock_ends_the_sessions_is_told_and_lasts_until_it_is_lifted() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let user = app.user(Role::Manager, "ada@example.com").await;
    app.get("/users/").by(&user).send().await.expect(200);
    app.clock.advance(TimeDelta::seconds(1));
    let locked = app.lock(&admin, user.id).await.expect(200).json();
    assert_eq!(locked["is_locked"], true);
    assert_eq!(locked["updated_at"], "2026-01-02T03:04:06.000000Z");
    app.get("/users/")
        .by(&user)
        .send()
        .await
        .expect_problem(401, "not_authenticated");
    let mails = app.deliver_mail().await;
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].to.address, "ada@example.com");
    assert!(mails[0].text.contains("administrator"), "{}", mails[0].text);
    assert!(
        !mails[0].text.contains("https://"),
        "it has no link: {}",
        mails[0].text
    );

    // Again: nothing new.
    app.clock.advance(TimeDelta::days(30));
    let admin = crate::support::app::TestUser {
        token: app
            .log_in("admin@example.com")
            .await
            .expect(200)
            .text("access_token"),
        ..admin
    };
    assert_eq!(app.lock(&admin, user.id).await.expect(200).json(), locked);
    assert_eq!(app.deliver_mail().await, []);
    app.log_in("ada@example.com")
        .await
        .expect_problem(400, "account_locked");

    let unlocked = app.unlock(&admin, user.id).await.expect(200).json();
    assert_eq!(unlocked["is_locked"], false);
    app.log_in("ada@example.com").await.expect(200);
    let mails = app.deliver_mail().await;
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].to.address, "ada@example.com");
    assert!(mails[0].text.contains("unlocked"), "{}", mails[0].text);
    let again = app.unlock(&admin, user.id).await.expect(200).json();
    assert_eq!(again["updated_at"], unlocked["updated_at"]);
    assert_eq!(app.deliver_mail().await, []);
}

#[tokio::test]
async fn unlocking_ends_a_lockout_after_failed_logins_too() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    app.lock_out("ada@example.com").await;
    app.deliver_mail().await;
    app.log_in("ada@example.com")
        .await
        .expect_problem(400, "account_locked");
    let unlocked = app.unlock(&admin, user.id).await.expect(200).json();
    assert_eq!(unlocked["is_locked"], false);
    app.log_in("ada@example.com").await.expect(200);
    assert_eq!(app.deliver_mail().await.len(), 1);
    // One that is over already is nothing to tell of.
    app.lock_out("ada@example.com").await;
    app.deliver_mail().await;
    app.clock.advance(TimeDelta::minutes(10));
    app.unlock(&admin, user.id).await.expect(200);
    assert_eq!(app.deliver_mail().await, []);
}

#[tokio::test]
async fn a_lock_does_not_let_the_owner_verify_his_way_in() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let user = app.unverified("ada@example.com").await;
    app.lock(&admin, user.id).await.expect(200);
    app.get(&user.link).send().await.expect(200);
    app.log_in("ada@example.com")
        .await
        .expect_problem(400, "account_locked");
    app.deliver_mail().await;
}
