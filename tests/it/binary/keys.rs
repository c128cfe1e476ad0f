//! `keys rotate`, `keys list`, and what is said of keys that can't be used.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use futures::future::join_all;
use serde_json::Value;

use crate::support::{
    binary::{Program, Server},
    database::TestDatabase,
    eventually::wait_until,
    keys::{kid, verify_elsewhere},
};

const EMAIL: &str = "root@example.com";

/// The program on a database that has an administrator.
async fn program_on(database: &TestDatabase) -> Program {
    let program = Program::on(database);
    let command = ["users", "create-admin", EMAIL];
    program.run(&command, "Secure*1234").await.expect(0);
    program
}

async fn token(server: &Server) -> String {
    let login: Value = server.log_in(EMAIL).await.json().await.unwrap();
    login["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotate_replaces_the_key_of_running_servers_and_no_token_is_refused() {
    let database = TestDatabase::create().await;
    // Several instances have one address, which stands in their tokens.
    let address = "http://users.example.com";
    let program = program_on(&database).await.set("SERVER_BASE_URL", address);
    let servers = Arc::new([program.serve().await, program.serve().await]);
    let old = token(&servers[0]).await;
    let (done, used) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let clients = (0..2).map(|client| {
        let (servers, old) = (Arc::clone(&servers), old.clone());
        let (done, used) = (Arc::clone(&done), Arc::clone(&used));
        tokio::spawn(async move {
            while !done.load(Ordering::SeqCst) {
                let fresh = token(&servers[client]).await;
                for server in servers.iter() {
                    assert_eq!(server.status("/users/", &fresh).await, 200, "a fresh token");
                    assert_eq!(server.status("/users/", &old).await, 200, "the old token");
                }
                used.fetch_add(1, Ordering::SeqCst);
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    let mut kids = Vec::new();
    for round in 1..=3 {
        let rotated = program.run(&["keys", "rotate"], "").await.expect(0);
        kids.push(rotated.stdout);
        wait_until("the servers were used since", async || {
            used.load(Ordering::SeqCst) >= 4 * round
                || clients.iter().any(|task| task.is_finished())
        })
        .await;
    }
    done.store(true, Ordering::SeqCst);
    for client in join_all(clients).await {
        client.unwrap();
    }
    for server in servers.iter() {
        let fresh = token(server).await;
        assert_eq!(kid(&fresh), kids[2]);
        let published = server.get("/.well-known/jwks.json").await;
        let published: Value = published.json().await.unwrap();
        assert_eq!(published["keys"].as_array().unwrap().len(), 4);
        for token in [&old, &fresh] {
            assert!(verify_elsewhere(token, &published).is_some());
        }
    }

    let listed = program.run(&["keys", "list"], "").await.expect(0).stdout;
    let lines: Vec<Vec<_>> = listed
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines[0], ["KID", "ALGORITHM", "CREATED", "RETIRED"]);
    assert_eq!(lines.len(), 5, "{listed}");
    assert_eq!(
        (lines[1][0], lines[1][1], lines[1][3]),
        (&*kids[2], "EdDSA", "-")
    );
    assert!(
        lines[2..].iter().all(|line| line[3].ends_with('Z')),
        "{listed}"
    );
    let keys = program.run(&["keys", "list", "--json"], "").await;
    let keys: Value = serde_json::from_str(&keys.expect(0).stdout).unwrap();
    assert_eq!(keys.as_array().unwrap().len(), 4, "{keys}");
    assert_eq!(keys[0]["kid"], *kids[2]);
    assert_eq!(keys[0]["retired_at"], Value::Null);
    let known: Vec<_> = lines[1..].iter().map(|line| line[0]).collect();
    assert!(known.contains(&&*kid(&old)), "{listed}");
    assert!(
        listed.lines().all(|line| line.len() < 120),
        "no secrets: {listed}"
    );
    let servers = Arc::into_inner(servers).unwrap();
    for server in servers {
        server.stop().await;
    }
}

#[tokio::test]
async fn without_keys_of_its_own_the_program_says_why_there_is_nothing_to_rotate() {
    let database = TestDatabase::create().await;
    let program = Program::on(&database).set("JWT_ALGORITHM", "HS384");
    for command in [["keys", "rotate"], ["keys", "list"]] {
        let finished = program.run(&command, "").await.expect(1);
        assert!(finished.stdout.is_empty());
        for said in ["nothing to rotate", "JWT_ALGORITHM=HS384", "JWT_SECRET_KEY"] {
            assert!(finished.stderr.contains(said), "{}", finished.stderr);
        }
    }
}

/// Made by `openssl genpkey -algorithm ed25519` for this test.
const PEM: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIKOwuDn+nuHKI4Mu4sA34UVHnyAMHE2NJG60r1ZgrseY
-----END PRIVATE KEY-----
";

#[tokio::test]
async fn keys_in_files_sign_and_are_not_rotated() {
    let database = TestDatabase::create().await;
    let program = program_on(&database).await;
    // Found from the directory that the program runs in.
    fs::write(program.directory().join("key.pem"), PEM).unwrap();
    let program = program.set("JWT_PRIVATE_KEY_FILES", "key.pem");
    let server = program.serve().await;
    let token = token(&server).await;
    assert_eq!(server.status("/users/", &token).await, 200);
    let listed = program.run(&["keys", "list"], "").await.expect(0).stdout;
    let line: Vec<_> = listed.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(line, [&*kid(&token), "EdDSA", "-", "-"]);
    let finished = program.run(&["keys", "rotate"], "").await.expect(1);
    for said in ["nothing to rotate", "JWT_PRIVATE_KEY_FILES"] {
        assert!(finished.stderr.contains(said), "{}", finished.stderr);
    }
    server.stop().await;
}

#[tokio::test]
async fn keys_that_cannot_be_used_are_told_at_start() {
    let database = TestDatabase::create().await;
    let program = Program::on(&database).set("JWT_ALGORITHM", "ES256");
    fs::write(program.directory().join("key.pem"), PEM).unwrap();
    let wrong = program
        .clone()
        .set("JWT_PRIVATE_KEY_FILES", "key.pem,missing.pem");
    let said = wrong.run(&["serve"], "").await.expect(1).stderr;
    for said_of in [
        "\n  - JWT_PRIVATE_KEY_FILES: key.pem has a key for EdDSA and not for ES256",
        "\n  - JWT_PRIVATE_KEY_FILES: can't read missing.pem: No such file",
    ] {
        assert!(said.contains(said_of), "{said}");
    }
    assert!(!said.contains("MC4C"), "{said}");

    // A server that got another secret than the others shows it before it is used.
    program.serve().await.stop().await;
    let other = program.set("JWT_SECRET_KEY", "another secret than the others have");
    let said = other.run(&["serve"], "").await.expect(1).stderr;
    assert!(said.contains("another JWT_SECRET_KEY"), "{said}");
    other.run(&["keys", "rotate"], "").await.expect(0);
    other.serve().await.stop().await;
}
