//! `audit verify`, `audit list` and `audit export`.

use serde_json::Value;

use crate::audit::tampering::tamper;
use crate::support::{
    binary::{Finished, Program},
    database::TestDatabase,
    eventually::wait_until,
};

fn json(finished: &Finished) -> Value {
    serde_json::from_str(&finished.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_verified_shown_and_exported() {
    let database = TestDatabase::create().await;
    let program = Program::on(&database);
    let command = ["users", "create-admin", "root@example.com"];
    program.run(&command, "Secure*1234").await.expect(0);
    // A server gives what a command has left its place.
    let server = program.serve().await;
    server.log_in("root@example.com").await;
    wait_until("entries have their places", async || {
        let waiting: i64 = sqlx::query_scalar("select count(*) from audit_pending")
            .fetch_one(&database.pool)
            .await
            .unwrap();
        waiting == 0
    })
    .await;
    server.stop().await;
    let verified = program
        .run(&["audit", "verify", "--json"], "")
        .await
        .expect(0);
    let verified = json(&verified);
    assert_eq!(verified["good"], true, "{verified}");
    assert_eq!(verified["entries"], 2);
    let head = verified["head"]["hash"].as_str().unwrap().to_owned();
    let text = program.run(&["audit", "verify", "--head", &head], "").await;
    let text = text.expect(0).stdout;
    assert!(
        text.contains("2 entries are as they were written"),
        "{text}"
    );
    assert!(text.contains(&format!("head: {head} at place 2")), "{text}");

    let listed = program.run(&["audit", "list"], "").await.expect(0).stdout;
    let lines: Vec<Vec<_>> = listed
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines[0], ["AT", "ACTOR", "ACTION", "OUTCOME", "SUBJECT"]);
    assert_eq!(lines[1][3], "session_opened");
    let command = ["audit", "export", "--action", "administrator_made"];
    let exported = json(&program.run(&command, "").await.expect(0));
    assert_eq!(exported["actor_kind"], "operator");
    let account = exported["actor_name"].as_str().unwrap();
    assert!(!account.is_empty());
    assert!(listed.contains(&format!("operator {account}")), "{listed}");
    let table = program
        .run(&["audit", "export", "--format", "csv"], "")
        .await;
    assert_eq!(table.expect(0).stdout.lines().count(), 3);
    let two = program
        .run(&["audit", "list", "--json", "--limit", "2"], "")
        .await;
    let two = json(&two.expect(0));
    assert_eq!(two["items"].as_array().unwrap().len(), 2);
    assert_eq!(two["items"][0]["action"], "session_opened");

    for (command, found) in [
        (["audit", "list", "--json", "--from", "2026-01-31"], 2),
        (["audit", "list", "--json", "--to", "2026-01-31"], 0),
    ] {
        let listed = json(&program.run(&command, "").await.expect(0));
        assert_eq!(listed["items"].as_array().unwrap().len(), found, "{listed}");
    }

    let wrong = program
        .run(&["audit", "list", "--action", "nonsense"], "")
        .await;
    let wrong = wrong.expect(2).stderr;
    assert!(
        wrong.contains("--action: must be one of user_registered"),
        "{wrong}"
    );
    let other = "0".repeat(64);
    let unknown = program
        .run(&["audit", "verify", "--head", &other], "")
        .await;
    let unknown = unknown.expect(1).stderr;
    assert!(
        unknown.contains("doesn't have the hash of --head"),
        "{unknown}"
    );
}

#[tokio::test]
async fn a_log_that_was_changed_is_told_and_fails_the_command() {
    let database = TestDatabase::create().await;
    let program = Program::on(&database).set("WORKER", "false");
    let command = ["users", "create-admin", "root@example.com"];
    program.run(&command, "Secure*1234").await.expect(0);
    tamper(&database, &["delete from audit_pending"]).await;
    let verified = program
        .run(&["audit", "verify", "--json"], "")
        .await
        .expect(1);
    assert!(
        verified
            .stderr
            .contains("entry 1 has no place in the chain")
    );
    let verified = json(&verified);
    assert_eq!(verified["good"], false);
    assert_eq!(verified["finding"]["kind"], "stray");
    assert_eq!(verified["finding"]["entry_id"], 1);
}
