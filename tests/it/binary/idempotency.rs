//! The program is killed while accounts are made by requests with keys, and each is sent again.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet};

use super::no_account_and_no_mail_is_lost;
use crate::support::{
    app::PASSWORD,
    binary::{Program, Server},
    database::TestDatabase,
    eventually::{eventually_within, wait_until},
};

const KILLS: usize = 8;
const CLIENTS: usize = 8;

/// How long a request that died may stand in the way of the next one: its lease, and some time to answer.
const LEASE_LIMIT: Duration = Duration::from_secs(60);

/// What each request was answered, by its address; none: it was sent, and its answer never came.
type Answers = Arc<Mutex<BTreeMap<String, Option<Value>>>>;

fn answered(answers: &Answers) -> usize {
    let answers = answers.lock().unwrap();
    answers.values().flatten().count()
}

fn request(client: &reqwest::Client, url: String, email: &str) -> reqwest::RequestBuilder {
    let body = json!({"email": email, "password": PASSWORD});
    let key = format!("the key of {email}");
    client.post(url).header("idempotency-key", key).json(&body)
}

/// Registers one address after the other, each once, wherever the server is just now.
async fn register_without_end(
    client: usize,
    mut server: watch::Receiver<Option<String>>,
    answers: Answers,
) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for number in 0.. {
        let email = format!("user-{client}-{number}@example.com");
        let url = server.wait_for(Option::is_some).await.unwrap().clone();
        answers.lock().unwrap().insert(email.clone(), None);
        // No answer: the server was killed, before or after it made the account.
        let Ok(answer) = request(&http, url.unwrap(), &email).send().await else {
            continue;
        };
        let status = answer.status().as_u16();
        let Ok(body) = answer.json().await else {
            continue;
        };
        match status {
            200 => {
                answers.lock().unwrap().insert(email, Some(body));
            }
            503 => {}
            status => panic!("{status}: {body}"),
        }
    }
}

/// Sends a request again until it is answered; none: the server is busy, or the first is taken to run.
async fn send_again(server: &Server, email: &str) -> (Value, bool) {
    eventually_within(LEASE_LIMIT, "the request is answered", async || {
        let body = json!({"email": email, "password": PASSWORD});
        let request = server.request(Method::POST, "/register/").json(&body);
        let key = format!("the key of {email}");
        let answer = request.header("idempotency-key", key).send().await.unwrap();
        let is_replay = answer.headers().contains_key("idempotency-replayed");
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap();
        match (status, body["code"].as_str()) {
            (200, _) => Some((body, is_replay)),
            (409, Some("idempotency_key_in_use")) | (503, _) => None,
            _ => panic!("{status}: {body}"),
        }
    })
    .await
}

#[tokio::test]
async fn requests_cut_off_by_sigkill_and_sent_again_make_one_account_each() {
    let database = TestDatabase::create().await;
    let program = Program::on(&database).set("SERVER_BASE_URL", "http://users.test");
    let answers = Answers::default();
    let (address, server_address) = watch::channel(None);
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let answers = Arc::clone(&answers);
        let server = server_address.clone();
        clients.spawn(register_without_end(client, server, answers));
    }
    for kill in 0..KILLS {
        let before = answered(&answers);
        let server = program.serve().await;
        address.send(Some(server.url("/register/"))).unwrap();
        // Each time at another moment.
        let enough = before + 3 + kill;
        wait_until("accounts are made", async || answered(&answers) >= enough).await;
        address.send(None).unwrap();
        server.kill().await;
    }
    clients.abort_all();
    while let Some(client) = clients.join_next().await {
        assert!(client.is_err_and(|error| error.is_cancelled()));
    }

    let answers = answers.lock().unwrap().clone();
    let emails: Vec<_> = answers.keys().cloned().collect();
    assert!(answers.values().any(Option::is_none), "none was cut off");
    let server = program.serve().await;
    for (email, first) in &answers {
        let (again, is_replay) = send_again(&server, email).await;
        if let Some(first) = first {
            assert!(is_replay, "{email} was answered before");
            assert_eq!(&again, first);
        }
        // And so once more.
        assert_eq!(send_again(&server, email).await, (again, true));
    }
    let users: Vec<String> = sqlx::query_scalar("select email from users order by email")
        .fetch_all(&database.pool)
        .await
        .unwrap();
    let mut expected = emails.clone();
    expected.sort();
    assert_eq!(users, expected);
    let mail = program.data_dir().join("mail");
    no_account_and_no_mail_is_lost(&emails, &database.pool, &mail).await;
    server.stop().await;
}
