//! One's own account, and what anybody sees of it.

use serde_json::{Value, json};
use user_management::domain::role::Role;

use crate::support::{
    accounts::id_of,
    app::{TestApp, TestUser},
    request::TestResponse,
};

async fn change(app: &TestApp, user: &TestUser, change: &Value) -> TestResponse {
    app.patch("/me").by(user).json(change).send().await
}

async fn change_if(app: &TestApp, user: &TestUser, tag: &str, bio: &str) -> TestResponse {
    app.patch("/me")
        .by(user)
        .header("if-match", tag)
        .json(&json!({"bio": bio}))
        .send()
        .await
}

#[tokio::test]
async fn one_reads_and_changes_ones_own_account() {
    let app = TestApp::start().await;
    let ada = app.user(Role::Authenticated, "ada@example.com").await;
    let before = app.get("/me").by(&ada).send().await.expect(200);
    assert_eq!(id_of(&before.json()), ada.id);
    let all = json!({
        "nickname": "countess_ada", "first_name": "Ada", "middle_name": "Augusta", "last_name": "Lovelace",
        "is_name_public": true, "bio": "Writes programs.", "location": "London", "locale": "en-GB",
        "profile_picture_url": "https://example.com/ada.png",
        "linkedin_profile_url": "https://linkedin.com/in/ada", "github_profile_url": "https://github.com/ada",
        // What is not for him to change is passed over.
        "role": "ADMIN", "email": "other@example.com", "is_professional": true,
    });
    let changed = change(&app, &ada, &all).await.expect(200).json();
    for (name, value) in all.as_object().unwrap() {
        match &**name {
            "role" => assert_eq!(changed[name], "AUTHENTICATED"),
            "email" => assert_eq!(changed[name], "ada@example.com"),
            "is_professional" => assert_eq!(changed[name], false),
            _ => assert_eq!(changed[name], *value, "{name}"),
        }
    }
    let read = app.get("/me").by(&ada).send().await.expect(200).json();
    assert_eq!(read, changed);
    // Three states: left out, null, and a value.
    let changed = change(&app, &ada, &json!({"bio": null, "location": "Paris"})).await;
    let changed = changed.expect(200).json();
    assert_eq!(
        (
            &changed["bio"],
            &changed["location"],
            &changed["first_name"]
        ),
        (&Value::Null, &json!("Paris"), &json!("Ada"))
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_change_is_named() {
    let app = TestApp::start().await;
    let ada = app.user(Role::Authenticated, "ada@example.com").await;
    let bob = app.user(Role::Authenticated, "bob@example.com").await;
    change(&app, &bob, &json!({"nickname": "bob"}))
        .await
        .expect(200);
    for (body, field) in [
        (json!({}), "body empty_change"),
        (json!({"role": "ADMIN"}), "body empty_change"),
        (json!({"nickname": null}), "body.nickname required"),
        (json!({"nickname": "me"}), "body.nickname invalid_length"),
        (
            json!({"nickname": "sessions"}),
            "body.nickname reserved_nickname",
        ),
        (
            json!({"is_name_public": null}),
            "body.is_name_public required",
        ),
        (
            json!({"is_name_public": "yes"}),
            "body.is_name_public invalid_type",
        ),
        (json!({"location": ""}), "body.location empty"),
        (
            json!({"location": "x".repeat(101)}),
            "body.location too_long",
        ),
        (json!({"locale": "english"}), "body.locale invalid_locale"),
        (
            json!({"middle_name": "a\nb"}),
            "body.middle_name control_character",
        ),
        (
            json!({"github_profile_url": "javascript:alert(1)"}),
            "body.github_profile_url invalid_url",
        ),
    ] {
        let refused = change(&app, &ada, &body).await.expect(422);
        assert_eq!(refused.invalid_fields(), [field], "{body}");
    }
    change(&app, &ada, &json!({"nickname": "BOB"}))
        .await
        .expect_problem(409, "nickname_already_exists");
    // His own in another case is his.
    change(&app, &bob, &json!({"nickname": "Bob"}))
        .await
        .expect(200);
}

#[tokio::test]
async fn a_change_of_what_has_changed_is_refused_where_the_caller_asks_for_that() {
    let app = TestApp::start().await;
    let ada = app.user(Role::Authenticated, "ada@example.com").await;
    let read = app.get("/me").by(&ada).send().await.expect(200);
    let tag = read.header("etag").to_owned();
    let first = change_if(&app, &ada, &tag, "first").await.expect(200);
    let next = first.header("etag").to_owned();
    assert_ne!(next, tag);
    for stale in [
        &*tag,
        "",
        "x",
        "\"x\"",
        &format!("W/{next}"),
        &next.replace('"', ""),
    ] {
        let refused = change_if(&app, &ada, stale, "lost").await;
        refused.expect_problem(412, "precondition_failed");
    }
    let read = app.get("/me").by(&ada).send().await.expect(200);
    assert_eq!(
        (read.text("bio"), read.header("etag")),
        ("first".to_owned(), &*next)
    );
    // A login elsewhere changes no tag, and what changes nothing neither.
    app.log_in("ada@example.com").await.expect(200);
    let same = change_if(&app, &ada, &format!("{tag}, {next}"), "first")
        .await
        .expect(200);
    assert_eq!(same.header("etag"), next);
    change_if(&app, &ada, "*", "second").await.expect(200);
    change_if(&app, &ada, &next, "third")
        .await
        .expect_problem(412, "precondition_failed");
    // A manager's change counts as any other.
    let admin = app.admin().await;
    let tag = app
        .get("/me")
        .by(&ada)
        .send()
        .await
        .expect(200)
        .header("etag")
        .to_owned();
    app.change(&admin, ada.id, &json!({"first_name": "Ada"}))
        .await
        .expect(200);
    change_if(&app, &ada, &tag, "lost")
        .await
        .expect_problem(412, "precondition_failed");
}

#[tokio::test]
async fn a_public_profile_shows_what_its_owner_publishes() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let ada = app.user(Role::Authenticated, "ada@example.com").await;
    let body = json!({"nickname": "Countess", "first_name": "Ada", "last_name": "Lovelace", "bio": "Writes."});
    change(&app, &ada, &body).await.expect(200);
    let profile = async |nickname: &str| app.get(&format!("/profiles/{nickname}")).send().await;
    let expected = |first_name: Value, last_name: Value| {
        json!({
            "nickname": "Countess", "first_name": first_name, "middle_name": null, "last_name": last_name,
            "bio": "Writes.", "location": null, "profile_picture_url": null, "linkedin_profile_url": null,
            "github_profile_url": null, "is_professional": false,
            "links": [{"rel": "self", "href": "https://users.example.com/profiles/Countess", "method": "GET",
                       "action": "view", "type": "application/json"}],
        })
    };
    let hidden = profile("countess").await.expect(200).json();
    assert_eq!(hidden, expected(Value::Null, Value::Null));
    change(&app, &ada, &json!({"is_name_public": true}))
        .await
        .expect(200);
    let shown = profile("COUNTESS").await.expect(200).json();
    assert_eq!(shown, expected(json!("Ada"), json!("Lovelace")));

    for nobody in ["nobody", "x", "%FF", "%00", &"x".repeat(51)] {
        profile(nobody).await.expect_problem(404, "user_not_found");
    }
    app.lock(&admin, ada.id).await.expect(200);
    profile("countess")
        .await
        .expect_problem(404, "user_not_found");
    let new = app.register("new@example.com").await.expect(200);
    profile(&new.text("nickname"))
        .await
        .expect_problem(404, "user_not_found");
    app.deliver_mail().await;
}

#[tokio::test]
async fn a_request_whose_session_ends_while_it_is_being_sent_changes_nothing() {
    use axum::body::Body;
    use futures::{SinkExt as _, channel::mpsc};

    let app = TestApp::start_with(&[("COMPAT_APIS", "mflix")]).await;
    let admin = app.admin().await;
    let stored = async |id| app.read(&admin, id).await.expect(200).json();
    for (number, (method, path, body)) in [
        (
            "PUT",
            "/compat/mflix/api/v1/user/update-preferences",
            json!({"preferences": {"a": 1}}),
        ),
        ("PATCH", "/me", json!({"bio": "stolen"})),
        ("POST", "/me/email", json!({"email": "thief@example.com"})),
        ("PUT", "/users/{id}", json!({"bio": "stolen"})),
        (
            "POST",
            "/users/",
            json!({"email": "friend@example.com", "password": "Secure*1234"}),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let email = format!("user{number}@example.com");
        let user = app.user(Role::Manager, &email).await;
        let below = app
            .user(Role::Authenticated, &format!("below{number}@example.com"))
            .await;
        let before = (
            stored(user.id).await,
            stored(below.id).await,
            app.count("users").await,
        );
        let (mut sender, receiver) =
            mpsc::channel::<std::result::Result<String, std::io::Error>>(0);
        let slow = app
            .request(method, &path.replace("{id}", &below.id.to_string()))
            .by(&user)
            .raw("application/json", Body::from_stream(receiver))
            .send();
        let end_it = async {
            // The body is asked for when the caller has been let in.
            sender.send(Ok("{".to_owned())).await.unwrap();
            app.delete(&format!("/users/{}/sessions", user.id))
                .by(&admin)
                .send()
                .await
                .expect(204);
            let rest = body.to_string()[1..].to_owned();
            sender.send(Ok(rest)).await.unwrap();
            drop(sender);
        };
        let (answer, ()) = futures::future::join(slow, end_it).await;
        answer.expect(401);
        let after = (
            stored(user.id).await,
            stored(below.id).await,
            app.count("users").await,
        );
        assert_eq!(after, before, "{path}");
        assert_eq!(app.count("email_changes").await, 0);
        assert_eq!(app.count("user_preferences").await, 0);
    }
}
