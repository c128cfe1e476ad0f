//! `db …`: looking at the database, emptying it, taking another one over.

use serde_json::Value;
use sqlx::Executor as _;

use crate::support::{
    binary::{Finished, Program},
    database::TestDatabase,
    fastapi::{empty, load, picture},
};

async fn json(program: &Program, command: &[&str], code: i32) -> Value {
    let finished = program.run(command, "").await.expect(code);
    assert!(!finished.stdout.contains("hunter2"));
    serde_json::from_str(&finished.stdout).unwrap()
}

/// Runs a command that does nothing, and says so.
async fn refused(program: &Program, command: &[&str], why: &str) -> Finished {
    let finished = program.run(command, "").await.expect(4);
    assert!(finished.stderr.contains(why), "{}", finished.stderr);
    finished
}

async fn users(database: &TestDatabase) -> i64 {
    sqlx::query_scalar("select count(*) from users")
        .fetch_one(&database.pool)
        .await
        .unwrap()
}

/// The program on a database that has a user.
async fn with_a_user(database: &TestDatabase) -> Program {
    let program = Program::on(database);
    let command = ["users", "create-admin", "root@example.com"];
    program.run(&command, "Secure*1234").await.expect(0);
    program
}

#[tokio::test]
async fn status_tells_what_is_in_the_database() {
    let database = TestDatabase::create().await;
    let program = with_a_user(&database).await;
    let status = json(&program, &["db", "status", "--json"], 0).await;
    let name = database.connect_options();
    let name = name.get_database().unwrap().to_owned();
    assert_eq!(status["database"], *name);
    assert_eq!(status["is_reachable"], true);
    assert_eq!(status["contents"], "ours");
    assert_eq!(status["users"], 1);
    assert_eq!(status["migrations"]["pending"], serde_json::json!([]));
    assert!(status["size_bytes"].as_i64().unwrap() > 1_000_000);
    let table = program.run(&["db", "status"], "").await.expect(0).stdout;
    let lines: Vec<Vec<_>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    for line in [["database", &name], ["users", "1"], ["contents", "ours"]] {
        assert!(lines.iter().any(|it| *it == line), "{table}");
    }

    load(&database).await;
    let status = json(&program, &["db", "status", "--json"], 0).await;
    assert_eq!(status["contents"], "fastapi");
    assert_eq!(status["users"], Value::Null);
    empty(&database).await;
    let status = json(&program, &["db", "status", "--json"], 0).await;
    assert_eq!(status["contents"], "empty");
    assert_eq!(status["migrations"]["applied"], 0);
    assert!(
        !status["migrations"]["pending"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn status_of_a_database_that_is_away_is_5_and_shows_no_password() {
    let program = Program::new().set("DATABASE_URL", "postgres://ada:hunter2@127.0.0.1:1/users");
    let status = json(&program, &["db", "status", "--json"], 5).await;
    assert_eq!(status["url"], "postgresql://ada@127.0.0.1:1/users");
    assert_eq!(status["is_reachable"], false);
    let shown = program.run(&["db", "status"], "").await.expect(5);
    assert!(shown.stdout.contains("reachable  no"), "{}", shown.stdout);
    assert!(!format!("{shown:?}").contains("hunter2"));
}

#[tokio::test]
async fn reset_empties_what_is_ours_and_migrates_afresh() {
    let database = TestDatabase::create().await;
    let program = with_a_user(&database).await;
    database
        .pool
        .execute("create table orders (id integer)")
        .await
        .unwrap();
    let migrated = picture(&database.pool).await;
    refused(&program, &["db", "reset"], "give --yes").await;
    assert_eq!(users(&database).await, 1);

    let done = program.run(&["db", "reset", "--yes"], "").await.expect(0);
    assert!(
        done.stdout.contains("is empty and migrated"),
        "{}",
        done.stdout
    );
    assert_eq!(users(&database).await, 0);
    assert_eq!(picture(&database.pool).await.len(), migrated.len() - 1);
    let again = ["db", "reset", "--yes", "--json"];
    let again = json(&program, &again, 0).await;
    assert_eq!(
        again["database"],
        database.connect_options().get_database().unwrap()
    );
    assert!(again["dropped"].as_u64().unwrap() > 10, "{again}");
    // It works as a new one does.
    with_a_user(&database).await;
    assert_eq!(users(&database).await, 1);
}

#[tokio::test]
async fn reset_at_a_terminal_takes_the_name_of_the_database() {
    let database = TestDatabase::create().await;
    let program = with_a_user(&database).await;
    let options = database.connect_options();
    let name = options.get_database().unwrap();
    for typed in ["yes\n", "\n", "\u{4}"] {
        let kept = program.run_at_terminal(&["db", "reset"], typed).await;
        let kept = kept.expect(4);
        let asked = format!(", with 1 user.\nType {name} to go on: ");
        let shown = kept.stderr.replace('\r', "");
        assert!(shown.contains(&asked), "{shown}");
        assert!(kept.stderr.contains("nothing was done"), "{}", kept.stderr);
        assert_eq!(users(&database).await, 1);
    }
    let typed = format!("{name}\n");
    let done = program.run_at_terminal(&["db", "reset"], &typed).await;
    done.expect(0);
    assert_eq!(users(&database).await, 0);
}

#[tokio::test]
async fn reset_is_refused_in_production_and_beside_a_server_unless_forced() {
    let database = TestDatabase::create().await;
    let program = with_a_user(&database).await;
    let production = program
        .clone()
        .set("ENVIRONMENT", "production")
        .set("SERVER_BASE_URL", "https://users.example.com")
        .set("JWT_SECRET_KEY", "wY8!vQ2@kL5#nR9$tB3%xZ7^mC1&pD4*")
        .set("SEND_REAL_MAIL", "false");
    refused(&production, &["db", "reset", "--yes"], "--force").await;
    let server = program.serve().await;
    refused(
        &program,
        &["db", "reset", "--yes"],
        "the service uses the database",
    )
    .await;
    assert_eq!(users(&database).await, 1);
    let forced = ["db", "reset", "--yes", "--force"];
    production.run(&forced, "").await.expect(0);
    assert_eq!(users(&database).await, 0);
    // The server goes on with the empty database.
    let registered = server.register("new@example.com").await.unwrap();
    assert_eq!(registered.status(), 200);
    server.stop().await;
}

#[tokio::test]
async fn reset_keeps_off_what_it_does_not_know() {
    let database = TestDatabase::create().await;
    let program = with_a_user(&database).await;
    let newer = "insert into _sqlx_migrations (version, description, success, checksum, execution_time) \
         values (99990101000000, 'of the future', true, '', 0)";
    database.pool.execute(newer).await.unwrap();
    refused(&program, &["db", "reset", "--yes"], "99990101000000").await;
    assert_eq!(users(&database).await, 1);
    program
        .run(&["db", "reset", "--yes", "--force"], "")
        .await
        .expect(0);
    assert_eq!(users(&database).await, 0);

    load(&database).await;
    let before = picture(&database.pool).await;
    let forced = ["db", "reset", "--yes", "--force"];
    refused(&program, &forced, "isn't ours").await;
    assert_eq!(picture(&database.pool).await, before);
}

#[tokio::test]
async fn adopt_takes_a_database_over_once_and_its_users_log_in() {
    let database = TestDatabase::create().await;
    load(&database).await;
    let before = picture(&database.pool).await;
    let program = Program::on(&database);
    let refusal = program.run(&["migrate"], "").await.expect(1).stderr;
    assert!(refusal.contains("db adopt"), "{refusal}");
    refused(&program, &["db", "adopt"], "give --yes").await;
    refused(&program, &["db", "adopt", "--json"], "--dry-run or --yes").await;
    let trial = json(&program, &["db", "adopt", "--dry-run", "--json"], 0).await;
    assert_eq!(trial["outcome"], "can_be_adopted");
    let told = program
        .run(&["db", "adopt", "--dry-run"], "")
        .await
        .expect(0);
    for said in [
        "USER  ",
        "43 users would be taken over",
        "Nothing has been done yet",
    ] {
        assert!(told.stdout.contains(said), "{}", told.stdout);
    }
    assert_eq!(picture(&database.pool).await, before);

    let real = json(&program, &["db", "adopt", "--yes", "--json"], 0).await;
    assert_eq!(real["outcome"], "adopted");
    assert_eq!(real["users"], 43);
    let findings = real["findings"].as_array().unwrap();
    assert_eq!(findings.len(), trial["findings"].as_array().unwrap().len());
    assert!(
        findings
            .iter()
            .all(|finding| finding["user_id"].is_string())
    );
    for command in [&["db", "adopt", "--yes"][..], &["db", "adopt", "--dry-run"]] {
        let again = program.run(command, "").await.expect(0).stdout;
        assert!(again.contains("ours already"), "{again}");
    }
    let again = json(&program, &["db", "adopt", "--yes", "--json"], 0).await;
    assert_eq!(again["outcome"], "ours_already");

    let server = program.serve().await;
    assert_eq!(server.log_in("admin@example.com").await.status(), 200);
    server.stop().await;
}

#[tokio::test]
async fn adopt_at_a_terminal_asks_after_its_report() {
    let database = TestDatabase::create().await;
    load(&database).await;
    let before = picture(&database.pool).await;
    let program = Program::on(&database);
    let kept = program.run_at_terminal(&["db", "adopt"], "no\n").await;
    let kept = kept.expect(4);
    assert!(kept.stdout.contains("43 users would be taken over"));
    let options = database.connect_options();
    let name = options.get_database().unwrap();
    let asked = format!(", with 43 users.\nType {name} to go on: ");
    let shown = kept.stderr.replace('\r', "");
    assert!(shown.contains(&asked), "{shown}");
    assert_eq!(picture(&database.pool).await, before);
    let typed = format!("{name}\n");
    let done = program.run_at_terminal(&["db", "adopt"], &typed).await;
    assert!(done.expect(0).stdout.contains("43 users were taken over"));
    assert_eq!(users(&database).await, 43);
}

#[tokio::test]
async fn adopt_refuses_what_it_cannot_take_over() {
    let database = TestDatabase::create().await;
    let program = Program::on(&database);
    empty(&database).await;
    refused(&program, &["db", "adopt", "--yes"], "nothing to take over").await;
    let table = "create table users (id uuid, email text)";
    database.pool.execute(table).await.unwrap();
    let said = refused(
        &program,
        &["db", "adopt", "--yes", "--json"],
        "it has no nickname",
    )
    .await;
    let said: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(said["outcome"], "foreign");
}
