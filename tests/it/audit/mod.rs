//! The audit log: that everything is in it, and that it can't be changed unseen.

mod chain;
mod refusals;
mod retention;
mod secrets;
pub mod tampering;
mod walk;

use serde_json::{Value, json};
use user_management::{
    domain::id::RequestId,
    infra::clock::Clock as _,
    services::{Ctx, audit::Verification},
};
use uuid::Uuid;

use crate::support::{app::TestApp, request::TestResponse};

impl TestApp {
    /// The rows of the audit log that tell of a request, oldest first.
    pub async fn audited(&self, answer: &TestResponse) -> Vec<Value> {
        let request: Uuid = answer.header("x-request-id").parse().unwrap();
        sqlx::query_scalar("select to_jsonb(a) from audit_log a where request_id = $1 order by id")
            .bind(request)
            .fetch_all(&self.database.pool)
            .await
            .unwrap()
    }

    /// The one row that tells of a request.
    pub async fn audited_once(&self, answer: &TestResponse) -> Value {
        let mut rows = self.audited(answer).await;
        assert_eq!(rows.len(), 1, "{rows:?}");
        rows.remove(0)
    }

    /// Gives all entries their places in the chain.
    pub async fn chain(&self) {
        assert!(self.app.services.audit.extend_chain().await.unwrap());
    }

    /// Verifies the audit log.
    pub async fn verify(&self) -> Verification {
        self.verify_head(None).await
    }

    /// Verifies it, and whether the chain has this hash.
    pub async fn verify_head(&self, noted: Option<&[u8; 32]>) -> Verification {
        let ctx = Ctx::operator(RequestId(Uuid::nil()), self.clock.now());
        self.app.services.audit.verify(&ctx, noted).await.unwrap()
    }

    /// Fails unless every entry is in the chain, as it was written.
    pub async fn assert_chained(&self) {
        let verified = self.verify().await;
        assert_eq!(verified.finding, None);
        assert_eq!(verified.waiting, 0);
        let entries = self.count("audit_log").await;
        assert_eq!(verified.entries, u64::try_from(entries).unwrap());
    }
}

/// What a row says of who did what to whom, and how it went.
fn gist(row: &Value) -> Value {
    json!([
        row["actor_kind"],
        row["actor_id"],
        row["action"],
        row["subject_id"],
        row["outcome"]
    ])
}
