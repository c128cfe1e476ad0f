//! The first account becomes administrator: once.

use std::sync::Arc;

use axum::http::StatusCode;

use user_management::{
    domain::{
        email::Email,
        id::RequestId,
        password::{Password, TypedPassword},
        profile::Profile,
        role::Role,
    },
    infra::clock::Clock as _,
    services::{Ctx, registration::NewAccount},
};
use uuid::Uuid;

use super::{assert_no_deadlocks, discard_mail, insist, number, together, two_instances};
use crate::support::app::{PASSWORD, TestApp};

const ADMINS: &str = "select count(*) from users where role = 'ADMIN'";

/// Registers `count` users at once on an empty database. Those who are turned away because there is
/// too much to hash come again, all at once too, until everybody has an account.
async fn register_at_once(count: usize, settings: &[(&str, &str)]) -> [Arc<TestApp>; 2] {
    let instances = two_instances(settings).await;
    let app = &instances[0];
    let mut waiting: Vec<_> = (0..count).collect();
    let mut told_admin = 0;
    while !waiting.is_empty() {
        let users = Arc::new(waiting);
        let answers = together(&instances, users.len(), |app, index| {
            let email = format!("user{}@example.com", users[index]);
            async move { app.register(&email).await }
        })
        .await;
        waiting = Vec::new();
        for (user, answer) in users.iter().zip(answers) {
            if answer.status == StatusCode::OK {
                told_admin += i64::from(answer.text("role") == "ADMIN");
            } else {
                answer
                    .expect_problem(503, "unavailable")
                    .header("retry-after");
                waiting.push(*user);
            }
        }
        // Nothing is stored of those who were turned away.
        let made = i64::try_from(count - waiting.len()).unwrap();
        for table in ["users", "one_time_tokens", "jobs"] {
            assert_eq!(app.count(table).await, made, "{table}");
        }
    }
    assert_eq!(app.count("first_user").await, 1);
    // What clients were told is what is stored.
    assert_eq!(number(app, ADMINS).await, told_admin);
    instances
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_500_registrations_on_two_instances_one_makes_the_administrator() {
    let instances = register_at_once(500, &[]).await;
    let app = &instances[0];
    assert_eq!(number(app, ADMINS).await, 1);
    assert_eq!(
        number(app, "select sum(users)::bigint from user_counts").await,
        500
    );
    // One mail each.
    let distinct = "select count(distinct payload->>'user_id') from jobs where kind = 'send_mail'";
    assert_eq!(number(app, distinct).await, 500);
    discard_mail(app).await;
    assert_no_deadlocks(&instances).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_few_registrations_on_two_fresh_instances_make_one_administrator_each_time() {
    for _ in 0..10 {
        let [app, _] = register_at_once(16, &[]).await;
        assert_eq!(number(&app, ADMINS).await, 1);
        discard_mail(&app).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_it_is_switched_off_nobody_becomes_administrator_by_being_first() {
    let [app, second] = register_at_once(32, &[("FIRST_USER_IS_ADMIN", "false")]).await;
    assert_eq!(number(&app, ADMINS).await, 0);
    // Nor later, by an instance that has the other setting: the place is taken.
    let other = second.second_instance(&[("FIRST_USER_IS_ADMIN", "true")]);
    let late = other.register("late@example.com").await.expect(200);
    assert_eq!(late.text("role"), "ANONYMOUS");
    discard_mail(&app).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_made_by_the_service_and_one_by_being_first_are_at_most_two() {
    for _ in 0..10 {
        let instances = two_instances(&[]).await;
        let made = together(&instances, 8, async |app: Arc<TestApp>, number| {
            if number < 2 {
                let ctx = Ctx::system(RequestId(Uuid::nil()), app.clock.now());
                let account = NewAccount {
                    email: Some(Email::parse("chief@example.com").unwrap()),
                    phone_number: None,
                    legacy_name: None,
                    password: Password::parse(&TypedPassword::new(PASSWORD.to_owned())).unwrap(),
                    nickname: None,
                    profile: Profile::default(),
                };
                // As two instances do at start.
                let registration = &app.app.services.registration;
                registration.ensure_admin(&ctx, account).await.unwrap();
                return None;
            }
            let email = format!("user{number}@example.com");
            Some(
                insist(|| app.register(&email))
                    .await
                    .expect(200)
                    .text("role"),
            )
        })
        .await;
        let registered: Vec<_> = made.into_iter().flatten().collect();
        let first = registered.iter().filter(|role| *role == "ADMIN").count();
        assert!(first <= 1, "{registered:?}");
        let app = &instances[0];
        assert_eq!(
            number(app, ADMINS).await,
            1 + i64::try_from(first).unwrap(),
            "the chief, and the first to register if he was quicker"
        );
        assert_eq!(app.count("users").await, 7);
        // Whoever comes later is no administrator either way.
        let late = app.register("late@example.com").await.expect(200);
        assert_eq!(late.text("role"), Role::Anonymous.as_str());
        discard_mail(app).await;
    }
}
