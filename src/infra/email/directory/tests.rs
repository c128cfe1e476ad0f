use chrono::TimeDelta;
use tempfile::TempDir;

use super::*;
use crate::{domain::message::Mailbox, infra::clock::ManualClock};

fn clock() -> ManualClock {
    ManualClock::new("2026-11-21T10:00:00Z".parse().unwrap())
}

fn mailer(directory: &Path) -> DirectoryMailer {
    DirectoryMailer::new(directory.to_owned(), Arc::new(clock()))
}

fn message(id: &str) -> Message {
    let mailbox = |address: &str| Mailbox {
        name: Some("Änne".into()),
        address: address.into(),
    };
    Message {
        message_id: MessageId::parse(id).unwrap(),
        from: mailbox("no-reply@example.com"),
        to: mailbox("anna@example.org"),
        subject: "Grüße".into(),
        text: "Please see https://example.com/a?b=1&c=2, or (http://example.com/x).\n".into(),
        html: "<p><a href=\"https://example.com/a?b=1&amp;c=2\">see</a> \
               <a href='https://example.com/html'>x</a> http:// https</p>\n"
            .into(),
    }
}

/// Makes the file's time `seconds` younger than that of a file of zero seconds.
fn set_age(directory: &Path, id: &str, seconds: u64) {
    let file = fs::File::options()
        .write(true)
        .open(directory.join(format!("{id}.eml")))
        .unwrap();
    let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000 + seconds);
    file.set_modified(time).unwrap();
}

#[tokio::test]
async fn a_kept_mail_is_read_back() {
    let directory = TempDir::new().unwrap();
    let mailer = mailer(&directory.path().join("deep/mail"));
    assert_eq!(mailer.list(10).await.unwrap(), []);
    assert_eq!(mailer.get("a@example.com").await.unwrap(), None);

    mailer.send(&message("a@example.com")).await.unwrap();
    let mail = mailer.get("<a@example.com>").await.unwrap().unwrap();
    assert_eq!(mailer.list(10).await.unwrap(), std::slice::from_ref(&mail));
    assert_eq!(
        mail,
        CaughtMail {
            message_id: MessageId::parse("a@example.com").unwrap(),
            from: "no-reply@example.com".into(),
            to: "anna@example.org".into(),
            subject: "Grüße".into(),
            date: clock().now(),
            text: message("a@example.com").text,
            html: message("a@example.com").html,
            links: vec![
                "https://example.com/a?b=1&c=2".into(),
                "http://example.com/x".into(),
                "https://example.com/html".into(),
            ],
        }
    );
}

#[tokio::test]
async fn the_same_message_again_replaces_its_file() {
    let directory = TempDir::new().unwrap();
    let clock = clock();
    let mailer = DirectoryMailer::new(directory.path().to_owned(), Arc::new(clock.clone()));
    mailer.send(&message("a@example.com")).await.unwrap();
    clock.advance(TimeDelta::hours(1));
    mailer.send(&message("a@example.com")).await.unwrap();
    let mails = mailer.list(10).await.unwrap();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].date, clock.now());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn the_newest_come_first() {
    let directory = TempDir::new().unwrap();
    let mailer = mailer(directory.path());
    for (id, age) in [("b@x", 5), ("c@x", 9), ("a@x", 7), ("d@x", 7)] {
        mailer.send(&message(id)).await.unwrap();
        set_age(directory.path(), id, age);
    }
    let ids = |mails: Vec<CaughtMail>| -> Vec<String> {
        mails
            .into_iter()
            .map(|mail| mail.message_id.to_string())
            .collect()
    };
    assert_eq!(
        ids(mailer.list(9).await.unwrap()),
        ["c@x", "d@x", "a@x", "b@x"]
    );
    assert_eq!(ids(mailer.list(2).await.unwrap()), ["c@x", "d@x"]);
    assert_eq!(mailer.list(0).await.unwrap(), []);
}

#[tokio::test]
async fn odd_files_are_passed_over() {
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    let mailer = mailer(path);
    mailer.send(&message("good@x")).await.unwrap();
    fs::write(path.join("empty@x.eml"), "").unwrap();
    fs::write(path.join("noise@x.eml"), [0, 159, 146, 150, 10, 13]).unwrap();
    fs::write(path.join("prose@x.eml"), "It was a dark and stormy night").unwrap();
    fs::write(path.join("README"), "From: a@b\n\nx").unwrap();
    fs::write(path.join("no id.eml"), "From: a@b\n\nx").unwrap();
    fs::write(path.join(".1-2.tmp"), "From: a@b\n\nx").unwrap();
    fs::create_dir(path.join("folder@x.eml")).unwrap();
    fs::write(
        path.join("large@x.eml"),
        vec![b'x'; SIZE_LIMIT as usize + 1],
    )
    .unwrap();
    std::os::unix::fs::symlink("/etc/passwd", path.join("link@x.eml")).unwrap();
    std::os::unix::fs::symlink(path.join("good@x.eml"), path.join("alias@x.eml")).unwrap();

    let mails = mailer.list(100).await.unwrap();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].message_id.as_str(), "good@x");
    assert_eq!(mailer.get("link@x").await.unwrap(), None);
    assert_eq!(mailer.get("folder@x").await.unwrap(), None);
}

#[tokio::test]
async fn a_mail_without_most_of_its_parts_is_shown_all_the_same() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("bare@x.eml"), "From: a@b\n\nHello").unwrap();
    set_age(directory.path(), "bare@x", 0);
    let mail = mailer(directory.path())
        .get("bare@x")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (mail.from.as_str(), mail.to.as_str(), mail.subject.as_str()),
        ("a@b", "", "")
    );
    assert_eq!(mail.text, "Hello");
    assert_eq!(mail.date.timestamp(), 1_000_000);
}

#[tokio::test]
async fn nothing_outside_the_directory_is_read() {
    let directory = TempDir::new().unwrap();
    let inner = directory.path().join("mail");
    let mailer = mailer(&inner);
    mailer.send(&message("a@x")).await.unwrap();
    fs::write(directory.path().join("secret@x.eml"), "From: a@b\n\nsecret").unwrap();
    for id in [
        "../secret@x",
        "..%2Fsecret@x",
        "/etc/passwd",
        "a@x/../../secret@x",
        "a@x.eml\0",
        "",
        ".",
        "..",
    ] {
        assert_eq!(mailer.get(id).await.unwrap(), None, "{id:?}");
    }
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_a_transient_error_that_leaves_nothing() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let error = mailer(&file.join("mail"))
        .send(&message("a@x"))
        .await
        .unwrap_err();
    assert!(matches!(error, SendError::Transient(_)), "{error}");

    // The mail's own place is taken by a folder, so that the rename fails.
    let mailer = mailer(directory.path());
    fs::create_dir(directory.path().join("a@x.eml")).unwrap();
    let error = mailer.send(&message("a@x")).await.unwrap_err();
    assert!(matches!(error, SendError::Transient(_)), "{error}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
}
