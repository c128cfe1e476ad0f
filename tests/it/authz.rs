//! Who may do what: role × operation, the rules of rank, and the grants of roles.

use serde_json::json;
use user_management::domain::role::Role;
use uuid::Uuid;

use crate::support::{
    app::{PASSWORD, TestApp, TestUser},
    operations::OPERATIONS,
    request::TestRequest,
};

/// What an operation answers, by who asks for it. What it is done to is an account of role
/// AUTHENTICATED, or a link that is not valid.
pub struct Row {
    /// Its `operationId`.
    pub operation: &'static str,
    nobody: u16,
    anonymous: u16,
    authenticated: u16,
    manager: u16,
    admin: u16,
}

/// An operation for everybody.
const fn everybody(operation: &'static str, status: u16) -> Row {
    Row {
        operation,
        nobody: status,
        anonymous: status,
        authenticated: status,
        manager: status,
        admin: status,
    }
}

/// An operation for managers and administrators.
const fn managers(operation: &'static str, status: u16) -> Row {
    Row {
        operation,
        nobody: 401,
        anonymous: 403,
        authenticated: 403,
        manager: status,
        admin: status,
    }
}

/// An operation for whoever has logged in.
const fn users(operation: &'static str, status: u16) -> Row {
    Row {
        nobody: 401,
        ..everybody(operation, status)
    }
}

/// An operation for administrators.
const fn admins(operation: &'static str, status: u16) -> Row {
    Row {
        manager: 403,
        ..managers(operation, status)
    }
}

/// Every operation of the document; what ends the caller's own session comes last.
pub const MATRIX: &[Row] = &[
    everybody("welcome", 200),
    everybody("register", 200),
    everybody("login", 200),
    everybody("verify_email", 400),
    everybody("confirm_email", 400),
    everybody("resend_verification", 202),
    everybody("unlock_account", 400),
    everybody("confirm_unlock", 400),
    everybody("list_keys", 200),
    everybody("request_password_reset", 202),
    everybody("reset_password", 400),
    everybody("show_password_reset", 200),
    everybody("submit_password_reset", 400),
    everybody("confirm_email_change", 400),
    everybody("submit_email_change", 400),
    everybody("undo_email_change", 400),
    everybody("submit_email_undo", 400),
    everybody("restore_account", 400),
    everybody("confirm_restoration", 400),
    // Not by those who don't know the password; the caller lives on.
    users("delete_me", 422),
    users("change_my_password", 204),
    users("change_my_email", 202),
    everybody("live", 200),
    everybody("ready", 200),
    managers("list_users", 200),
    managers("suggest_users", 200),
    admins("export_users", 200),
    managers("add_user", 201),
    managers("get_user", 200),
    managers("update_user", 200),
    managers("set_user_role", 200),
    managers("list_role_changes", 200),
    managers("lock_user", 200),
    managers("unlock_user", 200),
    managers("delete_user", 204),
    managers("list_user_sessions", 200),
    managers("end_user_sessions", 204),
    admins("restore_user", 200),
    everybody("revoke_token", 200),
    admins("introspect_token", 200),
    everybody("create_session", 201),
    users("list_sessions", 200),
    users("end_session", 404),
    users("end_other_sessions", 204),
    users("get_me", 200),
    users("update_me", 200),
    users("export_me", 200),
    users("list_my_activity", 200),
    admins("list_audit_log", 200),
    admins("import_users", 202),
    admins("get_user_import", 404),
    admins("list_user_import_errors", 404),
    everybody("get_profile", 404),
    everybody("search_profiles", 200),
    users("end_current_session", 204),
];

/// A valid request for an operation, done to `target`.
fn request<'a>(
    app: &'a TestApp,
    operation: &str,
    target: &TestUser,
    caller: &str,
) -> TestRequest<'a> {
    let documented = OPERATIONS.iter().find(|known| known.id == operation);
    let documented = documented.unwrap_or_else(|| panic!("no operation {operation}"));
    let path = documented
        .path
        .replace("{user_id}", &target.id.to_string())
        .replace("{session_id}", &Uuid::nil().to_string())
        .replace("{nickname}", "nobody_has_it")
        .replace("{change_id}", &target.id.to_string())
        .replace("{import_id}", &Uuid::nil().to_string())
        .replace("{token}", "no-token")
        + if matches!(operation, "suggest_users" | "search_profiles") {
            "?q=ada"
        } else {
            ""
        };
    let request = app.request(&documented.method, &path);
    let new_user = json!({
        "email": format!("{operation}.{}@example.com", caller.to_lowercase()),
        "password": PASSWORD,
    });
    match operation {
        "register" | "add_user" => request.json(&new_user),
        "resend_verification" | "request_password_reset" => {
            request.json(&json!({"email": target.email}))
        }
        "reset_password" => request.json(&json!({"token": "no-token", "new_password": PASSWORD})),
        "submit_password_reset" => request.form(&[("new_password", PASSWORD)]),
        "delete_me" => request.json(&json!({"password": "another password"})),
        "change_my_password" => {
            request.json(&json!({"current_password": PASSWORD, "new_password": PASSWORD}))
        }
        "change_my_email" => request.json(&json!({"email": new_user["email"]})),
        "import_users" => request.multipart(&[("file", "email\nimported@example.com\n")]),
        "update_user" | "update_me" => request.json(&json!({"first_name": "Ada"})),
        "set_user_role" => request.json(&json!({"role": "ANONYMOUS"})),
        "revoke_token" | "introspect_token" => request.form(&[("token", "none")]),
        "login" | "create_session" => {
            request.form(&[("username", &target.email), ("password", PASSWORD)])
        }
        _ => request,
    }
}

