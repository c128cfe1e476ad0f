//! How many searches run at a time.

use std::sync::Arc;

use tokio::task::JoinSet;
use user_management::{
    domain::{id::RequestId, user_search::SearchText},
    infra::clock::Clock as _,
    services::Ctx,
};
use uuid::Uuid;

use crate::support::{app::TestApp, eventually::wait_until};

/// How many statements wait for the table of users.
async fn waiting(app: &TestApp) -> i64 {
    sqlx::query_scalar(
        "select count(*) from pg_locks where relation = 'users'::regclass and not granted \
         and database = (select oid from pg_database where datname = current_database())",
    )
    .fetch_one(&app.database.pool)
    .await
    .unwrap()
}

/// Waits until so many do, and sees that no more come.
async fn assert_waiting(app: &TestApp, number: i64) {
    wait_until("they wait", async || waiting(app).await == number).await;
    for _ in 0..50 {
        assert_eq!(waiting(app).await, number);
    }
}

#[tokio::test]
async fn few_run_at_a_time_and_the_public_leaves_room_for_others() {
    let app = TestApp::start().await;
    let mut transaction = app.database.pool.begin().await.unwrap();
    sqlx::query("lock table users in access exclusive mode")
        .execute(&mut *transaction)
        .await
        .unwrap();
    let ctx = Ctx::operator(RequestId(Uuid::nil()), app.clock.now());
    let text = SearchText::parse("ada").unwrap();
    let service = &app.app.services.user_search;
    let asked = || (Arc::clone(service), ctx.clone(), text.clone());
    let mut searches = JoinSet::new();
    for _ in 0..6 {
        let (search, ctx, text) = asked();
        searches.spawn(async move {
            let page = search.directory(&ctx, text, None, 10).await.unwrap();
            assert_eq!(page.items.len(), 0);
        });
    }
    assert_waiting(&app, 2).await;
    for _ in 0..6 {
        let (search, ctx, text) = asked();
        searches.spawn(async move {
            let users = search.suggest(&ctx, text, 10).await.unwrap();
            assert_eq!(users.len(), 0);
        });
    }
    assert_waiting(&app, 4).await;
    transaction.rollback().await.unwrap();
    // None is forgotten.
    let mut ended = 0;
    while let Some(search) = searches.join_next().await {
        search.unwrap();
        ended += 1;
    }
    assert_eq!(ended, 12);
}
