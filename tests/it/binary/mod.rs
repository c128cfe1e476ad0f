//! The real program, over TCP and by its command line: what tests in process can't see.

mod audit;
mod browser;
mod commands;
mod create_admin;
mod db;
mod ephemeral;
mod idempotency;
mod keys;
mod outage;
mod overload;
mod settings;
mod settings_command;
mod slow_clients;
mod smoke;
mod stopping;
mod storm;
mod strange_requests;
mod user_imports;
mod users;
mod users_export;
mod users_moved;

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use sqlx::PgPool;
use user_management::infra::{clock::SystemClock, email::DirectoryMailer};

use crate::support::eventually::eventually_within;

/// How long jobs may take until they are done: the lease of a worker that died must end first.
const JOBS_LIMIT: Duration = Duration::from_secs(90);

/// Fails unless each of these addresses has an account, and each account there is has been sent
/// exactly one verification mail, which is kept in `directory`.
async fn no_account_and_no_mail_is_lost(acknowledged: &[String], pool: &PgPool, directory: &Path) {
    eventually_within(JOBS_LIMIT, "all mail is sent", async || {
        let waiting: i64 = sqlx::query_scalar("select count(*) from jobs where kind = 'send_mail'")
            .fetch_one(pool)
            .await
            .unwrap();
        (waiting == 0).then_some(())
    })
    .await;
    let users: Vec<String> = sqlx::query_scalar("select email from users")
        .fetch_all(pool)
        .await
        .unwrap();
    for email in acknowledged {
        assert!(
            users.contains(email),
            "{email} was acknowledged and is lost"
        );
    }
    let mailbox = DirectoryMailer::new(directory.to_owned(), Arc::new(SystemClock));
    let mut mails = BTreeMap::new();
    for mail in mailbox.list(usize::MAX).await.unwrap() {
        *mails.entry(mail.to).or_insert(0) += 1;
    }
    let expected: BTreeMap<_, _> = users.into_iter().map(|email| (email, 1)).collect();
    assert_eq!(mails, expected);
}
