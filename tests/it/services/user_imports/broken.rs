//! Imports that break off, and files that can't be read.

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use user_management::{
    domain::user_import::{Format, ImportOptions, ImportState, OnConflict},
    error::{Error, ErrorCode, Result},
    repository::user_imports,
};

use super::{TABLE, TestFile, counts};
use crate::support::app::TestApp;

/// Rows of several batches, some of them bad, in which everything is given that would be random.
fn rows() -> String {
    let mut text = "id,nickname,email,password_hash\n".to_owned();
    for number in 0..2500 {
        let email = match number % 100 {
            7 => "nobody".to_owned(),
            _ => format!("user{number}@example.com"),
        };
        text += &format!(
            "0199c5a0-6d54-7c1e-8f6a-{number:012x},user_{number},{email},\
             $2b$04$dCbeprZWBccQjPijz/aMBeBxvSkN1byfkKGgO9mu4ZR0ji0zdGdBq\n"
        );
    }
    text
}

async fn table(app: &TestApp) -> Vec<String> {
    sqlx::query_scalar("select u::text from users u order by id")
        .fetch_all(&app.database.pool)
        .await
        .unwrap()
}

/// Makes the database fail, as with a full disk, when it is to store the user of this number.
async fn break_at(app: &TestApp, number: u32) {
    let statement = format!(
        "create function fail() returns trigger language plpgsql as $$ begin \
         if new.nickname = 'user_{number}' then raise exception using errcode = 'disk_full'; end if; \
         return new; end $$; \
         create trigger fail before insert on users for each row execute function fail()"
    );
    app.database
        .pool
        .execute(AssertSqlSafe(statement))
        .await
        .unwrap();
}

async fn mend(app: &TestApp) {
    app.database
        .pool
        .execute("drop trigger fail on users; drop function fail")
        .await
        .unwrap();
}

fn is_running<T>(result: &Result<T>) -> bool {
    matches!(result, Err(Error::Conflict(ErrorCode::ImportRunning)))
}

#[tokio::test]
async fn an_import_that_broke_off_goes_on_and_ends_as_one_that_did_not() {
    let undisturbed = TestApp::start().await;
    let (expected, expected_errors) = undisturbed.import(&rows(), TABLE).await;
    assert_eq!(expected.counts, counts(2475, 0, 0, 25));

    let app = TestApp::start().await;
    let file = TestFile::new(&rows());
    break_at(&app, 1800).await;
    let broken = app.try_import(&file, TABLE, false).await;
    assert!(matches!(broken, Err(Error::Unavailable(_))), "{broken:?}");
    // The batch before stands, and of this one nothing.
    assert_eq!(app.count("users").await, 990);
    assert_eq!(app.count("user_import_errors").await, 10);
    assert_eq!(app.count("audit_log").await, 991);
    assert!(is_running(&app.try_import(&file, TABLE, false).await));
    mend(&app).await;
    app.clock.advance(chrono::TimeDelta::hours(1));
    let ended = app.try_import(&file, TABLE, true).await.unwrap();
    assert_eq!(ended.state, ImportState::Done);
    assert_eq!(ended.counts, expected.counts);
    assert_eq!(table(&app).await, table(&undisturbed).await);
    assert_eq!(
        app.count("user_import_errors").await,
        expected_errors.len() as i64
    );
    // It has ended: its result is told again.
    let again = app.try_import(&file, TABLE, true).await.unwrap();
    assert_eq!(again, ended);
    assert_eq!(app.count("user_imports").await, 1);
}

#[tokio::test]
async fn of_an_atomic_import_that_broke_off_nothing_stands_and_it_begins_again() {
    let app = TestApp::start().await;
    let text = rows().replace("nobody", "somebody@example.com").replacen(
        "somebody@example.com",
        "first@example.com",
        1,
    );
    let file = TestFile::new(&text);
    let options = ImportOptions {
        dry_run: true,
        atomic: true,
        ..TABLE
    };
    let trial = app.try_import(&file, options, false).await.unwrap();
    assert_eq!(trial.counts.rejected, 23);
    let options = ImportOptions {
        dry_run: false,
        on_conflict: OnConflict::Skip,
        ..options
    };
    break_at(&app, 1800).await;
    let broken = app.try_import(&file, options, false).await;
    assert!(matches!(broken, Err(Error::Unavailable(_))), "{broken:?}");
    assert_eq!(app.count("users").await, 0);
    mend(&app).await;
    let ended = app.try_import(&file, options, true).await.unwrap();
    assert_eq!(ended.counts, counts(2477, 0, 23, 0));
    assert_eq!(app.count("users").await, 2477);
    // That the first try came to nothing is told.
    assert_eq!(
        app.given_up().await,
        ["was broken off, and nothing of it stands"]
    );
}

#[tokio::test]
async fn one_at_a_time_imports_a_file() {
    let app = TestApp::start().await;
    let file = TestFile::new("email\nada@example.com\n");
    let digest = {
        use sha2::Digest as _;
        sha2::Sha256::digest("email\nada@example.com\n")
    };
    let options = app.database.connect_options();
    let mut other = PgConnection::connect_with(&options).await.unwrap();
    let locked = user_imports::try_lock(&mut other, &digest.into()).await;
    assert!(locked.unwrap());
    assert!(is_running(&app.try_import(&file, TABLE, true).await));
    other.close().await.unwrap();
    app.try_import(&file, TABLE, false).await.unwrap();
}

#[tokio::test]
async fn a_file_that_cannot_be_read_leaves_no_trace() {
    let app = TestApp::start().await;
    for (text, reason) in [
        ("", "is empty"),
        ("name,email\nx,y\n", "\"name\" is none"),
        ("first_name\nAda\n", "a column is missing"),
        ("e\0m\0a\0", "UTF-16"),
    ] {
        let refused = app.try_import(&TestFile::new(text), TABLE, false).await;
        let Err(Error::Invalid(fields)) = refused else {
            panic!("{refused:?}");
        };
        assert!(fields[0].message.contains(reason), "{fields:?}");
    }
    let objects = ImportOptions {
        format: Format::Ndjson,
        ..TABLE
    };
    let wide = TestFile::new("{\0}\0");
    let refused = app.try_import(&wide, objects, false).await;
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    assert_eq!(app.count("user_imports").await, 0);
    assert_eq!(app.count("audit_log").await, 0);
}

#[tokio::test]
async fn a_table_with_no_rows_is_imported() {
    let app = TestApp::start().await;
    let (import, errors) = app.import("email,bio", TABLE).await;
    assert_eq!((import.counts, errors), (counts(0, 0, 0, 0), vec![]));
    assert_eq!(import.state, ImportState::Done);
}
