//! Every operation of the OpenAPI document that changes something leaves a row in the audit log.

use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use user_management::domain::role::Role;
use uuid::Uuid;

use crate::support::{
    app::{PASSWORD, TestApp, TestUser},
    operations::{OPERATIONS, Operation},
    request::{TestRequest, TestResponse, link_in},
};

/// Operations that write no row though their method could change something, and why.
const EXCEPTIONS: &[(&str, &str)] = &[("introspect_token", "it changes nothing")];

/// The password that some operations set.
pub const NEW_PASSWORD: &str = "Better*5678";

/// Calls operations, and remembers what is secret of them.
pub struct Walk {
    pub app: TestApp,
    pub secrets: Mutex<Vec<String>>,
    admin: TestUser,
}

impl Walk {
    pub async fn start() -> Self {
        let app = TestApp::start().await;
        let admin = app.admin().await;
        let secrets = Mutex::new(vec![PASSWORD.to_owned(), NEW_PASSWORD.to_owned()]);
        let walk = Self {
            app,
            secrets,
            admin,
        };
        walk.keep(&walk.admin.token);
        walk
    }

    fn keep(&self, secret: &str) {
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.push(secret.to_owned());
    }

    async fn user(&self, email: &str) -> TestUser {
        let user = self.app.user(Role::Authenticated, email).await;
        self.keep(&user.token);
        user
    }

    /// A request for the operation, with ids of its path filled in.
    fn request(&self, operation: &Operation, ids: &[(&str, &str)]) -> TestRequest<'_> {
        let mut path = operation.path.clone();
        for (name, id) in ids {
            path = path.replace(&format!("{{{name}}}"), id);
        }
        assert!(!path.contains('{'), "{path}");
        self.app.request(&operation.method, &path)
    }

    /// Posts to the link of a mail.
    async fn follow(&self, link: &str) -> TestResponse {
        self.keep(link.rsplit('/').next().unwrap());
        self.app.post(link).send().await
    }

    /// Calls an operation that manages a user.
    async fn manage(&self, operation: &Operation, user: Uuid, body: Option<Value>) -> TestResponse {
        let request = self.request(operation, &[("user_id", &user.to_string())]);
        let request = request.by(&self.admin);
        match body {
            Some(body) => request.json(&body).send().await,
            None => request.send().await,
        }
    }

    /// Calls an operation so that it does what it is for.
    pub async fn succeed(&self, operation: &Operation) -> TestResponse {
        let app = &self.app;
        let email = &*format!("{}@example.com", operation.id.replace('_', "."));
        let plain = || self.request(operation, &[]);
        let form = [("username", email), ("password", PASSWORD)];
        match &*operation.id {
            "register" => app.register(email).await,
            "login" => {
                self.user(email).await;
                let answer = plain().form(&form).send().await;
                self.keep(&answer.text("access_token"));
                self.keep(&answer.text("refresh_token"));
                answer
            }
            "create_session" => {
                self.user(email).await;
                let answer = plain().form(&form).send().await;
                for cookie in answer.cookies().split("; ") {
                    self.keep(cookie.split_once('=').unwrap().1);
                }
                answer
            }
            "confirm_email" => {
                let unverified = app.unverified(email).await;
                self.follow(&unverified.link).await
            }
            "resend_verification" | "request_password_reset" => {
                plain().json(&json!({"email": email})).send().await
            }
            "confirm_unlock" => {
                self.user(email).await;
                app.lock_out(email).await;
                let link = link_in(&app.mail_to(email).await);
                self.follow(&link).await
            }
            "reset_password" => {
                self.user(email).await;
                let link = app.reset_link(email).await;
                let token = link.rsplit('/').next().unwrap();
                self.keep(token);
                let body = json!({"token": token, "new_password": NEW_PASSWORD});
                plain().json(&body).send().await
            }
            "submit_password_reset" => {
                self.user(email).await;
                let link = app.reset_link(email).await;
                self.keep(link.rsplit('/').next().unwrap());
                let fields = [("new_password", NEW_PASSWORD)];
                app.post(&link).form(&fields).send().await
            }
            "submit_email_change" => {
                let user = self.user(email).await;
                let link = app.confirm_link(&user, &format!("new.{email}")).await;
                self.follow(&link).await
            }
            "submit_email_undo" => {
                let user = self.user(email).await;
                let link = app.move_to(&user, &format!("new.{email}")).await;
                self.follow(&link).await
            }
            "confirm_restoration" => {
                let user = self.user(email).await;
                app.close(&user).await.expect(202);
                let link = link_in(&app.mail_to(email).await);
                self.follow(&link).await
            }
            "delete_me" => app.close(&self.user(email).await).await,
            "change_my_password" => {
                let user = self.user(email).await;
                let body = json!({"current_password": PASSWORD, "new_password": NEW_PASSWORD});
                plain().by(&user).json(&body).send().await
            }
            "change_my_email" => {
                let user = self.user(email).await;
                app.ask_for(&user, &format!("new.{email}")).await
            }
            "update_me" => {
                let user = self.user(email).await;
                let body = json!({"first_name": "Ada"});
                plain().by(&user).json(&body).send().await
            }
            "end_session" => {
                let user = self.user(email).await;
                app.log_in(email).await.expect(200);
                let sessions = app.get("/sessions").by(&user).send().await.json();
                let items = sessions["items"].as_array().unwrap();
                let other = items.iter().find(|session| session["current"] == false);
                let id = other.unwrap()["id"].as_str().unwrap().to_owned();
                let request = self.request(operation, &[("session_id", &id)]);
                request.by(&user).send().await
            }
            "end_other_sessions" | "end_current_session" => {
                let user = self.user(email).await;
                plain().by(&user).send().await
            }
            "revoke_token" => {
                let user = self.user(email).await;
                plain().form(&[("token", &user.token)]).send().await
            }
            "introspect_token" => {
                let request = plain().by(&self.admin);
                request.form(&[("token", "none")]).send().await
            }
            "add_user" => {
                let body = json!({"email": email, "password": PASSWORD});
                plain().by(&self.admin).json(&body).send().await
            }
            "import_users" => {
                let file = format!("email\n{email}\n");
                let request = plain().by(&self.admin);
                request.multipart(&[("file", &file)]).send().await
            }
            "update_user" => {
                let user = self.user(email).await;
                let change = json!({"last_name": "Lovelace", "role": "MANAGER"});
                self.manage(operation, user.id, Some(change)).await
            }
            "set_user_role" => {
                let user = self.user(email).await;
                let change = json!({"role": "MANAGER", "reason": "Runs the office."});
                self.manage(operation, user.id, Some(change)).await
            }
            "lock_user" | "unlock_user" | "delete_user" | "end_user_sessions" => {
                let user = self.user(email).await;
                self.manage(operation, user.id, None).await
            }
            "restore_user" => {
                let user = self.user(email).await;
                app.close(&user).await.expect(202);
                self.manage(operation, user.id, None).await
            }
            unknown => panic!(
                "say here how {unknown} succeeds, so that its row in the audit log is looked for"
            ),
        }
    }
}

