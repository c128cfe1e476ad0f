//! Phone numbers where nobody may learn who has an account.

use chrono::TimeDelta;
use serde_json::{Value, json};
use user_management::domain::role::Role;

use super::{NUMBER, register, register_number};
use crate::support::app::{PASSWORD, TestApp, TestUser};

async fn start() -> TestApp {
    TestApp::start_with(&[("HIDE_ACCOUNT_EXISTENCE", "true")]).await
}

/// How many users there are, and the last of them.
async fn last_user(app: &TestApp, admin: &TestUser) -> (u64, Value) {
    let list = app.get("/users/").by(admin).send().await.expect(200).json();
    let last = list["items"].as_array().unwrap().last().unwrap().clone();
    (list["total"].as_u64().unwrap(), last)
}

#[tokio::test]
async fn a_registration_is_answered_alike_for_known_and_unknown_numbers() {
    let app = start().await;
    let admin = app.admin().await;
    let owner = app.user(Role::Authenticated, "ada@example.com").await;
    app.change(&admin, owner.id, &json!({"phone_number": "+442079460958"}))
        .await
        .expect(200);
    let unknown = register_number(&app, NUMBER).await.expect(202);
    let known = register_number(&app, "(415) 555-2671").await.expect(202);
    let of_owner = register_number(&app, "+44 20 7946 0958").await.expect(202);
    assert_eq!(unknown.json(), json!({"message": "Check your mail"}));
    for other in [&known, &of_owner] {
        assert_eq!(other.json(), unknown.json());
        let names = |headers: &axum::http::HeaderMap| -> Vec<String> {
            headers.keys().map(ToString::to_string).collect()
        };
        assert_eq!(names(&other.headers), names(&unknown.headers));
    }
    assert_eq!(last_user(&app, &admin).await.0, 3);
    app.log_in(NUMBER).await.expect(200);
    // Who has an address is told, and who has none can't be.
    let mails = app.deliver_mail().await;
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].to.address, "ada@example.com");
}

#[tokio::test]
async fn a_number_beside_an_address_is_passed_over_whether_or_not_somebody_has_it() {
    let app = start().await;
    let admin = app.admin().await;
    register_number(&app, NUMBER).await.expect(202);
    for (email, number) in [
        ("ada@example.com", NUMBER),
        ("eve@example.com", "+14155552672"),
    ] {
        let body = json!({"email": email, "phone_number": number, "password": PASSWORD});
        app.clock.advance(TimeDelta::seconds(1));
        register(&app, &body).await.expect(202);
        let (_, user) = last_user(&app, &admin).await;
        assert_eq!(
            (&user["email"], &user["phone_number"]),
            (&json!(email), &json!(null))
        );
    }
    app.deliver_mail().await;
}

#[tokio::test]
async fn the_number_of_an_earlier_registration_does_not_tell_whether_its_address_was_new() {
    let app = start().await;
    app.user(Role::Authenticated, "ada@example.com").await;
    let mut answers = Vec::new();
    for (email, number) in [
        ("ada@example.com", "+14155552671"),
        ("nobody@example.com", "+14155552672"),
    ] {
        let body = json!({"email": email, "phone_number": number, "password": "Attacker*Pass7"});
        register(&app, &body).await.expect(202);
        let mut statuses = Vec::new();
        for _ in 0..2 {
            let form = [("username", number), ("password", PASSWORD)];
            statuses.push(app.post("/login/").form(&form).send().await.status.as_u16());
            register_number(&app, number).await.expect(202);
        }
        answers.push(statuses);
    }
    assert_eq!(answers, [[401, 200], [401, 200]]);
    app.deliver_mail().await;
}
