//! `users import`.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{
    binary::{Finished, Process, Program},
    database::TestDatabase,
    eventually::wait_until,
};

/// More rows than a batch has, with everything given that would be random, and some of them bad.
fn rows() -> String {
    let mut text = "id,nickname,email,created_at,password_hash\r\n".to_owned();
    for number in 0..2500 {
        let email = match number % 500 {
            7 => "nobody".to_owned(),
            _ => format!("user{number}@example.com"),
        };
        text += &format!(
            "0199c5a0-6d54-7c1e-8f6a-{number:012x},user_{number},{email},2020-01-01T00:00:00Z,\
             $2b$04$dCbeprZWBccQjPijz/aMBeBxvSkN1byfkKGgO9mu4ZR0ji0zdGdBq\r\n"
        );
    }
    text
}

async fn table(database: &TestDatabase) -> Vec<String> {
    sqlx::query_scalar("select u::text from users u order by id")
        .fetch_all(&database.pool)
        .await
        .unwrap()
}

async fn import(program: &Program, more: &[&str], code: i32) -> Finished {
    let command = [&["users", "import"], more].concat();
    program.run(&command, "").await.expect(code)
}

/// Imports `users.csv` up to a row that another transaction holds, and lets `end` end it there.
async fn broken_off(
    program: &Program,
    database: &TestDatabase,
    end: impl AsyncFnOnce(Process) -> Finished,
) -> Finished {
    let mut transaction = database.pool.begin().await.unwrap();
    sqlx::query(
        "insert into users (id, nickname, email, password_hash, role, created_at, updated_at) \
         values (gen_random_uuid(), 'user_1800', 'other@example.com', '', 'ANONYMOUS', now(), now())",
    )
    .execute(&mut *transaction)
    .await
    .unwrap();
    let process = program.spawn(&["users", "import", "users.csv"]);
    wait_until("a part of the file is imported", async || {
        let read: Option<i64> = sqlx::query_scalar("select rows_read from user_imports")
            .fetch_optional(&database.pool)
            .await
            .unwrap();
        read == Some(1000)
    })
    .await;
    let finished = end(process).await;
    transaction.rollback().await.unwrap();
    finished
}

#[tokio::test]
async fn an_import_that_was_killed_goes_on_and_ends_with_the_same_table() {
    let undisturbed = TestDatabase::create().await;
    let program = Program::on(&undisturbed);
    fs::write(program.directory().join("users.csv"), rows()).unwrap();
    let finished = import(&program, &["users.csv", "--json"], 4).await;
    let summary: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(
        summary["rows"],
        json!({"read": 2500, "created": 2495, "updated": 0, "skipped": 0, "rejected": 5})
    );
    assert_eq!(summary["errors_file"], "users.csv.errors.csv");
    let errors = fs::read_to_string(program.directory().join("users.csv.errors.csv")).unwrap();

    let database = TestDatabase::create().await;
    let program = Program::on(&database);
    fs::write(program.directory().join("users.csv"), rows()).unwrap();
    let killed = broken_off(&program, &database, async |process| {
        process.signal(Signal::KILL);
        process.finish().await
    });
    assert_eq!(killed.await.code, None);
    assert_eq!(table(&database).await.len(), 998);
    for options in [
        &["users.csv"][..],
        &["users.csv", "--resume", "--on-conflict", "skip"],
    ] {
        let refused = import(&program, options, 4).await;
        assert!(refused.stderr.contains("--resume"), "{}", refused.stderr);
    }
    import(&program, &["users.csv", "--resume"], 4).await;
    assert_eq!(table(&database).await, table(&undisturbed).await);
    let resumed = fs::read_to_string(program.directory().join("users.csv.errors.csv")).unwrap();
    assert_eq!(resumed, errors);
    assert!(
        errors.starts_with("line,column,reason\r\n9,email,must be a valid e-mail address\r\n509,")
    );
}

#[tokio::test]
async fn whoever_stops_an_import_is_told_how_it_goes_on() {
    let database = TestDatabase::create().await;
    let program = Program::on(&database);
    fs::write(program.directory().join("users.csv"), rows()).unwrap();
    let stopped = broken_off(&program, &database, async |process| {
        process.signal(Signal::INT);
        process.finish().await
    });
    let stopped = stopped.await.expect(1).stderr;
    assert!(
        stopped.contains("1000 rows are done; the same command with --resume goes on"),
        "{stopped}"
    );
    import(&program, &["users.csv", "--resume"], 4).await;
    assert_eq!(table(&database).await.len(), 2495);
}

