//! `settings show` and `settings check`.

use std::net::TcpListener;

use serde_json::Value;

use crate::support::{
    binary::Program,
    database::TestDatabase,
    smtp_server::{Action, Protection, SmtpServer, Stage},
};

async fn json(program: &Program, command: &[&str], code: i32) -> Value {
    let finished = program.run(command, "").await.expect(code);
    assert!(!finished.stdout.contains("hunter2"), "{}", finished.stdout);
    serde_json::from_str(&finished.stdout).unwrap()
}

#[tokio::test]
async fn show_tells_each_value_and_its_origin_and_no_secret() {
    let program = Program::without_settings()
        .set(
            "DATABASE_URL",
            "postgresql+asyncpg://ada:hunter2@db.example/users?sslpassword=hunter2",
        )
        .set("JWT_SECRET_KEY", "hunter2")
        .set("SERVICE_CREDENTIALS", "billing:hunter2")
        .set("ADMIN_PASSWORD", "hunter2")
        .set("BIND_ADDRESS", "nonsense")
        .set("MAX_LOGIN_ATTEMPTS", "");
    let file = "SMTP_PASSWORD=hunter2\nSMTP_SERVER=smtp.example\nMAX_LOGIN_ATTEMPTS=7\nJWT_SECRET_KEY=other\n";
    std::fs::write(program.directory().join(".env"), file).unwrap();
    // Whether the service could start with them is another question.
    let shown = json(&program, &["settings", "show", "--json"], 0).await;
    for (name, value, origin, is_hidden) in [
        (
            "DATABASE_URL",
            "postgresql://ada@db.example:5432/users",
            "environment",
            false,
        ),
        ("JWT_SECRET_KEY", "", "environment", true),
        ("SERVICE_CREDENTIALS", "", "environment", true),
        ("ADMIN_PASSWORD", "", "environment", true),
        ("SMTP_PASSWORD", "", "env_file", true),
        ("SMTP_SERVER", "smtp.example", "env_file", false),
        ("SMTP_PORT", "587", "default", false),
        ("ENVIRONMENT", "production", "default", false),
        ("LOG_FORMAT", "json", "default", false),
        ("BIND_ADDRESS", "nonsense", "environment", false),
        // An empty variable takes the place of what the file has, and stands for none.
        ("MAX_LOGIN_ATTEMPTS", "5", "default", false),
        ("ADMIN_USER", "", "default", false),
    ] {
        let mut lines = shown.as_array().unwrap().iter();
        let line = lines.find(|line| line["name"] == name).unwrap();
        assert_eq!(line["value"].as_str().unwrap_or_default(), value, "{line}");
        assert_eq!(
            (&line["origin"], &line["is_hidden"]),
            (&origin.into(), &is_hidden.into()),
            "{line}"
        );
    }
    let table = program
        .run(&["settings", "show"], "")
        .await
        .expect(0)
        .stdout;
    assert!(!table.contains("hunter2"), "{table}");
    for words in [
        "JWT_SECRET_KEY (hidden) environment",
        "SMTP_SERVER smtp.example .env file",
    ] {
        let has = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ") == words;
        assert!(table.lines().any(has), "{table}");
    }
    let broken = "postgres://ada:hunter2@[/x";
    let program = program.set("DATABASE_URL", broken);
    let shown = json(&program, &["settings", "show", "--json"], 0).await;
    assert!(!shown.to_string().contains("ada"));
}

#[tokio::test]
async fn check_reports_all_problems_of_values_and_of_the_files_that_they_name() {
    let program = Program::new();
    let good = program.run(&["settings", "check"], "").await.expect(0);
    assert_eq!(good.stdout, "the settings are in order");
    let bad = program
        .clone()
        .set("SMTP_PORT", "hunter2")
        .set("MAX_LOGIN_ATTEMPTS", "0");
    let report = json(&bad, &["settings", "check", "--json"], 1).await;
    assert_eq!(report["problems"].as_array().unwrap().len(), 2);
    let text = bad.run(&["settings", "check"], "").await.expect(1).stdout;
    assert!(
        text.contains("2 problem(s)") && text.contains("\n  - SMTP_PORT: "),
        "{text}"
    );

    let templates = program.directory().join("templates");
    std::fs::create_dir(&templates).unwrap();
    std::fs::write(templates.join("account_locked.md"), "no front matter").unwrap();
    let files = program
        .set("JWT_PRIVATE_KEY_FILES", "missing.pem,gone.pem")
        .set("EMAIL_TEMPLATES_DIR", templates.to_str().unwrap())
        .set("COMPAT_APIS", "phone")
        .set("SMTP_SERVER", "smtp.example")
        .set("MAIL_FROM", "no-reply@example.com")
        .set("SMTP_USERNAME", "ada")
        .set("SMTP_PASSWORD", "hunter2")
        .set("SMTP_SECURITY", "none");
    let report = json(&files, &["settings", "check", "--json"], 1).await;
    let problems: Vec<_> = report["problems"].as_array().unwrap().iter().collect();
    assert_eq!(problems.len(), 4, "{report}");
    for (problem, name) in problems.iter().zip([
        "JWT_PRIVATE_KEY_FILES",
        "JWT_PRIVATE_KEY_FILES",
        "EMAIL_TEMPLATES_DIR",
        "SMTP_SECURITY",
    ]) {
        assert!(problem.as_str().unwrap().starts_with(name), "{report}");
    }
    assert_eq!(report["warnings"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn check_connects_where_it_is_asked_to_and_sends_nothing() {
    let database = TestDatabase::create().await;
    let credentials = Some(("mailer", "hunter2"));
    let smtp = SmtpServer::start_with(Protection::Plain, credentials).await;
    let program = Program::on(&database)
        .set("SMTP_SERVER", "127.0.0.1")
        .set("SMTP_PORT", &smtp.port().to_string())
        .set("SMTP_SECURITY", "none")
        .set("SMTP_USERNAME", "mailer")
        .set("SMTP_PASSWORD", "hunter2")
        .set("MAIL_FROM", "no-reply@example.com");
    let command = ["settings", "check", "--connect", "--json"];
    let report = json(&program, &command, 0).await;
    let outcomes = |report: &Value| {
        let connections = report["connections"].as_array().unwrap().clone();
        connections
            .iter()
            .map(|it| it["outcome"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(outcomes(&report), ["connected", "connected"], "{report}");
    let told = report["connections"][1]["detail"].as_str().unwrap();
    assert!(told.ends_with("logged in"), "{told}");

    smtp.on(Stage::Auth, Action::reply("535 5.7.8 bad credentials"));
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let away = program.set(
        "DATABASE_URL",
        &format!("postgres://ada:hunter2@{free}/users"),
    );
    let report = json(&away, &command, 5).await;
    assert_eq!(outcomes(&report), ["failed", "failed"]);
    assert!(
        report["connections"][1]["detail"]
            .as_str()
            .unwrap()
            .contains("AUTH")
    );
    let text = away.run(&command[..3], "").await.expect(5).stdout;
    assert!(
        text.contains("database: FAILED") && text.contains("smtp: FAILED"),
        "{text}"
    );
    assert!(smtp.received().is_empty());

    let development = Program::new();
    let report = json(&development, &command, 0).await;
    assert_eq!(outcomes(&report), ["not_set", "not_set"]);
}
