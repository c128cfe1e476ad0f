//! What is wrong in a request is told with a status, a code and a field; it is never a fault of ours,
//! and nothing is stored.

mod bodies;
mod forms;
mod large;
mod params;
mod tokens;

use crate::support::{app::TestApp, request::TestRequest, request::TestResponse};

/// A request that must be refused.
struct Case<'a> {
    /// What is wrong with it.
    what: String,
    request: TestRequest<'a>,
    status: u16,
    code: &'a str,
    /// The fields that are named, with the rule that each breaks.
    fields: Vec<String>,
    /// What the answer must not repeat.
    secrets: Vec<String>,
}

impl<'a> Case<'a> {
    fn new(what: impl Into<String>, request: TestRequest<'a>, status: u16, code: &'a str) -> Self {
        Self {
            what: what.into(),
            request,
            status,
            code,
            fields: Vec::new(),
            secrets: Vec::new(),
        }
    }

    /// A request with invalid fields.
    fn invalid(what: impl Into<String>, request: TestRequest<'a>, fields: &[&str]) -> Self {
        let mut case = Self::new(what, request, 422, "invalid_input");
        case.fields = fields.iter().map(|field| (*field).to_owned()).collect();
        case
    }

    /// The answer must not have this in it.
    fn secret(mut self, secret: &str) -> Self {
        self.secrets.push(secret.to_owned());
        self
    }
}

/// Sends every request, and fails with all that went otherwise than it should.
async fn refuse_all(app: &TestApp, cases: Vec<Case<'_>>) {
    let before = app.stored().await;
    let mut wrong = Vec::new();
    for case in cases {
        let response = case.request.send().await;
        let mut fault = |text: String| wrong.push(format!("{}: {text}", case.what));
        if response.status.as_u16() != case.status || response.code().as_deref() != Some(case.code)
        {
            fault(format!("{} {}", response.status, response.body));
            continue;
        }
        let fields = fields(&response);
        if fields != case.fields {
            fault(format!("names {fields:?} and not {:?}", case.fields));
        }
        if case
            .secrets
            .iter()
            .any(|secret| response.body.contains(secret))
        {
            fault(format!("repeats a secret: {}", response.body));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert_eq!(app.stored().await, before, "something was stored");
}

fn fields(response: &TestResponse) -> Vec<String> {
    if response.json()["errors"].is_array() {
        response.invalid_fields()
    } else {
        Vec::new()
    }
}
