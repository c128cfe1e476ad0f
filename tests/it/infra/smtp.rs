//! Mail by SMTP, against a server that refuses, hangs and drops on command.

mod tls;

use std::{sync::Arc, time::Duration};

use secrecy::SecretString;
use tokio::net::TcpListener;
use user_management::{
    domain::message::{Mailbox, Message, MessageId},
    infra::{
        clock::ManualClock,
        email::{Mailer as _, SendError, SmtpConfigError, SmtpMailer, SmtpOptions, SmtpSecurity},
    },
};

use crate::support::smtp_server::{Action, Protection, SmtpServer, Stage};

const STAGES_OF_A_MAIL: [Stage; 4] = [Stage::Mail, Stage::Rcpt, Stage::Data, Stage::Content];

fn options(server: &SmtpServer) -> SmtpOptions {
    SmtpOptions {
        host: "localhost".into(),
        port: server.port(),
        security: SmtpSecurity::None,
        credentials: None,
        hello_name: Some("client.example.com".into()),
        timeout: Duration::from_secs(30),
        extra_roots: server.certificate().map(|pem| pem.as_bytes().to_vec()),
    }
}

fn mailer(options: SmtpOptions) -> SmtpMailer {
    let clock = ManualClock::new("2026-11-21T10:00:00Z".parse().unwrap());
    SmtpMailer::new(options, Arc::new(clock)).unwrap()
}

fn message(id: &str) -> Message {
    Message {
        message_id: MessageId::parse(&format!("{id}@example.com")).unwrap(),
        from: Mailbox {
            name: Some("Example".into()),
            address: "no-reply@example.com".into(),
        },
        to: Mailbox {
            name: None,
            address: "anna@example.org".into(),
        },
        subject: "Hello".into(),
        text: "A line\n.\n..dots\n".into(),
        html: "<p>A line</p>\n".into(),
    }
}

#[track_caller]
fn assert_transient(result: Result<(), SendError>, about: &str) -> String {
    match result {
        Err(SendError::Transient(text)) => text,
        other => panic!("{about}: {other:?}"),
    }
}

#[track_caller]
fn assert_permanent(result: Result<(), SendError>, about: &str) -> String {
    match result {
        Err(SendError::Permanent(text)) => text,
        other => panic!("{about}: {other:?}"),
    }
}

#[tokio::test]
async fn a_mail_arrives_whole() {
    let server = SmtpServer::start().await;
    mailer(options(&server)).send(&message("a")).await.unwrap();
    let [mail] = server.wait_for(1).await.try_into().unwrap();
    assert_eq!(mail.from, "no-reply@example.com");
    assert_eq!(mail.to, ["anna@example.org"]);
    assert!((!mail.encrypted) && mail.user.is_none());
    for line in [
        "Message-ID: <a@example.com>\r\n",
        "Date: Sat, 21 Nov 2026 10:00:00 +0000\r\n",
        "Auto-Submitted: auto-generated\r\n",
        "A line\r\n.\r\n..dots\r\n",
    ] {
        assert!(mail.data.contains(line), "{}", mail.data);
    }
}

#[tokio::test]
async fn connections_are_used_again_one_for_each_mail_at_a_time() {
    let server = SmtpServer::start().await;
    let mailer = mailer(options(&server));
    for id in ["a", "b", "c"] {
        mailer.send(&message(id)).await.unwrap();
    }
    assert_eq!(server.connections(), 1);

    let messages: Vec<_> = (0..20).map(|n| message(&format!("m{n}"))).collect();
    let sent = futures::future::join_all(messages.iter().map(|message| mailer.send(message))).await;
    assert!(sent.iter().all(Result::is_ok));
    assert_eq!(server.received().len(), 23);
    assert!(server.connections() <= 20);
}

#[tokio::test]
async fn a_connection_that_the_server_has_closed_meanwhile_fails_no_mail() {
    let server = SmtpServer::start().await;
    let mailer = mailer(options(&server));
    mailer.send(&message("a")).await.unwrap();
    server.close_connections();
    mailer.send(&message("b")).await.unwrap();
    // It says that it closes, as after too long a time.
    server.once(Stage::Rset, Action::reply("421 4.4.2 idle for too long"));
    mailer.send(&message("c")).await.unwrap();
    // It is gone without a word.
    server.once(Stage::Rset, Action::Drop);
    mailer.send(&message("d")).await.unwrap();
    assert_eq!((server.received().len(), server.connections()), (4, 4));
}

#[tokio::test]
async fn a_refusal_for_now_is_transient_at_every_stage() {
    for stage in [Stage::Connect, Stage::Ehlo]
        .into_iter()
        .chain(STAGES_OF_A_MAIL)
    {
        for code in ["421", "450", "451", "452"] {
            let server = SmtpServer::start().await;
            let mailer = mailer(options(&server));
            server.once(stage, Action::Reply(format!("{code} 4.0.0 not now")));
            let text = assert_transient(mailer.send(&message("a")).await, &format!("{stage:?}"));
            assert!(text.contains(code) && text.contains("not now"), "{text}");
            mailer.send(&message("a")).await.unwrap();
            assert_eq!(server.received().len(), 1);
        }
    }
}

