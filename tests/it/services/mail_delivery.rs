//! Mail is enqueued with what causes it, sent once, tried for a day, and dropped when it is pointless.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use serde_json::json;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use user_management::{
    domain::{id::UserId, role::Role},
    infra::{clock::Clock as _, email::SendError},
    services::mail::UserMail,
};

use super::{mail_job, mail_jobs, revive};
use crate::support::{
    app::{TestApp, start_of_time},
    eventually::wait_until,
    request::link_in,
};

fn transient() -> SendError {
    SendError::Transient("451 try again later".to_owned())
}

/// Moves the clock to the next attempt of the only mail, and makes it.
async fn next_attempt(app: &TestApp) {
    let wait = mail_job(app).await.run_at - app.clock.now();
    app.clock.advance(wait.max(TimeDelta::zero()));
    app.run_jobs().await;
}

#[tokio::test]
async fn a_mail_is_there_when_what_causes_it_is_committed_and_not_before() {
    let app = TestApp::start().await;
    let user = UserId(app.user(Role::Authenticated, "ada@example.com").await.id);
    for commits in [false, true] {
        let mut transaction = app.app.pool.begin().await.unwrap();
        let (mails, now) = (&app.app.services.mails, app.clock.now());
        mails
            .enqueue(&mut transaction, user, UserMail::Unlocked, now)
            .await
            .unwrap();
        assert_eq!(mail_jobs(&app).await.len(), 0);
        if commits {
            transaction.commit().await.unwrap();
        } else {
            transaction.rollback().await.unwrap();
        }
        assert_eq!(mail_jobs(&app).await.len(), usize::from(commits));
    }
    let sent = app.deliver_mail().await;
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].to.address, "ada@example.com");
    assert_eq!(app.count("jobs").await, 2, "the recurring ones");
}

#[tokio::test]
async fn the_mail_about_a_refresh_token_that_was_used_again_has_advice_and_no_link() {
    let app = TestApp::start().await;
    let user = UserId(app.user(Role::Authenticated, "ada@example.com").await.id);
    let mut connection = app.app.pool.acquire().await.unwrap();
    let (mails, now) = (&app.app.services.mails, app.clock.now());
    mails
        .enqueue(&mut connection, user, UserMail::SessionReuse, now)
        .await
        .unwrap();
    let text = app.mail_to("ada@example.com").await;
    assert!(text.contains("change your password"), "{text}");
    assert!(!text.contains("https://"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_workers_send_each_mail_once() {
    const MAILS: usize = 60;
    let first = TestApp::start().await;
    let second = first.second_instance(&[]);
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    for app in [&first, &second, &first, &second] {
        app.app.start_worker(&tasks, &stop);
    }
    for number in 0..MAILS {
        let app = [&first, &second][number % 2];
        app.register(&format!("user{number}@example.com"))
            .await
            .expect(200);
    }
    wait_until("all mail is sent", async || {
        mail_jobs(&first).await.is_empty()
    })
    .await;
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    let sent = first.mailer.take();
    assert_eq!(sent.len(), MAILS);
    assert_eq!(first.mailer.attempts(), MAILS);
    let ids: BTreeSet<_> = sent.iter().map(|mail| mail.message_id.as_str()).collect();
    let addresses: BTreeSet<_> = sent.iter().map(|mail| &*mail.to.address).collect();
    assert_eq!((ids.len(), addresses.len()), (MAILS, MAILS));
}

#[tokio::test]
async fn a_mail_that_fails_for_now_is_tried_again_after_growing_waits_under_the_same_id() {
    let app = TestApp::start().await;
    app.register("ada@example.com").await.expect(200);
    let id = mail_job(&app).await.message_id;
    app.mailer.fail_next(4, &transient());
    app.run_jobs().await;
    let mut waits = Vec::new();
    for attempt in 1..=4 {
        let job = mail_job(&app).await;
        assert_eq!((job.attempts, job.dead_at), (attempt, None));
        assert_eq!(job.message_id, id);
        assert_eq!(job.last_error.as_deref(), Some("451 try again later"));
        waits.push((job.run_at - app.clock.now()).as_seconds_f64());
        // Not a moment before its time.
        app.clock
            .advance(job.run_at - app.clock.now() - TimeDelta::milliseconds(1));
        app.run_jobs().await;
        assert_eq!(app.mailer.attempts(), usize::try_from(attempt).unwrap());
        next_attempt(&app).await;
    }
    for (wait, seconds) in waits.iter().zip([2.0, 4.0, 8.0, 16.0]) {
        assert!((0.75..=1.25).contains(&(wait / seconds)), "{waits:?}");
    }
    let sent = app.deliver_mail().await;
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].message_id.as_str(), id);
    // The link of the last attempt is the one of the first.
    app.get(&link_in(&sent[0].text)).send().await.expect(200);
}

/// Lets all attempts fail until the only mail is dead, and tells how long that took.
async fn fail_until_dead(app: &TestApp) -> TimeDelta {
    app.mailer.fail_next(1, &transient());
    app.run_jobs().await;
    while mail_job(app).await.dead_at.is_none() {
        app.mailer.fail_next(1, &transient());
        next_attempt(app).await;
    }
    app.clock.now() - start_of_time()
}

#[tokio::test]
async fn a_mail_that_fails_for_a_day_is_dead_and_can_be_revived() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    let path = format!("/users/{}/lock", user.id);
    app.post(&path).by(&admin).send().await.expect(200);
    let lasted = fail_until_dead(&app).await;
    // 41 attempts; the waits between them vary by a quarter.
    assert!((22..=27).contains(&lasted.num_hours()), "{lasted}");
    let job = mail_job(&app).await;
    assert_eq!(job.last_error.as_deref(), Some("451 try again later"));
    assert_eq!(app.mailer.sent().len(), 0);

    // The server is back.
    revive(&app, job.id).await;
    let sent = app.deliver_mail().await;
    assert_eq!(sent[0].message_id.as_str(), job.message_id);
}

