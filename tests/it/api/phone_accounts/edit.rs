//! `PUT /users/{user_id}` and the phone number.

use serde_json::json;
use user_management::domain::role::Role;

use super::{NUMBER, register_number};
use crate::support::{
    accounts::id_of,
    app::{PASSWORD, TestApp},
    request::link_in,
};

#[tokio::test]
async fn a_number_is_set_changed_and_taken_away_where_there_is_an_address() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    for (change, kept) in [
        (json!({"phone_number": "415-555-2671"}), json!(NUMBER)),
        (json!({"bio": "x"}), json!(NUMBER)),
        (json!({"phone_number": NUMBER}), json!(NUMBER)),
        (
            json!({"phone_number": "+44 20 7946 0958"}),
            json!("+442079460958"),
        ),
        (json!({"phone_number": null}), json!(null)),
    ] {
        let changed = app.change(&admin, user.id, &change).await.expect(200);
        let changed = changed.json();
        assert_eq!(changed["phone_number"], kept, "{change}");
        assert_eq!(changed["email_verified"], true);
        if let Some(number) = kept.as_str() {
            app.log_in(number).await.expect(200);
        }
    }
    for free in [NUMBER, "+442079460958"] {
        app.log_in(free)
            .await
            .expect_problem(401, "invalid_credentials");
    }
    assert_eq!(app.jobs_of("send_mail").await, 0);
}

#[tokio::test]
async fn nobody_loses_his_only_name() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let user = register_number(&app, NUMBER).await.expect(200).json();
    let id = id_of(&user);
    for (change, field) in [
        (
            json!({"phone_number": null, "bio": "x"}),
            "body.phone_number required",
        ),
        (json!({"email": null}), "body.email required"),
        (
            json!({"phone_number": "12"}),
            "body.phone_number invalid_phone_number",
        ),
    ] {
        let refused = app.change(&admin, id, &change).await;
        let refused = refused.expect_problem(422, "invalid_input");
        assert_eq!(refused.invalid_fields(), [field]);
    }
    let kept = app.read(&admin, id).await.json();
    assert_eq!(
        (&kept["phone_number"], &kept["bio"]),
        (&json!(NUMBER), &json!(null))
    );
    // With a new name in its place it can go.
    let change = json!({"phone_number": null, "email": "ada@example.com"});
    let changed = app.change(&admin, id, &change).await.expect(200).json();
    assert_eq!(changed["phone_number"], json!(null));
    assert_eq!(changed["email"], "ada@example.com");
    app.deliver_mail().await;
}

#[tokio::test]
async fn a_first_address_must_be_verified_and_raises_the_role() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let body = json!({"phone_number": NUMBER, "password": PASSWORD});
    let added = app.post("/users/").by(&admin).json(&body).send().await;
    let user = added.expect(201).json();
    let id = id_of(&user);
    assert_eq!(app.count("jobs").await, 0);
    let change = json!({"email": "ada@example.com"});
    let changed = app.change(&admin, id, &change).await.expect(200).json();
    assert_eq!(changed["email_verified"], false);
    assert_eq!(changed["phone_number"], NUMBER);
    let mails = app.deliver_mail().await;
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].to.address, "ada@example.com");
    app.log_in(NUMBER)
        .await
        .expect_problem(401, "email_not_verified");
    app.get(&link_in(&mails[0].text)).send().await.expect(200);
    app.log_in(NUMBER).await.expect(200);
    assert_eq!(app.role_of(id).await, "AUTHENTICATED");
}

#[tokio::test]
async fn a_number_of_somebody_else_cannot_be_taken() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    register_number(&app, NUMBER).await.expect(200);
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    let before = app.read(&admin, user.id).await.json();
    let change = json!({"phone_number": "(415) 555 2671", "bio": "x"});
    let refused = app.change(&admin, user.id, &change).await;
    refused.expect_problem(409, "phone_number_already_exists");
    let change = json!({"phone_number": NUMBER, "email": "ADMIN@example.com"});
    let refused = app.change(&admin, user.id, &change).await;
    refused.expect_problem(409, "email_taken");
    assert_eq!(app.read(&admin, user.id).await.json(), before);
}
