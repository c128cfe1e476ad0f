//! The whole service in process: its real router on a database of its own, with a clock that stands
//! still, repeatable randomness and a mailbox in memory.

use std::{net::SocketAddr, num::NonZeroUsize, sync::Arc};

use axum::{Router, body::Body, http::Request};
use chrono::{DateTime, TimeZone as _, Utc};
use sqlx::Connection as _;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;
use user_management::{
    app::{App, MailRoute, Parts},
    config::{Config, Source},
    domain::{
        email::Email,
        id::{RequestId, UserId},
        message::Message,
        password::{Password, TypedPassword},
        profile::Profile,
        role::Role,
    },
    http::{self, extract::PeerAddress},
    infra::{
        clock::{Clock as _, ManualClock},
        email::MemoryMailer,
        password_hasher::HashCost,
        random::SeededRandom,
    },
    services::{Ctx, registration::NewAccount},
};
use uuid::Uuid;

use super::{
    database::TestDatabase,
    eventually::wait_until,
    operations::check_documented,
    request::{TestRequest, TestResponse},
};

/// The password of every account in tests.
pub const PASSWORD: &str = "Secure*1234";

/// The key of whatever the service signs in tests.
pub const SECRET_KEY: &str = "a key of tests, which is no secret at all";

/// Where every test begins.
pub fn start_of_time() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 1, 2, 3, 4, 5).unwrap()
}

/// An account in a test.
#[derive(Debug, Clone)]
pub struct TestUser {
    /// Its id.
    pub id: Uuid,
    /// Its address.
    pub email: String,
    /// An access token of a session of its own.
    pub token: String,
}

/// The service in process. Dropping it fails the test when it has mail that nobody let go out:
/// see [`TestApp::deliver_mail`].
pub struct TestApp {
    /// The service.
    pub app: App,
    /// Its time.
    pub clock: ManualClock,
    /// Its mail.
    pub mailer: MemoryMailer,
    /// Its database.
    pub database: Arc<TestDatabase>,
    router: Router,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// Only the first instance on a database looks after its mail.
    checks_mail: bool,
}

impl TestApp {
    /// The service with the settings of development.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The service with other settings.
    pub async fn start_with(settings: &[(&str, &str)]) -> Self {
        Self::start_changed(settings, |_| ()).await
    }

    /// The service with other settings, some of its parts changed.
    pub async fn start_changed(settings: &[(&str, &str)], change: impl FnOnce(&mut Parts)) -> Self {
        let database = Arc::new(TestDatabase::create().await);
        let clock = ManualClock::new(start_of_time());
        Self::build(database, clock, MemoryMailer::new(), settings, 1, change)
    }

    /// Another instance on the same database, with the same clock and mailbox.
    pub fn second_instance(&self, settings: &[(&str, &str)]) -> Self {
        self.second_instance_changed(settings, |_| ())
    }

    /// Like [`Self::second_instance`], some of its parts changed.
    pub fn second_instance_changed(
        &self,
        settings: &[(&str, &str)],
        change: impl FnOnce(&mut Parts),
    ) -> Self {
        let mut second = Self::build(
            Arc::clone(&self.database),
            self.clock.clone(),
            self.mailer.clone(),
            settings,
            2,
            change,
        );
        second.checks_mail = false;
        second
    }

    fn build(
        database: Arc<TestDatabase>,
        clock: ManualClock,
        mailer: MemoryMailer,
        settings: &[(&str, &str)],
        seed: u64,
        change: impl FnOnce(&mut Parts),
    ) -> Self {
        let mut source: Source = [
            ("ENVIRONMENT", "development"),
            ("SERVER_BASE_URL", "https://users.example.com"),
            ("MAIL_FROM", "Users <no-reply@users.example.com>"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        source.extend(
            settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let config = Config::read(&source).unwrap();
        let mut parts = Parts {
            database: database.connect_options(),
            secret_key: SECRET_KEY.to_owned().into(),
            base_url: config.server.base_url.clone().unwrap(),
            config,
            clock: Arc::new(clock.clone()),
            random: Arc::new(SeededRandom::new(seed)),
            hash_cost: HashCost::CHEAPEST,
            hash_threads: NonZeroUsize::new(2),
            mail_route: MailRoute::Send(Arc::new(mailer.clone())),
        };
        change(&mut parts);
        let app = App::build(parts).unwrap();
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        app.start_listening(&tasks, &stop);
        Self {
            router: http::router(&app.state),
            app,
            clock,
            mailer,
            database,
            tasks,
            stop,
            checks_mail: true,
        }
    }

    /// The router, to be called as a service.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// A request to this service, to be completed and sent.
    pub fn request(&self, method: &str, path: &str) -> TestRequest<'_> {
        TestRequest::new(self, method, path)
    }

    /// `GET path`
    pub fn get(&self, path: &str) -> TestRequest<'_> {
        self.request("GET", path)
    }

    /// `POST path`
    pub fn post(&self, path: &str) -> TestRequest<'_> {
        self.request("POST", path)
    }

