//! A link works once, whoever else acts on the account.

use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::json;
use user_management::{domain::role::Role, infra::clock::Clock as _};

use super::{
    assert_no_deadlocks, counts, discard_mail, insist, number, outcome, tally, together,
    two_instances,
};
use crate::support::{app::TestApp, request::link_in};

/// Registers a user and gives the path of the link in his mail.
async fn registered(app: &TestApp, email: &str) -> String {
    app.register(email).await.expect(200);
    link_in(&app.deliver_mail().await.remove(0).text)
}

/// Fails to log in so often that the account is locked, and gives the path of the link that unlocks it.
async fn locked_out(app: &TestApp, email: &str) -> String {
    for _ in 0..5 {
        insist(|| {
            app.post("/login/")
                .form(&[("username", email), ("password", "wrong")])
                .send()
        })
        .await
        .expect(401);
    }
    link_in(&app.deliver_mail().await.remove(0).text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verification_link_used_at_once_from_everywhere_works_once() {
    let instances = two_instances(&[("FIRST_USER_IS_ADMIN", "false")]).await;
    for round in 0..20 {
        let link = registered(&instances[0], &format!("user{round}@example.com")).await;
        let link = Arc::new(link);
        let answers = together(&instances, 32, |app, number| {
            let link = Arc::clone(&link);
            // By the link itself, and by the button of the page that it shows to people.
            let method = ["GET", "POST"][number / 2 % 2];
            async move { app.request(method, &link).send().await }
        })
        .await;
        let expected = counts([("200", 1), ("400 invalid_verification_token", 31)]);
        assert_eq!(tally(&answers), expected, "round {round}");
    }
    let app = &instances[0];
    assert_eq!(app.count("one_time_tokens").await, 0);
    let verified =
        "select count(*) from users where role = 'AUTHENTICATED' and email_verified_at is not null";
    assert_eq!(number(app, verified).await, 20);
    assert_no_deadlocks(&instances).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unlock_link_used_at_once_from_everywhere_works_once() {
    let instances = two_instances(&[]).await;
    let app = &instances[0];
    for round in 0..10 {
        let email = format!("user{round}@example.com");
        let verification = registered(app, &email).await;
        app.get(&verification).send().await.expect(200);
        let link = Arc::new(locked_out(app, &email).await);
        app.log_in(&email)
            .await
            .expect_problem(400, "account_locked");
        let answers = together(&instances, 16, |app, _| {
            let link = Arc::clone(&link);
            async move { app.get(&link).send().await }
        })
        .await;
        let expected = counts([("200", 1), ("400 invalid_unlock_token", 15)]);
        assert_eq!(tally(&answers), expected, "round {round}");
        app.log_in(&email).await.expect(200);
    }
    assert_eq!(app.count("one_time_tokens").await, 0);
    assert_no_deadlocks(&instances).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verification_and_requests_for_another_mail_end_in_one_of_their_orders() {
    let instances = two_instances(&[("FIRST_USER_IS_ADMIN", "false")]).await;
    let app = &instances[0];
    let mut verified = 0;
    for round in 0..30 {
        let email = Arc::new(format!("user{round}@example.com"));
        let link = Arc::new(registered(app, &email).await);
        // Another mail is sent to him who waits for a minute.
        app.clock.advance(TimeDelta::minutes(2));
        let body = json!({"email": *email});
        let (tasks, stop) = (
            tokio_util::task::TaskTracker::new(),
            tokio_util::sync::CancellationToken::new(),
        );
        for app in &instances {
            app.app.start_worker(&tasks, &stop);
        }
        // All jobs of one address but one are duplicates of it; a third comes when those are claimed.
        let answers = together(&instances, 6, |app, number| {
            let (link, body) = (Arc::clone(&link), body.clone());
            async move {
                match number {
                    // Later in some rounds than in others, so that it meets the job at each of its steps.
                    5 => {
                        for _ in 0..round {
                            tokio::task::yield_now().await;
                        }
                        app.get(&link).send().await
                    }
                    _ => app.post("/verify-email/resend").json(&body).send().await,
                }
            }
        })
        .await;
        stop.cancel();
        tasks.close();
        tasks.wait().await;
        let (resends, verification) = answers.split_at(5);
        assert_eq!(tally(resends), counts([("202", 5)]));
        let mails = app.deliver_mail().await;
        match outcome(&verification[0]).as_str() {
            // It came before a new link was made, or after the old one was replaced.
            "200" => {
                verified += 1;
                assert_eq!(mails.len(), 0, "no link for a verified address");
                assert_eq!(app.count("one_time_tokens").await, 0);
            }
            "400 invalid_verification_token" => {
                assert_eq!(app.count("one_time_tokens").await, 1);
                assert_eq!(mails.len(), 1, "one new link");
                app.get(&link_in(&mails[0].text)).send().await.expect(200);
            }
            other => panic!("round {round}: {other}"),
        }
        app.log_in(&email).await.expect(200);
    }
    assert!(verified > 0, "the old link never won");
    assert_eq!(app.count("one_time_tokens").await, 0);
    assert_no_deadlocks(&instances).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_address_and_the_verification_of_the_old_one_never_verify_the_new_one() {
    let instances = two_instances(&[]).await;
    let app = &instances[0];
    let admin = Arc::new(app.admin().await);
    for round in 0..20 {
        let answer = app.register(&format!("user{round}@example.com")).await;
        let path = format!("/users/{}", answer.expect(200).text("id"));
        let link = Arc::new(link_in(&app.deliver_mail().await.remove(0).text));
        let body = json!({"email": format!("new{round}@example.com")});
        let answers = together(&instances, 2, |app, number| {
            let (link, path, body) = (Arc::clone(&link), path.clone(), body.clone());
            let admin = Arc::clone(&admin);
            async move {
                if number == round % 2 {
                    app.put(&path).by(&admin).json(&body).send().await
                } else {
                    app.get(&link).send().await
                }
            }
        })
        .await;
        let [edited, used] = [&answers[round % 2], &answers[1 - round % 2]];
        assert_eq!(outcome(edited), "200");
        assert!(
            ["200", "400 invalid_verification_token"].contains(&outcome(used).as_str()),
            "{used:?}"
        );
        let user = app.get(&path).by(&admin).send().await.expect(200).json();
        assert_eq!(user["email"], format!("new{round}@example.com"));
        assert_eq!(user["email_verified"], false, "round {round}");
        discard_mail(app).await;
    }
    assert_no_deadlocks(&instances).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_is_deleted_while_he_verifies_leaves_nothing() {
    let instances = two_instances(&[]).await;
    let app = &instances[0];
    let admin = Arc::new(app.admin().await);
    for round in 0..20 {
        let email = format!("user{round}@example.com");
        let answer = app.register(&email).await;
        let path = format!("/users/{}", answer.expect(200).text("id"));
        let link = Arc::new(link_in(&app.deliver_mail().await.remove(0).text));
        let answers = together(&instances, 2, |app, number| {
            let (link, path) = (Arc::clone(&link), path.clone());
            let admin = Arc::clone(&admin);
            async move {
                if number == round % 2 {
                    app.delete(&path).by(&admin).send().await
                } else {
                    app.get(&link).send().await
                }
            }
        })
        .await;
        assert_eq!(outcome(&answers[round % 2]), "204");
        let used = outcome(&answers[1 - round % 2]);
        assert!(
            ["200", "400 invalid_verification_token"].contains(&used.as_str()),
            "{used}"
        );
        assert_eq!(app.count("users").await, 1);
        assert_eq!(app.count("one_time_tokens").await, 0);
        app.log_in(&email)
            .await
            .expect_problem(401, "invalid_credentials");
    }
    assert_no_deadlocks(&instances).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_is_deleted_while_he_is_told_of_a_lockout_leaves_nothing() {
    let instances = two_instances(&[]).await;
    let app = &instances[0];
    let mut users = Vec::new();
    for number in 0..20 {
        let user = app
            .user(Role::Authenticated, &format!("user{number}@example.com"))
            .await;
        // He has been told before, so that the notice and the token are there already.
        let payload = json!({"user_id": user.id});
        let login = &app.app.services.login;
        login
            .notify_lockout(&payload, app.clock.now())
            .await
            .unwrap();
        users.push((user.id, payload));
    }
    app.clock.advance(TimeDelta::hours(2));
    let admin = Arc::new(app.admin().await);
    for (round, (id, payload)) in users.into_iter().enumerate() {
        together(&instances, 2, |app, number| {
            let (payload, admin) = (payload.clone(), Arc::clone(&admin));
            async move {
                if number == round % 2 {
                    let path = format!("/users/{id}");
                    app.delete(&path).by(&admin).send().await.expect(204);
                } else {
                    let login = &app.app.services.login;
                    login
                        .notify_lockout(&payload, app.clock.now())
                        .await
                        .unwrap();
                }
            }
        })
        .await;
    }
    discard_mail(app).await;
    assert_eq!(app.count("users").await, 1);
    assert_eq!(app.count("one_time_tokens").await, 0);
    assert_eq!(app.count("notices").await, 0);
    assert_no_deadlocks(&instances).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_is_deleted_while_somebody_registers_with_his_address_makes_no_fault() {
    let instances = two_instances(&[("HIDE_ACCOUNT_EXISTENCE", "true")]).await;
    let app = &instances[0];
    let admin = Arc::new(app.admin().await);
    for round in 0..20 {
        let email = Arc::new(format!("user{round}@example.com"));
        let id = app.user(Role::Authenticated, &email).await.id;
        let answers = together(&instances, 2, |app, number| {
            let (email, admin) = (Arc::clone(&email), Arc::clone(&admin));
            async move {
                if number == round % 2 {
                    let path = format!("/users/{id}");
                    app.delete(&path).by(&admin).send().await
                } else {
                    app.register(&email).await
                }
            }
        })
        .await;
        assert_eq!(tally(&answers), counts([("202", 1), ("204", 1)]));
    }
    discard_mail(app).await;
    assert_no_deadlocks(&instances).await;
}
