//! Encryption and AUTH.

use super::*;

#[tokio::test]
async fn mail_goes_over_tls_with_auth() {
    for (protection, security) in [
        (Protection::StartTls, SmtpSecurity::StartTls),
        (Protection::Tls, SmtpSecurity::Tls),
    ] {
        let server = SmtpServer::start_with(protection, Some(("mailer", "pässword"))).await;
        let mailer = mailer(SmtpOptions {
            security,
            credentials: Some(("mailer".into(), SecretString::from("pässword"))),
            ..options(&server)
        });
        mailer.send(&message("a")).await.unwrap();
        mailer.send(&message("b")).await.unwrap();
        let received = server.received();
        assert_eq!((received.len(), server.connections()), (2, 1));
        for mail in received {
            assert!(mail.encrypted);
            assert_eq!(mail.user.as_deref(), Some("mailer"));
        }
    }
}

#[tokio::test]
async fn nothing_is_sent_where_starttls_is_required_and_not_to_be_had() {
    let plain = SmtpServer::start().await;
    let strict = SmtpOptions {
        security: SmtpSecurity::StartTls,
        ..options(&plain)
    };
    let text = assert_transient(mailer(strict).send(&message("a")).await, "not offered");
    assert!(text.contains("STARTTLS is not supported"), "{text}");

    let refusing = SmtpServer::start_with(Protection::StartTls, None).await;
    refusing.on(Stage::StartTls, Action::reply("502 5.5.1 not today"));
    let strict = SmtpOptions {
        security: SmtpSecurity::StartTls,
        ..options(&refusing)
    };
    assert_transient(mailer(strict).send(&message("a")).await, "refused");
    assert!(plain.received().is_empty() && refusing.received().is_empty());
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_or_of_another_name_is_refused() {
    for (protection, security) in [
        (Protection::StartTls, SmtpSecurity::StartTls),
        (Protection::Tls, SmtpSecurity::Tls),
    ] {
        let server = SmtpServer::start_with(protection, None).await;
        let untrusted = SmtpOptions {
            security,
            extra_roots: None,
            ..options(&server)
        };
        let text = assert_transient(mailer(untrusted).send(&message("a")).await, "not trusted");
        assert!(text.contains("certificate"), "{text}");
        let other_name = SmtpOptions {
            security,
            host: "127.0.0.1".into(),
            ..options(&server)
        };
        assert_transient(mailer(other_name).send(&message("a")).await, "another name");
        assert!(server.received().is_empty());
    }
}

#[tokio::test]
async fn a_wrong_password_or_no_auth_is_our_mistake_and_transient() {
    let credentials = |password: &str| Some(("mailer".to_owned(), SecretString::from(password)));
    let server = SmtpServer::start_with(Protection::Plain, Some(("mailer", "right"))).await;
    for given in [credentials("wrong"), None] {
        let mailer = mailer(SmtpOptions {
            credentials: given,
            ..options(&server)
        });
        let text = assert_transient(mailer.send(&message("a")).await, "535 or 530");
        assert!(!text.contains("wrong"), "{text}");
    }
    server.on(Stage::Auth, Action::reply("454 4.7.0 later"));
    let busy = mailer(SmtpOptions {
        credentials: credentials("right"),
        ..options(&server)
    });
    assert_transient(busy.send(&message("a")).await, "454");

    let without_auth = SmtpServer::start().await;
    let mailer = mailer(SmtpOptions {
        credentials: credentials("right"),
        ..options(&without_auth)
    });
    assert_transient(mailer.send(&message("a")).await, "AUTH is not offered");
    assert!(server.received().is_empty() && without_auth.received().is_empty());
}

#[tokio::test]
async fn a_password_is_never_sent_in_clear_over_a_network() {
    let server = SmtpServer::start().await;
    for (host, allowed) in [
        ("localhost", true),
        ("127.0.0.1", true),
        ("::1", true),
        ("mail.example.com", false),
        ("10.0.0.1", false),
        ("localhost.example.com", false),
    ] {
        let given = SmtpOptions {
            host: host.into(),
            credentials: Some(("mailer".into(), SecretString::from("secret"))),
            ..options(&server)
        };
        let clock = Arc::new(ManualClock::new("2026-11-21T10:00:00Z".parse().unwrap()));
        let made = SmtpMailer::new(given, clock);
        match made {
            Ok(mailer) => assert!(allowed && !format!("{mailer:?}").contains("secret")),
            Err(SmtpConfigError::PasswordInClear) => assert!(!allowed, "{host}"),
            Err(error) => panic!("{host}: {error}"),
        }
    }
}
