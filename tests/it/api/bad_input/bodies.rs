//! JSON bodies.

use serde_json::json;

use super::{Case, refuse_all};
use crate::support::app::{PASSWORD, TestApp};

const JSON: &str = "application/json";

/// The beginning of a registration, and with `}` at its end a whole one.
const VALID: &str = r#"{"email": "new@example.com", "password": "Secure*1234""#;

#[tokio::test]
async fn what_is_no_json_is_malformed() {
    let app = TestApp::start().await;
    let utf16: Vec<u8> = format!("{VALID}}}")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let with = |bytes: &[u8]| [VALID.as_bytes(), bytes, b"}"].concat();
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        ("no body", Vec::new()),
        ("blanks", b"  \n".to_vec()),
        ("an open brace", b"{".to_vec()),
        ("no end", VALID.into()),
        ("no end of a text", VALID[..VALID.len() - 3].into()),
        ("single quotes", b"{'email': 'new@example.com'}".to_vec()),
        ("a word", b"nul".to_vec()),
        ("a form", b"email=new%40example.com".to_vec()),
        ("more behind it", [&with(b""), b"x".as_slice()].concat()),
        ("two bodies", with(b"").repeat(2)),
        ("a comma too many", with(b",")),
        (
            "a control character in a text",
            with(b", \"bio\": \"a\x01b\""),
        ),
        ("half of a surrogate pair", with(br#", "bio": "\ud800""#)),
        ("invalid UTF-8", with(b", \"bio\": \"\xff\"")),
        (
            "invalid UTF-8 in an unknown member",
            with(b", \"more\": \"\xc3\x28\""),
        ),
        (
            "an overlong form of a slash",
            with(b", \"bio\": \"\xc0\xaf\""),
        ),
        (
            "a byte order mark",
            ["\u{feff}".as_bytes(), &with(b"")].concat(),
        ),
        ("UTF-16", utf16),
        ("lists in lists", b"[".repeat(60_000)),
        ("members in members", b"{\"a\":".repeat(10_000)),
        (
            "a NUL behind it",
            with(b"").into_iter().chain([0]).collect(),
        ),
    ];
    let mut cases = Vec::new();
    for (what, body) in bodies {
        let request = app.post("/register/").raw(JSON, body);
        cases.push(Case::new(what, request, 400, "malformed_body").secret("Secure"));
    }
    refuse_all(&app, cases).await;
}

#[tokio::test]
async fn a_body_of_the_wrong_shape_is_invalid_as_a_whole() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let user = format!("/users/{}", admin.id);
    let mut cases = Vec::new();
    for body in [
        "null",
        "true",
        "42",
        "\"new@example.com\"",
        "[]",
        // Every member in its place.
        r#"["new@example.com", "Secure*1234", null, null, null, null, null, null, null, null]"#,
    ] {
        for (method, path) in [
            ("POST", "/register/"),
            ("POST", "/users/"),
            ("PUT", &*user),
            ("POST", "/verify-email/resend"),
        ] {
            let request = app.request(method, path).by(&admin).raw(JSON, body);
            let what = format!("{body} to {method} {path}");
            cases.push(Case::invalid(what, request, &["body invalid_type"]).secret("Secure"));
        }
    }
    refuse_all(&app, cases).await;
}

