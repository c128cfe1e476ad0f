//! `POST /me/email`, `/confirm-email/…` and `/undo-email-change/…`

use chrono::TimeDelta;
use serde_json::json;
use user_management::domain::role::Role;

use crate::support::{
    accounts::BROWSER,
    app::{PASSWORD, TestApp, TestUser},
    request::link_in,
};

const INVALID: &str = "invalid_email_change_token";
const UNDONE: &str = "invalid_email_undo_token";

async fn ada(app: &TestApp) -> TestUser {
    app.user(Role::Authenticated, "ada@example.com").await
}

#[tokio::test]
async fn the_new_address_confirms_and_the_old_one_is_told() {
    let app = TestApp::start().await;
    let user = ada(&app).await;
    let reset = app.reset_link("ada@example.com").await;
    let asked = app.ask_for(&user, "Lovelace@Example.org").await.expect(202);
    let told = "select count(*) from jobs where jobs::text ilike '%lovelace%'";
    let told: i64 = sqlx::query_scalar(told)
        .fetch_one(&app.database.pool)
        .await
        .unwrap();
    assert_eq!(told, 0, "the queue knows no address");
    let mail = app.mail_to("Lovelace@example.org").await;
    assert!(mail.contains("24 hours"), "{mail}");
    assert!(!asked.body.contains("ovelace"));
    assert_eq!(app.email_of(user.id).await, "ada@example.com");
    let confirm = link_in(&mail);
    let done = app.get(&confirm).send().await.expect(200);
    assert_eq!(
        done.json(),
        json!({"message": "Email changed successfully"})
    );
    app.get(&confirm).send().await.expect_problem(400, INVALID);

    assert!(app.is_logged_in(&user.token).await, "sessions go on");
    app.log_in("lovelace@example.org").await.expect(200);
    app.log_in("ada@example.com").await.expect(401);
    let mail = app.mail_to("ada@example.com").await;
    assert!(mail.contains("L… @ example. org"), "{mail}");
    assert!(
        mail.contains("72 hours") && !mail.contains("ovelace"),
        "{mail}"
    );
    assert!(link_in(&mail).starts_with("/undo-email-change/"));
    // What had gone to the old address is void.
    let token = reset.rsplit('/').next();
    let body = json!({"token": token, "new_password": "Better*5678"});
    let reset = app.put("/password-reset").json(&body).send().await;
    reset.expect_problem(400, "invalid_password_reset_token");
}

#[tokio::test]
async fn a_browser_gets_pages_whose_buttons_confirm_and_undo() {
    let app = TestApp::start().await;
    let user = ada(&app).await;
    let confirm = app.confirm_link(&user, "new@example.com").await;
    let look = async |link: &str, says: &str| {
        for method in ["HEAD", "GET"] {
            let page = app.request(method, link).header("accept", BROWSER);
            let page = page.send().await.expect(200);
            assert!(
                method == "HEAD" || page.body.contains(says),
                "{}",
                page.body
            );
        }
    };
    let press = async |link: &str, status: u16, says: &str| {
        let page = app.post(link).header("accept", BROWSER).form(&[]);
        let page = page.send().await.expect(status);
        assert!(page.body.contains(says), "{}", page.body);
    };
    look(&confirm, "Confirm my new address").await;
    assert_eq!(app.email_of(user.id).await, "ada@example.com");
    press(&confirm, 200, "Your new address is confirmed").await;
    press(&confirm, 400, "This link is not valid").await;
    let undo = link_in(&app.mail_to("ada@example.com").await);
    look(&undo, "Undo the change").await;
    assert_eq!(app.email_of(user.id).await, "new@example.com");
    press(&undo, 200, "Your old address is back").await;
    press(&undo, 400, "This link is not valid").await;
    app.deliver_mail().await;
}

