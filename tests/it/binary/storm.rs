//! The program is killed again and again while accounts are made.

use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::{sync::watch, task::JoinSet};

use super::no_account_and_no_mail_is_lost;
use crate::support::{
    app::PASSWORD, binary::Program, database::TestDatabase, eventually::wait_until,
};

const KILLS: usize = 20;
const CLIENTS: usize = 8;

/// The addresses whose registration was answered with 200.
type Acknowledged = Arc<Mutex<Vec<String>>>;

/// Registers one address after the other, wherever the server is just now.
async fn register_without_end(
    client: usize,
    mut server: watch::Receiver<Option<String>>,
    acknowledged: Acknowledged,
) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for number in 0.. {
        let email = format!("user-{client}-{number}@example.com");
        let url = server.wait_for(Option::is_some).await.unwrap().clone();
        let body = json!({"email": email, "password": PASSWORD});
        let request = http.post(url.unwrap()).json(&body);
        // No answer acknowledges nothing: the server was killed.
        let Ok(answer) = request.send().await else {
            continue;
        };
        match answer.status().as_u16() {
            200 => acknowledged.lock().unwrap().push(email),
            503 => {}
            status => panic!("{status}: {}", answer.text().await.unwrap()),
        }
    }
}

#[tokio::test]
async fn a_storm_of_sigkill_loses_no_acknowledged_account_and_no_mail() {
    let database = TestDatabase::create().await;
    let program = Program::on(&database).set("SERVER_BASE_URL", "http://users.test");
    let acknowledged = Acknowledged::default();
    let (address, server_address) = watch::channel(None);
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let acknowledged = Arc::clone(&acknowledged);
        clients.spawn(register_without_end(
            client,
            server_address.clone(),
            acknowledged,
        ));
    }
    for kill in 0..KILLS {
        let before = acknowledged.lock().unwrap().len();
        let server = program.serve().await;
        address.send(Some(server.url("/register/"))).unwrap();
        // Each time at another moment.
        let enough = before + 1 + kill % 7;
        wait_until("accounts are made", async || {
            acknowledged.lock().unwrap().len() >= enough
        })
        .await;
        address.send(None).unwrap();
        server.kill().await;
    }
    clients.abort_all();
    while let Some(client) = clients.join_next().await {
        assert!(client.is_err_and(|error| error.is_cancelled()));
    }

    let server = program.serve().await;
    let acknowledged = acknowledged.lock().unwrap().clone();
    assert!(acknowledged.len() > 3 * KILLS);
    let mail = program.data_dir().join("mail");
    no_account_and_no_mail_is_lost(&acknowledged, &database.pool, &mail).await;
    server.stop().await;
}
