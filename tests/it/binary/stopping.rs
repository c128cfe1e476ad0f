//! How the program stops, and how it comes back after it was killed.

use rustix::process::Signal;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{
    app::PASSWORD,
    binary::{Program, Server, is_named_by_a_process},
    database::TestDatabase,
    eventually::wait_until,
};

/// A registration of which the server has read the header, but not yet the body.
async fn half_a_request(server: &Server, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let header = format!(
        "POST /register/ HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n\
         Expect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(header.as_bytes()).await.unwrap();
    // The answer comes when the handler asks for the body.
    let expected = b"HTTP/1.1 100 Continue\r\n\r\n";
    let mut answer = vec![0; expected.len()];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, expected);
    stream
}

async fn becomes_unready(server: &Server) {
    let ready = server.operations_url("/health/ready");
    wait_until("the server is draining", async || {
        server.get(&ready).await.status() == 503
    })
    .await;
}

#[tokio::test]
async fn a_request_in_flight_is_answered_before_the_program_ends() {
    let database = TestDatabase::create().await;
    let server = Program::on(&database).serve().await;
    let body = json!({"email": "ada@example.com", "password": PASSWORD}).to_string();
    let mut stream = half_a_request(&server, &body).await;
    // These must not hold the stop up.
    let mut idle = Vec::new();
    for _ in 0..10 {
        idle.push(TcpStream::connect(server.address()).await.unwrap());
    }
    assert_eq!(server.get("/health/live").await.status(), 200);

    server.process.signal(Signal::TERM);
    becomes_unready(&server).await;
    let live = server.get(&server.operations_url("/health/live")).await;
    assert_eq!(live.status(), 200);
    let refused = TcpStream::connect(server.address()).await;
    assert!(refused.is_err(), "new connections go elsewhere");

    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.to_ascii_lowercase().contains("connection: close"),
        "{answer}"
    );
    let log = server.process.finish().await.expect(0).stdout;
    assert!(log.contains("\"message\":\"stopped\""), "{log}");
    assert!(!log.contains("cut off"), "{log}");
}

#[tokio::test]
async fn a_request_without_end_does_not_keep_the_program_from_ending() {
    let database = TestDatabase::create().await;
    let server = Program::on(&database).serve().await;
    let _stream = half_a_request(&server, "a body that never comes").await;
    let log = server.stop().await.stdout;
    assert!(log.contains("cut off"), "{log}");
    assert!(log.contains("\"message\":\"stopped\""), "{log}");
}

#[tokio::test]
async fn the_embedded_database_stops_with_the_program_and_outlives_its_death() {
    let program = Program::new().set("SERVER_BASE_URL", "http://users.test");
    let server = program.serve().await;
    let token = server.new_user("ada@example.com").await;
    assert_eq!(server.status("/users/", &token).await, 200);

    // Killed, and started again before its database can have stopped.
    server.kill().await;
    let server = program.serve().await;
    assert_eq!(
        server.status("/users/", &token).await,
        200,
        "the same secret"
    );
    assert_eq!(server.mails().await.len(), 1);
    assert_eq!(server.log_in("ada@example.com").await.status(), 200);

    let another = program.run(&["serve"], "").await.expect(1);
    let complaint = "another running server uses";
    assert!(another.stderr.contains(complaint), "{}", another.stderr);

    let database = server.ready["database"].as_str().unwrap();
    assert!(
        database.starts_with("postgresql:///user_management?host=%2F"),
        "{database}"
    );
    assert!(is_named_by_a_process(&program.data_dir()) || !cfg!(target_os = "linux"));
    server.stop().await;
    assert!(!is_named_by_a_process(&program.data_dir()));
}
