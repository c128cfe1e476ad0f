//! A run of the program that serves, and requests to it.

use reqwest::{Method, RequestBuilder, Response};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{Finished, Process};
use crate::support::{app::PASSWORD, eventually::eventually};

/// A run that serves.
pub struct Server {
    /// The process.
    pub process: Process,
    /// The line of its log that tells where everything is.
    pub ready: Value,
    http: reqwest::Client,
}

impl Server {
    /// Waits until the process is ready.
    pub async fn of(mut process: Process) -> Self {
        let ready = process.logged("ready").await;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self {
            process,
            ready,
            http,
        }
    }

    /// Where it listens: address and port.
    pub fn address(&self) -> String {
        let bound = self.ready["address"].as_str().unwrap();
        bound.replace("0.0.0.0", "127.0.0.1")
    }

    /// A URL of the API.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// A URL on the operations address.
    pub fn operations_url(&self, path: &str) -> String {
        let metrics = self.ready["metrics"].as_str().unwrap();
        metrics.replace("/metrics", path)
    }

    /// A request to a path of the API, or to a whole URL.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = match path.starts_with("http") {
            true => path.to_owned(),
            false => self.url(path),
        };
        self.http.request(method, url)
    }

    /// `GET path`
    pub async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    /// The status of `GET path` with this token.
    pub async fn status(&self, path: &str, token: &str) -> u16 {
        let request = self.request(Method::GET, path).bearer_auth(token);
        request.send().await.unwrap().status().as_u16()
    }

    /// Registers an account with [`PASSWORD`]; fails when there is no answer.
    pub async fn register(&self, email: &str) -> reqwest::Result<Response> {
        let body = json!({"email": email, "password": PASSWORD});
        let request = self.request(Method::POST, "/register/").json(&body);
        request.send().await
    }

    /// Logs in with [`PASSWORD`].
    pub async fn log_in(&self, email: &str) -> Response {
        let form = [("username", email), ("password", PASSWORD)];
        let request = self.request(Method::POST, "/login/").form(&form);
        request.send().await.unwrap()
    }

    /// The caught mails, newest first.
    pub async fn mails(&self) -> Vec<Value> {
        let answer = self.get("/dev/mail").await;
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }

    /// Waits for a mail to this address.
    pub async fn mail_to(&self, email: &str) -> Value {
        eventually("the mail is caught", async || {
            let mails = self.mails().await;
            mails.into_iter().find(|mail| mail["to"] == email)
        })
        .await
    }

    /// Registers an account, verifies its address by the link of its mail and logs in; answers the
    /// access token.
    pub async fn new_user(&self, email: &str) -> String {
        let registered = self.register(email).await.unwrap();
        assert_eq!(registered.status(), 200);
        let mail = self.mail_to(email).await;
        let link = mail["links"][0].as_str().unwrap();
        // The link has the configured address; the path is what counts.
        let path = &link[link.find("/verify-email/").unwrap()..];
        assert_eq!(self.get(path).await.status(), 200);
        let login: Value = self.log_in(email).await.json().await.unwrap();
        login["access_token"].as_str().unwrap().to_owned()
    }

    /// Asks it to stop, and waits until it has stopped as it should.
    pub async fn stop(self) -> Finished {
        self.process.signal(Signal::TERM);
        self.process.finish().await.expect(0)
    }

    /// Kills it, as a machine does that runs out of memory.
    pub async fn kill(self) {
        self.process.signal(Signal::KILL);
        assert_eq!(self.process.finish().await.code, None);
    }
}