#[tokio::test]
async fn an_address_that_has_an_account_is_answered_alike_and_its_owner_is_told() {
    let app = TestApp::start().await;
    let user = ada(&app).await;
    app.user(Role::Authenticated, "taken@example.com").await;
    let mut answers = Vec::new();
    for (email, subject) in [
        ("taken@example.com", "You already have an account"),
        ("free@example.com", "Please confirm your new e-mail address"),
    ] {
        let answer = app.ask_for(&user, email).await.expect(202);
        answers.push(answer.body);
        let mails = app.deliver_mail().await;
        assert_eq!(mails.len(), 1);
        assert_eq!(
            (&*mails[0].to.address, &*mails[0].subject),
            (email, subject)
        );
        app.clock.advance(TimeDelta::minutes(2));
    }
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_told() {
    let app = TestApp::start().await;
    let user = ada(&app).await;
    for (email, wrong) in [
        ("ADA@example.com", "body.email same_email"),
        ("no address", "body.email invalid_email"),
    ] {
        let refused = app.ask_for(&user, email).await.expect(422);
        assert_eq!(refused.invalid_fields(), [wrong]);
    }
    let empty = app
        .post("/me/email")
        .by(&user)
        .json(&json!({}))
        .send()
        .await;
    assert_eq!(empty.expect(422).invalid_fields(), ["body.email missing"]);
    assert_eq!(app.jobs_of("offer_email_change").await, 0);
}

#[tokio::test]
async fn a_second_wish_waits_and_takes_the_place_of_the_first() {
    let app = TestApp::start().await;
    let user = ada(&app).await;
    let first = app.confirm_link(&user, "one@example.com").await;
    for seconds in [60, 120] {
        app.clock
            .advance(TimeDelta::milliseconds(seconds * 1000 - 900));
        let refused = app.ask_for(&user, "two@example.com").await;
        let refused = refused.expect_problem(429, "rate_limited");
        assert_eq!(refused.header("retry-after"), "1");
        app.clock.advance(TimeDelta::milliseconds(900));
        app.ask_for(&user, "two@example.com").await.expect(202);
    }
    app.get(&first).send().await.expect_problem(400, INVALID);
    // The mail of the wish before is not sent at all.
    let second = link_in(&app.mail_to("two@example.com").await);
    app.get(&second).send().await.expect(200);
    assert_eq!(app.email_of(user.id).await, "two@example.com");
    app.deliver_mail().await;
}

#[tokio::test]
async fn links_are_good_for_a_day_and_for_three() {
    let app = TestApp::start().await;
    let user = ada(&app).await;
    let moment = TimeDelta::microseconds(1);
    let late = app.confirm_link(&user, "late@example.com").await;
    app.clock.advance(TimeDelta::hours(24));
    app.get(&late).send().await.expect_problem(400, INVALID);
    let session = app.log_in("ada@example.com").await.expect(200);
    let user = TestUser {
        token: session.text("access_token"),
        ..user
    };
    let link = app.confirm_link(&user, "new@example.com").await;
    app.clock.advance(TimeDelta::hours(24) - moment);
    app.get(&link).send().await.expect(200);
    let undo = link_in(&app.mail_to("ada@example.com").await);
    app.clock.advance(TimeDelta::hours(72));
    app.get(&undo).send().await.expect_problem(400, UNDONE);
    let session = app.log_in("new@example.com").await.expect(200);
    let user = TestUser {
        token: session.text("access_token"),
        ..user
    };
    let undo = app.move_to(&user, "newer@example.com").await;
    app.clock.advance(TimeDelta::hours(72) - moment);
    app.get(&undo).send().await.expect(200);
    assert_eq!(app.email_of(user.id).await, "new@example.com");
    app.deliver_mail().await;
}

#[tokio::test]
async fn an_address_that_somebody_got_meanwhile_is_refused() {
    let app = TestApp::start().await;
    let user = ada(&app).await;
    let link = app.confirm_link(&user, "new@example.com").await;
    app.register("NEW@example.com").await.expect(200);
    app.get(&link)
        .send()
        .await
        .expect_problem(409, "email_taken");
    let page = app.post(&link).header("accept", BROWSER).form(&[]);
    let page = page.send().await.expect(409);
    assert!(page.body.contains("Somebody else has this address"));
    assert_eq!(app.email_of(user.id).await, "ada@example.com");
    app.deliver_mail().await;
}

#[tokio::test]
async fn undoing_gives_the_account_back_to_the_owner_of_the_old_address() {
    let app = TestApp::start().await;
    let user = ada(&app).await;
    let undo = app.move_to(&user, "eve@example.org").await;
    let stolen = app.reset_link("eve@example.org").await;
    let done = app.get(&undo).send().await.expect(200);
    assert!(done.text("message").contains("undone"), "{}", done.body);
    assert!(!app.is_logged_in(&user.token).await);
    app.log_in("eve@example.org").await.expect(401);
    let mail = app.mail_to("ada@example.com").await;
    let reset = link_in(&mail);
    let set = async |link: &str| {
        let form = [("new_password", "Better*5678")];
        app.post(link).form(&form).send().await
    };
    set(&stolen)
        .await
        .expect_problem(400, "invalid_password_reset_token");
    set(&reset).await.expect(200);
    app.log_in_with("ada@example.com", "Better*5678")
        .await
        .expect(200);
    app.get(&undo).send().await.expect_problem(400, UNDONE);
    app.deliver_mail().await;
}

#[tokio::test]
async fn who_changes_it_twice_cannot_shake_the_first_owner_off() {
    let app = TestApp::start().await;
    let user = ada(&app).await;
    let undo_a = app.move_to(&user, "b@example.org").await;
    app.clock.advance(TimeDelta::minutes(2));
    let undo_b = app.move_to(&user, "c@example.org").await;
    app.clock.advance(TimeDelta::minutes(5));
    let confirm_d = app.confirm_link(&user, "d@example.org").await;
    app.get(&undo_a).send().await.expect(200);
    assert_eq!(app.email_of(user.id).await, "ada@example.com");
    // Neither what he did nor what he had begun leads back.
    app.get(&undo_b).send().await.expect_problem(400, UNDONE);
    app.get(&confirm_d)
        .send()
        .await
        .expect_problem(400, INVALID);
    assert_eq!(app.count("email_changes").await, 0);
    app.mail_to("ada@example.com").await;
}

#[tokio::test]
async fn undoing_the_second_change_leaves_the_first_to_its_owner() {
    let app = TestApp::start().await;
    let user = ada(&app).await;
    let undo_a = app.move_to(&user, "b@example.org").await;
    app.clock.advance(TimeDelta::minutes(2));
    let undo_b = app.move_to(&user, "c@example.org").await;
    app.get(&undo_b).send().await.expect(200);
    assert_eq!(app.email_of(user.id).await, "b@example.org");
    app.get(&undo_a).send().await.expect(200);
    assert_eq!(app.email_of(user.id).await, "ada@example.com");
    app.deliver_mail().await;
}

#[tokio::test]
async fn nobody_keeps_the_old_address_from_coming_back_but_one_who_uses_it() {
    let app = TestApp::start().await;
    app.admin().await;
    let user = ada(&app).await;
    let undo = app.move_to(&user, "eve@example.org").await;
    // The thief registers with the address that he has taken away.
    app.register("ada@example.com").await.expect(200);
    app.get(&undo).send().await.expect(200);
    assert_eq!(app.email_of(user.id).await, "ada@example.com");
    assert_eq!(app.count("users").await, 2);
    app.mail_to("ada@example.com").await;

    let other = app.user(Role::Authenticated, "bob@example.com").await;
    let undo = app.move_to(&other, "bobby@example.com").await;
    app.user(Role::Authenticated, "bob@example.com").await;
    app.get(&undo)
        .send()
        .await
        .expect_problem(409, "email_taken");
    let page = app.post(&undo).header("accept", BROWSER).form(&[]);
    let page = page.send().await.expect(409);
    assert!(page.body.contains("Somebody else has this address"));
    assert_eq!(app.email_of(other.id).await, "bobby@example.com");
    assert!(app.is_logged_in(&other.token).await);
}

#[tokio::test]
async fn undoing_takes_a_deletion_back_too() {
    let app = TestApp::start().await;
    let user = ada(&app).await;
    let undo = app.move_to(&user, "eve@example.org").await;
    app.close(&user).await.expect(202);
    let restore = link_in(&app.mail_to("eve@example.org").await);
    app.get(&undo).send().await.expect(200);
    app.get(&restore)
        .send()
        .await
        .expect_problem(400, "invalid_restore_token");
    app.mail_to("ada@example.com").await;
}

#[tokio::test]
async fn what_an_administrator_or_a_new_password_decides_ends_all_wishes() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let user = ada(&app).await;
    let undo = app.move_to(&user, "b@example.org").await;
    app.clock.advance(TimeDelta::minutes(2));
    let confirm = app.confirm_link(&user, "c@example.org").await;
    // While the account is locked nothing is confirmed.
    app.lock(&admin, user.id).await.expect(200);
    app.get(&confirm).send().await.expect_problem(400, INVALID);
    app.unlock(&admin, user.id).await.expect(200);
    app.change(&admin, user.id, &json!({"email": "d@example.org"}))
        .await
        .expect(200);
    app.get(&confirm).send().await.expect_problem(400, INVALID);
    app.get(&undo).send().await.expect_problem(400, UNDONE);
    app.deliver_mail().await;

    let other = app.user(Role::Authenticated, "bob@example.com").await;
    let confirm = app.confirm_link(&other, "eve@example.org").await;
    let reset = app.reset_link("bob@example.com").await;
    let form = [("new_password", "Better*5678")];
    app.post(&reset).form(&form).send().await.expect(200);
    app.get(&confirm).send().await.expect_problem(400, INVALID);
    assert_eq!(app.email_of(other.id).await, "bob@example.com");
    app.deliver_mail().await;
}

