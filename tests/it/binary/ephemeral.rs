//! `serve --ephemeral`: for the integration tests of others.

use std::{env, fs, path::PathBuf};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{
    binary::{Process, Program, Server, is_named_by_a_process},
    eventually::{eventually, wait_until},
};

/// The directories that a process of this id made for temporary files.
fn directories_of(process: u32) -> Vec<PathBuf> {
    let own = format!("user_management-{process}-");
    let places = [PathBuf::from("/dev/shm"), env::temp_dir(), "/tmp".into()];
    let mut found: Vec<_> = places
        .iter()
        .filter_map(|place| fs::read_dir(place).ok())
        .flatten()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with(&own)
        })
        .collect();
    found.dedup();
    found
}

async fn printed(process: &Process) -> Value {
    let line = eventually("a line is printed", async || {
        process.stdout().first().cloned()
    })
    .await;
    serde_json::from_str(&line).unwrap()
}

/// Starts one that has caught a mail, so that there is something to leave behind.
async fn start() -> (Server, Vec<PathBuf>) {
    // Settings of the directory that somebody's tests run in must not matter.
    let program = Program::new()
        .set("DATABASE_URL", "postgres://nobody@nowhere.invalid/nothing")
        .set("SMTP_SERVER", "nowhere.invalid")
        .unset("BIND_ADDRESS");
    let env_file = program.directory().join(".env");
    fs::write(env_file, "MAX_LOGIN_ATTEMPTS=nonsense\n").unwrap();
    let process = program.spawn(&["serve", "--ephemeral"]);
    let line = printed(&process).await;
    let server = Server::of(process).await;
    assert_eq!(line["url"], server.url(""));
    assert_eq!(line["mail_url"], server.url("/dev/mail"));
    assert_eq!(line["openapi_url"], server.url("/openapi.json"));
    assert_eq!(line.as_object().unwrap().len(), 3);
    let token = server.new_user("ada@example.com").await;
    assert_eq!(server.status("/users/", &token).await, 200);
    let document: Value = server.get("/openapi.json").await.json().await.unwrap();
    assert_eq!(document["info"]["title"], "User Management");
    let directories = directories_of(server.process.id());
    assert!(!directories.is_empty());
    (server, directories)
}

async fn nothing_is_left(directories: &[PathBuf]) {
    for directory in directories {
        wait_until("its processes are gone", async || {
            !is_named_by_a_process(directory)
        })
        .await;
        wait_until("its directory is gone", async || !directory.exists()).await;
    }
}

#[tokio::test]
async fn an_ephemeral_server_prints_one_line_and_leaves_nothing_when_it_is_stopped() {
    let (server, directories) = start().await;
    let finished = server.stop().await;
    assert_eq!(finished.stdout.lines().count(), 1);
    for directory in &directories {
        assert!(!directory.exists(), "gone before the process is");
    }
    nothing_is_left(&directories).await;
}

#[tokio::test]
async fn an_ephemeral_server_leaves_nothing_when_it_is_killed() {
    let (server, directories) = start().await;
    server.kill().await;
    nothing_is_left(&directories).await;
}

#[tokio::test]
async fn an_ephemeral_server_that_cannot_start_leaves_nothing() {
    for (name, value, complaint) in [
        (
            "MAX_LOGIN_ATTEMPTS",
            "0",
            "MAX_LOGIN_ATTEMPTS: must be from 1 to 100",
        ),
        (
            "EMAIL_TEMPLATES_DIR",
            "/nowhere/to/be/found",
            "the e-mail templates cannot be used",
        ),
    ] {
        let program = Program::without_settings().set(name, value);
        let process = program.spawn(&["serve", "--ephemeral"]);
        let id = process.id();
        let finished = process.finish().await.expect(1);
        assert!(finished.stderr.contains(complaint), "{}", finished.stderr);
        assert!(finished.stdout.is_empty());
        assert_eq!(directories_of(id), Vec::<PathBuf>::new());
    }
}

#[tokio::test]
async fn an_ephemeral_server_is_stopped_while_it_starts() {
    let process = Program::without_settings().spawn(&["serve", "--ephemeral"]);
    let id = process.id();
    // From here on it has a database in the making.
    eventually("a directory is made", async || {
        directories_of(id).first().cloned()
    })
    .await;
    process.signal(Signal::TERM);
    process.finish().await.expect(0);
    assert_eq!(directories_of(id), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn caught_mail_is_shown_under_names_that_nobody_else_can_point_at_us() {
    let server = Program::new()
        .set("SERVER_BASE_URL", "http://users.example.com")
        .serve()
        .await;
    for (host, status) in [
        ("localhost:8000", 200),
        ("app.localhost", 200),
        ("[::1]:8000", 200),
        ("192.168.1.7", 200),
        ("users", 200),
        ("Users.Example.com", 200),
        ("rebound.example.net", 404),
        ("127.0.0.1.example.net", 404),
        ("users.example.com.", 404),
        ("", 404),
    ] {
        let request = server.request(reqwest::Method::GET, "/dev/mail");
        let answer = request.header("host", host).send().await.unwrap();
        assert_eq!(answer.status(), status, "{host}");
    }
    server.stop().await;
}
