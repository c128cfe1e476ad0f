//! Importing users by HTTP.

mod given_up;

use axum::body::{Body, Bytes};
use futures::stream;
use serde_json::{Value, json};
use sqlx::Executor as _;
use user_management::domain::role::Role;
use uuid::Uuid;

use crate::support::{
    app::{PASSWORD, TestApp, TestUser},
    request::{TestResponse, link_in},
};

async fn import(app: &TestApp, admin: &TestUser, fields: &[(&str, &str)]) -> TestResponse {
    let request = app.post("/users/import").by(admin);
    request.multipart(fields).send().await
}

/// The path of an import, whose job has been done.
async fn imported(app: &TestApp, admin: &TestUser, fields: &[(&str, &str)]) -> (String, Value) {
    let answer = import(app, admin, fields).await.expect(202);
    let path = answer.header("location");
    let path = path
        .strip_prefix("https://users.example.com")
        .unwrap()
        .to_owned();
    app.run_jobs().await;
    let import = app.get(&path).by(admin).send().await.expect(200).json();
    (path, import)
}

#[tokio::test]
async fn a_file_is_kept_sealed_and_imported_by_a_job() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let text = format!(
        "email,email_verified_at,password\r\nada@example.com,2020-01-01T00:00:00Z,{PASSWORD}\r\nnobody,,\r\n"
    );
    let answer = import(&app, &admin, &[("file", &text), ("on_conflict", "skip")]).await;
    let begun = answer.expect(202);
    let id: Uuid = begun.text("id").parse().unwrap();
    assert_eq!(
        begun.header("location"),
        format!("https://users.example.com/users/imports/{id}")
    );
    let body = begun.json();
    assert_eq!(
        (&body["state"], &body["bytes_done"], &body["bytes_total"]),
        (&json!("running"), &json!(0), &json!(text.len()))
    );
    let rows: Vec<String> = sqlx::query_scalar(
        "select c::text from user_import_chunks c union all select j::text from jobs j",
    )
    .fetch_all(&app.database.pool)
    .await
    .unwrap();
    assert_eq!(rows.len(), 2);
    let plain: String = PASSWORD.bytes().map(|byte| format!("{byte:02x}")).collect();
    assert!(
        rows.iter()
            .all(|row| !row.contains(PASSWORD) && !row.contains(&plain))
    );

    app.run_jobs().await;
    let path = format!("/users/imports/{id}");
    let done = app.get(&path).by(&admin).send().await.expect(200).json();
    assert_eq!(done["state"], "done");
    assert_eq!(done["bytes_done"], done["bytes_total"]);
    assert_eq!(
        done["rows"],
        json!({"read": 2, "created": 1, "updated": 0, "skipped": 0, "rejected": 1})
    );
    let errors = app.get(&format!("{path}/errors")).by(&admin).send().await;
    assert_eq!(
        errors.expect(200).body,
        "line,column,reason\r\n3,email,must be a valid e-mail address\r\n"
    );
    app.log_in("ada@example.com").await.expect(200);
    assert_eq!(app.count("user_import_chunks").await, 0);
    // Who did it is told of each account.
    let told: Vec<(String, Uuid)> =
        sqlx::query_as("select action, actor_id from audit_log where request_id = $1 order by id")
            .bind(begun.header("x-request-id").parse::<Uuid>().unwrap())
            .fetch_all(&app.database.pool)
            .await
            .unwrap();
    assert_eq!(
        told,
        [
            ("users_imported".to_owned(), admin.id),
            ("user_added".to_owned(), admin.id),
        ]
    );
}

#[tokio::test]
async fn how_to_import_is_said_by_fields_before_or_behind_the_file() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let file = ("file", "{\"email\":\"ada@example.com\"}\n");
    let fields = [
        ("format", "ndjson"),
        file,
        ("dry_run", "true"),
        ("atomic", "true"),
    ];
    let (_, trial) = imported(&app, &admin, &fields).await;
    assert_eq!(
        (
            &trial["format"],
            &trial["dry_run"],
            &trial["atomic"],
            &trial["rows"]["created"]
        ),
        (&json!("ndjson"), &json!(true), &json!(true), &json!(1))
    );
    assert_eq!(app.count("users").await, 1);
    let fields = [file, ("format", "ndjson"), ("invite", "true")];
    let (_, import) = imported(&app, &admin, &fields).await;
    assert_eq!(import["rows"]["created"], 1);
    let mails = app.deliver_mail().await;
    assert_eq!(mails.len(), 1);
    assert!(link_in(&mails[0].text).starts_with("/password-reset/"));
}