#[tokio::test]
async fn an_account_without_a_proven_address_has_nothing_to_come_back_to() {
    let app = TestApp::start().await;
    let user = ada(&app).await;
    let phone = "update users set email = null, email_verified_at = null, \
                 phone_number = '+14155552671' where id = $1";
    let unproven =
        "update users set email = 'typo@example.com', email_verified_at = null where id = $1";
    for (number, statement) in [phone, unproven].into_iter().enumerate() {
        sqlx::query(statement)
            .bind(user.id)
            .execute(&app.database.pool)
            .await
            .unwrap();
        let new = format!("new{number}@example.com");
        // A stolen session must not be enough where nothing brings the account back.
        let refused = app.ask_for(&user, &new).await.expect(422);
        assert_eq!(refused.invalid_fields(), ["body.password missing"]);
        let ask = async |password: &str| {
            let body = json!({"email": new, "password": password});
            app.post("/me/email").by(&user).json(&body).send().await
        };
        let refused = ask("another password").await.expect(422);
        assert_eq!(refused.invalid_fields(), ["body.password wrong_password"]);
        ask(PASSWORD).await.expect(202);
        let link = link_in(&app.mail_to(&new).await);
        app.get(&link).send().await.expect(200);
        assert_eq!(app.deliver_mail().await, []);
        assert_eq!(app.count("email_changes").await, 0);
        let shown = app.log_in(&format!("new{number}@example.com")).await;
        shown.expect(200);
        app.clock.advance(TimeDelta::minutes(2));
    }
}
