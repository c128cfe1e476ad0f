//! `migrate`, `health`, `openapi` and the command line itself.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
};

use serde_json::{Value, json};
use user_management::repository::pool::MIGRATIONS;

use crate::support::{
    binary::{Program, is_named_by_a_process},
    database::TestDatabase,
};

#[tokio::test]
async fn migrate_brings_an_empty_database_up_to_date_and_may_be_run_again() {
    let database = TestDatabase::create().await;
    for statement in ["drop schema public cascade", "create schema public"] {
        sqlx::query(statement)
            .execute(&database.pool)
            .await
            .unwrap();
    }
    let program = Program::on(&database);
    let nothing = "nothing to do: the schema is up to date";
    let applied = format!("{} migrations applied", MIGRATIONS.iter().count());
    for (command, said) in [
        (&["migrate"][..], &*applied),
        (&["db", "migrate"], nothing),
        (&["migrate"], nothing),
    ] {
        let finished = program.run(command, "").await.expect(0);
        assert_eq!(finished.stdout, said);
        let users: i64 = sqlx::query_scalar("select count(*) from users")
            .fetch_one(&database.pool)
            .await
            .unwrap();
        assert_eq!(users, 0);
    }
    for command in [&["migrate"][..], &["db", "migrate"]] {
        let command = [command, &["--json"]].concat();
        let told = program.run(&command, "").await.expect(0).stdout;
        assert_eq!(told.parse::<Value>().unwrap(), json!({"applied": 0}));
    }
}

#[tokio::test]
async fn migrate_without_a_database_makes_one_and_stops_it_again() {
    let program = Program::new();
    program.run(&["migrate"], "").await.expect(0);
    assert!(program.data_dir().join("postgres").exists());
    assert!(!is_named_by_a_process(&program.data_dir()));
}

#[tokio::test]
async fn commands_fail_with_a_reason_when_the_database_is_away() {
    let program = Program::new().set("DATABASE_URL", "postgres://ada:hunter2@127.0.0.1:1/users");
    for command in [
        &["migrate"][..],
        &["db", "migrate"],
        &["serve"],
        &["worker"],
    ] {
        let finished = program.run(command, "").await.expect(5);
        let said = &finished.stderr;
        assert!(said.contains("can't connect to the database"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[tokio::test]
async fn health_is_0_when_the_server_is_ready_and_else_5_with_a_reason() {
    let database = TestDatabase::create().await;
    let program = Program::on(&database).set("BIND_ADDRESS", "0.0.0.0:0");
    let server = program.serve().await;
    let bound = server.ready["address"].as_str().unwrap();
    assert!(bound.starts_with("0.0.0.0:"));
    for address in [bound, &server.address()] {
        let program = program.clone().set("BIND_ADDRESS", address);
        let said = program.run(&["health"], "").await.expect(0).stdout;
        assert!(said.ends_with(" is ready"), "{said}");
        let told = program.run(&["health", "--json"], "").await.expect(0);
        let told: Value = told.stdout.parse().unwrap();
        assert_eq!(
            told,
            json!({"address": server.address(), "is_ready": true, "problem": null})
        );
    }
    let asking = program.set("BIND_ADDRESS", bound);
    server.stop().await;
    let told = asking.run(&["health", "--json"], "").await.expect(5);
    let told: Value = told.stdout.parse().unwrap();
    assert_eq!(told["is_ready"], false);
    let finished = asking.run(&["health"], "").await.expect(5);
    assert!(finished.stdout.is_empty(), "{}", finished.stdout);
    assert!(
        finished.stderr.contains("nobody listens on"),
        "{}",
        finished.stderr
    );
}

#[tokio::test]
async fn health_is_5_for_a_server_that_is_not_ready_and_for_other_programs() {
    for (answer, complaint) in [
        (
            "HTTP/1.1 503 Service Unavailable\r\n\r\n",
            "the server answers 503",
        ),
        ("SSH-2.0-OpenSSH_9.2p1 Debian\r\n", "not an HTTP server"),
        ("", "gives no answer"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let answering = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap();
            assert!(request[..length].starts_with(b"GET /health/ready HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let program = Program::new().set("BIND_ADDRESS", &address);
        let finished = program.run(&["health"], "").await.expect(5);
        assert!(finished.stderr.contains(complaint), "{}", finished.stderr);
        answering.join().unwrap();
    }
}

#[tokio::test]
async fn openapi_prints_the_document_whatever_the_settings() {
    let program = Program::without_settings();
    let printed = program.run(&["openapi"], "").await.expect(0);
    let document: Value = serde_json::from_str(&printed.stdout).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    assert!(document["paths"]["/register/"].is_object());
    let program = program
        .set("ENVIRONMENT", "production")
        .set("BIND_ADDRESS", "nonsense");
    let again = program.run(&["openapi"], "").await.expect(0);
    assert_eq!(again.stdout, printed.stdout);
}

#[tokio::test]
async fn the_command_line_explains_itself() {
    let program = Program::without_settings();
    let help = program.run(&["--help"], "").await.expect(0).stdout;
    for command in [
        "serve",
        "worker",
        "migrate",
        "health",
        "openapi",
        "users",
        "keys",
        "db",
        "settings",
        "completions",
        "man",
    ] {
        assert!(help.contains(&format!("\n  {command} ")), "{help}");
    }
    for meaning in ["0  done", "3  what was asked for", "5  the database"] {
        assert!(help.contains(meaning), "{help}");
    }
    let version = program.run(&["--version"], "").await.expect(0).stdout;
    assert_eq!(
        version,
        format!("user-management {}", env!("CARGO_PKG_VERSION"))
    );
    let finished = program.run(&["sevre"], "").await.expect(2);
    assert!(finished.stderr.contains("serve"), "{}", finished.stderr);
}

#[tokio::test]
async fn shells_and_man_are_told_of_every_command() {
    let program = Program::without_settings();
    for shell in ["bash", "zsh", "fish"] {
        let script = program.run(&["completions", shell], "").await.expect(0);
        for word in ["create-admin", "adopt", "dry-run"] {
            assert!(script.stdout.contains(word), "{shell}: {word}");
        }
    }
    let bash = program.run(&["completions", "bash"], "").await.expect(0);
    let lines: Vec<_> = bash.stdout.lines().map(str::trim).collect();
    let assigned = lines
        .iter()
        .filter_map(|line| line.strip_prefix("cmd=\"")?.strip_suffix('"'));
    let assigned: Vec<_> = assigned.filter(|command| !command.is_empty()).collect();
    assert!(assigned.len() > 30, "{assigned:?}");
    for command in assigned {
        assert!(
            lines.contains(&&*format!("{command})")),
            "no label {command}"
        );
    }
    program.run(&["completions", "cobol"], "").await.expect(2);
    let page = program.run(&["man"], "").await.expect(0).stdout;
    for words in [".TH user-management 1", ".SH SUBCOMMANDS", "Exit codes"] {
        assert!(page.contains(words), "{words}");
    }
    let page = program
        .run(&["man", "db", "reset"], "")
        .await
        .expect(0)
        .stdout;
    for words in [".TH user-management-db-reset 1", "\\-\\-force"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let unknown = program.run(&["man", "db", "rest"], "").await.expect(3);
    assert!(unknown.stderr.contains("`db rest`"), "{}", unknown.stderr);
}
