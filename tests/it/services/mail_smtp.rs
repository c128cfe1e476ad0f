//! Mail from the request to an SMTP server that is down, slow, busy or refuses.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use user_management::{
    app::{MailRoute, Parts},
    infra::{
        clock::Clock as _,
        email::{SmtpMailer, SmtpOptions, SmtpSecurity},
    },
};

use super::{MailJob, mail_job, mail_jobs};
use crate::support::{
    app::TestApp,
    eventually::{eventually, wait_until},
    request::link_in,
    smtp_server::{Action, SmtpServer, Stage},
};

/// How long a mail may take in these tests, where it shall be over.
const SHORT: Duration = Duration::from_millis(300);
/// How long it may take where that doesn't matter.
const LONG: Duration = Duration::from_secs(30);

/// Mail goes to this port of the loopback interface.
fn by_smtp(port: u16, timeout: Duration) -> impl FnOnce(&mut Parts) {
    move |parts| {
        let options = SmtpOptions {
            host: "127.0.0.1".to_owned(),
            port,
            security: SmtpSecurity::None,
            credentials: None,
            hello_name: Some("client.example.com".to_owned()),
            timeout,
            extra_roots: None,
        };
        let mailer = SmtpMailer::new(options, Arc::clone(&parts.clock)).unwrap();
        parts.mail_route = MailRoute::Send(Arc::new(mailer));
    }
}

async fn service(server: &SmtpServer, timeout: Duration) -> TestApp {
    TestApp::start_changed(&[], by_smtp(server.port(), timeout)).await
}

/// Registers a user, whose mail fails for now; gives its job.
async fn first_attempt_fails(app: &TestApp) -> MailJob {
    app.register("ada@example.com").await.expect(200);
    app.run_jobs().await;
    let job = mail_job(app).await;
    assert_eq!(
        (job.attempts, job.dead_at, &job.leased_by),
        (1, None, &None)
    );
    assert!(job.run_at > app.clock.now());
    job
}

/// The next attempt succeeds: the mail arrives once, under the id that it had, and its link works.
async fn next_attempt_succeeds(app: &TestApp, server: &SmtpServer, job: &MailJob) {
    app.clock.advance(TimeDelta::seconds(3));
    app.run_jobs().await;
    assert_eq!(mail_jobs(app).await.len(), 0);
    let received = server.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].to, ["ada@example.com"]);
    assert_eq!(received[0].from, "no-reply@users.example.com");
    let header = format!("Message-ID: <{}>", job.message_id);
    assert!(received[0].data.contains(&header), "{}", received[0].data);
    app.get(&link_in(&text_part(&received[0].data)))
        .send()
        .await
        .expect(200);
}

/// The plain text of a mail as it went over the wire.
fn text_part(data: &str) -> String {
    let message = mail_parser::MessageParser::default()
        .parse(data.as_bytes())
        .unwrap();
    message.body_text(0).unwrap().into_owned()
}

#[tokio::test]
async fn while_nobody_listens_mail_waits() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let app = TestApp::start_changed(&[], by_smtp(port, LONG)).await;
    let job = first_attempt_fails(&app).await;
    // Another instance has a better server.
    let server = SmtpServer::start().await;
    let other = app.second_instance_changed(&[], by_smtp(server.port(), LONG));
    next_attempt_succeeds(&other, &server, &job).await;
}

#[tokio::test]
async fn a_server_that_is_down_gets_the_mail_when_it_is_back() {
    let server = SmtpServer::start().await;
    server.on(Stage::Connect, Action::Drop);
    let app = service(&server, LONG).await;
    let job = first_attempt_fails(&app).await;
    server.accept_all();
    next_attempt_succeeds(&app, &server, &job).await;
}

#[tokio::test]
async fn a_server_that_is_too_slow_gets_the_mail_when_it_is_quicker() {
    for stage in [Stage::Connect, Stage::Rcpt, Stage::Content] {
        let server = SmtpServer::start().await;
        server.on(stage, Action::Hang);
        let app = service(&server, SHORT).await;
        let job = first_attempt_fails(&app).await;
        server.accept_all();
        // Time enough on a machine that has other work.
        let patient = app.second_instance_changed(&[], by_smtp(server.port(), LONG));
        next_attempt_succeeds(&patient, &server, &job).await;
    }
}

