//! What happens at the same time: on two instances of the service that share one database.

use std::{collections::BTreeMap, sync::Arc};

use axum::http::StatusCode;
use tokio::{sync::Barrier, task::JoinSet};

mod accounts;
mod audit;
mod compat;
mod database_away;
mod first_admin;
mod idempotency;
mod keys;
mod links;
mod lockout;
mod own_account;
mod rank;
mod refresh;
mod roles;
mod sessions;
mod tokens;

use crate::support::{app::TestApp, eventually::wait_until, request::TestResponse};

/// Two instances on one database, with these settings.
async fn two_instances(settings: &[(&str, &str)]) -> [Arc<TestApp>; 2] {
    let first = TestApp::start_with(settings).await;
    let second = first.second_instance(settings);
    [Arc::new(first), Arc::new(second)]
}

/// Begins `count` tasks at the same time, on the instances in turn, and answers their results in the
/// order of their numbers.
async fn together<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    instances: &[Arc<TestApp>],
    count: usize,
    task: impl Fn(Arc<TestApp>, usize) -> F,
) -> Vec<T> {
    let barrier = Arc::new(Barrier::new(count));
    let mut tasks = JoinSet::new();
    for number in 0..count {
        let (barrier, task) = (
            Arc::clone(&barrier),
            task(Arc::clone(&instances[number % instances.len()]), number),
        );
        tasks.spawn(async move {
            barrier.wait().await;
            (number, task.await)
        });
    }
    let mut results = tasks.join_all().await;
    results.sort_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Sends a request again for as long as the service is too busy to take it, as a good client does.
///
/// The hash pool turns away who would wait for more than a second, and that is right on a machine
/// that is slow or has other work.
async fn insist<F: Future<Output = TestResponse>>(send: impl Fn() -> F) -> TestResponse {
    for _ in 0..30 {
        let answer = send().await;
        if answer.status != StatusCode::SERVICE_UNAVAILABLE {
            return answer;
        }
        answer
            .expect_problem(503, "unavailable")
            .header("retry-after");
    }
    panic!("the service is busy for ever");
}

/// Stops the instances' use of the database, and fails if it ever had to break a deadlock: to a client
/// that is the same 503 as too much work.
async fn assert_no_deadlocks(instances: &[Arc<TestApp>]) {
    for app in instances {
        app.app.pool.close().await;
    }
    // A backend tells what it counted at the latest when it ends. Each instance keeps one that listens.
    let app = &instances[0];
    wait_until("the connections are closed", async || {
        let open = "select count(*) from pg_stat_activity where datname = current_database() \
                    and application_name = 'user-management' and query not ilike 'listen %'";
        number(app, open).await == 0
    })
    .await;
    let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
    assert_eq!(number(app, deadlocks).await, 0, "deadlocks");
}

/// How many answers there are of each status and code, such as `400 email_already_exists`.
fn tally<'a>(answers: impl IntoIterator<Item = &'a TestResponse>) -> BTreeMap<String, usize> {
    let mut tally = BTreeMap::new();
    for answer in answers {
        *tally.entry(outcome(answer)).or_default() += 1;
    }
    tally
}

/// The status of an answer, and the code of an error.
fn outcome(answer: &TestResponse) -> String {
    let status = answer.status.as_u16();
    if answer.status.is_success() {
        return status.to_string();
    }
    format!("{status} {}", answer.text("code"))
}

/// A tally to compare with.
fn counts<const N: usize>(entries: [(&str, usize); N]) -> BTreeMap<String, usize> {
    entries
        .map(|(outcome, count)| (outcome.to_owned(), count))
        .into()
}

/// Forgets the mails that wait, in tests that aren't about them.
async fn discard_mail(app: &TestApp) {
    sqlx::query("delete from jobs")
        .execute(&app.database.pool)
        .await
        .unwrap();
}

/// A number from the database.
async fn number(app: &TestApp, query: &'static str) -> i64 {
    sqlx::query_scalar(query)
        .fetch_one(&app.database.pool)
        .await
        .unwrap()
}
