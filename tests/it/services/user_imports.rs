//! Importing users from files.

mod at_once;
mod broken;
mod conflicts;
mod update;

use std::{fs, path::PathBuf};

use serde_json::{Value, json};
use user_management::{
    domain::{
        id::RequestId,
        role::Role,
        user_import::{Format, ImportCounts, ImportOptions, ImportState, UserImport},
    },
    error::{Error, Result},
    infra::clock::Clock as _,
    services::Ctx,
};
use uuid::Uuid;

use crate::support::{
    app::{PASSWORD, TestApp},
    directory::Directory,
    request::link_in,
};

/// Made by other software: format, password, hash.
const VECTORS: &str = include_str!("../data/password_hashes.csv");

const TABLE: ImportOptions = ImportOptions {
    format: Format::Csv,
    on_conflict: user_management::domain::user_import::OnConflict::Fail,
    dry_run: false,
    atomic: false,
    invite: false,
};

/// A file of a test's own.
struct TestFile {
    path: PathBuf,
    _directory: Directory,
}

impl TestFile {
    fn new(text: &str) -> Self {
        let directory = Directory::new();
        let path = directory.path().join("users");
        fs::write(&path, text).unwrap();
        Self {
            path,
            _directory: directory,
        }
    }
}

fn counts(created: u64, updated: u64, skipped: u64, rejected: u64) -> ImportCounts {
    ImportCounts {
        created,
        updated,
        skipped,
        rejected,
        undone: 0,
    }
}

impl TestApp {
    fn operator(&self) -> Ctx {
        Ctx::operator(RequestId(Uuid::nil()), self.clock.now())
    }

    async fn try_import(
        &self,
        file: &TestFile,
        options: ImportOptions,
        resume: bool,
    ) -> Result<UserImport> {
        let imports = &self.app.services.user_imports;
        let ctx = self.operator();
        imports
            .import_file(&ctx, &file.path, options, resume, &mut |_| ())
            .await
    }

    /// Imports a file: what became of it, and what was wrong with rows.
    async fn import(&self, text: &str, options: ImportOptions) -> (UserImport, Vec<String>) {
        let import = self.try_import(&TestFile::new(text), options, false).await;
        let import = import.unwrap();
        let imports = &self.app.services.user_imports;
        let errors = imports.list_errors(&self.operator(), import.id, None).await;
        let errors = errors.unwrap().into_iter().map(|error| {
            let column = error.column_name.unwrap_or_default();
            format!("{} {column}: {}", error.line, error.reason)
        });
        (import, errors.collect())
    }

    /// Why imports were given up, as the audit log tells it.
    async fn given_up(&self) -> Vec<String> {
        sqlx::query_scalar(
            "select after ->> 'failure' from audit_log where action = 'import_given_up' order by id",
        )
        .fetch_all(&self.database.pool)
        .await
        .unwrap()
    }

