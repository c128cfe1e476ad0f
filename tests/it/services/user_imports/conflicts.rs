//! Rows whose account is there, and rows that are there twice.

use user_management::domain::{
    role::Role,
    user_import::{ImportOptions, ImportState, OnConflict},
};

use super::{TABLE, counts};
use crate::support::{app::TestApp, eventually::wait_until};

/// Somebody who is there, and rows that are his by each name, new ones, and one that is there twice.
const ROWS: &str = "email,phone_number,nickname,first_name\n\
    ADA@example.com,,,Ada\n\
    bob@example.com,,,Bob\n\
    Bob@example.com,+14155552671,,Robert\n\
    ,+14155552671,,Nobody\n\
    eve@example.com,,Known_Name,Eve\n";

async fn app_with_ada() -> TestApp {
    let app = TestApp::start().await;
    let ada = app.user(Role::Authenticated, "ada@example.com").await;
    sqlx::query("update users set nickname = 'known_name' where id = $1")
        .bind(ada.id)
        .execute(&app.database.pool)
        .await
        .unwrap();
    app
}

async fn first_names(app: &TestApp) -> Vec<(Option<String>, Option<String>)> {
    sqlx::query_as("select lower(coalesce(email, phone_number)), first_name from users order by 1")
        .fetch_all(&app.database.pool)
        .await
        .unwrap()
}

fn names(expected: &[(&str, &str)]) -> Vec<(Option<String>, Option<String>)> {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let pair = |(name, first_name): &(&str, &str)| (text(name), text(first_name));
    expected.iter().map(pair).collect()
}

#[tokio::test]
async fn an_account_that_is_there_is_an_error_where_nothing_else_is_said() {
    let app = app_with_ada().await;
    let id = app.row("ada@example.com").await["id"].clone();
    let id = id.as_str().unwrap();
    let (import, errors) = app.import(ROWS, TABLE).await;
    assert_eq!(import.counts, counts(2, 0, 0, 3));
    assert_eq!(
        errors,
        [
            format!("2 email: the account {id} has it already"),
            "4 email: line 3 of the file has it already".to_owned(),
            format!("6 nickname: the account {id} has it already"),
        ]
    );
    let expected = [
        ("+14155552671", "Nobody"),
        ("ada@example.com", ""),
        ("bob@example.com", "Bob"),
    ];
    assert_eq!(first_names(&app).await, names(&expected));
}

#[tokio::test]
async fn an_account_that_is_there_can_be_passed_over() {
    let app = app_with_ada().await;
    let options = ImportOptions {
        on_conflict: OnConflict::Skip,
        ..TABLE
    };
    let (import, errors) = app.import(ROWS, options).await;
    assert_eq!(import.counts, counts(2, 0, 2, 1));
    assert_eq!(errors.len(), 1, "{errors:?}");
    let again = app.import(ROWS, options).await.0;
    assert_eq!(again.counts, counts(0, 0, 4, 1));
}

#[tokio::test]
async fn an_account_that_is_there_can_be_changed() {
    let app = app_with_ada().await;
    let options = ImportOptions {
        on_conflict: OnConflict::Update,
        ..TABLE
    };
    let (import, errors) = app.import(ROWS, options).await;
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(import.counts.rejected, 1);
    assert_eq!(import.counts.created + import.counts.updated, 4);
    let again = app.import(ROWS, options).await.0;
    assert_eq!(again.counts.created, 0);
}

#[tokio::test]
async fn an_import_and_a_first_registration_wait_in_one_order() {
    let app = TestApp::start().await;
    let mut registration = app.database.pool.begin().await.unwrap();
    sqlx::query("insert into first_user (claimed_at) values (now())")
        .execute(&mut *registration)
        .await
        .unwrap();
    let register = async {
        let waiting = "select count(*) from pg_stat_activity where datname = current_database() \
                       and wait_event_type = 'Lock'";
        wait_until("the import waits", async || {
            let waiting: i64 = sqlx::query_scalar(waiting)
                .fetch_one(&app.database.pool)
                .await
                .unwrap();
            waiting >= 1
        })
        .await;
        sqlx::query(
            "insert into users (id, nickname, email, password_hash, role, created_at, updated_at) \
             values (gen_random_uuid(), 'ada', 'ada@example.com', '', 'ADMIN', now(), now())",
        )
        .execute(&mut *registration)
        .await
        .unwrap();
        registration.commit().await.unwrap();
    };
    let ((import, _), ()) = tokio::join!(app.import("email\nada@example.com\n", TABLE), register);
    assert_eq!(import.counts, counts(0, 0, 0, 1));
}

