//! `users list`, `show`, `create`, `set-role`, `lock`, `unlock`, `verify`, `reset-password`, `delete` and `restore`.

use serde_json::{Value, json};

use crate::support::{
    binary::{Finished, Program},
    database::TestDatabase,
};

const PASSWORD: &str = "Secure*1234\n";
const INVALID: i32 = 2;
const MISSING: i32 = 3;
const REFUSED: i32 = 4;

/// The program on a database, which must outlive it.
async fn start() -> (TestDatabase, Program) {
    let database = TestDatabase::create().await;
    let program = Program::on(&database);
    (database, program)
}

fn object(finished: &Finished) -> Value {
    serde_json::from_str(&finished.stdout).unwrap()
}

/// Makes a user of this nickname, and answers him.
async fn create(program: &Program, nickname: &str, more: &[&str]) -> Value {
    let email = format!("{nickname}@example.com");
    let command = [
        "users",
        "create",
        "--json",
        "--password-stdin",
        "--nickname",
        nickname,
        "--email",
        &email,
    ];
    let command = [&command, more].concat();
    object(&program.run(&command, PASSWORD).await.expect(0))
}

async fn run(program: &Program, command: &[&str]) -> Finished {
    let command = [&["users"], command].concat();
    program.run(&command, "").await
}

