//! The operations of the OpenAPI document, and a check that answers are among those documented.

use std::{collections::BTreeMap, sync::LazyLock};

use axum::http::Method;
use serde_json::Value;

use super::request::TestResponse;

/// An operation of the document.
#[derive(Debug)]
pub struct Operation {
    /// Its `operationId`.
    pub id: String,
    /// Its method, in upper case.
    pub method: String,
    /// Its path with parameters in braces.
    pub path: String,
    /// The media types of each documented status.
    pub answers: BTreeMap<u16, Vec<String>>,
    /// All that the document says of it.
    pub document: Value,
}

/// The document as JSON.
pub static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::to_value(user_management::http::document("/")).unwrap());

/// Every operation.
pub static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(|| {
    let mut operations = Vec::new();
    for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
        for (method, document) in item.as_object().unwrap() {
            let answers = document["responses"].as_object().unwrap().iter();
            operations.push(Operation {
                id: document["operationId"].as_str().unwrap().to_owned(),
                method: method.to_uppercase(),
                path: path.clone(),
                answers: answers
                    .map(|(status, answer)| (status.parse().unwrap(), media_types(answer)))
                    .collect(),
                document: document.clone(),
            });
        }
    }
    operations
});

fn media_types(answer: &Value) -> Vec<String> {
    let content = answer["content"].as_object();
    content.map_or(Vec::new(), |types| types.keys().cloned().collect())
}

impl Operation {
    /// Whether a request of this method and path is one for this operation.
    fn takes(&self, method: &Method, path: &str) -> bool {
        // A HEAD is answered as a GET.
        let is_same =
            method.as_str() == self.method || (*method == Method::HEAD && self.method == "GET");
        let trim = |path: &str| path.strip_suffix('/').unwrap_or(path).to_owned();
        let (pattern, path) = (trim(&self.path), trim(path));
        let (pattern, path): (Vec<_>, Vec<_>) =
            (pattern.split('/').collect(), path.split('/').collect());
        is_same
            && pattern.len() == path.len()
            && pattern
                .iter()
                .zip(&path)
                .all(|(wanted, got)| wanted == got || (wanted.starts_with('{') && !got.is_empty()))
    }
}

/// Fails when an operation gave an answer that the document doesn't know.
#[track_caller]
pub fn check_documented(method: &Method, path: &str, response: &TestResponse) {
    let fitting = OPERATIONS
        .iter()
        .filter(|operation| operation.takes(method, path));
    // A path without parameters comes before one with them, as in the router.
    let Some(operation) = fitting.min_by_key(|operation| operation.path.matches('{').count())
    else {
        return;
    };
    let status = response.status.as_u16();
    let Some(media_types) = operation.answers.get(&status) else {
        panic!(
            "{} answered {status}, which the document doesn't know: {}",
            operation.id, response.body
        );
    };
    let kind = response.headers.get("content-type").map(|value| {
        let value = value.to_str().unwrap();
        value.split(';').next().unwrap().to_owned()
    });
    match kind {
        Some(kind) => assert!(
            media_types.contains(&kind),
            "{} answered {status} as {kind}, and the document knows {media_types:?}",
            operation.id
        ),
        None => assert!(
            media_types.is_empty(),
            "{} answered {status} without a body, and the document knows {media_types:?}",
            operation.id
        ),
    }
}
