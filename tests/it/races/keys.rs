//! Keys that are made and rotated while instances work.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::json;
use user_management::domain::role::Role;

use super::{insist, number, together, two_instances};
use crate::support::{
    app::TestApp,
    eventually::wait_until,
    keys::{kid, made_up_kid, part},
};

const EMAIL: &str = "manager@example.com";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_that_start_at_once_make_one_key() {
    const INSTANCES: usize = 6;
    for algorithm in ["EdDSA", "ES256"] {
        let settings = [
            ("JWT_ALGORITHM", algorithm),
            ("DATABASE_MAX_CONNECTIONS", "2"),
        ];
        let first = TestApp::start_with(&settings).await;
        let mut instances: Vec<_> = (1..INSTANCES)
            .map(|_| Arc::new(first.second_instance(&settings)))
            .collect();
        instances.push(Arc::new(first));
        let published = together(&instances, 4 * INSTANCES, |app, _| async move {
            app.app.services.signing_keys.prepare().await.unwrap();
            app.published_keys().await.to_string()
        })
        .await;
        let different: BTreeSet<_> = published.into_iter().collect();
        assert_eq!(different.len(), 1, "{different:?}");
        assert_eq!(instances[0].count("signing_keys").await, 1);
    }
}

fn email_of(client: usize) -> String {
    format!("client{client}@example.com")
}

/// Uses a token, and fails unless it is let in.
async fn use_token(app: &TestApp, token: &str, what: &str) {
    let answer = app.get("/users/?limit=1").bearer(token).send().await;
    assert_eq!(answer.status, 200, "{what}: {}", part(token, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_valid_token_is_refused_while_keys_are_rotated() {
    const CLIENTS: usize = 6;
    const ROTATIONS: usize = 8;
    let instances = two_instances(&[]).await;
    let old = instances[0].user(Role::Manager, EMAIL).await;
    // Each has an account of his own: of one account fifty sessions stay.
    for client in 0..CLIENTS {
        instances[0].user(Role::Manager, &email_of(client)).await;
    }
    let used = Arc::new(AtomicUsize::new(0));
    let done = Arc::new(AtomicBool::new(false));
    let both = instances.clone();
    let results = together(&instances, CLIENTS + 1, |app, client| {
        let (used, done, both) = (Arc::clone(&used), Arc::clone(&done), both.clone());
        let old = old.token.clone();
        async move {
            let mut kids = BTreeSet::new();
            if client == CLIENTS {
                for rotation in 0..ROTATIONS {
                    let before = used.load(Ordering::SeqCst);
                    while used.load(Ordering::SeqCst) < before + 2 * CLIENTS {
                        tokio::task::yield_now().await;
                    }
                    // Sometimes twice in a row, and by either of them.
                    for app in &both[rotation % 2..] {
                        kids.insert(app.rotate_keys().await);
                    }
                }
                done.store(true, Ordering::SeqCst);
                return kids;
            }
            let other = &both[(client + 1) % 2];
            let email = email_of(client);
            while !done.load(Ordering::SeqCst) {
                let fresh = insist(|| app.log_in(&email)).await.expect(200);
                let fresh = fresh.text("access_token");
                // At once where it wasn't issued.
                use_token(other, &fresh, "a fresh token").await;
                use_token(&app, &fresh, "a fresh token at home").await;
                use_token(other, &old, "the token of before").await;
                kids.insert(kid(&fresh));
                used.fetch_add(1, Ordering::SeqCst);
            }
            kids
        }
    })
    .await;
    let made = &results[CLIENTS];
    assert_eq!(made.len(), ROTATIONS + ROTATIONS / 2);
    let signed: BTreeSet<_> = results[..CLIENTS].iter().flatten().cloned().collect();
    assert!(
        signed.intersection(made).count() > ROTATIONS / 2,
        "{signed:?}"
    );
    let keys = "select count(*) from signing_keys where retired_at is null";
    assert_eq!(number(&instances[0], keys).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotations_at_once_come_one_after_the_other() {
    let instances = two_instances(&[]).await;
    let kids = together(
        &instances,
        10,
        |app, _| async move { app.rotate_keys().await },
    )
    .await;
    let app = &instances[0];
    assert_eq!(kids.iter().collect::<BTreeSet<_>>().len(), 10);
    assert_eq!(app.count("signing_keys").await, 10);
    let current = "select count(*) from signing_keys where retired_at is null";
    assert_eq!(number(app, current).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn made_up_names_of_keys_do_not_flood_the_database() {
    const TOKENS: usize = 300;
    let app = Arc::new(TestApp::start().await);
    let user = app.user(Role::Manager, EMAIL).await;
    let signature = user.token.rsplit('.').next().unwrap().to_owned();
    let claims = user.token.split('.').nth(1).unwrap().to_owned();
    together(&[Arc::clone(&app)], TOKENS, |app, count| {
        let made_up = made_up_kid(u32::try_from(count).unwrap());
        let header = json!({"typ": "JWT", "alg": "EdDSA", "kid": made_up.as_str()});
        let header = BASE64_URL_SAFE_NO_PAD.encode(header.to_string());
        let token = format!("{header}.{claims}.{signature}");
        async move {
            let answer = app.get("/users/").bearer(&token).send().await;
            answer.expect_problem(401, "not_authenticated");
        }
    })
    .await;
    use_token(&app, &user.token, "a good one").await;
    // A backend tells what it counted at the latest when it ends.
    app.app.pool.close().await;
    wait_until("the connections are closed", async || {
        let open = "select count(*) from pg_stat_activity where datname = current_database() \
                    and application_name = 'user-management' and query not ilike 'listen %'";
        number(&app, open).await == 0
    })
    .await;
    let scans = "select seq_scan + coalesce(idx_scan, 0) from pg_stat_user_tables where relname = 'signing_keys'";
    let scans = number(&app, scans).await;
    assert!((1..20).contains(&scans), "{scans} for {TOKENS} tokens");
}
