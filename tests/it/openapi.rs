//! The OpenAPI document: that it changes knowingly only, and that it tells all that clients need.

use std::{collections::BTreeSet, env, fs, path::Path};

use serde_json::{Value, json};
use user_management::{domain::role::Role, http};

use crate::support::{
    app::{PASSWORD, TestApp},
    operations::{DOCUMENT, OPERATIONS, Operation},
};

const PROBLEM: &str = "#/components/schemas/Problem";

#[test]
fn the_document_changes_knowingly_only() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/snapshots/openapi.json");
    let document = format!("{}\n", http::document("/").to_pretty_json().unwrap());
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &document).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    if kept == document {
        return;
    }
    let line = kept
        .lines()
        .zip(document.lines())
        .position(|(kept, now)| kept != now)
        .unwrap_or_else(|| kept.lines().count().min(document.lines().count()));
    panic!(
        "the API has changed: {} differs from line {} on ({:?}, and now {:?}).\n\
         If clients may see this, renew it with `UPDATE_DOCS=1 cargo test --test it openapi`, and read the difference.",
        path.display(),
        line + 1,
        kept.lines().nth(line).unwrap_or_default(),
        document.lines().nth(line).unwrap_or_default(),
    );
}

/// Fails with all operations of which `check` finds fault.
#[track_caller]
fn each_operation(check: impl Fn(&Operation) -> Vec<String>) {
    let faults: Vec<_> = OPERATIONS
        .iter()
        .flat_map(|operation| {
            let faults = check(operation).into_iter();
            faults.map(move |fault| format!("{}: {fault}", operation.id))
        })
        .collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_operation_has_a_name_of_its_own_a_known_tag_and_a_summary() {
    let names: BTreeSet<_> = OPERATIONS.iter().map(|operation| &operation.id).collect();
    assert_eq!(
        names.len(),
        OPERATIONS.len(),
        "an operation id stands twice"
    );
    assert!(OPERATIONS.len() >= 17);
    let tags = DOCUMENT["tags"].as_array().unwrap();
    let tags: Vec<_> = tags.iter().map(|tag| &tag["name"]).collect();
    each_operation(|operation| {
        let document = &operation.document;
        let mut faults = Vec::new();
        let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
        if !operation.id.chars().all(is_name) {
            faults.push("the name is not in snake case".to_owned());
        }
        if document["tags"]
            .as_array()
            .is_none_or(|used| used.len() != 1 || !tags.contains(&&used[0]))
        {
            faults.push(format!("the tags are {}", document["tags"]));
        }
        if document["summary"]
            .as_str()
            .is_none_or(|summary| summary.is_empty() || summary.ends_with('.'))
        {
            faults.push(format!("the summary is {}", document["summary"]));
        }
        faults
    });
}

#[test]
fn every_answer_is_described_and_every_refusal_is_a_problem() {
    each_operation(|operation| {
        let mut faults = Vec::new();
        for (status, answer) in operation.document["responses"].as_object().unwrap() {
            if answer["description"].as_str().is_none_or(str::is_empty) {
                faults.push(format!("{status} is not described"));
            }
            let is_problem =
                answer["content"]["application/problem+json"]["schema"]["$ref"] == PROBLEM;
            if is_problem != (status.as_str() >= "400") {
                faults.push(format!("{status} is {}", answer["content"]));
            }
        }
        for status in [500, 503] {
            if !operation.answers.contains_key(&status) {
                faults.push(format!("{status} is missing"));
            }
        }
        let has_body = !operation.document["requestBody"].is_null();
        let expected: &[u16] = if has_body { &[400, 413, 415, 422] } else { &[] };
        for status in expected {
            if !operation.answers.contains_key(status) {
                faults.push(format!("{status} is missing, and there is a body"));
            }
        }
        let offers = |scheme: &str| {
            let schemes = operation.document["security"].as_array();
            schemes.is_some_and(|schemes| schemes.contains(&json!({ scheme: [] })))
        };
        let answers = |status| operation.answers.contains_key(&status);
        let is_secured = offers("password");
        // A change by cookie may come from a foreign page; so may the login that sets it.
        let refuses = operation.method != "GET" || answers(403);
        let is_refused = operation.id == "create_session" || is_secured && refuses;
        if offers("session") != is_secured
            || is_refused != answers(403)
            || is_secured && !answers(401)
        {
            faults.push(format!(
                "the security is {}",
                operation.document["security"]
            ));
        }
        faults
    });
}

/// A reference's target, or the value itself.
fn resolved(value: &Value) -> &Value {
    match value["$ref"].as_str() {
        Some(reference) => DOCUMENT
            .pointer(reference.strip_prefix('#').unwrap())
            .unwrap_or_else(|| panic!("{reference} leads nowhere")),
        None => value,
    }
}

/// The example of a body: its own, or its schema's.
fn example(media: &Value) -> Option<&Value> {
    media
        .get("example")
        .or_else(|| resolved(&media["schema"]).get("example"))
}

#[test]
fn every_body_has_an_example() {
    each_operation(|operation| {
        let mut faults = Vec::new();
        let mut check = |what: &str, content: &Value| {
            for (kind, media) in content.as_object().into_iter().flatten() {
                if example(media).is_none() {
                    faults.push(format!("{what} {kind} has no example"));
                }
            }
        };
        check("the request", &operation.document["requestBody"]["content"]);
        for (status, answer) in operation.document["responses"].as_object().unwrap() {
            check(status, &answer["content"]);
        }
        faults
    });
}

#[test]
fn every_parameter_is_described() {
    each_operation(|operation| {
        let parameters = operation.document["parameters"].as_array();
        let parameters: Vec<_> = parameters.into_iter().flatten().collect();
        let mut faults = Vec::new();
        for parameter in &parameters {
            if parameter["description"].as_str().is_none_or(str::is_empty) {
                faults.push(format!("{} is not described", parameter["name"]));
            }
        }
        let in_path = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "path");
        if in_path.count() != operation.path.matches('{').count() {
            faults.push("a parameter of the path is missing".to_owned());
        }
        faults
    });
}