#[tokio::test]
async fn a_connection_that_breaks_at_any_step_costs_one_attempt() {
    for stage in [Stage::Ehlo, Stage::Mail, Stage::Data, Stage::Content] {
        let server = SmtpServer::start().await;
        server.once(stage, Action::Drop);
        let app = service(&server, LONG).await;
        let job = first_attempt_fails(&app).await;
        next_attempt_succeeds(&app, &server, &job).await;
    }
}

#[tokio::test]
async fn a_server_that_is_busy_gets_the_mail_later() {
    for (stage, reply) in [
        (Stage::Connect, "421 4.3.2 too many connections"),
        (Stage::Mail, "452 4.3.1 no room"),
        (Stage::Rcpt, "450 4.2.0 greylisted"),
        (Stage::Content, "451 4.7.1 try again later"),
    ] {
        let server = SmtpServer::start().await;
        server.once(stage, Action::reply(reply));
        let app = service(&server, LONG).await;
        let job = first_attempt_fails(&app).await;
        let error = job.last_error.clone().unwrap();
        assert!(error.contains(&reply[..3]), "{error}");
        assert!(
            !error.contains("ada@"),
            "an operator needs no address: {error}"
        );
        next_attempt_succeeds(&app, &server, &job).await;
    }
}

#[tokio::test]
async fn a_mail_that_the_server_refuses_for_good_is_dead_at_once() {
    for (stage, reply) in [
        (Stage::Rcpt, "550 5.1.1 <ada@example.com>: no such user"),
        (Stage::Content, "554 5.7.1 looks like spam"),
    ] {
        let server = SmtpServer::start().await;
        server.on(stage, Action::reply(reply));
        let app = service(&server, LONG).await;
        app.register("ada@example.com").await.expect(200);
        app.run_jobs().await;
        let job = mail_job(&app).await;
        assert_eq!((job.attempts, job.dead_at), (1, Some(app.clock.now())));
        let error = job.last_error.unwrap();
        let (basic, enhanced) = (&reply[..3], &reply[4..9]);
        assert!(error.contains(basic) && error.contains(enhanced), "{error}");
        assert!(
            !error.contains("ada@"),
            "an operator needs no address: {error}"
        );
        app.clock.advance(TimeDelta::hours(2));
        app.run_jobs().await;
        assert_eq!(mail_job(&app).await.attempts, 1);
        assert_eq!(server.connections(), 1);
    }
}

#[tokio::test]
async fn no_request_waits_for_a_server_that_hangs() {
    let server = SmtpServer::start().await;
    server.on(Stage::Connect, Action::Hang);
    let app = service(&server, LONG).await;
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    app.app.start_worker(&tasks, &stop);
    app.register("ada@example.com").await.expect(200);
    wait_until("the worker waits for the server", async || {
        server.connections() == 1
    })
    .await;
    // Fewer than the worker runs at a time, and more.
    for number in 0..20 {
        app.register(&format!("user{number}@example.com"))
            .await
            .expect(200);
    }
    let jobs = mail_jobs(&app).await;
    assert_eq!(jobs.len(), 21, "none is sent, none has failed");
    assert!(
        jobs.iter()
            .all(|job| job.attempts <= 1 && job.last_error.is_none())
    );
    assert!(jobs[0].leased_by.is_some(), "the first is still being sent");
    server.accept_all();
    server.close_connections();
    // Those that hung have failed and wait; the others follow.
    eventually("all others are sent", async || {
        let jobs = mail_jobs(&app).await;
        jobs.iter()
            .all(|job| job.leased_by.is_none() && job.last_error.is_some())
            .then_some(())
    })
    .await;
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    app.clock.advance(TimeDelta::seconds(3));
    app.run_jobs().await;
    assert_eq!(server.received().len(), 21);
}