#[tokio::test]
async fn a_link_that_expires_before_its_mail_could_be_sent_makes_a_dead_letter() {
    let app = TestApp::start().await;
    app.register("ada@example.com").await.expect(200);
    let lasted = fail_until_dead(&app).await;
    assert!((22..=25).contains(&lasted.num_hours()), "{lasted}");
    // When both have passed, the life of the link and the hour at which expired secrets are wiped, it
    // can't be sent any more, and says why.
    app.clock.advance(TimeDelta::hours(26) - lasted);
    app.run_jobs().await;
    let job = mail_job(&app).await;
    assert_eq!(job.sealed_secret, None);
    revive(&app, job.id).await;
    app.run_jobs().await;
    let job = mail_job(&app).await;
    assert!(job.dead_at.is_some());
    assert_eq!(
        job.last_error.as_deref(),
        Some("its link expired before it could be sent")
    );
    assert_eq!(app.mailer.sent().len(), 0);
}

#[tokio::test]
async fn a_mail_that_is_refused_for_good_is_dead_at_once_and_its_secret_is_wiped_in_time() {
    let app = TestApp::start().await;
    app.mailer
        .fail_next(1, &SendError::Permanent("550 no such mailbox".to_owned()));
    app.register("ada@example.com").await.expect(200);
    app.run_jobs().await;
    let job = mail_job(&app).await;
    assert_eq!(job.dead_at, Some(app.clock.now()));
    assert_eq!(
        (job.attempts, job.last_error.as_deref()),
        (1, Some("550 no such mailbox"))
    );
    assert!(job.sealed_secret.is_some(), "it can be revived");
    app.clock.advance(TimeDelta::hours(25));
    app.run_jobs().await;
    let job = mail_job(&app).await;
    assert_eq!(job.sealed_secret, None, "the link is worthless by now");
    assert_eq!(app.mailer.attempts(), 1);
}

#[tokio::test]
async fn the_mail_of_a_user_who_was_deleted_is_dropped() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let user = app.register("ada@example.com").await.expect(200).text("id");
    let path = format!("/users/{user}");
    app.post(&format!("{path}/lock"))
        .by(&admin)
        .send()
        .await
        .expect(200);
    assert_eq!(mail_jobs(&app).await.len(), 2, "with a link and without");
    app.delete(&path).by(&admin).send().await.expect(204);
    assert_eq!(app.deliver_mail().await, []);
    assert_eq!(mail_jobs(&app).await.len(), 0);
    assert_eq!(app.mailer.attempts(), 0);
}