#[tokio::test]
async fn what_cannot_be_taken_is_refused_at_once_and_leaves_nothing() {
    let app = TestApp::start_with(&[("IMPORT_MAX_BYTES", "200000")]).await;
    let admin = app.admin().await;
    let file = ("file", "email\nada@example.com\n");
    for (fields, field) in [
        (&[("format", "csv")][..], "body.file missing"),
        (&[file, file], "body.file duplicate"),
        (
            &[("dry_run", "true"), file, ("dry_run", "false")],
            "body.dry_run duplicate",
        ),
        (&[file, ("format", "xml")], "body.format unknown_format"),
        (
            &[file, ("on_conflict", "x")],
            "body.on_conflict unknown_choice",
        ),
        (&[file, ("invite", "yes")], "body.invite invalid_boolean"),
        (&[("file", "name\nada\n")], "body.file unreadable_file"),
        (&[("file", "")], "body.file unreadable_file"),
    ] {
        let answer = import(&app, &admin, fields)
            .await
            .expect_problem(422, "invalid_input");
        assert_eq!(answer.invalid_fields(), [field]);
    }
    let large = format!("email\n{}", "ada@example.com\n".repeat(20_000));
    import(&app, &admin, &[("file", &large)])
        .await
        .expect_problem(413, "body_too_large");
    let long = "x".repeat(1000);
    import(&app, &admin, &[file, ("format", &long)])
        .await
        .expect_problem(413, "body_too_large");
    let other = "x".repeat(200);
    let mut many = vec![("other", &*other); 2000];
    many.push(file);
    import(&app, &admin, &many)
        .await
        .expect_problem(413, "body_too_large");
    let post = || app.post("/users/import").by(&admin);
    post()
        .raw("text/csv", file.1)
        .send()
        .await
        .expect_problem(415, "unsupported_media_type");
    for (kind, body) in [
        ("multipart/form-data", "x"),
        (
            "multipart/form-data; boundary=x",
            "--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nemail\n",
        ),
    ] {
        let answer = post().raw(kind, body).send().await;
        answer.expect_problem(400, "malformed_body");
    }
    assert_eq!(app.jobs_of("import_users").await, 0);
    assert_eq!(app.count("users").await, 1);
    assert_eq!(app.count("user_imports").await, 0);
}

#[tokio::test]
async fn passwords_and_vouching_of_accounts_that_are_there_are_not_for_administrators() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let second = app.user(Role::Admin, "second@example.com").await;
    let exported: String = sqlx::query_scalar(
        "select to_char(email_verified_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') \
         from users where id = $1",
    )
    .bind(second.id)
    .fetch_one(&app.database.pool)
    .await
    .unwrap();
    let table = || async {
        let table: Vec<String> = sqlx::query_scalar("select u::text from users u order by id")
            .fetch_all(&app.database.pool)
            .await
            .unwrap();
        table
    };
    let before = table().await;
    let hash = "$2b$04$dCbeprZWBccQjPijz/aMBeBxvSkN1byfkKGgO9mu4ZR0ji0zdGdBq";
    let text = format!(
        "id,email,password,password_hash,password_reset_openly_at,email_verified_at\n\
         ,second@example.com,Better*5678,,,\n\
         ,second@example.com,,{hash},2020-01-01T00:00:00Z,\n\
         ,second@example.com,,,,2020-01-01T00:00:00Z\n\
         {},mine@example.com,,,,{exported}\n\
         ,second@example.com,,,,{exported}\n",
        second.id
    );
    let fields = [("file", &*text), ("on_conflict", "update")];
    let (path, import) = imported(&app, &admin, &fields).await;
    let errors = app.get(&format!("{path}/errors")).by(&admin).send().await;
    let reason = "of an account that is there only operators change";
    assert_eq!(
        errors.expect(200).body,
        format!(
            "line,column,reason\r\n2,password,{reason}\r\n3,password_hash,{reason}\r\n\
             4,email_verified_at,{reason}\r\n5,email_verified_at,{reason}\r\n"
        )
    );
    // What is so already does no harm.
    assert_eq!(import["rows"]["skipped"], 1);
    assert_eq!(table().await, before);
    // New accounts may have all of it.
    let new = text.replace("second@", "new@").replace("mine@", "other@");
    let new = new.lines().take(2).collect::<Vec<_>>().join("\n");
    let fields = [("file", &*new), ("on_conflict", "update")];
    let (_, import) = imported(&app, &admin, &fields).await;
    assert_eq!(import["rows"]["created"], 1);
}