    /// `PUT path`
    pub fn put(&self, path: &str) -> TestRequest<'_> {
        self.request("PUT", path)
    }

    /// `PATCH path`
    pub fn patch(&self, path: &str) -> TestRequest<'_> {
        self.request("PATCH", path)
    }

    /// `DELETE path`
    pub fn delete(&self, path: &str) -> TestRequest<'_> {
        self.request("DELETE", path)
    }

    /// Sends a request that was built by hand, from the address `peer`. Fails when the answer is none
    /// that the OpenAPI document knows.
    pub async fn send(&self, mut request: Request<Body>, peer: SocketAddr) -> TestResponse {
        request.extensions_mut().insert(PeerAddress(peer));
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let response = self.router().oneshot(request).await.unwrap();
        let response = TestResponse::read(response).await;
        check_documented(&method, &path, &response);
        response
    }

    /// Registers an account with [`PASSWORD`].
    pub async fn register(&self, email: &str) -> TestResponse {
        let body = serde_json::json!({"email": email, "password": PASSWORD});
        self.post("/register/").json(&body).send().await
    }

    /// Logs in with [`PASSWORD`].
    pub async fn log_in(&self, email: &str) -> TestResponse {
        self.post("/login/")
            .form(&[("username", email), ("password", PASSWORD)])
            .send()
            .await
    }

    /// A verified account of this role, logged in. No mail goes out for it.
    pub async fn user(&self, role: Role, email: &str) -> TestUser {
        let ctx = Ctx::system(RequestId(Uuid::nil()), self.clock.now());
        let account = NewAccount {
            email: Some(Email::parse(email).unwrap()),
            phone_number: None,
            legacy_name: None,
            password: Password::parse(&TypedPassword::new(PASSWORD.to_owned())).unwrap(),
            nickname: None,
            profile: Profile::default(),
        };
        let user = self
            .app
            .services
            .registration
            .create_admin(&ctx, account)
            .await
            .unwrap();
        sqlx::query("update users set role = $2 where id = $1")
            .bind(user.id.0)
            .bind(role.as_str())
            .execute(&self.database.pool)
            .await
            .unwrap();
        let token = self.log_in(email).await.expect(200).text("access_token");
        TestUser {
            id: user.id.0,
            email: email.to_owned(),
            token,
        }
    }

    /// An administrator, logged in.
    pub async fn admin(&self) -> TestUser {
        self.user(Role::Admin, "admin@example.com").await
    }

    /// Runs a worker until no job is due, and answers the mails that went out since the last call.
    pub async fn deliver_mail(&self) -> Vec<Message> {
        self.run_jobs().await;
        self.mailer.take()
    }

    /// Runs a worker until no job is due.
    pub async fn run_jobs(&self) {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        self.app.start_worker(&tasks, &stop);
        let now = self.clock.now();
        wait_until("no job is due", async || {
            let due: i64 = sqlx::query_scalar(
                "select count(*) from jobs where dead_at is null and (leased_by is not null or run_at <= $1)",
            )
            .bind(now)
            .fetch_one(&self.database.pool)
            .await
            .unwrap();
            due == 0
        })
        .await;
        stop.cancel();
        tasks.close();
        tasks.wait().await;
    }

    /// How many rows a table has.
    pub async fn count(&self, table: &'static str) -> i64 {
        let query = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
        sqlx::query_scalar(query)
            .fetch_one(&self.database.pool)
            .await
            .unwrap()
    }

    /// How many rows the tables have that requests write to: what a refused one leaves as they are.
    pub async fn stored(&self) -> Vec<(&'static str, i64)> {
        let mut counts = Vec::new();
        for table in [
            "users",
            "jobs",
            "sessions",
            "one_time_tokens",
            "email_changes",
            "role_changes",
            "outbox_messages",
        ] {
            counts.push((table, self.count(table).await));
        }
        counts
    }

    /// How many jobs of a kind are waiting, running or dead.
    pub async fn jobs_of(&self, kind: &str) -> i64 {
        sqlx::query_scalar("select count(*) from jobs where kind = $1")
            .bind(kind)
            .fetch_one(&self.database.pool)
            .await
            .unwrap()
    }

    /// The role that an account has in the database.
    pub async fn role_of(&self, id: Uuid) -> String {
        let mut connection = self.database.pool.acquire().await.unwrap();
        let user = user_management::repository::users::find(&mut connection, UserId(id))
            .await
            .unwrap();
        user.unwrap().role.to_string()
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.stop.cancel();
        self.tasks.close();
        if !self.checks_mail || std::thread::panicking() {
            return;
        }
        let options = self.database.connect_options();
        let waiting = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let mut connection = sqlx::PgConnection::connect_with(&options).await.unwrap();
                let query =
                    "select count(*) from jobs where dead_at is null and kind = 'send_mail'";
                let waiting: i64 = sqlx::query_scalar(query)
                    .fetch_one(&mut connection)
                    .await
                    .unwrap();
                waiting
            })
        });
        let waiting = waiting.join().unwrap();
        assert_eq!(
            waiting, 0,
            "the test leaves mail that was not delivered: call deliver_mail"
        );
    }
}
