//! `users create-admin`, and the administrator of `ADMIN_USER`.

use serde_json::Value;

use crate::support::{binary::Program, database::TestDatabase};

const PASSWORD_LINE: &str = "Secure*1234\n";

#[tokio::test]
async fn create_admin_makes_an_administrator_who_can_log_in() {
    let database = TestDatabase::create().await;
    let program = Program::on(&database);
    let command = ["users", "create-admin", "root@example.com"];
    // Line ends of both kinds, and none.
    let made = program
        .run(&command, "Secure*1234\r\nmore\n")
        .await
        .expect(0);
    let (id, nickname) = made.stdout.split_once(' ').unwrap();

    let other = [
        "users",
        "create-admin",
        "--nickname",
        "chief",
        "chief@example.com",
    ];
    let made_too = program.run(&other, "Secure*1234").await.expect(0);
    assert!(made_too.stdout.ends_with(" chief"), "{}", made_too.stdout);

    let server = program.serve().await;
    for email in ["root@example.com", "chief@example.com"] {
        let login = server.log_in(email).await;
        assert_eq!(login.status(), 200);
        let token: Value = login.json().await.unwrap();
        let user = server
            .request(reqwest::Method::GET, &format!("/users/{id}"))
            .bearer_auth(token["access_token"].as_str().unwrap());
        let user: Value = user.send().await.unwrap().json().await.unwrap();
        assert_eq!(user["role"], "ADMIN");
        assert_eq!(user["email"], "root@example.com");
        assert_eq!(user["nickname"], nickname);
        assert_eq!(user["email_verified"], true);
    }
    assert!(
        server.mails().await.is_empty(),
        "there is nothing to verify"
    );
    server.stop().await;
}

#[tokio::test]
async fn create_admin_refuses_what_registration_refuses_and_makes_nothing() {
    let database = TestDatabase::create().await;
    let program = Program::on(&database);
    let first = [
        "users",
        "create-admin",
        "--nickname",
        "chief",
        "root@example.com",
    ];
    program.run(&first, PASSWORD_LINE).await.expect(0);
    let with_nickname = [
        "users",
        "create-admin",
        "--nickname",
        "Chief",
        "new@example.com",
    ];
    let bad_nickname = ["users", "create-admin", "--nickname", "a b", "no address"];
    let own_address = ["users", "create-admin", "someone@example.com"];
    const INVALID: i32 = 2;
    const REFUSED: i32 = 4;
    for (command, input, code, complaints) in [
        (
            &["users", "create-admin", "ROOT@example.com"][..],
            PASSWORD_LINE,
            REFUSED,
            &["Email already exists"][..],
        ),
        (
            &with_nickname,
            PASSWORD_LINE,
            REFUSED,
            &["Nickname already exists"],
        ),
        (
            &bad_nickname,
            PASSWORD_LINE,
            INVALID,
            &["email", "nickname"],
        ),
        (
            &own_address,
            "",
            INVALID,
            &["password: is required on standard input"],
        ),
        (
            &own_address,
            "\n",
            INVALID,
            &["password: is required on standard input"],
        ),
        (&own_address, "seven77\n", INVALID, &["password"]),
        (&own_address, "password1\n", INVALID, &["password"]),
        (
            &own_address,
            "someone@example.com\n",
            INVALID,
            &["password"],
        ),
    ] {
        let finished = program.run(command, input).await.expect(code);
        let said = &finished.stderr;
        for complaint in complaints {
            assert!(said.contains(complaint), "{complaint}? {said}");
        }
        assert!(
            input.trim().is_empty() || !said.contains(input.trim()),
            "{said}"
        );
        assert!(finished.stdout.is_empty());
    }
    program.run(&["users", "create-admin"], "").await.expect(2);
    let users: i64 = sqlx::query_scalar("select count(*) from users")
        .fetch_one(&database.pool)
        .await
        .unwrap();
    assert_eq!(users, 1);
}

#[tokio::test]
async fn create_admin_works_with_the_embedded_database_beside_a_server_and_alone() {
    let program = Program::new();
    let alone = ["users", "create-admin", "first@example.com"];
    program.run(&alone, PASSWORD_LINE).await.expect(0);
    let server = program.serve().await;
    let beside = ["users", "create-admin", "second@example.com"];
    program.run(&beside, PASSWORD_LINE).await.expect(0);
    for email in ["first@example.com", "second@example.com"] {
        assert_eq!(server.log_in(email).await.status(), 200);
    }
    server.stop().await;
}

#[tokio::test]
async fn the_administrator_of_the_settings_is_made_once() {
    let database = TestDatabase::create().await;
    let program = Program::on(&database)
        .set("ADMIN_USER", "root@example.com")
        .set("ADMIN_PASSWORD", "Secure*1234");
    let server = program.serve().await;
    assert_eq!(server.log_in("root@example.com").await.status(), 200);
    server.stop().await;
    // A later password doesn't change his: he may have changed it himself.
    let program = program.set("ADMIN_PASSWORD", "Another*1234");
    let server = program.serve().await;
    assert_eq!(server.log_in("root@example.com").await.status(), 200);
    server.stop().await;
}

#[tokio::test]
async fn whoever_took_the_address_of_the_administrator_first_is_told_of() {
    let database = TestDatabase::create().await;
    let program = Program::on(&database).set("FIRST_USER_IS_ADMIN", "false");
    let server = program.serve().await;
    let squatter = server.register("root@example.com").await.unwrap();
    assert_eq!(squatter.status(), 200);
    server.stop().await;
    let program = program
        .set("ADMIN_USER", "Root@example.com")
        .set("ADMIN_PASSWORD", "Another*1234");
    for _ in 0..2 {
        let log = program.serve().await.stop().await.stdout;
        assert!(log.contains("somebody else has the address"), "{log}");
    }
    sqlx::query("delete from users")
        .execute(&database.pool)
        .await
        .unwrap();
    let log = program.serve().await.stop().await.stdout;
    assert!(
        log.contains("the administrator of ADMIN_USER was made"),
        "{log}"
    );
    let admins: i64 = sqlx::query_scalar("select count(*) from users where role = 'ADMIN'")
        .fetch_one(&database.pool)
        .await
        .unwrap();
    assert_eq!(admins, 1);
}
