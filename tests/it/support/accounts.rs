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