#[tokio::test]
async fn members_of_the_wrong_type_are_named_and_not_repeated() {
    let app = TestApp::start().await;
    let mut cases = Vec::new();
    for member in [
        "email",
        "password",
        "nickname",
        "first_name",
        "last_name",
        "bio",
        "profile_picture_url",
        "linkedin_profile_url",
        "github_profile_url",
    ] {
        for value in [
            "4711",
            "-47.11e2",
            "true",
            r#"["s3cret"]"#,
            r#"{"s3cret": 4711}"#,
        ] {
            let body = format!(r#"{{"{member}": {value}}}"#);
            let fields = [&*format!("body.{member} invalid_type")];
            let request = app.post("/register/").raw(JSON, body.clone());
            let case = Case::invalid(body, request, &fields);
            cases.push(case.secret("4711").secret("s3cret"));
        }
    }
    // Registration ignores a role; whoever may give one hears that this is none.
    let admin = app.admin().await;
    for role in ["4711", r#"{"s3cret": 4711}"#, r#""s3cret""#] {
        let body =
            format!(r#"{{"email": "eve@example.com", "password": "Other*1234", "role": {role}}}"#);
        let request = app.post("/users/").by(&admin).raw(JSON, body.clone());
        let case = Case::invalid(body, request, &["body.role unknown_role"]);
        cases.push(case.secret("4711").secret("s3cret"));
    }
    refuse_all(&app, cases).await;
}

#[tokio::test]
async fn a_member_must_not_occur_twice() {
    let app = TestApp::start().await;
    let mut cases = Vec::new();
    for (member, value) in [
        ("email", "\"other@example.com\""),
        ("email", "null"),
        ("password", "\"Other*1234\""),
    ] {
        let body = format!(r#"{VALID}, "{member}": {value}}}"#);
        let request = app.post("/register/").raw(JSON, body.clone());
        let fields = [&*format!("body.{member} duplicate")];
        cases.push(Case::invalid(body, request, &fields).secret("*1234"));
    }
    refuse_all(&app, cases).await;
}

#[tokio::test]
async fn values_that_break_a_rule_are_named_with_it() {
    let app = TestApp::start().await;
    let long = |length: usize| "x".repeat(length);
    let mut cases = Vec::new();
    for (member, value, rule) in [
        ("email", json!(null), "missing"),
        ("email", json!(""), "invalid_email"),
        ("email", json!("a\u{0}@example.com"), "invalid_email"),
        ("email", json!("a\r\nBcc: b@example.com"), "invalid_email"),
        (
            "email",
            json!(format!("{}@example.com", long(65))),
            "invalid_email",
        ),
        ("email", json!(format!("a@{}.com", long(250))), "too_long"),
        ("password", json!(null), "missing"),
        ("password", json!(""), "password_too_short"),
        ("password", json!("1234567"), "password_too_short"),
        ("password", json!(long(129)), "password_too_long"),
        ("password", json!(long(60_000)), "password_too_long"),
        ("password", json!("Password1"), "password_too_common"),
        (
            "password",
            json!("new@example.com1"),
            "password_contains_identifier",
        ),
        ("nickname", json!(""), "invalid_length"),
        ("nickname", json!("ab"), "invalid_length"),
        ("nickname", json!(long(51)), "invalid_length"),
        ("nickname", json!("abc\u{0}"), "invalid_nickname"),
        ("nickname", json!("a/../b"), "invalid_nickname"),
        ("nickname", json!("ünïcødé"), "invalid_nickname"),
        ("nickname", json!("admin"), "reserved_nickname"),
        ("first_name", json!(" "), "empty"),
        ("first_name", json!("a\u{0}b"), "control_character"),
        ("first_name", json!("a\u{202e}b"), "control_character"),
        ("last_name", json!("a\nb"), "control_character"),
        ("last_name", json!(long(101)), "too_long"),
        ("bio", json!("a\u{7f}b"), "control_character"),
        ("bio", json!(long(501)), "too_long"),
        (
            "profile_picture_url",
            json!("javascript:alert(1)"),
            "invalid_url",
        ),
        (
            "linkedin_profile_url",
            json!("https://a@b.example/"),
            "invalid_url",
        ),
        (
            "github_profile_url",
            json!("https://a.example/\u{0}"),
            "invalid_url",
        ),
        (
            "github_profile_url",
            json!(format!("https://a.example/{}", long(255))),
            "too_long",
        ),
    ] {
        let mut body = json!({"email": "new@example.com", "password": PASSWORD});
        body[member] = value.clone();
        let fields = [&*format!("body.{member} {rule}")];
        let shown: String = value.to_string().chars().take(40).collect();
        let request = app.post("/register/").json(&body);
        let mut case =
            Case::invalid(format!("{member} {shown}"), request, &fields).secret(PASSWORD);
        if let Some(secret) = value
            .as_str()
            .filter(|text| member == "password" && !text.is_empty())
        {
            case = case.secret(secret);
        }
        cases.push(case);
    }
    refuse_all(&app, cases).await;
}

#[tokio::test]
async fn every_invalid_member_of_a_new_user_is_named_at_once() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let body = json!({"email": "x", "password": "short", "bio": "", "role": "KING"});
    let request = app.post("/users/").by(&admin).json(&body);
    let fields = [
        "body.email invalid_email",
        "body.password password_too_short",
        "body.bio empty",
        "body.role unknown_role",
    ];
    refuse_all(&app, vec![Case::invalid("a new user", request, &fields)]).await;
}

#[tokio::test]
async fn a_change_must_change_something_and_must_leave_what_there_has_to_be() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let mut cases = Vec::new();
    for (body, field) in [
        (json!({}), "body empty_change"),
        (json!({"id": "x", "is_locked": true}), "body empty_change"),
        (json!({"nickname": null}), "body.nickname required"),
        (json!({"email": null}), "body.email required"),
        (json!({"role": null}), "body.role required"),
        (json!({"role": "admin"}), "body.role unknown_role"),
        (json!({"email": "x"}), "body.email invalid_email"),
        (json!({"bio": ["x"]}), "body.bio invalid_type"),
        (json!({"bio": ""}), "body.bio empty"),
    ] {
        let request = app
            .put(&format!("/users/{}", admin.id))
            .by(&admin)
            .json(&body);
        cases.push(Case::invalid(body.to_string(), request, &[field]));
    }
    refuse_all(&app, cases).await;
}

#[tokio::test]
async fn look_alikes_of_an_address_make_no_account() {
    let app = TestApp::start().await;
    app.user(
        user_management::domain::role::Role::Authenticated,
        "kate@example.com",
    )
    .await;
    let mut cases = Vec::new();
    for (what, email) in [
        ("wide letters", "ｋate@example.com"),
        ("the sign of the kelvin", "\u{212a}ate@example.com"),
        ("a Cyrillic letter", "k\u{430}te@example.com"),
        ("a zero-width space", "ka\u{200b}te@example.com"),
        (
            "a zero-width joiner in the domain",
            "kate@exam\u{200d}ple.com",
        ),
        ("a soft hyphen in the domain", "kate@exam\u{ad}ple.com"),
        ("a wide letter in the domain", "kate@ｅxample.com"),
        ("an ideographic full stop", "kate@example\u{3002}com"),
        ("a dot at the end", "kate@example.com."),
        ("a comment", "kate(comment)@example.com"),
        ("quotes", "\"kate\"@example.com"),
        ("a name before it", "Kate <kate@example.com>"),
        ("a second address", "kate@example.com,other@example.com"),
    ] {
        let body = json!({"email": email, "password": PASSWORD});
        let request = app.post("/register/").json(&body);
        let before = app.count("users").await;
        let response = request.send().await;
        assert_eq!(response.status, 422, "{what}: {}", response.body);
        assert_eq!(app.count("users").await, before, "{what}");
        let rule = response.invalid_fields().remove(0);
        assert!(
            ["body.email invalid_email", "body.email ambiguous_email"].contains(&&*rule),
            "{what}: {rule}"
        );
        let request = app
            .post("/verify-email/resend")
            .json(&json!({"email": email}));
        cases.push(Case::invalid(what, request, &[&rule]));
    }
    refuse_all(&app, cases).await;
    for same in ["KATE@example.com", " Kate@EXAMPLE.com "] {
        app.register(same)
            .await
            .expect_problem(400, "email_already_exists");
    }
}