#[tokio::test]
async fn a_result_that_cannot_be_written_is_told_and_written_again_later() {
    let database = TestDatabase::create().await;
    let program = Program::on(&database);
    let file = program.directory().join("users.ndjson");
    fs::write(
        &file,
        "{\"email\":\"ada@example.com\"}\n{\"email\":\"nobody\"}\n",
    )
    .unwrap();
    let full = import(&program, &["users.ndjson", "--errors", "/dev/full"], 1).await;
    assert!(
        full.stderr.contains("No space left on device"),
        "{}",
        full.stderr
    );
    assert!(
        full.stderr.contains("--resume writes it again"),
        "{}",
        full.stderr
    );
    assert_eq!(table(&database).await.len(), 1);
    let again = import(&program, &["users.ndjson", "--resume"], 4).await;
    assert!(
        again
            .stdout
            .contains("2 rows: 1 created, 0 updated, 0 skipped, 1 rejected"),
        "{}",
        again.stdout
    );
    let errors = program.directory().join("users.ndjson.errors.csv");
    assert_eq!(
        fs::read_to_string(errors).unwrap(),
        "line,column,reason\r\n2,email,must be a valid e-mail address\r\n"
    );
    assert_eq!(table(&database).await.len(), 1);
}

#[tokio::test]
async fn the_errors_never_take_the_place_of_the_file_and_go_when_there_are_none() {
    let database = TestDatabase::create().await;
    let program = Program::on(&database);
    let path = |name: &str| program.directory().join(name);
    let bad = "email\nnobody\n";
    for (file, errors) in [("users.csv", "./users.csv"), ("users.csv", "link.csv")] {
        fs::write(path(file), bad).unwrap();
        std::os::unix::fs::symlink("users.csv", path("link.csv")).unwrap_or_default();
        let command = [file, "--format", "csv", "--errors", errors];
        let refused = import(&program, &command, 2).await;
        let said = "errors: would be written over the file of users";
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
        assert_eq!(fs::read_to_string(path(file)).unwrap(), bad);
    }
    let errors = path("users.csv.errors.csv");
    import(&program, &["users.csv"], 4).await;
    assert!(errors.exists());
    fs::write(path("users.csv"), "email\nada@example.com\n").unwrap();
    import(&program, &["users.csv"], 0).await;
    assert!(!errors.exists());
}

#[tokio::test]
async fn a_link_where_the_errors_go_leads_to_nothing_that_is_written_over() {
    let database = TestDatabase::create().await;
    let program = Program::on(&database);
    let path = |name: &str| program.directory().join(name);
    fs::write(path("users.csv"), "email\nnobody\n").unwrap();
    fs::write(path("precious"), "kept").unwrap();
    for link in ["users.csv.errors.csv", "users.csv.errors.csv.part"] {
        std::os::unix::fs::symlink("precious", path(link)).unwrap();
    }
    import(&program, &["users.csv"], 4).await;
    assert_eq!(fs::read_to_string(path("precious")).unwrap(), "kept");
    let errors = fs::read_to_string(path("users.csv.errors.csv")).unwrap();
    assert!(errors.contains("2,email,"), "{errors}");
}

#[tokio::test]
async fn a_file_that_may_not_grow_is_an_error_that_is_told() {
    let database = TestDatabase::create().await;
    let program = Program::on(&database);
    let rows = "nobody\n".repeat(500);
    fs::write(
        program.directory().join("users.csv"),
        format!("email\n{rows}"),
    )
    .unwrap();
    let limited = "ulimit -f 8; exec \"$0\" users import users.csv";
    let finished = program.spawn_by_shell(limited).finish().await.expect(1);
    let said = &finished.stderr;
    assert!(said.contains("--resume writes it again"), "{said}");
    let left = fs::read_dir(program.directory()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        left.iter()
            .all(|name| !name.to_str().unwrap().contains("tmp")),
        "{left:?}"
    );
}

