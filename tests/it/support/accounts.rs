//! What tests often do with accounts.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    app::{PASSWORD, TestApp, TestUser},
    request::{TestResponse, link_in},
};

/// What a browser accepts.
pub const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// An account whose address is not verified yet.
pub struct Unverified {
    /// Its id.
    pub id: Uuid,
    /// The path of the link in its mail.
    pub link: String,
}

impl TestApp {
    /// Registers an account, and lets its mail go out.
    pub async fn unverified(&self, email: &str) -> Unverified {
        let user = self.register(email).await.expect(200).json();
        let mut mails = self.deliver_mail().await;
        mails.retain(|mail| mail.to.address == email);
        assert_eq!(mails.len(), 1);
        Unverified {
            id: id_of(&user),
            link: link_in(&mails[0].text),
        }
    }

    /// Logs in with a wrong password.
    pub async fn guess(&self, email: &str) -> TestResponse {
        self.post("/login/")
            .form(&[("username", email), ("password", "wrong password")])
            .send()
            .await
    }

    /// Guesses until the name is locked.
    pub async fn lock_out(&self, email: &str) {
        for _ in 0..5 {
            self.guess(email)
                .await
                .expect_problem(401, "invalid_credentials");
        }
    }

    /// Changes a user.
    pub async fn change(&self, actor: &TestUser, id: Uuid, change: &Value) -> TestResponse {
        let path = format!("/users/{id}");
        self.put(&path).by(actor).json(change).send().await
    }

    /// Locks a user as somebody with the right to.
    pub async fn lock(&self, actor: &TestUser, id: Uuid) -> TestResponse {
        self.post(&format!("/users/{id}/lock"))
            .by(actor)
            .send()
            .await
    }

    /// Unlocks a user.
    pub async fn unlock(&self, actor: &TestUser, id: Uuid) -> TestResponse {
        self.post(&format!("/users/{id}/unlock"))
            .by(actor)
            .send()
            .await
    }

    /// Reads a user.
    pub async fn read(&self, actor: &TestUser, id: Uuid) -> TestResponse {
        self.get(&format!("/users/{id}")).by(actor).send().await
    }

    /// Asks for a link to a new password, and gives the path of the link in the mail.
    pub async fn reset_link(&self, email: &str) -> String {
        let body = json!({"email": email});
        self.post("/password-reset")
            .json(&body)
            .send()
            .await
            .expect(202);
        link_in(&self.mail_to(email).await)
    }

    /// Sets a password by the API for sessions by cookie, which asks for nothing but the name.
    pub async fn reset_openly(&self, email: &str, password: &str) {
        let path = "/compat/cookie-session/reset_password";
        let name = [("email", email)];
        let token = self.post(path).form(&name).send().await.text("reset_token");
        let fields = [
            ("email", email),
            ("reset_token", &token),
            ("new_password", password),
        ];
        self.put(path).form(&fields).send().await.expect(200);
    }

    /// Lets the mail go out, and gives the text of the only one, which goes to this address.
    pub async fn mail_to(&self, email: &str) -> String {
        let mut mails = self.deliver_mail().await;
        assert_eq!(mails.len(), 1, "{mails:?}");
        let mail = mails.remove(0);
        assert_eq!(mail.to.address, email, "{}", mail.subject);
        mail.text
    }

    /// Lets a user delete his own account.
    pub async fn close(&self, user: &TestUser) -> TestResponse {
        let body = json!({"password": PASSWORD});
        self.delete("/me").by(user).json(&body).send().await
    }

    /// Restores a user.
    pub async fn restore(&self, actor: &TestUser, id: Uuid) -> TestResponse {
        let path = format!("/users/{id}/restore");
        self.post(&path).by(actor).send().await
    }

    /// Asks for another address, and gives the path of the link that confirms it.
    pub async fn confirm_link(&self, user: &TestUser, email: &str) -> String {
        self.ask_for(user, email).await.expect(202);
        link_in(&self.mail_to(email).await)
    }

    /// Asks for another address.
    pub async fn ask_for(&self, user: &TestUser, email: &str) -> TestResponse {
        let body = json!({"email": email});
        self.post("/me/email").by(user).json(&body).send().await
    }

    /// Changes a user's address, and gives the path of the link that undoes it.
    pub async fn move_to(&self, user: &TestUser, email: &str) -> String {
        let old = self.email_of(user.id).await;
        let link = self.confirm_link(user, email).await;
        self.get(&link).send().await.expect(200);
        link_in(&self.mail_to(&old).await)
    }

    /// The address that an account has in the database.
    pub async fn email_of(&self, id: Uuid) -> String {
        sqlx::query_scalar("select email from users where id = $1")
            .bind(id)
            .fetch_one(&self.database.pool)
            .await
            .unwrap()
    }

    /// Logs in with this password.
    pub async fn log_in_with(&self, email: &str, password: &str) -> TestResponse {
        let form = [("username", email), ("password", password)];
        self.post("/login/").form(&form).send().await
    }

    /// Whether the service takes this access token.
    pub async fn is_logged_in(&self, token: &str) -> bool {
        let answer = self.get("/users/?limit=1").bearer(token).send().await;
        match answer.status.as_u16() {
            200 | 403 => true,
            _ => {
                answer.expect_problem(401, "not_authenticated");
                false
            }
        }
    }

    /// Adds a user of this role.
    pub async fn add(&self, actor: &TestUser, email: &str, role: &str) -> TestResponse {
        let body = json!({"email": email, "password": PASSWORD, "role": role});
        self.post("/users/").by(actor).json(&body).send().await
    }
}

/// The id of a user in an answer.
pub fn id_of(user: &Value) -> Uuid {
    user["id"].as_str().unwrap().parse().unwrap()
}
