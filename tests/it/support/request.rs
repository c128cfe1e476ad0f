//! Requests to the service in process, and their answers.

use std::net::SocketAddr;

use axum::{
    body::Body,
    http::{HeaderMap, Request, StatusCode, header},
    response::Response,
};
use http_body_util::BodyExt as _;
use serde_json::Value;

use super::app::{TestApp, TestUser};

/// A request on its way.
pub struct TestRequest<'a> {
    app: &'a TestApp,
    request: axum::http::request::Builder,
    body: Body,
    peer: SocketAddr,
}

impl<'a> TestRequest<'a> {
    /// A request without a body, from 192.0.2.1.
    pub fn new(app: &'a TestApp, method: &str, path: &str) -> Self {
        Self {
            app,
            request: Request::builder().method(method).uri(path),
            body: Body::empty(),
            peer: SocketAddr::from(([192, 0, 2, 1], 4711)),
        }
    }

    /// As this user.
    pub fn by(self, user: &TestUser) -> Self {
        self.bearer(&user.token)
    }

    /// With this access token.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// With the cookies that an earlier answer set, from a page of the same origin.
    pub fn cookies_of(self, answer: &TestResponse) -> Self {
        self.header("cookie", &answer.cookies())
            .header("sec-fetch-site", "same-origin")
    }

    /// With this header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// From this address.
    pub fn from(mut self, address: [u8; 4]) -> Self {
        self.peer = SocketAddr::from((address, 4711));
        self
    }

    /// With a JSON body.
    pub fn json(self, body: &Value) -> Self {
        self.raw("application/json", body.to_string())
    }

    /// With a form.
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let body = serde_urlencoded::to_string(fields).unwrap();
        self.raw("application/x-www-form-urlencoded", body)
    }

    /// With a body of these parts.
    pub fn multipart(self, parts: &[(&str, &str)]) -> Self {
        let mut body = String::new();
        for (name, text) in parts {
            body += &format!(
                "--part\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n"
            );
        }
        body += "--part--\r\n";
        self.raw("multipart/form-data; boundary=part", body)
    }

    /// With any body.
    pub fn raw(mut self, media_type: &str, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self.header(header::CONTENT_TYPE.as_str(), media_type)
    }

    /// Sends it.
    pub async fn send(self) -> TestResponse {
        self.app
            .send(self.request.body(self.body).unwrap(), self.peer)
            .await
    }
}

/// An answer.
#[derive(Debug)]
pub struct TestResponse {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body; what is no text in it is replaced.
    pub body: String,
}

impl TestResponse {
    /// Reads an answer to its end.
    pub async fn read(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Self {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    /// Fails unless it has this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self
    }

    /// Fails unless it is an error of this status and code, in the format of the contract.
    #[track_caller]
    pub fn expect_problem(self, status: u16, code: &str) -> Self {
        let response = self.expect(status);
        assert_eq!(response.header("content-type"), "application/problem+json");
        let body = response.json();
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(body["status"], status);
        assert!(
            body["detail"].is_string() && body["title"].is_string(),
            "{body}"
        );
        assert_eq!(
            body["instance"],
            format!("urn:uuid:{}", response.header("x-request-id"))
        );
        response
    }

    /// Its body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The code of an error.
    pub fn code(&self) -> Option<String> {
        let body: Value = serde_json::from_str(&self.body).ok()?;
        body["code"].as_str().map(str::to_owned)
    }

    /// A text member of its body.
    #[track_caller]
    pub fn text(&self, member: &str) -> String {
        self.json()[member]
            .as_str()
            .unwrap_or_else(|| panic!("no text {member}: {}", self.body))
            .to_owned()
    }

    /// A header.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .unwrap_or_else(|| panic!("no header {name}"))
            .to_str()
            .unwrap()
    }

    /// The cookies that it sets, as a browser sends them back.
    #[track_caller]
    pub fn cookies(&self) -> String {
        let set = self.headers.get_all(header::SET_COOKIE).iter();
        let pairs: Vec<_> = set
            .map(|cookie| cookie.to_str().unwrap().split(';').next().unwrap())
            .collect();
        assert!(!pairs.is_empty(), "no cookies");
        pairs.join("; ")
    }

    /// The fields that it calls invalid: `body.email invalid_email`.
    #[track_caller]
    pub fn invalid_fields(&self) -> Vec<String> {
        let body = self.json();
        let errors = body["errors"]
            .as_array()
            .unwrap_or_else(|| panic!("no errors: {body}"));
        let describe = |error: &Value| {
            let location: Vec<_> = error["loc"]
                .as_array()
                .unwrap()
                .iter()
                .map(|part| part.as_str().unwrap())
                .collect();
            format!("{} {}", location.join("."), error["type"].as_str().unwrap())
        };
        errors.iter().map(describe).collect()
    }
}

/// The path of the only link in a mail.
#[track_caller]
pub fn link_in(text: &str) -> String {
    let links: Vec<_> = text
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("https://users.example.com"))
        .collect();
    assert_eq!(links.len(), 1, "{text}");
    links[0].to_owned()
}