#[tokio::test]
async fn each_operation_is_open_to_those_who_may_and_closed_to_all_others() {
    let app = TestApp::start().await;
    let mut callers = vec![("nobody".to_owned(), None)];
    for role in Role::ALL {
        let email = format!("caller.{role}@example.com").to_lowercase();
        callers.push((role.to_string(), Some(app.user(role, &email).await)));
    }
    let mut wrong = Vec::new();
    for row in MATRIX {
        let expected = [
            row.nobody,
            row.anonymous,
            row.authenticated,
            row.manager,
            row.admin,
        ];
        for ((name, caller), expected) in callers.iter().zip(expected) {
            let email = format!("{}.of.{name}@example.com", row.operation).to_lowercase();
            let target = app.user(Role::Authenticated, &email).await;
            let mut request = request(&app, row.operation, &target, name);
            if let Some(caller) = caller {
                request = request.by(caller);
            }
            let response = request.send().await;
            let status = response.status.as_u16();
            let code = response.code();
            let is_as_expected = status == expected
                && match status {
                    401 => code.as_deref() == Some("not_authenticated"),
                    403 => code.as_deref() == Some("operation_not_permitted"),
                    _ => true,
                };
            if !is_as_expected {
                wrong.push(format!(
                    "{} by {name}: {status} {code:?} and not {expected}",
                    row.operation
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    app.deliver_mail().await;
}

/// Who may change, lock, unlock and delete whom: actor, and then the status for a target of role
/// ANONYMOUS, AUTHENTICATED, MANAGER, ADMIN, and for himself.
const RANKS: &[(Role, [bool; 5])] = &[
    (Role::Anonymous, [false, false, false, false, false]),
    (Role::Authenticated, [false, false, false, false, false]),
    (Role::Manager, [true, true, false, false, false]),
    (Role::Admin, [true, true, true, true, true]),
];

#[tokio::test]
async fn nobody_touches_a_user_of_his_own_or_a_higher_rank_but_administrators_each_other() {
    let app = TestApp::start().await;
    // The rule of the last administrator is another one: here is always one more.
    app.admin().await;
    let mut wrong = Vec::new();
    for (role, allowed) in RANKS {
        for (index, allowed) in allowed.iter().enumerate() {
            for operation in [
                "update_user",
                "set_user_role",
                "lock_user",
                "unlock_user",
                "delete_user",
            ] {
                let name = format!("{role}.{index}.{operation}").to_lowercase();
                let actor = app.user(*role, &format!("actor.{name}@example.com")).await;
                let target = match Role::ALL.get(index) {
                    Some(role) => app.user(*role, &format!("target.{name}@example.com")).await,
                    None => actor.clone(),
                };
                let response = request(&app, operation, &target, "")
                    .by(&actor)
                    .send()
                    .await;
                let expected = match (allowed, operation) {
                    (false, _) => 403,
                    (true, "delete_user") => 204,
                    (true, _) => 200,
                };
                if response.status.as_u16() != expected {
                    wrong.push(format!("{name}: {} and not {expected}", response.status));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    app.deliver_mail().await;
}

#[tokio::test]
async fn a_role_is_granted_by_those_above_it_and_by_administrators() {
    let app = TestApp::start().await;
    let mut wrong = Vec::new();
    for (role, grants) in [
        (Role::Authenticated, [false, false, false, false]),
        (Role::Manager, [true, true, false, false]),
        (Role::Admin, [true, true, true, true]),
    ] {
        let actor = app
            .user(role, &format!("{role}@example.com").to_lowercase())
            .await;
        for (granted, allowed) in Role::ALL.into_iter().zip(grants) {
            let name = format!("{granted}.by.{role}@example.com").to_lowercase();
            let target = app
                .user(Role::Authenticated, &format!("changed.{name}"))
                .await;
            let changed = app
                .put(&format!("/users/{}", target.id))
                .by(&actor)
                .json(&json!({"role": granted.as_str()}))
                .send()
                .await;
            let added = app
                .post("/users/")
                .by(&actor)
                .json(&json!({"email": format!("added.{name}"), "password": PASSWORD, "role": granted.as_str()}))
                .send()
                .await;
            let expected = if allowed { (200, 201) } else { (403, 403) };
            if (changed.status.as_u16(), added.status.as_u16()) != expected {
                wrong.push(format!("{name}: {} {}", changed.status, added.status));
            }
            if allowed {
                assert_eq!(app.role_of(target.id).await, granted.as_str());
                assert_eq!(added.json()["role"], granted.as_str());
            } else {
                assert_eq!(app.role_of(target.id).await, "AUTHENTICATED");
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    app.deliver_mail().await;
}

#[tokio::test]
async fn the_role_that_counts_is_the_one_that_the_database_has_now() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let manager = app.user(Role::Manager, "manager@example.com").await;
    app.get("/users/").by(&manager).send().await.expect(200);
    app.put(&format!("/users/{}", manager.id))
        .by(&admin)
        .json(&json!({"role": "AUTHENTICATED"}))
        .send()
        .await
        .expect(200);
    // His session has ended with his role, and with the next one he is what he is now.
    app.get("/users/")
        .by(&manager)
        .send()
        .await
        .expect_problem(401, "not_authenticated");
    let token = app
        .log_in("manager@example.com")
        .await
        .expect(200)
        .text("access_token");
    app.get("/users/")
        .bearer(&token)
        .send()
        .await
        .expect_problem(403, "operation_not_permitted");
    app.deliver_mail().await;
}
