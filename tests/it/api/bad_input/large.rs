//! Bodies that are too large.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use serde_json::json;

use crate::support::app::{PASSWORD, TestApp};

const LIMIT: usize = 64 * 1024;
const CHUNK: usize = 64 * 1024;
const HUNDRED_MEGABYTES: usize = 100 * 1024 * 1024;

/// How much of a body is in memory, and how much of it was read.
#[derive(Clone, Default)]
struct Meter(Arc<Readings>);

#[derive(Default)]
struct Readings {
    read: AtomicUsize,
    alive: AtomicUsize,
    peak: AtomicUsize,
}

impl Meter {
    fn read(&self) -> usize {
        self.0.read.load(Ordering::SeqCst)
    }

    fn peak(&self) -> usize {
        self.0.peak.load(Ordering::SeqCst)
    }
}

/// A part of a body; it counts as in memory until it is dropped.
struct Chunk(Vec<u8>, Meter);

impl Chunk {
    fn new(meter: &Meter) -> Self {
        let readings = &meter.0;
        readings.read.fetch_add(CHUNK, Ordering::SeqCst);
        let alive = readings.alive.fetch_add(CHUNK, Ordering::SeqCst) + CHUNK;
        readings.peak.fetch_max(alive, Ordering::SeqCst);
        Self(vec![b'x'; CHUNK], meter.clone())
    }
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        self.1.0.alive.fetch_sub(CHUNK, Ordering::SeqCst);
    }
}

/// A body that comes to be as it is read.
fn body(length: usize, meter: &Meter) -> Body {
    let meter = meter.clone();
    let chunks = (0..length / CHUNK)
        .map(move |_| Ok::<_, Infallible>(Bytes::from_owner(Chunk::new(&meter))));
    Body::from_stream(stream::iter(chunks))
}

#[tokio::test]
async fn a_hundred_megabytes_are_refused_and_never_in_memory() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let before = app.stored().await;
    let user = format!("/users/{}", admin.id);
    for (method, path, kind) in [
        ("POST", "/register/", "application/json"),
        ("POST", "/users/", "application/json"),
        ("PUT", &*user, "application/json"),
        ("POST", "/verify-email/resend", "application/json"),
        ("POST", "/login/", "application/x-www-form-urlencoded"),
    ] {
        for announced in [false, true] {
            let meter = Meter::default();
            let mut request = app
                .request(method, path)
                .by(&admin)
                .raw(kind, body(HUNDRED_MEGABYTES, &meter));
            if announced {
                request = request.header("content-length", &HUNDRED_MEGABYTES.to_string());
            }
            let response = request.send().await;
            let response = response.expect_problem(413, "body_too_large");
            assert!(response.body.len() < 1000);
            assert!(
                meter.peak() <= 4 * CHUNK,
                "{path}: {} bytes in memory",
                meter.peak()
            );
            // A client that sends all before it reads gets its answer.
            assert_eq!(meter.read(), HUNDRED_MEGABYTES, "{path}");
        }
    }
    assert_eq!(app.stored().await, before);
}

#[tokio::test]
async fn a_body_without_end_is_not_read_for_ever() {
    let app = TestApp::start().await;
    let meter = Meter::default();
    let request = app
        .post("/register/")
        .raw("application/json", body(HUNDRED_MEGABYTES * 100, &meter));
    request.send().await.expect_problem(413, "body_too_large");
    assert!(
        meter.read() <= 300 * 1024 * 1024,
        "{} bytes were read",
        meter.read()
    );
}

#[tokio::test]
async fn nothing_is_read_of_a_large_body_whose_sender_waits_to_be_asked_for_it() {
    let app = TestApp::start().await;
    let meter = Meter::default();
    let request = app
        .post("/register/")
        .raw("application/json", body(HUNDRED_MEGABYTES, &meter))
        .header("content-length", &HUNDRED_MEGABYTES.to_string())
        .header("expect", "100-continue");
    request.send().await.expect_problem(413, "body_too_large");
    assert_eq!(meter.read(), 0);
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_taken() {
    let app = TestApp::start().await;
    let body = json!({"email": "new@example.com", "password": PASSWORD}).to_string();
    let padded = |length: usize| format!("{body}{}", " ".repeat(length - body.len()));
    let register = async |length| {
        let request = app
            .post("/register/")
            .raw("application/json", padded(length));
        request.send().await
    };
    register(LIMIT + 1)
        .await
        .expect_problem(413, "body_too_large");
    assert_eq!(app.count("users").await, 0);
    register(LIMIT).await.expect(200);
    app.deliver_mail().await;
}
