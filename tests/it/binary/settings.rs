//! What the program says of settings that it can't work with.

use std::net::TcpListener;

use crate::support::{binary::Program, database::TestDatabase};

#[tokio::test]
async fn problems_of_settings_are_told_all_at_once_and_without_secrets() {
    let program = Program::new()
        .set("DATABASE_URL", "mysql://ada:hunter2@db/users")
        .set("BIND_ADDRESS", "localhost")
        .set("JWT_SECRET_KEY", "hunter2")
        .set("ENVIRONMENT", "production")
        .set("MAX_LOGIN_ATTEMPTS", "many")
        .set("SMTP_PORT", "hunter2")
        .set("ADMIN_PASSWORD", "hunter2");
    for command in [&["serve"][..], &[], &["worker"], &["migrate"], &["health"]] {
        let finished = program.run(command, "").await.expect(1);
        assert!(finished.stdout.is_empty(), "{}", finished.stdout);
        let said = finished.stderr;
        for name in [
            "DATABASE_URL",
            "SERVER_BASE_URL",
            "BIND_ADDRESS",
            "JWT_SECRET_KEY",
            "MAX_LOGIN_ATTEMPTS",
            "SMTP_SERVER",
            "SMTP_PORT",
            "ADMIN_USER",
        ] {
            assert!(said.contains(&format!("\n  - {name}: ")), "{name}? {said}");
        }
        assert_eq!(said.matches("\n  - ").count(), 8, "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[tokio::test]
async fn a_log_that_cannot_be_picked_so_is_told_by_the_server_and_by_commands() {
    for picked in ["garbage", "user_management=loud"] {
        let program = Program::new().set("RUST_LOG", picked);
        let list = ["users", "list"];
        for command in [&["serve"][..], &["db", "status"], &["health"], &list] {
            let finished = program.run(command, "").await.expect(1);
            let said = finished.stderr;
            assert!(said.contains("\n  - RUST_LOG: must be levels"), "{said}");
        }
        let checked = program.run(&["settings", "check"], "").await.expect(1);
        assert!(checked.stdout.contains("RUST_LOG"), "{}", checked.stdout);
    }
}

#[tokio::test]
async fn a_broken_env_file_is_told() {
    let program = Program::without_settings();
    for (file, complaint) in [
        (
            "SMTP_PORT=25\nSMTP_PASSWORD=hunter2 x\n",
            "what follows SMTP_PORT is not NAME=value",
        ),
        (
            "# first\nhunter2\n",
            "what follows its beginning is not NAME=value",
        ),
    ] {
        std::fs::write(program.directory().join(".env"), file).unwrap();
        let said = program.run(&["serve"], "").await.expect(1).stderr;
        assert!(
            said.contains("the .env file") && said.contains(complaint),
            "{said}"
        );
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[tokio::test]
async fn an_env_file_gives_what_the_environment_lacks() {
    let program = Program::new();
    let file = "MAX_LOGIN_ATTEMPTS=0\nLOG_FORMAT=nonsense\n";
    std::fs::write(program.directory().join(".env"), file).unwrap();
    let said = program.run(&["serve"], "").await.expect(1).stderr;
    assert!(said.contains("1 problem"), "{said}");
    assert!(said.contains("MAX_LOGIN_ATTEMPTS"), "{said}");
}

#[tokio::test]
async fn production_refuses_to_start_without_what_it_needs() {
    let program = Program::without_settings().set("ENVIRONMENT", "production");
    let said = program.run(&["serve"], "").await.expect(1).stderr;
    for name in [
        "DATABASE_URL",
        "SERVER_BASE_URL",
        "JWT_SECRET_KEY",
        "SMTP_SERVER",
    ] {
        assert!(said.contains(&format!("  - {name}: ")), "{name}? {said}");
    }
}

#[tokio::test]
async fn production_serves_without_the_conveniences_of_development() {
    let database = TestDatabase::create().await;
    let program = Program::on(&database)
        // DATABASE_URL alone makes it production.
        .unset("ENVIRONMENT")
        .unset("LOG_FORMAT")
        .set("SERVER_BASE_URL", "https://users.example.com")
        .set("JWT_SECRET_KEY", "wY8!vQ2@kL5#nR9$tB3%xZ7^mC1&pD4*")
        .set("SMTP_SERVER", "127.0.0.1")
        .set("SMTP_PORT", "1")
        .set("MAIL_FROM", "no-reply@example.com");
    let server = program.serve().await;
    assert_eq!(server.ready["api"], "https://users.example.com");
    assert!(server.ready["mail"].is_null());
    assert_eq!(server.get("/dev/mail").await.status(), 404);
    let answer = server.register("ada@example.com").await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.headers().contains_key("strict-transport-security"));
    assert!(
        answer
            .text()
            .await
            .unwrap()
            .contains("https://users.example.com/users/")
    );
    assert!(!program.data_dir().exists(), "nothing is kept on disk");
    server.stop().await;
}

#[tokio::test]
async fn a_port_in_use_is_told_with_the_setting_to_change() {
    let database = TestDatabase::create().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    for setting in ["BIND_ADDRESS", "OPERATIONS_ADDRESS"] {
        let program = Program::on(&database).set(setting, &taken);
        let said = program.run(&["serve"], "").await.expect(1).stderr;
        let expected = format!("can't listen on {taken}; set {setting} to another address");
        assert!(said.contains(&expected), "{said}");
    }
}

#[tokio::test]
async fn the_default_operations_address_gives_way_in_development() {
    // Somebody has it: this, or whoever was here before.
    let _taken = TcpListener::bind("127.0.0.1:9000");
    let database = TestDatabase::create().await;
    let program = Program::on(&database).unset("OPERATIONS_ADDRESS");
    let server = program.serve().await;
    assert_ne!(server.ready["metrics"], "http://127.0.0.1:9000/metrics");
    let metrics = server.get(&server.operations_url("/metrics")).await;
    assert_eq!(metrics.status(), 200);
    server.stop().await;
}