#[tokio::test]
async fn rows_of_one_id_are_one_account() {
    let app = TestApp::start().await;
    let text = "id,email\n0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b,ada@example.com\n\
        0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b,bob@example.com\n";
    let (import, errors) = app.import(text, TABLE).await;
    assert_eq!(import.counts, counts(1, 0, 0, 1));
    assert_eq!(errors, ["3 id: line 2 of the file has it already"]);
}

#[tokio::test]
async fn a_dry_run_tells_what_would_happen_and_changes_nothing() {
    let app = app_with_ada().await;
    let before = app.stored().await;
    let entries = app.count("audit_log").await;
    let options = ImportOptions {
        dry_run: true,
        invite: true,
        ..TABLE
    };
    let text = format!("{ROWS}{}", "zoe@example.com,,,Zoe\n".repeat(2));
    let (import, errors) = app.import(&text, options).await;
    assert_eq!(import.state, ImportState::Done);
    assert_eq!(import.counts, counts(3, 0, 0, 4));
    assert_eq!(errors.len(), 4, "{errors:?}");
    assert_eq!(app.stored().await, before);
    // That somebody tried is told.
    assert_eq!(app.count("audit_log").await, entries + 1);
}

#[tokio::test]
async fn of_an_atomic_import_all_rows_go_in_or_none() {
    let app = app_with_ada().await;
    let before = app.stored().await;
    let options = ImportOptions {
        atomic: true,
        ..TABLE
    };
    let (import, errors) = app.import(ROWS, options).await;
    assert_eq!(import.state, ImportState::Failed);
    assert_eq!(import.counts, counts(2, 0, 0, 3).undone());
    assert_eq!((import.counts.created, import.counts.read()), (0, 5));
    assert_eq!(errors.len(), 3, "{errors:?}");
    assert_eq!(app.stored().await, before);
    let mut good = "email\n".to_owned();
    for number in 0..1500 {
        good += &format!("user{number}@example.com\n");
    }
    let (import, _) = app.import(&good, options).await;
    assert_eq!(import.state, ImportState::Done);
    assert_eq!(import.counts, counts(1500, 0, 0, 0));
    assert_eq!(app.count("users").await, 1501);
}

#[tokio::test]
async fn rows_with_a_nickname_in_common_come_out_as_if_they_came_alone() {
    let update = ImportOptions {
        on_conflict: OnConflict::Update,
        ..TABLE
    };
    let skip = ImportOptions {
        on_conflict: OnConflict::Skip,
        ..TABLE
    };
    let app = TestApp::start().await;
    // The second row gives the first one's account the nickname that the third wants.
    let rows = "nickname,email\n,a@example.com\nnick,a@example.com\nNick,b@example.com\n";
    let (import, errors) = app.import(rows, update).await;
    assert_eq!(import.counts, counts(1, 1, 0, 1));
    assert_eq!(errors, ["4 nickname: line 2 of the file has it already"]);
    assert_eq!(app.row("a@example.com").await["nickname"], "nick");
    // The second row can't have its nickname, so that the third makes the account of the fourth.
    let rows = "nickname,email,phone_number\nsame,,+14155550101\nsame,e@example.com,\n,e@example.com,\n\
        same,e@example.com,\n";
    let (import, errors) = app.import(rows, skip).await;
    assert_eq!(import.counts, counts(2, 0, 1, 1));
    assert_eq!(errors, ["3 nickname: line 2 of the file has it already"]);
}