#[tokio::test]
async fn a_mail_goes_to_the_address_that_the_account_has_when_it_is_sent() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    let path = format!("/users/{}", user.id);
    app.post(&format!("{path}/lock"))
        .by(&admin)
        .send()
        .await
        .expect(200);
    let body = json!({"email": "lovelace@example.com"});
    app.put(&path)
        .by(&admin)
        .json(&body)
        .send()
        .await
        .expect(200);
    let sent = app.deliver_mail().await;
    assert_eq!(sent.len(), 2);
    assert!(
        sent.iter()
            .all(|mail| mail.to.address == "lovelace@example.com")
    );
}

#[tokio::test]
async fn a_mail_whose_link_was_replaced_is_dropped() {
    let app = TestApp::start().await;
    app.mailer.fail_next(1, &transient());
    app.register("ada@example.com").await.expect(200);
    app.run_jobs().await;
    let first = mail_job(&app).await;
    app.clock.advance(TimeDelta::minutes(2));
    // He asks for another one, and that job runs before the next attempt of the first mail.
    let asked = json!({"email": "ada@example.com"});
    let verification = &app.app.services.verification;
    verification
        .resend_now(&asked, app.clock.now())
        .await
        .unwrap();
    assert_eq!(mail_jobs(&app).await.len(), 2);
    let sent = app.deliver_mail().await;
    assert_eq!(sent.len(), 1);
    assert_ne!(sent[0].message_id.as_str(), first.message_id);
    assert_eq!(
        app.mailer.attempts(),
        2,
        "the one that failed, and the new one"
    );
    app.get(&link_in(&sent[0].text)).send().await.expect(200);
    assert_eq!(mail_jobs(&app).await.len(), 0);
}

#[tokio::test]
async fn the_secret_of_a_link_is_in_no_table_and_is_gone_when_the_mail_is_sent() {
    let app = TestApp::start().await;
    app.register("ada@example.com").await.expect(200);
    let waiting = mail_job(&app).await;
    let sealed = waiting.sealed_secret.unwrap();
    let mut tables = waiting.row;
    for table in [
        "users",
        "one_time_tokens",
        "sessions",
        "login_throttle",
        "notices",
        "email_changes",
    ] {
        let query = sqlx::AssertSqlSafe(format!(
            "select coalesce(string_agg(t::text, ' '), '') from {table} t"
        ));
        tables += &sqlx::query_scalar::<_, String>(query)
            .fetch_one(&app.database.pool)
            .await
            .unwrap();
    }
    assert!(tables.contains("ada@example.com"));
    let sent = app.deliver_mail().await;
    let link = link_in(&sent[0].text);
    let token = link.rsplit('/').next().unwrap();
    assert_eq!(token.len(), 43);
    let bytes = base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, token).unwrap();
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    for form in [token.to_owned(), hex(token.as_bytes()), hex(&bytes)] {
        assert!(!tables.contains(&form), "{form}");
    }
    for plain in [token.as_bytes(), &bytes] {
        assert!(!sealed.windows(plain.len()).any(|window| window == plain));
    }
    assert_eq!(mail_jobs(&app).await.len(), 0);
    app.get(&link).send().await.expect(200);
}

#[tokio::test]
async fn a_mail_that_was_sealed_under_another_key_is_a_dead_letter_that_says_so() {
    let app = TestApp::start().await;
    let other = app.second_instance_changed(&[], |parts| {
        parts.secret_key = "another key, as after a change of JWT_SECRET_KEY"
            .to_owned()
            .into();
    });
    app.register("ada@example.com").await.expect(200);
    other.run_jobs().await;
    let job = mail_job(&app).await;
    assert_eq!(job.attempts, 1);
    assert!(job.dead_at.is_some());
    assert_eq!(
        job.last_error.as_deref(),
        Some("the mail's secret was sealed under another key")
    );
    // With the old key back, it goes out.
    revive(&app, job.id).await;
    let sent = app.deliver_mail().await;
    assert_eq!(sent[0].message_id.as_str(), job.message_id);
}
