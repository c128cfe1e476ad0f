//! Many write the audit log at once, and one at a time gives entries their places.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::json;
use user_management::domain::role::Role;

use super::{assert_no_deadlocks, insist, number, together, two_instances};
use crate::support::app::TestUser;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_of_two_instances_get_one_order_without_gaps() {
    const WRITERS: usize = 8;
    const CHANGES: usize = 12;
    let instances = two_instances(&[]).await;
    let mut users: Vec<TestUser> = Vec::new();
    for writer in 0..WRITERS {
        let email = format!("writer{writer}@example.com");
        users.push(instances[0].user(Role::Authenticated, &email).await);
    }
    let users = Arc::new(users);
    let done = Arc::new(AtomicBool::new(false));
    let before = instances[0].count("audit_log").await;
    // The last two give places while the others write.
    together(&instances, WRITERS + 2, |app, task| {
        let (users, done) = (Arc::clone(&users), Arc::clone(&done));
        async move {
            let Some(user) = users.get(task) else {
                while !done.load(Ordering::SeqCst) {
                    app.app.services.audit.extend_chain().await.unwrap();
                    tokio::task::yield_now().await;
                }
                return;
            };
            for change in 0..CHANGES {
                let body = json!({"bio": format!("number {change}")});
                let send = || app.patch("/me").by(user).json(&body).send();
                insist(send).await.expect(200);
            }
            if task == 0 {
                done.store(true, Ordering::SeqCst);
            }
        }
    })
    .await;
    let app = &instances[0];
    let written = app.count("audit_log").await - before;
    assert_eq!(written, i64::try_from(WRITERS * CHANGES).unwrap());
    app.chain().await;
    app.assert_chained().await;
    let gaps = "select max(sequence) - count(*) from audit_chain";
    assert_eq!(number(app, gaps).await, 0);
    assert_no_deadlocks(&instances).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retention_and_the_chain_at_once_leave_it_whole() {
    let instances = two_instances(&[("AUDIT_RETENTION_DAYS", "1")]).await;
    let app = &instances[0];
    for round in 0..6 {
        app.user(Role::Authenticated, &format!("user{round}@example.com"))
            .await;
        app.clock.advance(chrono::TimeDelta::days(1));
    }
    together(&instances, 8, |app, task| async move {
        let audit = &app.app.services.audit;
        let now = user_management::infra::clock::Clock::now(&app.clock);
        if task % 2 == 0 {
            audit.extend_chain().await.unwrap();
        } else {
            audit.trim(now).await.unwrap();
        }
    })
    .await;
    app.chain().await;
    let verified = app.verify().await;
    assert_eq!(verified.finding, None);
    assert_no_deadlocks(&instances).await;
}
