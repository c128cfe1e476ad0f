//! Requests that are too large, or hardly HTTP.

use std::{
    fs,
    io::{Read as _, Write as _},
    iter,
    net::TcpStream,
};

use crate::support::{
    binary::{Program, Server},
    database::TestDatabase,
};

const MEGABYTE: usize = 1 << 20;

/// The most memory that a process has held so far, in KiB; none where there is no `/proc`.
fn peak_memory(server: &Server) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", server.process.id())).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// Sends all pieces and only then reads, as simple clients do; answers the answer.
fn send_and_then_read<'a>(address: &str, pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    for piece in pieces {
        stream.write_all(piece).unwrap();
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_answered_and_not_kept_in_memory() {
    let database = TestDatabase::create().await;
    let server = Program::on(&database).serve().await;
    server.new_user("ada@example.com").await;
    let before = peak_memory(&server);
    let address = server.address();
    let chunk = vec![b' '; MEGABYTE];
    let chunked: Vec<u8> = [&b"100000\r\n"[..], &chunk, b"\r\n"].concat();
    let json = "application/json";
    let size = 100;
    for (request, media_type, status) in [
        ("POST /register/", json, 413),
        ("POST /login/", "application/x-www-form-urlencoded", 413),
        // Whatever else is wrong, the client is to read what.
        ("POST /register/", "text/plain", 415),
        ("PUT /users/01a1fe31-b4cc-7f62-acac-5190b5443b35", json, 401),
        ("POST /nowhere", json, 404),
        ("PATCH /users/", json, 405),
    ] {
        let header = |length: &str| {
            format!(
                "{request} HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Type: {media_type}\r\n{length}\r\n\r\n"
            )
        };
        let announced = header(&format!("Content-Length: {}", size * MEGABYTE));
        let unannounced = header("Transfer-Encoding: chunked");
        let expected = format!("HTTP/1.1 {status} ");
        let whole = iter::once(announced.as_bytes()).chain(iter::repeat_n(&chunk[..], size));
        let in_chunks = iter::once(unannounced.as_bytes())
            .chain(iter::repeat_n(&chunked[..], size))
            .chain([&b"0\r\n\r\n"[..]]);
        let answers = tokio::task::block_in_place(|| {
            [
                send_and_then_read(&address, whole),
                send_and_then_read(&address, in_chunks),
            ]
        });
        for answer in answers {
            assert!(answer.starts_with(&expected), "{request}: {answer}");
            assert!(answer.contains("application/problem+json"), "{answer}");
        }
    }
    if let (Some(before), Some(after)) = (before, peak_memory(&server)) {
        // Of 1.2 GB, the buffers of a few connections.
        assert!(after < before + 16 * 1024, "{before} KiB grew to {after}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_leave_to_send_a_large_body_is_told_at_once() {
    let database = TestDatabase::create().await;
    let server = Program::on(&database).serve().await;
    let header = "POST /register/ HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n\
                  Expect: 100-continue\r\nContent-Length: 104857600\r\n\r\n";
    let answer = tokio::task::block_in_place(|| {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(header.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_http_is_refused_and_harms_nobody() {
    let database = TestDatabase::create().await;
    let server = Program::on(&database).serve().await;
    let address = server.address();
    let long_path = format!("GET /{} HTTP/1.1\r\nHost: here\r\n\r\n", "a".repeat(70_000));
    let long_header = format!("GET / HTTP/1.1\r\nX-Long: {}\r\n\r\n", "a".repeat(600_000));
    let many_headers = format!("GET / HTTP/1.1\r\n{}\r\n", "X-Many: 1\r\n".repeat(200));
    let two_lengths =
        "POST /register/ HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n";
    for (request, status) in [
        ("nonsense\r\n\r\n", "400"),
        ("GET / HTTP/9.9\r\n\r\n", "400"),
        ("GET\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nno header\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\u{0}b\r\n\r\n", "400"),
        (
            "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\u{fc}\u{3}\u{3}",
            "400",
        ),
        (two_lengths, "400"),
        (&long_path, "414"),
        (&long_header, "431"),
        (&many_headers, "431"),
    ] {
        let answer =
            tokio::task::block_in_place(|| send_and_then_read(&address, [request.as_bytes()]));
        let begin: String = request.chars().take(60).collect();
        let expected = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&expected), "{begin:?}: {answer:?}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1);
    }
    // What begins like HTTP/2 is not even answered.
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let answer = tokio::task::block_in_place(|| send_and_then_read(&address, [preface.as_bytes()]));
    assert_eq!(answer, "");
    assert_eq!(server.get("/health/ready").await.status(), 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_sent_without_waiting_are_answered_in_order() {
    let database = TestDatabase::create().await;
    let server = Program::on(&database).serve().await;
    let mut requests = String::new();
    for path in ["/health/live", "/nowhere", "/users/", "/health/live"].repeat(5) {
        requests += &format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n");
    }
    requests += "GET /nowhere HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n";
    let answer = tokio::task::block_in_place(|| {
        send_and_then_read(&server.address(), [requests.as_bytes()])
    });
    let statuses: Vec<_> = answer
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|answer| &answer[..3])
        .collect();
    let mut expected = ["200", "404", "401", "200"].repeat(5);
    expected.push("404");
    assert_eq!(statuses, expected);
    server.stop().await;
}
