//! `users export`.

use std::{fs, os::unix::fs::PermissionsExt as _};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{
    binary::{Finished, Program},
    database::TestDatabase,
    eventually::wait_until,
};

/// The program on a database with two users.
async fn start() -> (TestDatabase, Program) {
    let database = TestDatabase::create().await;
    let program = Program::on(&database);
    for nickname in ["chief", "deputy"] {
        let email = format!("{nickname}@example.com");
        let command = ["users", "create-admin", "--nickname", nickname, &email];
        program.run(&command, "Secure*1234").await.expect(0);
    }
    (database, program)
}

async fn export(program: &Program, options: &[&str]) -> Finished {
    let command = [&["users", "export"], options].concat();
    program.run(&command, "").await
}

fn objects(lines: &str) -> Vec<Value> {
    let lines = lines.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn users_are_written_to_standard_output_by_the_filters() {
    let (database, program) = start().await;
    let both = export(&program, &[]).await.expect(0);
    let users = objects(&both.stdout);
    let names: Vec<_> = users.iter().map(|user| &user["nickname"]).collect();
    assert_eq!(names, ["chief", "deputy"]);
    assert!(users[0].get("password_hash").is_none());
    let options = ["--nickname", "dep*", "--password-hashes", "--format", "csv"];
    let table = export(&program, &options).await.expect(0).stdout;
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].ends_with(",password_hash"), "{}", lines[0]);
    assert!(lines[1].contains(",deputy,") && lines[1].contains("$argon2id$"));
    let told: Vec<(String, Value)> = sqlx::query_as(
        "select action, after from audit_log where action like '%export%' order by id",
    )
    .fetch_all(&database.pool)
    .await
    .unwrap();
    let actions: Vec<_> = told.iter().map(|told| &*told.0).collect();
    let expected = [
        "users_exported",
        "export_ended",
        "password_hashes_exported",
        "export_ended",
    ];
    assert_eq!(actions, expected);
    assert_eq!(told[2].1["filter"]["nickname"], "dep*");
    assert_eq!(told[3].1["users"], 1);
}

#[tokio::test]
async fn a_file_is_its_owners_alone_and_replaced_only_by_force() {
    let (_database, program) = start().await;
    let path = program.directory().join("users.csv");
    let name = path.to_str().unwrap();
    let told = export(&program, &["--output", name, "--json"]).await;
    let told: Value = serde_json::from_str(&told.expect(0).stdout).unwrap();
    assert_eq!(told["users"], 2);
    assert_eq!(told["format"], "csv");
    let table = fs::read_to_string(&path).unwrap();
    assert!(table.starts_with("id,nickname,"), "{table}");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let refused = export(&program, &["-o", name]).await.expect(4);
    assert!(
        refused.stderr.contains("give --force"),
        "{}",
        refused.stderr
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), table);
    let options = ["-o", name, "--force", "--format", "ndjson"];
    let replaced = export(&program, &options).await.expect(0).stdout;
    assert!(replaced.starts_with("2 users are in "), "{replaced}");
    assert_eq!(objects(&fs::read_to_string(&path).unwrap()).len(), 2);
}

#[tokio::test]
async fn what_cant_be_written_or_is_mistyped_leaves_nothing() {
    let (_database, program) = start().await;
    let before = fs::read_dir(program.directory()).unwrap().count();
    for (options, code, said) in [
        (&["--status", "gone"][..], 2, "--status: must be one of"),
        (&["--json"], 2, "--json: tells what was written to a file"),
        (
            &["-o", "nowhere/users.csv"],
            1,
            "can't write nowhere/users.csv",
        ),
        (
            &["-o", "/dev/null", "--force"],
            1,
            "what is there is no file",
        ),
    ] {
        let finished = export(&program, options).await.expect(code);
        assert!(
            finished.stderr.contains(said),
            "{said}? {}",
            finished.stderr
        );
        assert!(finished.stdout.is_empty());
    }
    assert_eq!(fs::read_dir(program.directory()).unwrap().count(), before);
    // A full disk.
    let full = program.spawn_by_shell("exec \"$0\" users export > /dev/full");
    let full = full.finish().await.expect(1);
    assert!(full.stderr.contains("can't print"), "{}", full.stderr);
    // A file that grows too large.
    let limited = "ulimit -f 0; trap '' XFSZ; exec \"$0\" users export -o large.csv";
    let limited = program.spawn_by_shell(limited).finish().await.expect(1);
    assert!(
        limited.stderr.contains("can't write the file"),
        "{}",
        limited.stderr
    );
    assert_eq!(fs::read_dir(program.directory()).unwrap().count(), before);
}

#[tokio::test]
async fn at_a_terminal_a_bar_shows_how_far_it_is() {
    let (_database, program) = start().await;
    let program = program.set("TERM", "xterm");
    let path = program.directory().join("users.ndjson");
    let command = ["users", "export", "-o", path.to_str().unwrap()];
    let shown = program.run_at_terminal(&command, "").await.expect(0);
    assert!(
        shown.stdout.starts_with("2 users are in "),
        "{}",
        shown.stdout
    );
    assert!(shown.stderr.contains("2/2 users"), "{}", shown.stderr);
}

#[tokio::test]
async fn whoever_ends_an_export_before_it_is_done_leaves_no_part_of_the_file() {
    let (database, program) = start().await;
    let files = || fs::read_dir(program.directory()).unwrap().count();
    let before = files();
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        // Nobody can be read before it is given back.
        let mut transaction = database.pool.begin().await.unwrap();
        sqlx::query("lock table users in access exclusive mode")
            .execute(&mut *transaction)
            .await
            .unwrap();
        // Not ignored, as it is where the tests run by nohup.
        let script = "exec env --default-signal \"$0\" users export -o users.csv";
        let process = program.spawn_by_shell(script);
        wait_until("the file is begun", async || files() > before).await;
        process.signal(signal);
        wait_until("the file is gone", async || files() == before).await;
        transaction.rollback().await.unwrap();
        let ended = process.finish().await.expect(1);
        let said = "interrupted: no file was written";
        assert!(ended.stderr.contains(said), "{signal:?}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn who_has_let_the_terminal_hang_up_gets_the_whole_file() {
    let (database, program) = start().await;
    let mut transaction = database.pool.begin().await.unwrap();
    sqlx::query("lock table users in access exclusive mode")
        .execute(&mut *transaction)
        .await
        .unwrap();
    let before = fs::read_dir(program.directory()).unwrap().count();
    let script = "trap '' HUP; exec \"$0\" users export -o users.csv";
    let process = program.spawn_by_shell(script);
    wait_until("the file is begun", async || {
        fs::read_dir(program.directory()).unwrap().count() > before
    })
    .await;
    process.signal(Signal::HUP);
    transaction.rollback().await.unwrap();
    process.finish().await.expect(0);
    assert!(program.directory().join("users.csv").exists());
}
