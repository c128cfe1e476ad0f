//! From an empty database to a verified, logged-in user, and what the operations port says of it.

use serde_json::Value;

use crate::support::{
    binary::{Program, Server},
    database::TestDatabase,
    eventually::wait_until,
};

#[tokio::test]
async fn the_program_without_arguments_serves_from_registration_to_the_list_of_users() {
    let database = TestDatabase::create().await;
    let server = Server::of(Program::on(&database).spawn(&[])).await;
    assert_eq!(
        server.process.log()[0],
        server.ready,
        "it is the first line"
    );
    assert_eq!(server.ready["api"], server.url(""));
    assert_eq!(server.ready["docs"], server.url("/docs"));
    assert_eq!(server.ready["mail"], server.url("/dev/mail"));

    let registered = server.register("ada@example.com").await.unwrap();
    assert_eq!(registered.status(), 200);
    let user: Value = registered.json().await.unwrap();
    assert_eq!(user["role"], "ADMIN", "the first user is");
    assert_eq!(server.log_in("ada@example.com").await.status(), 401);

    let mail = server.mail_to("ada@example.com").await;
    let link = mail["links"][0].as_str().unwrap();
    assert!(link.starts_with(&server.url("/verify-email/")), "{link}");
    assert_eq!(server.get(link).await.status(), 200);
    assert_eq!(server.get(link).await.status(), 400, "it is used up");

    let login = server.log_in("ada@example.com").await;
    assert_eq!(login.status(), 200);
    let login: Value = login.json().await.unwrap();
    let token = login["access_token"].as_str().unwrap();
    let list = server
        .request(reqwest::Method::GET, "/users/?skip=0&limit=10")
        .bearer_auth(token);
    let list: Value = list.send().await.unwrap().json().await.unwrap();
    assert_eq!(list["total"], 1);
    assert_eq!(list["items"][0]["id"], user["id"]);
    assert_eq!(list["items"][0]["email_verified"], true);

    metrics_tell(&server, link).await;
    let log = server.stop().await.stdout;
    for secret in ["ada@example.com", "Secure*1234", token, link] {
        assert!(!log.contains(secret), "{log}");
    }
}

async fn metrics_tell(server: &Server, link: &str) {
    assert_eq!(server.get("/metrics").await.status(), 404, "not for all");
    let answer = server.get(&server.operations_url("/metrics")).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.headers()["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let text = answer.text().await.unwrap();
    for line in [
        "users_created_total 1",
        "emails_verified_total 1",
        "logins_total{outcome=\"success\"} 1",
        "database_up 1",
        "jobs{state=\"waiting\"}",
        "jobs{state=\"dead\"} 0",
        "http_request_seconds_count{method=\"POST\",route=\"/register\",status=\"2xx\"} 1",
        "http_request_seconds_bucket{method=\"GET\",route=\"/verify-email/{user_id}/{token}\",status=\"2xx\",le=\"0.1\"}",
        "password_hash_seconds_count",
        "mails_total{",
    ] {
        assert!(text.contains(line), "no {line}:\n{text}");
    }
    let token = link.rsplit('/').next().unwrap();
    assert!(!text.contains(token) && !text.contains("example.com"));
}

#[tokio::test]
async fn a_worker_alone_sends_what_a_server_without_one_enqueued() {
    let database = TestDatabase::create().await;
    let program = Program::on(&database).set("SERVER_BASE_URL", "http://users.test/");
    let server = program.clone().set("WORKER", "false").serve().await;
    assert_eq!(
        server.register("ada@example.com").await.unwrap().status(),
        200
    );
    let untouched = "select count(*) from jobs where attempts = 0";
    let waiting: i64 = sqlx::query_scalar(untouched)
        .fetch_one(&database.pool)
        .await
        .unwrap();
    assert_eq!(waiting, 1);
    assert!(server.mails().await.is_empty());

    let mut worker = program.spawn(&["worker"]);
    worker.logged("ready").await;
    let mail = server.mail_to("ada@example.com").await;
    let link = mail["links"][0].as_str().unwrap();
    assert!(
        link.starts_with("http://users.test/verify-email/"),
        "{link}"
    );
    wait_until("the job is done", async || {
        let left: i64 = sqlx::query_scalar("select count(*) from jobs where kind = 'send_mail'")
            .fetch_one(&database.pool)
            .await
            .unwrap();
        left == 0
    })
    .await;
    worker.signal(rustix::process::Signal::TERM);
    worker.finish().await.expect(0);
    server.stop().await;
}
