//! Each secret that a mail carries is redeemed once: in 1,000 rounds of 16 tries at once on two
//! instances.

use std::sync::Arc;

use chrono::TimeDelta;
use sqlx::PgConnection;
use user_management::{
    domain::{
        email::Email,
        id::{EmailChangeId, UserId},
        role::Role,
        token::{OneTimeToken, Purpose},
    },
    infra::clock::Clock as _,
    repository::{email_changes, one_time_tokens},
};
use uuid::Uuid;

use super::{
    assert_no_deadlocks, counts, discard_mail, insist, number, tally, together, two_instances,
};
use crate::support::app::TestApp;

const ROUNDS: u32 = 1_000;
const TRIES: usize = 16;

type Instances = [Arc<TestApp>; 2];

/// The token of a round.
fn token(round: u32) -> OneTimeToken {
    let mut bytes = [7; 32];
    bytes[..4].copy_from_slice(&round.to_be_bytes());
    OneTimeToken::new(bytes)
}

/// A connection of the test's own.
async fn connection(app: &TestApp) -> sqlx::pool::PoolConnection<sqlx::Postgres> {
    app.database.pool.acquire().await.unwrap()
}

/// Gives a user the token of the round.
async fn issue(app: &TestApp, conn: &mut PgConnection, user: Uuid, purpose: Purpose, round: u32) {
    let now = app.clock.now();
    let end = now + TimeDelta::hours(1);
    one_time_tokens::replace(conn, UserId(user), purpose, &token(round), now, end)
        .await
        .unwrap();
}

/// Uses a link from everywhere at once: one succeeds, and the others are refused with this code.
async fn use_at_once(instances: &Instances, path: String, refusal: &str, round: u32) {
    let path = Arc::new(path);
    let answers = together(instances, TRIES, |app, _| {
        let path = Arc::clone(&path);
        async move {
            let form = [("new_password", "Better*5678")];
            insist(|| app.post(&path).form(&form).send()).await
        }
    })
    .await;
    let expected = counts([("200", 1), (&format!("400 {refusal}"), TRIES - 1)]);
    assert_eq!(tally(&answers), expected, "round {round}");
}

async fn end(instances: &Instances) {
    discard_mail(&instances[0]).await;
    assert_no_deadlocks(instances).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verification_is_redeemed_once() {
    let instances = two_instances(&[]).await;
    let app = &instances[0];
    let user = app.unverified("ada@example.com").await.id;
    let mut conn = connection(app).await;
    for round in 0..ROUNDS {
        issue(app, &mut conn, user, Purpose::EmailVerification, round).await;
        let path = format!("/verify-email/{user}/{}", token(round).expose());
        use_at_once(&instances, path, "invalid_verification_token", round).await;
    }
    assert_eq!(app.count("one_time_tokens").await, 0);
    end(&instances).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_reset_is_redeemed_once() {
    let instances = two_instances(&[]).await;
    let app = &instances[0];
    let user = app.user(Role::Authenticated, "ada@example.com").await.id;
    let mut conn = connection(app).await;
    for round in 0..ROUNDS {
        issue(app, &mut conn, user, Purpose::PasswordReset, round).await;
        let path = format!("/password-reset/{}", token(round).expose());
        use_at_once(&instances, path, "invalid_password_reset_token", round).await;
    }
    let told = "select count(*) from jobs where kind = 'send_mail'";
    assert_eq!(number(app, told).await, i64::from(ROUNDS));
    end(&instances).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restoration_is_redeemed_once() {
    let instances = two_instances(&[]).await;
    let app = &instances[0];
    let user = app.user(Role::Authenticated, "ada@example.com").await.id;
    let mut conn = connection(app).await;
    for round in 0..ROUNDS {
        sqlx::query("update users set deletion_due_at = $1")
            .bind(app.clock.now() + TimeDelta::hours(1))
            .execute(&mut *conn)
            .await
            .unwrap();
        issue(app, &mut conn, user, Purpose::AccountRestore, round).await;
        let path = format!("/restore-account/{user}/{}", token(round).expose());
        use_at_once(&instances, path, "invalid_restore_token", round).await;
    }
    let told = "select count(*) from jobs where kind = 'send_mail'";
    assert_eq!(number(app, told).await, i64::from(ROUNDS));
    end(&instances).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_address_is_confirmed_once_and_undone_once() {
    let instances = two_instances(&[]).await;
    let app = &instances[0];
    let user = app.user(Role::Authenticated, "ada@example.com").await.id;
    let mut conn = connection(app).await;
    let now = app.clock.now();
    let until = now + TimeDelta::hours(1);
    for round in 0..ROUNDS {
        let id = EmailChangeId(Uuid::from_u128(u128::from(round) + 1));
        let email = Email::parse(&format!("new{round}@example.com")).unwrap();
        email_changes::request(&mut conn, id, UserId(user), &email, now, until)
            .await
            .unwrap();
        let offered = email_changes::offer(&mut conn, id, &token(round), until).await;
        assert!(offered.unwrap());
        let path = format!("/confirm-email/{id}/{}", token(round).expose());
        use_at_once(&instances, path, "invalid_email_change_token", round).await;
        assert_eq!(app.email_of(user).await, email.as_str());
        // The token for the old address is known to its mail only.
        sqlx::query("update email_changes set undo_digest = $1")
            .bind(token(round).digest().to_vec())
            .execute(&mut *conn)
            .await
            .unwrap();
        let path = format!("/undo-email-change/{id}/{}", token(round).expose());
        use_at_once(&instances, path, "invalid_email_undo_token", round).await;
        assert_eq!(app.email_of(user).await, "ada@example.com");
    }
    assert_eq!(app.count("email_changes").await, 0);
    end(&instances).await;
}
