//! Files of several batches, which are written at once and come out as if they had been written one by one.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use user_management::domain::{
    role::Role,
    user_import::{ImportOptions, OnConflict},
};

use super::{TABLE, counts};
use crate::support::{app::TestApp, eventually::wait_until};

/// Rows of a batch.
const BATCH: usize = 1_000;

const UPDATE: ImportOptions = ImportOptions {
    on_conflict: OnConflict::Update,
    ..TABLE
};

/// A file of three batches of new users, but for rows of one's own at some lines, the first row's being 2.
fn file(own: &[(usize, &str)]) -> String {
    let mut text = "id,email,nickname,first_name\n".to_owned();
    for line in 2..3 * BATCH + 2 {
        match own.iter().find(|(at, _)| *at == line) {
            Some((_, row)) => text += row,
            None => write!(text, ",user{line}@example.com,user_{line},U").unwrap(),
        }
        text.push('\n');
    }
    text
}

async fn first_name(app: &TestApp, email: &str) -> String {
    app.row(email).await["first_name"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[tokio::test]
async fn a_row_of_a_later_batch_finds_the_account_of_an_earlier_one() {
    let app = TestApp::start().await;
    let text = file(&[
        (5, ",same@example.com,same_5,First"),
        (1_500, ",SAME@example.com,same_1500,Second"),
        (2_900, ",same@example.com,same_2900,Third"),
        // A nickname of a row far below, which is that one's only if nobody is before it.
        (7, ",seven@example.com,user_2950,Seven"),
    ]);
    let (import, errors) = app.import(&text, TABLE).await;
    assert_eq!(import.counts, counts(2_997, 0, 0, 3));
    let lines: Vec<_> = errors.iter().map(|error| &error[..14]).collect();
    assert_eq!(
        lines,
        [
            "1500 email: th",
            "2900 email: th",
            "2950 nickname: "[..14].as_ref()
        ]
    );
    assert_eq!(first_name(&app, "same@example.com").await, "First");
    assert_eq!(first_name(&app, "seven@example.com").await, "Seven");

    // Where nothing may come of an account, its id would be nobody's.
    for (atomic, dry_run) in [(true, false), (false, true)] {
        let app = TestApp::start().await;
        let there = app.user(Role::Authenticated, "user9@example.com").await.id;
        let whole = ImportOptions {
            atomic,
            dry_run,
            ..TABLE
        };
        let (import, errors) = app.import(&text, whole).await;
        assert_eq!(import.counts.read(), 3_000);
        let earlier = "an earlier line of the file has it already";
        assert_eq!(
            errors,
            [
                format!("9 email: the account {there} has it already"),
                format!("1500 email: {earlier}"),
                format!("2900 email: {earlier}"),
                format!("2950 nickname: {earlier}"),
            ]
        );
    }

    let app = TestApp::start().await;
    let (import, errors) = app.import(&text, UPDATE).await;
    assert_eq!((import.counts, errors.len()), (counts(2_997, 2, 0, 1), 1));
    assert_eq!(first_name(&app, "same@example.com").await, "Third");
}

#[tokio::test]
async fn an_address_that_an_earlier_batch_gives_somebody_is_his_in_later_ones() {
    let app = TestApp::start().await;
    let ada = app.user(Role::Authenticated, "ada@example.com").await;
    // The first batch changes Ada's address when the second has made an account of it, and waits for that one's
    // end, which waits for the first's.
    let change = format!("{},moved@example.com,,Ada", ada.id);
    let text = file(&[(900, &change), (1_100, ",moved@example.com,,Later")]);
    let (import, errors) = app.import(&text, UPDATE).await;
    assert_eq!(errors, Vec::<String>::new());
    assert_eq!(import.counts, counts(2_998, 2, 0, 0));
    let moved = app.row("moved@example.com").await;
    assert_eq!(moved["id"], serde_json::json!(ada.id.to_string()));
    assert_eq!(moved["first_name"], "Later");
    let users: i64 = sqlx::query_scalar("select count(*) from users")
        .fetch_one(&app.database.pool)
        .await
        .unwrap();
    assert_eq!(users, 2_999);
    // Everybody is counted, and told of in the audit log, once.
    let counted: i64 = sqlx::query_scalar("select sum(users)::bigint from user_counts")
        .fetch_one(&app.database.pool)
        .await
        .unwrap();
    assert_eq!(counted, users);
    let added: i64 =
        sqlx::query_scalar("select count(*) from audit_log where action = 'user_added'")
            .fetch_one(&app.database.pool)
            .await
            .unwrap();
    assert_eq!(added, 2_998);
}

#[tokio::test]
async fn a_name_that_an_earlier_batch_gives_up_is_free_in_later_ones() {
    let app = TestApp::start().await;
    let ada = app.user(Role::Authenticated, "ada@example.com").await;
    let change = format!("{},countess@example.com,,Ada", ada.id);
    let text = file(&[(1_001, &change), (1_002, ",ada@example.com,,Another")]);
    let (import, errors) = app.import(&text, UPDATE).await;
    assert_eq!(
        (import.counts, errors),
        (counts(2_999, 1, 0, 0), Vec::new())
    );
    assert_eq!(first_name(&app, "countess@example.com").await, "Ada");
    assert_eq!(first_name(&app, "ada@example.com").await, "Another");
}

#[tokio::test]
async fn two_files_of_the_same_people_in_opposite_order_both_come_to_their_end() {
    let app = TestApp::start().await;
    let rows: Vec<String> = (0..2 * BATCH)
        .map(|number| format!("user{number}@example.com\n"))
        .collect();
    let skip = ImportOptions {
        on_conflict: OnConflict::Skip,
        ..TABLE
    };
    let forth = format!("email\n{}", rows.concat());
    let back: String = rows.into_iter().rev().collect();
    let back = format!("email\n{back}");
    let ((one, _), (two, _)) = tokio::join!(app.import(&forth, skip), app.import(&back, skip));
    let (one, two) = (one.counts, two.counts);
    assert_eq!(one.created + two.created, 2_000);
    assert_eq!((one.read(), two.read()), (2_000, 2_000));
    assert_eq!((one.rejected, two.rejected), (0, 0));
}

#[tokio::test]
async fn a_batch_that_waited_too_long_for_others_is_written_once_more() {
    let app = TestApp::start().await;
    let mut other = app.database.pool.begin().await.unwrap();
    sqlx::query(
        "insert into users (id, nickname, email, password_hash, role, created_at, updated_at) \
         values (gen_random_uuid(), 'ada', 'ada@example.com', '', 'ANONYMOUS', now(), now())",
    )
    .execute(&mut *other)
    .await
    .unwrap();
    let hold = async {
        // As the limit of its time does, twice: the second time what is tried after the first.
        let mut cancelled: Option<DateTime<Utc>> = None;
        for _ in 0..2 {
            let mut last = None;
            wait_until("the import waits, and is cancelled", async || {
                last = sqlx::query_scalar(
                    "select clock_timestamp() from ( \
                       select pid from pg_stat_activity \
                       where datname = current_database() and wait_event_type = 'Lock' \
                         and ($1::timestamptz is null or query_start > $1) offset 0) waiting \
                     where pg_cancel_backend(pid)",
                )
                .bind(cancelled)
                .fetch_optional(&app.database.pool)
                .await
                .unwrap();
                last.is_some()
            })
            .await;
            cancelled = last;
        }
        other.rollback().await.unwrap();
    };
    let ((import, _), ()) = tokio::join!(app.import("email\nada@example.com\n", TABLE), hold);
    assert_eq!(import.counts, counts(1, 0, 0, 0));
}
