//! Use cases, on PostgreSQL.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use user_management::{infra::clock::Clock as _, repository::jobs};

mod adoption;
mod adoption_refused;
mod mail_delivery;
mod mail_smtp;
mod maintenance;
mod operators;
mod signing_keys;
mod user_export;
mod user_imports;
mod user_search;

use crate::support::app::TestApp;

/// The job of a mail, as far as tests look at it.
#[derive(Debug, Clone, FromRow)]
struct MailJob {
    id: i64,
    message_id: String,
    sealed_secret: Option<Vec<u8>>,
    run_at: DateTime<Utc>,
    attempts: i16,
    leased_by: Option<String>,
    last_error: Option<String>,
    dead_at: Option<DateTime<Utc>>,
    /// The whole row as text.
    row: String,
}

/// The mails that wait, are being sent or are dead, in order of their making.
async fn mail_jobs(app: &TestApp) -> Vec<MailJob> {
    sqlx::query_as(
        "select id, payload->>'message_id' as message_id, sealed_secret, \
         run_at, attempts, leased_by, last_error, dead_at, jobs::text as row \
         from jobs where kind = 'send_mail' order by id",
    )
    .fetch_all(&app.database.pool)
    .await
    .unwrap()
}

/// The only such mail.
async fn mail_job(app: &TestApp) -> MailJob {
    let mut jobs = mail_jobs(app).await;
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    jobs.remove(0)
}

/// Makes a dead mail wait again, as an operator does.
async fn revive(app: &TestApp, id: i64) {
    let mut connection = app.database.pool.acquire().await.unwrap();
    let now = app.clock.database_override();
    assert!(jobs::revive(&mut connection, id, now).await.unwrap());
}
