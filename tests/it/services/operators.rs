//! What operators do for users, and nobody else may.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use user_management::{
    domain::{
        email::Email,
        id::{RequestId, UserId},
        nickname::Nickname,
        password::{Password, TypedPassword},
        phone::PhoneNumber,
        profile::Profile,
        role::Role,
    },
    error::{Error, ErrorCode},
    infra::{clock::Clock as _, random::Random},
    services::{Ctx, registration::Creation},
};
use uuid::Uuid;

use crate::support::{
    app::{PASSWORD, TestApp, TestUser},
    request::link_in,
};

fn operator(app: &TestApp) -> Ctx {
    Ctx {
        account: Some("ada".to_owned()),
        ..Ctx::operator(RequestId(Uuid::nil()), app.clock.now())
    }
}

fn password(text: &str) -> Password {
    Password::parse(&TypedPassword::new(text.to_owned())).unwrap()
}

fn creation(email: &str) -> Creation {
    Creation {
        email: Some(Email::parse(email).unwrap()),
        phone_number: None,
        nickname: None,
        profile: Profile::default(),
        password: Some(password(PASSWORD)),
        role: None,
        is_verified: false,
    }
}

/// The actions of operators that the audit log has, and what changed by them.
async fn told(app: &TestApp) -> Vec<(String, Value)> {
    sqlx::query_as(
        "select action, coalesce(after, '{}') from audit_log \
         where actor_kind = 'operator' and actor_name = 'ada' order by id",
    )
    .fetch_all(&app.database.pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn an_account_is_made_verified_or_asked_to_verify_or_invited() {
    let app = TestApp::start().await;
    let (ctx, registration) = (operator(&app), &app.app.services.registration);
    let verified = Creation {
        is_verified: true,
        ..creation("verified@example.com")
    };
    let user = registration.create(&ctx, verified).await.unwrap();
    assert_eq!(user.role, Role::Authenticated);
    app.log_in("verified@example.com").await.expect(200);
    assert!(app.deliver_mail().await.is_empty());

    let asked = creation("asked@example.com");
    let user = registration.create(&ctx, asked).await.unwrap();
    assert_eq!(user.role, Role::Anonymous);
    let link = link_in(&app.mail_to("asked@example.com").await);
    app.get(&link).send().await.expect(200);
    app.log_in("asked@example.com").await.expect(200);

    let invited = Creation {
        password: None,
        role: Some(Role::Manager),
        ..creation("invited@example.com")
    };
    let user = registration.create(&ctx, invited).await.unwrap();
    assert_eq!((user.role, user.email_verified_at), (Role::Manager, None));
    let mail = app.mail_to("invited@example.com").await;
    assert!(mail.contains("7 days"), "{mail}");
    let link = link_in(&mail);
    let fields = [("new_password", PASSWORD)];
    // Not everybody reads his mail at once.
    app.clock.advance(TimeDelta::days(6));
    app.post(&link).form(&fields).send().await.expect(200);
    app.log_in("invited@example.com").await.expect(200);
    assert_eq!(app.deliver_mail().await.len(), 1, "that it was set");
    let actions: Vec<_> = told(&app).await.into_iter().map(|told| told.0).collect();
    assert_eq!(actions, ["user_added"; 3]);
}

/// Draws zeros: the password of nobody is a row of the letter A.
struct Zeros;

impl Random for Zeros {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

#[tokio::test]
async fn a_password_that_is_drawn_for_an_invited_user_may_have_his_nickname_in_it() {
    let app = TestApp::start_changed(&[], |parts| parts.random = Arc::new(Zeros)).await;
    let invited = Creation {
        password: None,
        nickname: Some(Nickname::parse("AAAA").unwrap()),
        ..creation("invited@example.com")
    };
    let registration = &app.app.services.registration;
    registration.create(&operator(&app), invited).await.unwrap();
    app.deliver_mail().await;
}

#[tokio::test]
async fn after_an_operator_has_made_somebody_nobody_becomes_administrator_by_registering() {
    let app = TestApp::start().await;
    let (ctx, registration) = (operator(&app), &app.app.services.registration);
    let phone = Creation {
        email: None,
        phone_number: Some(PhoneNumber::from_database("+14155552671".to_owned())),
        ..creation("x@example.com")
    };
    let user = registration.create(&ctx, phone).await.unwrap();
    assert_eq!(user.role, Role::Anonymous);
    let registered = app.register("late@example.com").await.expect(200);
    assert_eq!(registered.text("role"), "ANONYMOUS");
    let admin = Creation {
        role: Some(Role::Admin),
        ..creation("root@example.com")
    };
    let admin = registration.create(&ctx, admin).await.unwrap();
    assert!(admin.email_verified_at.is_some());
    app.log_in("root@example.com").await.expect(200);
    let actions: Vec<_> = told(&app).await.into_iter().map(|told| told.0).collect();
    assert_eq!(actions, ["user_added", "administrator_made"]);
    app.deliver_mail().await;
}

#[tokio::test]
async fn what_an_account_may_not_be_is_refused_and_nothing_is_made() {
    let app = TestApp::start().await;
    let (ctx, registration) = (operator(&app), &app.app.services.registration);
    let nameless = |creation: Creation| Creation {
        email: None,
        ..creation
    };
    let anonymous = Creation {
        role: Some(Role::Anonymous),
        is_verified: true,
        ..creation("a@example.com")
    };
    let invited = Creation {
        password: None,
        phone_number: Some(PhoneNumber::from_database("+14155552671".to_owned())),
        ..nameless(creation("a@example.com"))
    };
    let own_address = Creation {
        password: Some(password("someone@example.com")),
        ..creation("someone@example.com")
    };
    for (refused, field) in [
        (nameless(creation("a@example.com")), "body.email"),
        (anonymous, "body.role"),
        (invited, "body.email"),
        (own_address, "body.password"),
    ] {
        let Err(Error::Invalid(fields)) = registration.create(&ctx, refused).await else {
            panic!("{field} is taken");
        };
        assert_eq!(fields[0].path(), field);
    }
    let nobody = Ctx {
        actor: user_management::domain::actor::Actor::Nobody,
        ..operator(&app)
    };
    let made = registration.create(&nobody, creation("a@example.com"));
    assert!(matches!(made.await, Err(Error::Unauthenticated(_))));
    assert_eq!(app.count("users").await, 0);
}

#[tokio::test]
async fn an_address_that_an_operator_vouches_for_is_verified_and_its_link_is_void() {
    let app = TestApp::start().await;
    app.admin().await;
    let unverified = app.unverified("ada@example.com").await;
    let (ctx, id) = (operator(&app), UserId(unverified.id));
    let verification = &app.app.services.verification;
    let user = verification.vouch(&ctx, id).await.unwrap();
    assert_eq!(user.role, Role::Authenticated);
    assert_eq!(app.role_of(unverified.id).await, "AUTHENTICATED");
    app.log_in("ada@example.com").await.expect(200);
    app.get(&unverified.link)
        .send()
        .await
        .expect_problem(400, "invalid_verification_token");
    // Once more does nothing.
    let again = verification.vouch(&ctx, id).await.unwrap();
    assert_eq!(again.email_verified_at, user.email_verified_at);
    let at = json!("2026-01-02T03:04:05.000000Z");
    let change = json!({"role": "AUTHENTICATED", "email_verified_at": at});
    assert_eq!(told(&app).await, [("email_verified".to_owned(), change)]);
    let unknown = verification.vouch(&ctx, UserId(Uuid::nil())).await;
    assert_eq!(unknown.unwrap_err().code(), ErrorCode::UserNotFound);
}

#[tokio::test]
async fn a_password_that_whoever_knew_the_name_has_set_is_void_when_an_operator_vouches() {
    let app = TestApp::start_with(&[("COMPAT_APIS", "cookie-session")]).await;
    app.admin().await;
    let unverified = app.unverified("ada@example.com").await;
    app.reset_openly("ada@example.com", "Better*5678").await;
    let verification = &app.app.services.verification;
    let id = UserId(unverified.id);
    verification.vouch(&operator(&app), id).await.unwrap();
    let login = app.log_in_with("ada@example.com", "Better*5678").await;
    login.expect_problem(401, "invalid_credentials");
    let mail = app.mail_to("ada@example.com").await;
    assert!(link_in(&mail).starts_with("/password-reset/"), "{mail}");
}

#[tokio::test]
async fn a_link_to_a_new_password_is_mailed_as_often_as_an_operator_wants() {
    let app = TestApp::start().await;
    let ada = app.user(Role::Authenticated, "ada@example.com").await;
    let (ctx, resets) = (operator(&app), &app.app.services.password_reset);
    let mut links = Vec::new();
    for _ in 0..2 {
        resets.mail_link_for(&ctx, UserId(ada.id)).await.unwrap();
        links.push(link_in(&app.mail_to("ada@example.com").await));
    }
    assert!(
        app.is_logged_in(&ada.token).await,
        "nothing has changed yet"
    );
    let fields = [("new_password", "Better*5678")];
    let old = app.post(&links[0]).form(&fields).send().await;
    old.expect_problem(400, "invalid_password_reset_token");
    app.post(&links[1]).form(&fields).send().await.expect(200);
    let login = app.log_in_with("ada@example.com", "Better*5678").await;
    login.expect(200);
    let actions: Vec<_> = told(&app).await.into_iter().map(|told| told.0).collect();
    assert_eq!(actions, ["password_reset_requested"; 2]);
    app.deliver_mail().await;
}

#[tokio::test]
async fn a_password_that_an_operator_sets_ends_what_the_former_one_had_led_to() {
    let app = TestApp::start().await;
    let ada = app.user(Role::Authenticated, "ada@example.com").await;
    let link = app.reset_link("ada@example.com").await;
    app.lock_out("ada@example.com").await;
    let (ctx, resets) = (operator(&app), &app.app.services.password_reset);
    let own_address = password("ada@example.com");
    let own = resets.set_for(&ctx, UserId(ada.id), &own_address);
    assert!(matches!(own.await, Err(Error::Invalid(_))));
    assert!(app.is_logged_in(&ada.token).await);
    resets
        .set_for(&ctx, UserId(ada.id), &password("Better*5678"))
        .await
        .unwrap();
    assert!(!app.is_logged_in(&ada.token).await);
    app.log_in_with("ada@example.com", "Better*5678")
        .await
        .expect(200);
    let fields = [("new_password", PASSWORD)];
    let void = app.post(&link).form(&fields).send().await;
    void.expect_problem(400, "invalid_password_reset_token");
    let mails = app.deliver_mail().await;
    let subjects: Vec<_> = mails.iter().map(|mail| &*mail.subject).collect();
    assert!(
        subjects.contains(&"Your password was changed"),
        "{subjects:?}"
    );
    assert_eq!(told(&app).await, [("password_set".to_owned(), json!({}))]);
}

#[tokio::test]
async fn an_account_that_an_operator_closes_is_erased_later_and_only_he_takes_it_back() {
    let app = TestApp::start().await;
    app.admin().await;
    let ada = app.user(Role::Authenticated, "ada@example.com").await;
    let undo = app.move_to(&ada, "new@example.com").await;
    let (ctx, deletion) = (operator(&app), &app.app.services.deletion);
    let id = UserId(ada.id);
    let due_at = deletion.close_for(&ctx, id).await.unwrap();
    assert_eq!(due_at, app.clock.now() + TimeDelta::days(14));
    assert!(!app.is_logged_in(&ada.token).await);
    assert!(app.deliver_mail().await.is_empty(), "he gets no link");
    app.post(&undo)
        .send()
        .await
        .expect_problem(400, "invalid_email_undo_token");
    let again = deletion.close_for(&ctx, id).await.unwrap();
    assert_eq!(again, due_at);
    let restored = deletion.restore(&ctx, id).await.unwrap();
    assert_eq!(restored.deletion_due_at, None);
    app.log_in("new@example.com").await.expect(200);
    let actions: Vec<_> = told(&app).await.into_iter().map(|told| told.0).collect();
    let expected = ["deletion_requested", "deletion_requested", "user_restored"];
    assert_eq!(actions, expected);
    app.deliver_mail().await;
}

#[tokio::test]
async fn who_has_closed_his_account_cannot_take_it_back_once_an_operator_closes_it_too() {
    let app = TestApp::start().await;
    app.admin().await;
    let ada = app.user(Role::Authenticated, "ada@example.com").await;
    let undo = app.move_to(&ada, "new@example.com").await;
    let renamed = TestUser {
        email: "new@example.com".to_owned(),
        ..ada
    };
    let closed = app.close(&renamed).await.expect(202).json();
    let restore = link_in(&app.mail_to("new@example.com").await);
    app.clock.advance(TimeDelta::days(1));
    let (ctx, deletion) = (operator(&app), &app.app.services.deletion);
    let due_at = deletion.close_for(&ctx, UserId(renamed.id)).await.unwrap();
    let told_then: DateTime<Utc> = closed["deletion_due_at"].as_str().unwrap().parse().unwrap();
    assert_eq!(due_at, told_then);
    let back = app.post(&restore).send().await;
    back.expect_problem(400, "invalid_restore_token");
    let back = app.post(&undo).send().await;
    back.expect_problem(400, "invalid_email_undo_token");
    let nothing_changed = json!({});
    let expected = ("deletion_requested".to_owned(), nothing_changed);
    assert_eq!(told(&app).await, [expected]);
    let user = deletion.restore(&ctx, UserId(renamed.id)).await.unwrap();
    assert_eq!(user.deletion_due_at, None);
    app.deliver_mail().await;
}

#[tokio::test]
async fn without_a_grace_it_is_gone_at_once_and_the_last_administrator_stays() {
    let app = TestApp::start_with(&[("ACCOUNT_DELETION_GRACE_DAYS", "0")]).await;
    let admin = app.admin().await;
    let ada = app.user(Role::Authenticated, "ada@example.com").await;
    let (ctx, deletion) = (operator(&app), &app.app.services.deletion);
    deletion.close_for(&ctx, UserId(ada.id)).await.unwrap();
    assert_eq!(app.count("users").await, 1);
    let last = deletion.close_for(&ctx, UserId(admin.id)).await;
    assert_eq!(last.unwrap_err().code(), ErrorCode::LastAdministrator);
    assert_eq!(app.count("users").await, 1);
}

#[tokio::test]
async fn the_reason_of_a_lock_stands_in_the_audit_log() {
    use user_management::domain::role_change::Reason;

    let app = TestApp::start().await;
    app.admin().await;
    let ada = app.user(Role::Authenticated, "ada@example.com").await;
    let reason = Some(Reason::parse("Sends spam").unwrap());
    let users = &app.app.services.users;
    let locked = users.lock(&operator(&app), UserId(ada.id), reason).await;
    assert!(locked.unwrap().locked_at.is_some());
    let after = json!({"locked_at": "2026-01-02T03:04:05.000000Z", "reason": "Sends spam"});
    assert_eq!(told(&app).await, [("user_locked".to_owned(), after)]);
    app.deliver_mail().await;
}
