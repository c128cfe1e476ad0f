//! Guesses in parallel get no more tries than guesses one after the other, and nobody can use that to
//! keep the owner out.

use std::{collections::BTreeMap, num::NonZeroUsize, sync::Arc};

use axum::http::StatusCode;
use chrono::TimeDelta;
use user_management::{app::Parts, domain::role::Role, infra::password_hasher::HashCost};

use super::{
    assert_no_deadlocks, counts, discard_mail, insist, number, outcome, tally, together,
    two_instances,
};
use crate::support::{
    app::{PASSWORD, TestApp},
    request::TestResponse,
};

/// `MAX_LOGIN_ATTEMPTS` by default.
const LIMIT: usize = 5;

async fn guess(app: &TestApp, email: &str) -> TestResponse {
    app.post("/login/")
        .form(&[("username", email), ("password", "Secure*0000")])
        .send()
        .await
}

/// How many answers are to guesses whose password was compared. Those that were turned away because
/// too many waited for that are left out: they were neither compared nor counted.
fn compared(answers: &[TestResponse]) -> usize {
    let mut tally = tally(answers);
    let compared = tally.remove("401 invalid_credentials").unwrap_or(0);
    tally.remove("400 account_locked");
    tally.remove("503 unavailable");
    assert_eq!(tally, BTreeMap::new());
    compared
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_guesses_at_once_get_as_many_tries_as_are_allowed() {
    let instances = two_instances(&[]).await;
    let app = &instances[0];
    app.user(Role::Authenticated, "ada@example.com").await;
    for email in ["ada@example.com", "nobody@example.com"] {
        let answers = together(&instances, 1000, async |app: Arc<TestApp>, _| {
            insist(|| guess(&app, email)).await
        })
        .await;
        let expected = counts([
            ("401 invalid_credentials", LIMIT),
            ("400 account_locked", 1000 - LIMIT),
        ]);
        assert_eq!(tally(&answers), expected, "{email}");
        let locked = answers.iter().find(|answer| answer.status == 400).unwrap();
        assert_eq!(locked.header("retry-after"), "30");
    }
    // The owner is told, once; of the other name nobody is.
    let mails = app.deliver_mail().await;
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].to.address, "ada@example.com");
    assert_no_deadlocks(&instances).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_each_wait_one_guess_of_many_is_tried() {
    let instances = two_instances(&[("MAX_LOGIN_ATTEMPTS", "3")]).await;
    let app = &instances[0];
    app.user(Role::Authenticated, "ada@example.com").await;
    for email in ["ADA@example.com", "nobody@example.com"] {
        // 30 s, then twice as long each time, and 15 minutes at most.
        let mut wait = 30;
        for round in 0..8 {
            let answers = together(&instances, 40, async |app: Arc<TestApp>, _| {
                insist(|| guess(&app, email)).await
            })
            .await;
            let expected = if round == 0 { 3 } else { 1 };
            assert_eq!(compared(&answers), expected, "round {round}");
            let locked = answers.iter().find(|answer| answer.status == 400).unwrap();
            assert_eq!(locked.header("retry-after"), wait.to_string());
            app.clock.advance(TimeDelta::seconds(wait - 1));
            guess(app, email)
                .await
                .expect_problem(400, "account_locked");
            app.clock.advance(TimeDelta::seconds(1));
            wait = (wait * 2).min(900);
        }
    }
    discard_mail(app).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_to_write_a_name_is_counted_as_one() {
    const SPELLINGS: [&str; 4] = [
        "ada@b\u{fc}cher.example",
        "ADA@B\u{dc}CHER.example",
        " ada@xn--bcher-kva.example",
        "Ada@XN--BCHER-KVA.EXAMPLE ",
    ];
    let instances = two_instances(&[]).await;
    instances[0].user(Role::Authenticated, SPELLINGS[0]).await;
    let answers = together(&instances, 100, async |app: Arc<TestApp>, number| {
        insist(|| guess(&app, SPELLINGS[number % SPELLINGS.len()])).await
    })
    .await;
    assert_eq!(compared(&answers), LIMIT);
    discard_mail(&instances[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_right_password_among_guesses_forgives_them_once_and_no_more() {
    const AT_ONCE: usize = 16;
    let instances = two_instances(&[]).await;
    let app = &instances[0];
    let mut logged_in = 0;
    for round in 0..AT_ONCE {
        let email = Arc::new(format!("user{round}@example.com"));
        app.user(Role::Authenticated, &email).await;
        // Each of them has the right password once, so that it comes early in some rounds and late in others.
        let mut answers = together(&instances, AT_ONCE, |app, number| {
            let email = Arc::clone(&email);
            async move {
                if number == round {
                    insist(|| app.log_in(&email)).await
                } else {
                    insist(|| guess(&app, &email)).await
                }
            }
        })
        .await;
        let owner = answers.remove(round);
        // Those that came before it, of which it is one, and again as many after it.
        let tried = compared(&answers);
        match outcome(&owner).as_str() {
            "200" => {
                logged_in += 1;
                assert!(tried < 2 * LIMIT, "round {round}: {tried}");
            }
            "400 account_locked" => assert_eq!(tried, LIMIT, "round {round}"),
            other => panic!("{other}"),
        }
    }
    assert!(logged_in > 0, "the owner never came in time");
    discard_mail(app).await;
    assert_no_deadlocks(&instances).await;
}

/// As many as `parallel` logins at once on a hasher with one slow thread.
fn slow_hasher(parts: &mut Parts) {
    parts.hash_threads = NonZeroUsize::new(1);
    // A fifth of a second or more.
    parts.hash_cost = HashCost {
        memory: 65_536,
        iterations: 6,
        parallelism: 1,
    };
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guess_that_nobody_had_time_to_compare_is_not_counted() {
    const MOST: usize = 40;
    let most = MOST.to_string();
    let settings = [("MAX_LOGIN_ATTEMPTS", most.as_str())];
    let app = TestApp::start_changed(&settings, slow_hasher).await;
    let instances = [Arc::new(app)];
    let app = &instances[0];
    let answers = together(&instances, MOST, async |app: Arc<TestApp>, _| {
        guess(&app, "ada@example.com").await
    })
    .await;
    let tried = compared(&answers);
    let busy = tally(&answers)["503 unavailable"];
    assert_eq!(tried + busy, MOST, "nobody was locked out");
    assert!(tried > 0);
    let charged = number(app, "select sum(charged)::bigint from login_throttle").await;
    assert_eq!(charged, i64::try_from(tried).unwrap());
    // And whoever comes next is let in.
    guess(app, "ada@example.com")
        .await
        .expect_problem(401, "invalid_credentials");
    discard_mail(app).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_owners_device_gets_in_while_others_guess() {
    let instances = two_instances(&[]).await;
    let app = &instances[0];
    app.user(Role::Authenticated, "ada@example.com").await;
    let device = app
        .log_in("ada@example.com")
        .await
        .expect(200)
        .header("x-device-token")
        .to_owned();
    let cookie = app
        .log_in("ada@example.com")
        .await
        .expect(200)
        .header("set-cookie")
        .to_owned();
    let cookie = cookie.split_once(';').unwrap().0.to_owned();
    let answers = together(&instances, 100, |app, number| {
        let (device, cookie) = (device.clone(), cookie.clone());
        async move {
            let right = [("username", "ada@example.com"), ("password", PASSWORD)];
            match number {
                30 => {
                    insist(|| {
                        app.post("/login/")
                            .header("x-device-token", &device)
                            .form(&right)
                            .send()
                    })
                    .await
                }
                60 => {
                    insist(|| {
                        app.post("/login/")
                            .header("cookie", &cookie)
                            .form(&right)
                            .send()
                    })
                    .await
                }
                _ => insist(|| guess(&app, "ada@example.com")).await,
            }
        }
    })
    .await;
    assert_eq!(outcome(&answers[30]), "200");
    assert_eq!(outcome(&answers[60]), "200");
    let tried = tally(&answers)["401 invalid_credentials"];
    assert_eq!(tried, LIMIT, "his success forgives nobody else");
    app.log_in("ada@example.com")
        .await
        .expect_problem(400, "account_locked");
    // His device has tries of its own, as many as everybody has together.
    let answers = together(&instances, 50, |app, _| {
        let device = device.clone();
        async move {
            let wrong = [("username", "ada@example.com"), ("password", "Secure*0000")];
            insist(|| {
                app.post("/login/")
                    .header("x-device-token", &device)
                    .form(&wrong)
                    .send()
            })
            .await
        }
    })
    .await;
    assert_eq!(compared(&answers), LIMIT);
    discard_mail(app).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_is_good_for_its_own_account_only() {
    let app = TestApp::start().await;
    app.user(Role::Authenticated, "ada@example.com").await;
    app.user(Role::Authenticated, "eve@example.com").await;
    let device = app
        .log_in("eve@example.com")
        .await
        .expect(200)
        .header("x-device-token")
        .to_owned();
    let instances = [Arc::new(app)];
    let answers = together(&instances, 50, |app, _| {
        let device = device.clone();
        async move {
            let wrong = [("username", "ada@example.com"), ("password", "Secure*0000")];
            insist(|| {
                app.post("/login/")
                    .header("x-device-token", &device)
                    .form(&wrong)
                    .send()
            })
            .await
        }
    })
    .await;
    assert_eq!(compared(&answers), LIMIT);
    // It was counted as anybody's, not as a device's.
    assert_eq!(
        outcome(&guess(&instances[0], "ada@example.com").await),
        "400 account_locked"
    );
    discard_mail(&instances[0]).await;
}

#[tokio::test]
async fn unknown_unverified_and_wrong_get_the_same_answers() {
    let app = TestApp::start().await;
    app.user(Role::Authenticated, "verified@example.com").await;
    app.register("unverified@example.com").await.expect(200);
    discard_mail(&app).await;
    let mut seen = Vec::new();
    for email in [
        "unknown@example.com",
        "unverified@example.com",
        "verified@example.com",
    ] {
        let mut answers = Vec::new();
        for _ in 0..7 {
            let answer = guess(&app, email).await;
            let mut body = answer.json();
            body["instance"].take();
            let mut headers: Vec<_> = answer
                .headers
                .iter()
                .filter(|(name, _)| *name != "x-request-id")
                .map(|(name, value)| format!("{name}: {value:?}"))
                .collect();
            headers.sort();
            answers.push((answer.status, body, headers));
        }
        let jobs = number(
            &app,
            "select count(*) from jobs where kind = 'notify_lockout'",
        )
        .await;
        let charged = number(&app, "select sum(charged)::bigint from login_throttle").await;
        discard_mail(&app).await;
        sqlx::query("delete from login_throttle")
            .execute(&app.database.pool)
            .await
            .unwrap();
        seen.push((email, answers, jobs, charged));
    }
    for other in &seen[1..] {
        assert_eq!(
            (&seen[0].1, seen[0].2, seen[0].3),
            (&other.1, other.2, other.3),
            "{}",
            other.0
        );
    }
    assert_eq!(seen[0].1[4].0, StatusCode::UNAUTHORIZED);
    assert_eq!(seen[0].1[5].0, StatusCode::BAD_REQUEST);
    assert_eq!(
        seen[0].2, 1,
        "a job looks whether there is somebody to tell"
    );
}
