//! PostgreSQL is restarted while the program is under load.

use std::{
    collections::BTreeMap,
    env,
    path::Path,
    sync::{Arc, Mutex},
};

use reqwest::{Method, Response};
use sqlx::PgPool;
use tokio::task::JoinSet;
use user_management::infra::embedded_postgres::{Durability, EmbeddedPostgres, Options};

use super::no_account_and_no_mail_is_lost;
use crate::support::{
    binary::{Program, Server},
    directory::Directory,
    eventually::wait_until,
};

const RESTARTS: usize = 3;
const READERS: usize = 4;
const REGISTRANTS: usize = 2;

async fn start(directory: &Path) -> EmbeddedPostgres {
    let options = Options {
        directory: directory.join("postgres"),
        durability: Durability::Durable,
        max_connections: 60,
        search_path: env::var_os("PATH"),
    };
    EmbeddedPostgres::start(&options).await.unwrap()
}

/// What the clients were answered: how often which status to which kind of request, and which
/// addresses were registered.
#[derive(Default)]
struct Answers {
    statuses: Mutex<BTreeMap<(&'static str, u16), usize>>,
    acknowledged: Mutex<Vec<String>>,
}

impl Answers {
    async fn count(&self, kind: &'static str, answer: Response) -> bool {
        let status = answer.status().as_u16();
        match status {
            200 => {}
            503 => assert!(answer.headers().contains_key("retry-after")),
            _ => panic!("{kind}: {status}: {}", answer.text().await.unwrap()),
        }
        let mut statuses = self.statuses.lock().unwrap();
        *statuses.entry((kind, status)).or_default() += 1;
        status == 200
    }

    /// Waits until each kind of request has been answered so a few times more.
    async fn answer(&self, status: u16) {
        for kind in ["read", "register"] {
            let times = || {
                let statuses = self.statuses.lock().unwrap();
                statuses.get(&(kind, status)).copied().unwrap_or_default()
            };
            let enough = times() + 3;
            let what = format!("{kind} is answered {status}");
            wait_until(&what, async || times() >= enough).await;
        }
    }
}

async fn read(server: Arc<Server>, token: String, answers: Arc<Answers>) {
    loop {
        let request = server.request(Method::GET, "/users/?limit=10");
        let answer = request.bearer_auth(&token).send().await.unwrap();
        answers.count("read", answer).await;
    }
}

async fn register(server: Arc<Server>, client: usize, answers: Arc<Answers>) {
    for number in 0.. {
        let email = format!("user-{client}-{number}@example.com");
        let answer = server.register(&email).await.unwrap();
        if answers.count("register", answer).await {
            answers.acknowledged.lock().unwrap().push(email);
        }
    }
}

async fn health(server: &Server) -> (u16, u16) {
    let (live, ready) = ("/health/live", "/health/ready");
    let (live, ready) = tokio::join!(server.get(live), server.get(ready));
    (live.status().as_u16(), ready.status().as_u16())
}

#[tokio::test]
async fn a_restart_of_postgres_under_load_costs_only_503s() {
    let directory = Directory::new();
    let mut postgres = start(directory.path()).await;
    let program = Program::new().set("DATABASE_URL", &postgres.url());
    let server = Arc::new(program.serve().await);
    let token = server.new_user("admin@example.com").await;
    let answers = Arc::new(Answers::default());
    let mut clients = JoinSet::new();
    for _ in 0..READERS {
        let (server, token) = (Arc::clone(&server), token.clone());
        clients.spawn(read(server, token, Arc::clone(&answers)));
    }
    for client in 0..REGISTRANTS {
        clients.spawn(register(Arc::clone(&server), client, Arc::clone(&answers)));
    }
    answers.answer(200).await;
    for _ in 0..RESTARTS {
        postgres.stop().await.unwrap();
        answers.answer(503).await;
        assert_eq!(health(&server).await, (200, 503));
        postgres = start(directory.path()).await;
        answers.answer(200).await;
        assert_eq!(health(&server).await, (200, 200));
    }
    clients.abort_all();
    while let Some(client) = clients.join_next().await {
        assert!(client.is_err_and(|error| error.is_cancelled()));
    }

    let acknowledged = answers.acknowledged.lock().unwrap().clone();
    let pool = PgPool::connect_with(postgres.connect_options()).await;
    let pool = pool.unwrap();
    let mail = program.data_dir().join("mail");
    no_account_and_no_mail_is_lost(&acknowledged, &pool, &mail).await;
    pool.close().await;
    let server = Arc::into_inner(server).unwrap();
    server.stop().await;
    postgres.stop().await.unwrap();
}