/// Who has acted in the audit log as an operator, and how.
async fn told(database: &TestDatabase) -> Vec<String> {
    sqlx::query_scalar(
        "select action from audit_log where actor_kind = 'operator' and actor_name <> '' order by id",
    )
    .fetch_all(&database.pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn users_are_made_listed_and_shown() {
    let (_database, program) = start().await;
    let more = [
        "--role",
        "ADMIN",
        "--first-name",
        "Grace",
        "--locale",
        "en-gb",
    ];
    let root = create(&program, "chief", &more).await;
    assert_eq!(root["role"], "ADMIN");
    assert_eq!(root["locale"], "en-GB");
    assert!(root["email_verified_at"].is_string(), "{root}");
    let ada = create(&program, "ada_l", &["--phone", "(415) 555-2671"]).await;
    assert_eq!(ada["role"], "ANONYMOUS");
    assert_eq!(ada["phone_number"], "+14155552671");
    assert!(ada.get("password_hash").is_none(), "{ada}");

    let listed = object(
        &run(&program, &["list", "--json", "--limit", "1"])
            .await
            .expect(0),
    );
    assert_eq!(listed["total"], 2);
    assert_eq!(listed["items"], json!([root]));
    let cursor = listed["next_cursor"].as_str().unwrap();
    let next = ["list", "--json", "--limit", "1", "--cursor", cursor];
    let next = object(&run(&program, &next).await.expect(0));
    assert_eq!(next["items"], json!([ada]));
    assert_eq!(next["next_cursor"], Value::Null);
    let table = run(
        &program,
        &["list", "--status", "unverified", "--sort", "-nickname"],
    )
    .await;
    let table = table.expect(0).stdout;
    let lines: Vec<Vec<_>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines[0][..5], ["ID", "NICKNAME", "EMAIL", "ROLE", "STATE"]);
    let row = ["ada_l", "ada_l@example.com", "ANONYMOUS", "unverified"];
    assert_eq!(lines[1][1..5], row);
    assert_eq!(lines[2].join(" "), "1 of 1 user");

    for name in [
        ada["id"].as_str().unwrap(),
        "ADA_L",
        "Ada_L@Example.com",
        "+1 415 555 2671",
    ] {
        let shown = object(&run(&program, &["show", name, "--json"]).await.expect(0));
        assert_eq!(shown, ada, "{name}");
    }
    let shown = run(&program, &["show", "chief"]).await.expect(0).stdout;
    assert!(shown.contains("first_name         Grace\n"), "{shown}");
    assert!(!shown.contains("last_login_at"), "{shown}");
}

#[tokio::test]
async fn what_is_mistyped_isnt_there_or_is_ambiguous_has_its_exit_code() {
    let (_database, program) = start().await;
    create(&program, "4155552671", &[]).await;
    create(&program, "ada", &["--phone", "+14155552671"]).await;
    for (command, code, said) in [
        (&["show", "bob"][..], MISSING, "there is no user bob"),
        (
            &["lock", "4155552671"],
            MISSING,
            "several users are called so",
        ),
        (
            &["list", "--role", "BOSS", "--created-from", "x"],
            INVALID,
            "--created-from: must be a time",
        ),
        (
            &["list", "--sort", "password"],
            INVALID,
            "--sort: must name fields",
        ),
        (&["list", "--limit", "0"], INVALID, "--limit"),
        (&["list", "--cursor", "nonsense"], INVALID, "cursor"),
        (
            &["set-role", "ada", "BOSS"],
            INVALID,
            "must be one of: ANONYMOUS",
        ),
        (
            &["create", "--email", "x", "--role", "BOSS"],
            INVALID,
            "--role: must be one of",
        ),
        (
            &["create", "--email", "new@example.com"],
            INVALID,
            "give --password-stdin, or --invite",
        ),
        (&["create", "--invite"], INVALID, "email"),
        (
            &["create", "--email", "ada@example.com", "--invite"],
            REFUSED,
            "Email already exists",
        ),
        (&["delete", "ada"], REFUSED, "give --yes"),
    ] {
        let finished = run(&program, command).await.expect(code);
        assert!(
            finished.stderr.contains(said),
            "{said}? {}",
            finished.stderr
        );
        assert!(finished.stdout.is_empty());
    }
}

#[tokio::test]
async fn a_user_is_managed_from_the_first_day_to_the_last() {
    let (database, program) = start().await;
    create(&program, "chief", &["--role", "ADMIN"]).await;
    create(&program, "ada", &[]).await;
    let server = program.serve().await;
    let status = async || server.log_in("ada@example.com").await.status().as_u16();
    assert_eq!(status().await, 401);
    let verified = run(&program, &["verify", "ada"]).await.expect(0).stdout;
    assert!(verified.starts_with("the address of ada ("), "{verified}");
    assert_eq!(status().await, 200);

    let command = [
        "set-role",
        "ada",
        "MANAGER",
        "--reason",
        "Runs the office",
        "--json",
    ];
    let manager = object(&run(&program, &command).await.expect(0));
    assert_eq!(manager["role"], "MANAGER");
    let locked = run(&program, &["lock", "ada", "--reason", "On leave"]).await;
    assert!(locked.expect(0).stdout.contains("is locked"));
    assert_eq!(status().await, 400);
    let state = run(&program, &["list", "--status", "locked"])
        .await
        .expect(0);
    assert!(state.stdout.contains("locked,verified"), "{}", state.stdout);
    let unlocked = run(&program, &["unlock", "ada", "--json"]).await.expect(0);
    assert_eq!(object(&unlocked)["locked_at"], Value::Null);

    let mailed = run(&program, &["reset-password", "ada", "--json"]).await;
    assert_eq!(object(&mailed.expect(0))["done"], "link_mailed");
    assert_eq!(status().await, 200, "the old password is still good");
    let command = ["users", "reset-password", "ada", "--password-stdin"];
    let set = program
        .run(&command, "Better*5678\n")
        .await
        .expect(0)
        .stdout;
    assert!(set.contains("has the new password"), "{set}");
    assert_eq!(status().await, 401);

    let deleted = run(&program, &["delete", "ada", "--yes", "--json"]).await;
    assert!(object(&deleted.expect(0))["deletion_due_at"].is_string());
    let restored = run(&program, &["restore", "ada"]).await.expect(0).stdout;
    assert!(restored.contains("is as before"), "{restored}");
    let erased = run(&program, &["delete", "ada", "--now", "--yes"]).await;
    assert!(erased.expect(0).stdout.contains("is erased"));
    run(&program, &["restore", "ada"]).await.expect(MISSING);
    server.stop().await;
    assert_eq!(
        told(&database).await,
        [
            "administrator_made",
            "user_added",
            "email_verified",
            "role_changed",
            "user_locked",
            "user_unlocked",
            "password_reset_requested",
            "password_set",
            "deletion_requested",
            "user_restored",
            "user_deleted",
        ]
    );
}

#[tokio::test]
async fn who_is_locked_or_locked_out_by_failed_logins_is_shown_so() {
    let (_database, program) = start().await;
    let program = program.set("MAX_LOGIN_ATTEMPTS", "2");
    create(&program, "ada", &["--verified"]).await;
    let show = async || run(&program, &["show", "ada"]).await.expect(0).stdout;
    let has = |shown: &str, name: &str, value: &str| {
        let mut lines = shown.lines().filter_map(|line| line.split_once("  "));
        lines.any(|(it, rest)| it == name && rest.trim().starts_with(value))
    };
    let shown = show().await;
    assert!(has(&shown, "state", "verified"), "{shown}");
    assert!(!shown.contains("locked_out_until"), "{shown}");

    let reset = ["users", "reset-password", "ada", "--password-stdin"];
    program.run(&reset, "Better*5678\n").await.expect(0);
    let server = program.serve().await;
    for _ in 0..2 {
        assert_eq!(server.log_in("ada@example.com").await.status(), 401);
    }
    server.stop().await;
    let shown = show().await;
    assert!(has(&shown, "state", "locked out,verified"), "{shown}");
    assert!(has(&shown, "locked_out_until", "20"), "{shown}");

    run(&program, &["unlock", "ada"]).await.expect(0);
    run(&program, &["lock", "ada"]).await.expect(0);
    let shown = show().await;
    assert!(has(&shown, "state", "locked,verified"), "{shown}");
    assert!(has(&shown, "locked_at", "20"), "{shown}");
    assert!(!shown.contains("locked_out_until"), "{shown}");
}

#[tokio::test]
async fn the_last_administrator_stays_and_who_tried_is_audited() {
    let (database, program) = start().await;
    create(&program, "chief", &["--role", "ADMIN"]).await;
    for command in [
        &["set-role", "chief", "MANAGER"][..],
        &["lock", "chief"],
        &["delete", "chief", "--yes"],
        &["delete", "chief", "--now", "--yes"],
    ] {
        let refused = run(&program, command).await.expect(REFUSED);
        assert!(
            refused.stderr.contains("last administrator"),
            "{}",
            refused.stderr
        );
    }
    let refused: Vec<String> =
        sqlx::query_scalar("select action from audit_log where outcome = 'refused' order by id")
            .fetch_all(&database.pool)
            .await
            .unwrap();
    let tried = [
        "role_changed",
        "user_locked",
        "user_deleted",
        "user_deleted",
    ];
    assert_eq!(refused, tried);
}

#[tokio::test]
async fn lists_fit_the_terminal_that_shows_them() {
    let (_database, program) = start().await;
    let ada = create(&program, "ada_l", &[]).await;
    for list in ["users", "audit"] {
        let narrow = program.shown_at_terminal(&[list, "list"], 80);
        let widest = narrow.lines().map(|line| line.chars().count()).max();
        assert_eq!(widest, Some(80), "{narrow}");
        assert!(narrow.contains('…'), "{narrow}");
        let wide = program.shown_at_terminal(&[list, "list"], 300);
        let piped = program.run(&[list, "list"], "").await.expect(0).stdout;
        assert_eq!(wide, piped);
        assert!(piped.contains(ada["id"].as_str().unwrap()), "{piped}");
    }
}

#[tokio::test]
async fn at_a_terminal_passwords_are_asked_for_twice_and_deletions_once() {
    let (_database, program) = start().await;
    let command = [
        "users",
        "create",
        "--email",
        "ada@example.com",
        "--nickname",
        "ada",
    ];
    let differs = program
        .run_at_terminal(&command, "Secure*1234\nSecure*1235\n")
        .await
        .expect(INVALID);
    assert!(
        differs.stderr.contains("another one the second time"),
        "{}",
        differs.stderr
    );
    let made = program
        .run_at_terminal(&command, "Secure*1234\nSecure*1234\n")
        .await
        .expect(0);
    assert!(made.stdout.ends_with(" ada"), "{}", made.stdout);
    assert!(made.stderr.contains("Password: "), "{}", made.stderr);

    let kept = program
        .run_at_terminal(&["users", "delete", "ada"], "no\n")
        .await
        .expect(REFUSED);
    assert!(
        kept.stderr.contains("This deletes ada (") && kept.stderr.contains("Type ada to go on: "),
        "{}",
        kept.stderr
    );
    assert!(kept.stderr.contains("nothing was done"), "{}", kept.stderr);
    let deleted = program
        .run_at_terminal(&["users", "delete", "ada"], "ada\n")
        .await
        .expect(0);
    assert!(
        deleted.stdout.contains("unless `users restore`"),
        "{}",
        deleted.stdout
    );
}