    /// A row of the table of users.
    async fn row(&self, email: &str) -> Value {
        sqlx::query_scalar("select to_jsonb(u) from users u where lower(email) = $1")
            .bind(email)
            .fetch_one(&self.database.pool)
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn good_rows_go_in_as_they_are_and_bad_rows_do_not() {
    let app = TestApp::start().await;
    let text = "id,nickname,email,email_verified_at,phone_number,first_name,is_name_public,bio,locale,\
        role,is_professional,created_at,last_login_at\r\n\
        0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b,Ada_1,Ada@Example.com,2020-01-02T03:04:05.000006Z,'+4930123456,\
        Ada,true,\"two\r\nlines\",en-gb,MANAGER,true,2019-01-01T00:00:00Z,2021-01-01T00:00:00+01:00\r\n\
        ,,nobody,,x,,maybe,,,BOSS,,yesterday,\r\n\
        ,,,,,Nameless,,,,,,,\r\n\
        ,,bob@example.com,,,,,,,,,,\r\n";
    let (import, errors) = app.import(text, TABLE).await;
    assert_eq!(import.counts, counts(2, 0, 0, 2));
    assert_eq!(
        (import.state, import.place.offset),
        (ImportState::Done, text.len() as u64)
    );
    assert_eq!(
        errors,
        [
            "4 email: must be a valid e-mail address",
            "4 phone_number: must be a valid phone number",
            "4 is_name_public: must be true or false",
            "4 role: must be one of ANONYMOUS, AUTHENTICATED, MANAGER, ADMIN",
            "4 created_at: must be a time as RFC 3339 has it, such as 2026-11-21T12:00:00Z",
            "5 email: an e-mail address, a phone number or a legacy name is required",
        ]
    );
    let ada = app.row("ada@example.com").await;
    for (column, value) in [
        ("id", json!("0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b")),
        ("nickname", json!("Ada_1")),
        ("email", json!("Ada@example.com")),
        (
            "email_verified_at",
            json!("2020-01-02T03:04:05.000006+00:00"),
        ),
        ("phone_number", json!("+4930123456")),
        ("is_name_public", json!(true)),
        ("bio", json!("two\r\nlines")),
        ("locale", json!("en-GB")),
        ("role", json!("MANAGER")),
        ("is_professional", json!(true)),
        ("created_at", json!("2019-01-01T00:00:00+00:00")),
        ("updated_at", json!("2019-01-01T00:00:00+00:00")),
        ("last_login_at", json!("2020-12-31T23:00:00+00:00")),
        ("revision", json!(1)),
    ] {
        assert_eq!(ada[column], value, "{column}");
    }
    let bob = app.row("bob@example.com").await;
    assert_eq!(bob["role"], "ANONYMOUS");
    assert_eq!(bob["created_at"], "2026-01-02T03:04:05+00:00");
    assert!(bob["nickname"].as_str().unwrap().len() > 3);
    // One entry for the import, and one for each account.
    let told: Vec<(String, String)> = sqlx::query_as(
        "select action, coalesce(after ->> 'email', after ->> 'on_conflict') from audit_log order by id",
    )
    .fetch_all(&app.database.pool)
    .await
    .unwrap();
    let told: Vec<_> = told
        .iter()
        .map(|(action, what)| (&**action, &**what))
        .collect();
    assert_eq!(
        told,
        [
            ("users_imported", "fail"),
            ("user_added", "Ada@example.com"),
            ("user_added", "bob@example.com"),
        ]
    );
    app.chain().await;
    app.assert_chained().await;
}

#[tokio::test]
async fn objects_are_taken_as_tables_are() {
    let app = TestApp::start().await;
    let text = "{\"email\":\"ada@example.com\",\"email_verified_at\":\"2020-01-01T00:00:00Z\",\"is_professional\":true}\n\
        {\"email\":\"bob@example.com\",\"email\":\"bob@example.com\"}\n{\"legacy_name\":\"bob\"}\n";
    let options = ImportOptions {
        format: Format::Ndjson,
        ..TABLE
    };
    let (import, errors) = app.import(text, options).await;
    assert_eq!(import.counts, counts(2, 0, 0, 1));
    assert_eq!(errors, ["2 email: stands twice"]);
    assert_eq!(app.row("ada@example.com").await["role"], "AUTHENTICATED");
}

#[tokio::test]
async fn every_hash_of_other_software_is_taken_and_logs_in() {
    let app = TestApp::start().await;
    let vectors: Vec<_> = VECTORS
        .lines()
        .skip(1)
        .map(|line| {
            let (_, rest) = line.split_once(',').unwrap();
            let (password, hash) = rest.split_once(',').unwrap();
            (password, hash.trim_matches('"'))
        })
        .collect();
    let mut text = "email,email_verified_at,password_hash\n".to_owned();
    for (number, (_, hash)) in vectors.iter().enumerate() {
        text += &format!("user{number}@example.com,2020-01-01T00:00:00Z,\"{hash}\"\n");
    }
    let (import, errors) = app.import(&text, TABLE).await;
    assert_eq!(errors, Vec::<String>::new());
    assert_eq!(import.counts, counts(38, 0, 0, 0));
    for (number, (password, hash)) in vectors.iter().enumerate() {
        let email = format!("user{number}@example.com");
        assert_eq!(app.row(&email).await["password_hash"], **hash);
        app.log_in_with(&email, password).await.expect(200);
        let renewed = app.row(&email).await["password_hash"].to_string();
        assert!(
            renewed.starts_with("\"$argon2id$v=19$m=8,t=1,p=1$"),
            "{hash}"
        );
    }
}

#[tokio::test]
async fn passwords_are_hashed_and_who_has_none_cannot_log_in() {
    let app = TestApp::start().await;
    let mut text = "email,email_verified_at,password\n".to_owned();
    for number in 0..250 {
        text += &format!("user{number}@example.com,2020-01-01T00:00:00Z,{PASSWORD}{number}\n");
    }
    text +=
        "none@example.com,2020-01-01T00:00:00Z,\nweak@example.com,2020-01-01T00:00:00Z,password1\n";
    let (import, errors) = app.import(&text, TABLE).await;
    assert_eq!(import.counts, counts(251, 0, 0, 1));
    assert_eq!(errors, ["253 password: is one of the commonest passwords"]);
    for number in [0, 99, 249] {
        let email = format!("user{number}@example.com");
        let password = format!("{PASSWORD}{number}");
        app.log_in_with(&email, &password).await.expect(200);
    }
    for password in ["", PASSWORD] {
        let answer = app.log_in_with("none@example.com", password).await;
        assert!(!answer.status.is_success());
    }
}

#[tokio::test]
async fn who_is_invited_sets_a_password_by_the_link_and_is_verified_by_it() {
    let app = TestApp::start().await;
    let text = "email,phone_number,password,locked_at\nada@example.com,,,\nbob@example.com,,Secure*1234,\n\
        ,+14155552671,,\neve@example.com,,,2020-01-01T00:00:00Z\n";
    let options = ImportOptions {
        invite: true,
        ..TABLE
    };
    let (import, _) = app.import(text, options).await;
    assert_eq!(import.counts, counts(4, 0, 0, 0));
    let mail = app.mail_to("ada@example.com").await;
    assert!(mail.contains("An account was made for you"), "{mail}");
    // It is good for days, unlike the link of who has forgotten his password.
    app.clock.advance(chrono::TimeDelta::days(6));
    let link = link_in(&mail);
    let body = json!({"token": link.rsplit('/').next().unwrap(), "new_password": PASSWORD});
    app.request("PUT", "/password-reset")
        .json(&body)
        .send()
        .await
        .expect(200);
    app.log_in("ada@example.com").await.expect(200);
    assert_eq!(app.row("ada@example.com").await["role"], "AUTHENTICATED");
    app.deliver_mail().await;
}

#[tokio::test]
async fn a_large_import_invites_at_a_pace_so_that_other_mails_go_out_between() {
    let app = TestApp::start().await;
    let rows = (2..=1_200).map(|line| format!("row{line}@example.com\n"));
    let text = format!("email\n{}", rows.collect::<String>());
    let options = ImportOptions {
        invite: true,
        ..TABLE
    };
    let (import, _) = app.import(&text, options).await;
    assert_eq!(import.counts, counts(1_199, 0, 0, 0));
    let due = async |after: i32| -> i64 {
        let at = app.clock.now() + chrono::TimeDelta::milliseconds(50) * after;
        sqlx::query_scalar("select count(*) from jobs where kind = 'send_mail' and run_at <= $1")
            .bind(at)
            .fetch_one(&app.database.pool)
            .await
            .unwrap()
    };
    // A hundred at once, and then one after the other.
    assert_eq!((due(0).await, due(1).await), (100, 101));
    assert_eq!((due(600).await, due(1_100).await), (700, 1_199));
    app.clock.advance(chrono::TimeDelta::minutes(1));
    assert_eq!(app.deliver_mail().await.len(), 1_199);
}

#[tokio::test]
async fn nobody_becomes_administrator_by_registering_after_an_import() {
    let app = TestApp::start().await;
    app.import("email\nada@example.com\n", TABLE).await;
    app.register("bob@example.com").await.expect(200);
    assert_eq!(app.row("bob@example.com").await["role"], "ANONYMOUS");
    app.deliver_mail().await;
}

#[tokio::test]
async fn only_administrators_import() {
    let app = TestApp::start().await;
    let manager = app.user(Role::Manager, "manager@example.com").await;
    let file = TestFile::new("email\nada@example.com\n");
    let ctx = Ctx {
        actor: user_management::domain::actor::Actor::User {
            id: user_management::domain::id::UserId(manager.id),
            role: Role::Manager,
            session: user_management::domain::id::SessionId(Uuid::nil()),
        },
        ..app.operator()
    };
    let imports = &app.app.services.user_imports;
    let refused = imports
        .import_file(&ctx, &file.path, TABLE, false, &mut |_| ())
        .await;
    assert!(matches!(refused, Err(Error::Forbidden(_))), "{refused:?}");
    assert_eq!(app.count("user_imports").await, 0);
}