#[tokio::test]
async fn a_refusal_for_good_is_permanent_where_it_is_about_recipient_or_mail() {
    let server = SmtpServer::start().await;
    let mailer = mailer(options(&server));
    for stage in [Stage::Rcpt, Stage::Data, Stage::Content] {
        server.once(
            stage,
            Action::reply("550 5.1.1 <anna@example.org>: no such user"),
        );
        let text = assert_permanent(mailer.send(&message("a")).await, &format!("{stage:?}"));
        assert!(
            text.contains("550") && text.contains("<[address]>: no such user"),
            "{text}"
        );
    }
    // A refused mail costs no connection and spoils none.
    mailer.send(&message("a")).await.unwrap();
    assert_eq!((server.received().len(), server.connections()), (1, 1));
}

#[tokio::test]
async fn a_refusal_of_ourselves_is_transient() {
    for (stage, reply) in [
        (Stage::Connect, "554 5.7.1 you are on a list"),
        (Stage::Ehlo, "550 5.7.1 who are you"),
        (
            Stage::Mail,
            "550 5.7.1 sender <no-reply@example.com> not allowed",
        ),
        (Stage::Mail, "530 5.7.0 authentication required"),
        (Stage::Rcpt, "530 5.7.0 authentication required"),
        (Stage::Rcpt, "503 5.5.1 bad sequence"),
    ] {
        let server = SmtpServer::start().await;
        server.on(stage, Action::reply(reply));
        let text = assert_transient(mailer(options(&server)).send(&message("a")).await, reply);
        assert!(!text.contains('@'), "{text}");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_is_transient_at_every_stage() {
    for stage in [Stage::Connect, Stage::Ehlo]
        .into_iter()
        .chain(STAGES_OF_A_MAIL)
    {
        let server = SmtpServer::start().await;
        let mailer = mailer(options(&server));
        server.once(stage, Action::Drop);
        assert_transient(mailer.send(&message("a")).await, &format!("{stage:?}"));
        mailer.send(&message("a")).await.unwrap();
    }
}

#[tokio::test]
async fn answers_that_are_no_smtp_or_out_of_order_are_transient() {
    for (stage, reply) in [
        (Stage::Connect, "HTTP/1.1 400 Bad Request"),
        (Stage::Mail, "what?"),
        (Stage::Data, "250 this is one off"),
        (Stage::Content, "354 this is one off"),
        (Stage::Content, "999 no code"),
    ] {
        let server = SmtpServer::start().await;
        let mailer = mailer(options(&server));
        server.once(stage, Action::reply(reply));
        assert_transient(mailer.send(&message("a")).await, reply);
        server.accept_all();
        mailer.send(&message("b")).await.unwrap();
        assert_eq!(
            server.connections(),
            2,
            "the connection is not used again: {reply}"
        );
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up_in_time() {
    let stages = [Stage::Connect, Stage::Ehlo]
        .into_iter()
        .chain(STAGES_OF_A_MAIL);
    futures::future::join_all(stages.map(async |stage| {
        let server = SmtpServer::start().await;
        let mailer = mailer(SmtpOptions {
            timeout: Duration::from_secs(1),
            ..options(&server)
        });
        server.once(stage, Action::Hang);
        let text = assert_transient(mailer.send(&message("a")).await, &format!("{stage:?}"));
        assert!(text.contains("in time"), "{text}");
        mailer.send(&message("a")).await.unwrap();
        assert_eq!(server.connections(), 2);
    }))
    .await;
}

#[tokio::test]
async fn a_slow_server_is_waited_for() {
    let server = SmtpServer::start().await;
    for stage in STAGES_OF_A_MAIL {
        server.on(stage, Action::Delay(Duration::from_millis(30)));
    }
    mailer(options(&server)).send(&message("a")).await.unwrap();
}

/// A late answer to a mail that was given up must not be taken for the next mail's.
#[tokio::test]
async fn a_mail_that_the_caller_gives_up_spoils_no_other() {
    let server = SmtpServer::start().await;
    let mailer = mailer(options(&server));
    mailer.send(&message("a")).await.unwrap();
    server.once(Stage::Content, Action::Delay(Duration::from_millis(300)));
    let (given_up, answered_late) = (message("b"), message("c"));
    let attempt = mailer.send(&given_up);
    assert!(
        tokio::time::timeout(Duration::from_millis(150), attempt)
            .await
            .is_err()
    );
    server.once(Stage::Rcpt, Action::reply("550 5.1.1 no such user"));
    assert_permanent(
        mailer.send(&answered_late).await,
        "the answer is the mail's own",
    );
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn nobody_there_is_transient() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let server = SmtpServer::start().await;
    for (host, port) in [("127.0.0.1", port), ("no-such-host.invalid", 25)] {
        let mailer = mailer(SmtpOptions {
            host: host.into(),
            port,
            ..options(&server)
        });
        assert_transient(mailer.send(&message("a")).await, host);
    }
}

#[tokio::test]
async fn an_address_that_the_server_cannot_take_is_permanent() {
    let server = SmtpServer::start().await;
    let mut message = message("a");
    message.to.address = "änne@example.org".into();
    let text = assert_permanent(mailer(options(&server)).send(&message).await, "SMTPUTF8");
    assert!(!text.contains('@'), "{text}");
}