fn mutating() -> impl Iterator<Item = &'static Operation> {
    let changes = ["POST", "PUT", "PATCH", "DELETE"];
    OPERATIONS
        .iter()
        .filter(move |operation| changes.contains(&&*operation.method))
}

#[tokio::test]
async fn every_operation_that_changes_something_is_audited() {
    let walk = Walk::start().await;
    let mut walked = 0;
    for operation in mutating() {
        let answer = walk.succeed(operation).await;
        let id = &operation.id;
        assert!(answer.status.is_success(), "{id}: {}", answer.body);
        let rows = walk.app.audited(&answer).await;
        let done = rows.iter().any(|row| row["outcome"] == "success");
        let reason = EXCEPTIONS.iter().find(|(name, _)| name == id);
        match reason {
            None => assert!(done, "{id} isn't audited: {rows:?}"),
            Some(_) => assert!(rows.is_empty(), "{id} is audited: {rows:?}"),
        }
        for row in &rows {
            assert_eq!(row["client_address"], "192.0.2.1", "{row}");
        }
        walk.app.deliver_mail().await;
        walked += 1;
    }
    assert!(walked > 25, "{walked}");
    for (name, _) in EXCEPTIONS {
        assert!(mutating().any(|operation| operation.id == *name), "{name}");
    }
    walk.app.chain().await;
    walk.app.assert_chained().await;
}

#[tokio::test]
async fn what_no_operation_of_the_document_does_is_audited_too() {
    let api = "/compat/mflix/api/v1/user";
    let app = TestApp::start_with(&[("COMPAT_APIS", "mflix,cookie-session,phone")]).await;
    let mut actions = Vec::new();
    let mut note = async |answer: TestResponse| {
        assert!(answer.status.is_success() || answer.status.is_redirection());
        for row in app.audited(&answer).await {
            actions.push(row["action"].as_str().unwrap().to_owned());
        }
        answer
    };
    let new = json!({"name": "foobar", "email": "foo@example.com", "password": PASSWORD});
    let made = app.post(&format!("{api}/register")).json(&new);
    let token = note(made.send().await).await.text("auth_token");
    let preferences = json!({"preferences": {"colour": "green"}});
    let put = app.put(&format!("{api}/update-preferences")).bearer(&token);
    note(put.json(&preferences).send().await).await;
    let log_out = app.post(&format!("{api}/logout")).bearer(&token);
    note(log_out.send().await).await;
    let name = [("email", "bar"), ("password", PASSWORD)];
    let register = app.post("/compat/cookie-session/users").form(&name);
    note(register.send().await).await;
    let reset = app.post("/compat/cookie-session/reset_password");
    let reset = note(reset.form(&[("email", "bar")]).send().await).await;
    let token = reset.text("reset_token");
    let fields = [
        ("email", "bar"),
        ("reset_token", &token),
        ("new_password", PASSWORD),
    ];
    let reset = app.put("/compat/cookie-session/reset_password");
    note(reset.form(&fields).send().await).await;
    let again = json!({"email": "foo@example.com", "password": PASSWORD});
    let login = app.post(&format!("{api}/login")).json(&again);
    let token = note(login.send().await).await.text("auth_token");
    let delete = app.delete(&format!("{api}/delete")).bearer(&token);
    note(delete.json(&json!({"password": PASSWORD})).send().await).await;
    assert_eq!(
        actions,
        [
            "user_registered",
            "session_opened",
            "preferences_changed",
            "session_ended",
            "user_registered",
            "password_reset_requested",
            "password_reset",
            "session_opened",
            "user_deleted",
        ]
    );
    app.deliver_mail().await;
}