#[test]
fn every_member_of_a_schema_is_described_and_examples_have_them() {
    let mut faults = Vec::new();
    for (name, schema) in DOCUMENT["components"]["schemas"].as_object().unwrap() {
        let properties = schema["properties"].as_object();
        for (member, property) in properties.into_iter().flatten() {
            let is_described = !property["description"].is_null()
                || property["oneOf"].to_string().contains("description");
            if !is_described {
                faults.push(format!("{name}.{member} is not described"));
            }
        }
        let required = schema["required"].as_array();
        for member in required.into_iter().flatten() {
            let example = schema.get("example");
            if example.is_some_and(|example| example.get(member.as_str().unwrap()).is_none()) {
                faults.push(format!("the example of {name} has no {member}"));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn the_document_is_openapi_3_1_with_the_password_flow() {
    assert!(DOCUMENT["openapi"].as_str().unwrap().starts_with("3.1"));
    assert_eq!(
        DOCUMENT["components"]["securitySchemes"],
        json!({
            "password": {"type": "oauth2", "flows": {"password": {"tokenUrl": "/login/", "scopes": {}}}},
            "session": {
                "type": "apiKey", "in": "cookie", "name": "__Host-um_session",
                "description": "The cookie of `POST /sessions`; in development its name is `um_session`",
            },
            "service": {"type": "http", "scheme": "basic"},
        })
    );
    assert_eq!(DOCUMENT["info"]["version"], env!("CARGO_PKG_VERSION"));
    let text = DOCUMENT.to_string();
    for (at, start) in text.match_indices("\"$ref\":\"") {
        let reference = text[at + start.len()..].split('"').next().unwrap();
        resolved(&json!({"$ref": reference}));
    }
}

/// The example of an operation's request.
fn example_of(id: &str) -> &'static Value {
    let operation = OPERATIONS
        .iter()
        .find(|operation| operation.id == id)
        .unwrap();
    let content = operation.document["requestBody"]["content"]
        .as_object()
        .unwrap();
    example(content.values().next().unwrap()).unwrap()
}

#[tokio::test]
async fn the_examples_of_requests_are_taken_as_they_are() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let user = app.user(Role::Authenticated, "user@example.com").await;
    app.post("/register/")
        .json(example_of("register"))
        .send()
        .await
        .expect(200);
    let address = example_of("request_password_reset");
    app.post("/password-reset")
        .json(address)
        .send()
        .await
        .expect(202);
    let resend = example_of("resend_verification");
    app.post("/verify-email/resend")
        .json(resend)
        .send()
        .await
        .expect(202);
    app.change(&admin, user.id, example_of("update_user"))
        .await
        .expect(200);
    app.deliver_mail().await;
    // Who tries the examples one after the other registers, and logs in as the same.
    sqlx::query("update users set email_verified_at = created_at")
        .execute(&app.database.pool)
        .await
        .unwrap();
    let login = example_of("login");
    assert_eq!(login["password"], PASSWORD);
    let form = login.as_object().unwrap().iter();
    let form: Vec<_> = form
        .map(|(name, value)| (&**name, value.as_str().unwrap()))
        .collect();
    app.post("/login/").form(&form).send().await.expect(200);
}

#[tokio::test]
async fn answers_have_the_members_that_their_schemas_say() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let members = |value: &Value| -> BTreeSet<String> {
        value.as_object().unwrap().keys().cloned().collect()
    };
    let list = app
        .get("/users/")
        .by(&admin)
        .send()
        .await
        .expect(200)
        .json();
    for (schema, answer) in [
        ("User", app.read(&admin, admin.id).await.json()),
        ("UserList", list.clone()),
        ("Link", list["links"][0].clone()),
        ("Welcome", app.get("/").send().await.json()),
        ("Health", app.get("/health/live").send().await.json()),
        ("Token", app.log_in(&admin.email).await.json()),
    ] {
        let schema = &DOCUMENT["components"]["schemas"][schema];
        assert_eq!(members(&answer), members(&schema["properties"]));
        for member in schema["required"].as_array().unwrap() {
            assert!(
                !answer[member.as_str().unwrap()].is_null(),
                "{member} is null in {answer}"
            );
        }
    }
    let problem = app.register("x").await.json();
    let schema = members(&DOCUMENT["components"]["schemas"]["Problem"]["properties"]);
    assert!(members(&problem).is_subset(&schema));
}