#[tokio::test]
async fn a_file_of_many_pieces_comes_out_as_it_went_in() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let mut file = "email,bio\n".to_owned();
    for number in 0..3000 {
        file += &format!("user{number}@example.com,\"{}\"\n", "é,\n".repeat(20));
    }
    let head =
        "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"users.csv\"\r\n\r\n";
    let body = format!("{head}{file}\r\n--x--\r\n");
    let pieces: Vec<_> = body
        .as_bytes()
        .chunks(1777)
        .map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece)))
        .collect();
    let body = Body::from_stream(stream::iter(pieces));
    let request = app.post("/users/import").by(&admin);
    let kind = "multipart/form-data; boundary=x";
    request.raw(kind, body).send().await.expect(202);
    let pieces = app.count("user_import_chunks").await;
    assert_eq!(
        usize::try_from(pieces).unwrap(),
        file.len().div_ceil(64 * 1024)
    );
    app.run_jobs().await;
    assert_eq!(app.count("user_import_errors").await, 0);
    assert_eq!(app.count("users").await, 3001);
    let bio: String =
        sqlx::query_scalar("select bio from users where email = 'user2999@example.com'")
            .fetch_one(&app.database.pool)
            .await
            .unwrap();
    assert_eq!(bio, "é,\n".repeat(20).trim());
}

#[tokio::test]
async fn the_same_file_is_not_imported_twice_at_a_time() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let fields = [("file", "email\nada@example.com\n")];
    import(&app, &admin, &fields).await.expect(202);
    import(&app, &admin, &fields)
        .await
        .expect_problem(409, "import_running");
    assert_eq!(app.count("user_import_chunks").await, 1);
    app.run_jobs().await;
    let (path, again) = imported(&app, &admin, &fields).await;
    assert_eq!(again["rows"]["rejected"], 1);
    let errors = app.get(&format!("{path}/errors")).by(&admin).send().await;
    assert!(
        errors.body.contains("2,email,the account "),
        "{}",
        errors.body
    );
}

#[tokio::test]
async fn a_job_that_broke_off_goes_on_where_it_was() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let mut file = "email\n".to_owned();
    for number in 0..1500 {
        file += &format!("user{number}@example.com\n");
    }
    let begun = import(&app, &admin, &[("file", &file)]).await.expect(202);
    let path = format!("/users/imports/{}", begun.text("id"));
    let pool = &app.database.pool;
    pool.execute(
        "create function fail() returns trigger language plpgsql as $$ begin \
         if new.email = 'user1200@example.com' then raise exception using errcode = 'disk_full'; end if; \
         return new; end $$; \
         create trigger fail before insert on users for each row execute function fail()",
    )
    .await
    .unwrap();
    app.run_jobs().await;
    let broken = app.get(&path).by(&admin).send().await.expect(200).json();
    assert_eq!(
        (&broken["state"], &broken["rows"]["created"]),
        (&json!("running"), &json!(1000))
    );
    assert_eq!(app.count("users").await, 1001);
    pool.execute("drop trigger fail on users").await.unwrap();
    app.clock.advance(chrono::TimeDelta::minutes(5));
    app.run_jobs().await;
    let done = app.get(&path).by(&admin).send().await.expect(200).json();
    assert_eq!(
        (&done["state"], &done["rows"]["created"]),
        (&json!("done"), &json!(1500))
    );
    assert_eq!(app.count("users").await, 1501);
}

#[tokio::test]
async fn an_import_that_is_not_there_is_not_found() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    for path in ["", "/errors"] {
        let path = format!("/users/imports/{}{path}", Uuid::nil());
        let answer = app.get(&path).by(&admin).send().await;
        answer.expect_problem(404, "import_not_found");
    }
    let answer = app.get("/users/imports/x").by(&admin).send().await;
    answer.expect_problem(422, "invalid_input");
}
