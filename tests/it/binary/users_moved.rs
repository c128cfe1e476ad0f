//! Users moved from one database to another: by the commands, and by an upload whose server is killed.

use std::fs;

use reqwest::Method;
use serde_json::Value;

use crate::support::{
    app::PASSWORD,
    binary::{Program, Server},
    database::TestDatabase,
    eventually::{eventually, wait_until},
};

/// Everything of everybody.
async fn table(database: &TestDatabase) -> Vec<Value> {
    sqlx::query_scalar("select to_jsonb(u) from users u order by id")
        .fetch_all(&database.pool)
        .await
        .unwrap()
}

/// Adds users in each state, called by what a table could take for something else, or by nothing.
async fn fill(database: &TestDatabase) {
    sqlx::query(
        r#"insert into users (id, nickname, email, email_verified_at, password_hash, first_name, middle_name,
             last_name, bio, profile_picture_url, role, is_professional, professional_status_updated_at, locked_at,
             last_login_at, created_at, updated_at, revision, phone_number, is_name_public, location, locale,
             deletion_due_at, legacy_name)
           select ('0199c5a0-6d54-7c1e-8f6a-' || lpad(to_hex(n), 12, '0'))::uuid, '-user_' || n,
             case when n % 7 > 0 then 'user' || n || '@example.com' end,
             case when n % 7 > 0 and n % 3 > 0 then timestamptz '2025-01-02 03:04:05.678901Z' end,
             '$2b$04$dCbeprZWBccQjPijz/aMBeBxvSkN1byfkKGgO9mu4ZR0ji0zdGdBq',
             (array['=1+1', '@Ada', '-Élodie', '李', $q$'quoted$q$, '"twice"', 'a,b;c', null])[1 + n % 8],
             case when n % 5 = 0 then '+middle' end, case when n % 4 > 0 then $q$O'Neill "$q$ || n end,
             case when n % 6 = 0 then E'two\nlines, "quoted"' end,
             case when n % 9 = 0 then 'https://example.com/?a=1,2&b=x' end,
             (array['ANONYMOUS', 'AUTHENTICATED', 'MANAGER', 'ADMIN'])[1 + n % 4], n % 2 = 0,
             case when n % 2 = 0 then timestamptz '2025-02-03Z' end,
             case when n % 11 = 0 then timestamptz '2025-03-04Z' end,
             case when n % 3 = 0 then timestamptz '2025-04-05 06:07:08.000001Z' end,
             timestamptz '2024-01-01Z' + n * interval '1 hour 1 microsecond',
             timestamptz '2024-06-01Z' + n * interval '1 minute', 1 + n % 19,
             case when n % 7 = 0 then '+1415555' || 1000 + n end, n % 10 = 0,
             case when n % 8 = 0 then 'Zürich' end, case when n % 3 = 0 then 'de' end,
             case when n % 13 = 0 then timestamptz '2999-01-01Z' end,
             case when n % 17 = 0 then 'old name ' || n end
           from generate_series(1, 1500) n"#,
    )
    .execute(&database.pool)
    .await
    .unwrap();
}

#[tokio::test]
async fn users_that_are_exported_and_imported_are_the_same_users() {
    let source = TestDatabase::create().await;
    fill(&source).await;
    let from = Program::on(&source);
    let expected = table(&source).await;
    assert_eq!(expected.len(), 1500);
    for format in ["csv", "ndjson"] {
        let file = format!("users.{format}");
        let export = [
            "users",
            "export",
            "--password-hashes",
            "--format",
            format,
            "--output",
            &file,
        ];
        from.run(&export, "").await.expect(0);
        let target = TestDatabase::create().await;
        let to = Program::on(&target);
        let path = from.directory().join(&file);
        let import = ["users", "import", path.to_str().unwrap()];
        to.run(&import, "").await.expect(0);
        assert_eq!(table(&target).await, expected, "{format}");
        to.run(&export, "").await.expect(0);
        let read = |program: &Program| fs::read_to_string(program.directory().join(&file)).unwrap();
        assert_eq!(read(&to), read(&from), "{format}");
    }
}

#[tokio::test]
async fn an_uploaded_import_whose_server_was_killed_goes_on_on_the_next_one() {
    let database = TestDatabase::create().await;
    let program = Program::on(&database).set("SERVER_BASE_URL", "http://localhost:8000");
    let admin = ["users", "create-admin", "root@example.com"];
    program.run(&admin, PASSWORD).await.expect(0);
    let server = Server::of(program.spawn(&["serve"])).await;
    let login: Value = server
        .log_in("root@example.com")
        .await
        .json()
        .await
        .unwrap();
    let token = login["access_token"].as_str().unwrap();
    let rows = (0..2500).map(|number| format!("user_{number},user{number}@example.com\r\n"));
    let body = format!(
        "--cut\r\ncontent-disposition: form-data; name=\"file\"; filename=\"users.csv\"\r\n\r\n\
         nickname,email\r\n{}\r\n--cut--\r\n",
        rows.collect::<String>()
    );
    // The second batch waits for this one's name.
    let mut transaction = database.pool.begin().await.unwrap();
    sqlx::query(
        "insert into users (id, nickname, email, password_hash, role, created_at, updated_at) \
         values (gen_random_uuid(), 'user_1800', 'other@example.com', '', 'ANONYMOUS', now(), now())",
    )
    .execute(&mut *transaction)
    .await
    .unwrap();
    let upload = server
        .request(Method::POST, "/users/import")
        .bearer_auth(token)
        .header("content-type", "multipart/form-data; boundary=cut")
        .body(body);
    let import: Value = upload.send().await.unwrap().json().await.unwrap();
    wait_until("a part of the file is imported", async || {
        let read: i64 = sqlx::query_scalar("select rows_read from user_imports")
            .fetch_one(&database.pool)
            .await
            .unwrap();
        read == 1000
    })
    .await;
    server.kill().await;
    transaction.rollback().await.unwrap();
    // The lease of its job ends by itself, but not soon.
    sqlx::query("update jobs set run_at = now() where kind = 'import_users'")
        .execute(&database.pool)
        .await
        .unwrap();
    let server = Server::of(program.spawn(&["serve"])).await;
    let path = format!("/users/imports/{}", import["id"].as_str().unwrap());
    let ended = eventually("the import has ended", async || {
        let answer = server.request(Method::GET, &path).bearer_auth(token).send();
        let import: Value = answer.await.unwrap().json().await.unwrap();
        (import["state"] != "running").then_some(import)
    })
    .await;
    assert_eq!(ended["state"], "done", "{ended}");
    assert_eq!(ended["rows"]["created"], 2500, "{ended}");
    let users: i64 = sqlx::query_scalar("select count(*) from users where nickname like 'user%'")
        .fetch_one(&database.pool)
        .await
        .unwrap();
    assert_eq!(users, 2500);
    server.stop().await;
}