#[tokio::test]
async fn the_exit_code_tells_what_became_of_it() {
    let database = TestDatabase::create().await;
    let program = Program::on(&database);
    let write = |name: &str, text: &str| fs::write(program.directory().join(name), text).unwrap();
    write("good.csv", "email\nada@example.com\n");
    write("unknown.csv", "e-mail\nada@example.com\n");
    write("users.txt", "email\nada@example.com\n");
    for (command, code, said) in [
        (&["missing.csv"][..], 2, "missing.csv: No such file"),
        (
            &["unknown.csv"],
            2,
            "\"e-mail\" is none; there are: id, nickname, email",
        ),
        (&["users.txt"], 2, "--format"),
        (&["good.csv", "--on-conflict", "other"], 2, "update"),
    ] {
        let finished = import(&program, command, code).await;
        assert!(finished.stderr.contains(said), "{}", finished.stderr);
    }
    let trial = import(&program, &["good.csv", "--dry-run"], 0).await;
    assert_eq!(
        trial.stdout,
        "dry run of 1 row: 1 created, 0 updated, 0 skipped, 0 rejected"
    );
    assert_eq!(table(&database).await.len(), 0);
    import(&program, &["good.csv"], 0).await;
    import(&program, &["good.csv"], 4).await;
    import(&program, &["good.csv", "--on-conflict", "skip"], 0).await;
    import(&program, &["users.txt", "--format", "csv", "--atomic"], 4).await;
    assert_eq!(table(&database).await.len(), 1);
}

#[tokio::test]
async fn at_a_terminal_one_sees_how_far_it_has_got() {
    let database = TestDatabase::create().await;
    let program = Program::on(&database).set("TERM", "xterm");
    fs::write(program.directory().join("users.csv"), rows()).unwrap();
    let command = ["users", "import", "users.csv"];
    let shown = program.run_at_terminal(&command, "").await.expect(4).stderr;
    for part in [" rows, ", "/s, ", " left", "2500"] {
        assert!(shown.contains(part), "{shown}");
    }
    let plain = import(&program, &["users.csv", "--on-conflict", "skip"], 4).await;
    assert!(!plain.stderr.contains("left"), "{}", plain.stderr);
}

#[tokio::test]
async fn what_is_logged_disturbs_nobody_unless_it_is_asked_for() {
    let database = TestDatabase::create().await;
    let program = Program::on(&database);
    let file = program.directory().join("users.csv");
    fs::write(file, "email\r\nada@example.com\r\n").unwrap();
    let trial = ["users.csv", "--dry-run"];
    let quiet = import(&program, &trial, 0).await.stderr;
    assert_eq!(quiet, "");
    let program = program.set("RUST_LOG", "info");
    let tried = import(&program, &trial, 0).await.stderr;
    assert!(tried.contains("dry_run=true"), "{tried}");
    assert!(!tried.contains("users imported"), "{tried}");
    let imported = import(&program, &["users.csv"], 0).await.stderr;
    assert!(imported.contains("users imported"), "{imported}");
}

#[tokio::test]
async fn an_atomic_import_that_waits_for_one_who_waits_for_it_tells_so() {
    let database = TestDatabase::create().await;
    let program = Program::on(&database).set("RUST_LOG", "debug");
    let file = program.directory().join("users.csv");
    let rows = "email\nada@example.com\nbob@example.com\neve@example.com\n";
    fs::write(file, rows).unwrap();
    let insert = "insert into users (id, nickname, email, password_hash, role, created_at, updated_at) \
                  values (gen_random_uuid(), $1, $1 || '@example.com', '', 'ANONYMOUS', now(), now())";
    let waiting = async |number: i64, timeouts: i32| {
        wait_until("they wait", async || {
            let waiting: i64 = sqlx::query_scalar(
                "select count(*) from pg_locks join pg_stat_activity using (pid) \
                 where datname = current_database() and not granted \
                 and waitstart + $1 * current_setting('deadlock_timeout')::interval < clock_timestamp()",
            )
            .bind(timeouts)
            .fetch_one(&database.pool)
            .await
            .unwrap();
            waiting == number
        })
        .await;
    };
    let (mut bob, mut eve) = tokio::join!(database.pool.begin(), database.pool.begin());
    let (bob, eve) = (bob.as_mut().unwrap(), eve.as_mut().unwrap());
    for (name, transaction) in [("bob", &mut *bob), ("eve", &mut *eve)] {
        let inserted = sqlx::query(insert).bind(name);
        inserted.execute(&mut **transaction).await.unwrap();
    }
    let importing = program.spawn(&["users", "import", "users.csv", "--atomic"]);
    waiting(1, 0).await;
    let ada = sqlx::query(insert).bind("ada").execute(&mut **eve);
    let free_bob = async {
        // Each looks once for whom it waits, so that the import finds out when it waits once more.
        waiting(2, 2).await;
        sqlx::query("rollback").execute(&mut **bob).await.unwrap();
        importing.finish().await.expect(4)
    };
    let (ada, refused) = tokio::join!(ada, free_bob);
    ada.unwrap();
    let said = "others are adding or changing the same people";
    assert!(refused.stderr.contains(said), "{}", refused.stderr);
    assert_eq!(table(&database).await.len(), 0);
}
