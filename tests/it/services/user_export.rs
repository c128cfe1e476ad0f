//! Exports of users, as streams.

use chrono::{DateTime, TimeDelta, Utc};
use futures::TryStreamExt as _;
use sqlx::Executor as _;
use user_management::{
    domain::{
        actor::Actor,
        exported_user::ExportedUser,
        id::{RequestId, SessionId, UserId},
        role::Role,
        user_selection::UserSelection,
    },
    error::{Error, ErrorCode},
    infra::clock::Clock as _,
    services::Ctx,
};
use uuid::Uuid;

use crate::support::{
    app::{TestApp, TestUser},
    eventually::wait_until,
};

fn operator(app: &TestApp) -> Ctx {
    Ctx::operator(RequestId(Uuid::nil()), app.clock.now())
}

/// The context of a request of his.
async fn of(app: &TestApp, user: &TestUser) -> Ctx {
    let session = sqlx::query_scalar("select id from sessions where user_id = $1")
        .bind(user.id)
        .fetch_one(&app.database.pool)
        .await
        .unwrap();
    Ctx {
        actor: Actor::User {
            id: UserId(user.id),
            role: Role::Admin,
            session: SessionId(session),
        },
        ..operator(app)
    }
}

/// Adds so many users.
async fn crowd(app: &TestApp, number: u32) {
    let insert = sqlx::query(
        "insert into users (id, nickname, email, password_hash, role, created_at, updated_at) \
         select gen_random_uuid(), 'crowd_' || n, 'crowd' || n || '@example.com', '$hash$' || n, 'ANONYMOUS', \
           now(), now() from generate_series(1, $1) n",
    );
    app.database
        .pool
        .execute(insert.bind(i64::from(number)))
        .await
        .unwrap();
}

async fn all(
    app: &TestApp,
    ctx: &Ctx,
    selection: &UserSelection,
    hashes: bool,
) -> Vec<ExportedUser> {
    let exports = &app.app.services.user_export;
    let stream = exports.stream(ctx, selection, hashes).await.unwrap();
    let batches: Vec<_> = stream.try_collect().await.unwrap();
    batches.concat()
}

/// Waits until the log tells that an export ended before its end.
async fn assert_ended_incomplete(app: &TestApp) {
    wait_until("its end is written", async || {
        let told: Option<bool> = sqlx::query_scalar(
            "select (after ->> 'is_complete')::boolean from audit_log where action = 'export_ended'",
        )
        .fetch_optional(&app.database.pool)
        .await
        .unwrap();
        told == Some(false)
    })
    .await;
}

#[tokio::test]
async fn everybody_is_exported_once_however_many_there_are() {
    let app = TestApp::start().await;
    crowd(&app, 2500).await;
    let selection = UserSelection::default();
    let users = all(&app, &operator(&app), &selection, true).await;
    assert_eq!(users.len(), 2500);
    assert!(users.is_sorted_by(|a, b| a.user.id < b.user.id));
    assert!(users.iter().all(|user| user.password_hash.is_some()));
    let mut rare = UserSelection::default();
    rare.set("nickname", "crowd_777").unwrap();
    let found = all(&app, &operator(&app), &rare, false).await;
    assert_eq!(found.len(), 1);
    assert!(found[0].password_hash.is_none());
    let actions: Vec<String> = sqlx::query_scalar("select action from audit_log order by id")
        .fetch_all(&app.database.pool)
        .await
        .unwrap();
    assert_eq!(
        actions,
        [
            "password_hashes_exported",
            "export_ended",
            "users_exported",
            "export_ended"
        ]
    );
}

#[tokio::test]
async fn the_log_tells_when_an_export_ended() {
    let app = TestApp::start().await;
    let begun = app.clock.now();
    let exports = &app.app.services.user_export;
    let selection = UserSelection::default();
    let stream = exports.stream(&operator(&app), &selection, false).await;
    let stream = stream.unwrap();
    app.clock.advance(TimeDelta::minutes(7));
    stream.try_collect::<Vec<_>>().await.unwrap();
    let told: Vec<DateTime<Utc>> = sqlx::query_scalar("select at from audit_log order by id")
        .fetch_all(&app.database.pool)
        .await
        .unwrap();
    assert_eq!(told, [begun, begun + TimeDelta::minutes(7)]);
}

#[tokio::test]
async fn no_user_gets_hashes_whatever_he_may() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let ctx = of(&app, &admin).await;
    let exports = &app.app.services.user_export;
    let refused = exports.stream(&ctx, &UserSelection::default(), true).await;
    let code = refused.err().unwrap().code();
    assert_eq!(code, ErrorCode::OperationNotPermitted);
}

#[tokio::test]
async fn an_export_ends_with_the_session_of_who_asked_for_it() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    crowd(&app, 3500).await;
    let ctx = of(&app, &admin).await;
    let exports = &app.app.services.user_export;
    let stream = exports.stream(&ctx, &UserSelection::default(), false).await;
    let mut stream = Box::pin(stream.unwrap());
    assert_eq!(stream.try_next().await.unwrap().unwrap().len(), 1000);
    sqlx::query("delete from sessions")
        .execute(&app.database.pool)
        .await
        .unwrap();
    // What was read ahead may still come.
    let ended = loop {
        match stream.try_next().await {
            Ok(batch) => assert!(batch.is_some(), "it went on to its end"),
            Err(error) => break error,
        }
    };
    assert!(matches!(ended, Error::Unauthenticated(_)), "{ended}");
    assert_ended_incomplete(&app).await;
}

#[tokio::test]
async fn no_connection_is_held_for_who_takes_it_slowly() {
    let app = TestApp::start_with(&[("DATABASE_MAX_CONNECTIONS", "2")]).await;
    crowd(&app, 3000).await;
    let ctx = operator(&app);
    let exports = &app.app.services.user_export;
    let mut slow = Vec::new();
    for _ in 0..3 {
        let selection = UserSelection::default();
        let stream = exports.stream(&ctx, &selection, false).await.unwrap();
        let mut stream = Box::pin(stream);
        stream.try_next().await.unwrap();
        slow.push(stream);
    }
    let whole = all(&app, &ctx, &UserSelection::default(), false).await;
    assert_eq!(whole.len(), 3000);
    for stream in slow {
        let rest: Vec<_> = stream.try_collect().await.unwrap();
        assert_eq!(rest.concat().len(), 2000);
    }
}

#[tokio::test]
async fn an_end_that_could_not_be_written_is_written_as_incomplete() {
    let app = TestApp::start().await;
    app.database
        .pool
        .execute(
            "alter table audit_log add constraint audit_log_refuses_complete_exports \
             check (after ->> 'is_complete' is distinct from 'true')",
        )
        .await
        .unwrap();
    let exports = &app.app.services.user_export;
    let selection = UserSelection::default();
    let stream = exports.stream(&operator(&app), &selection, false).await;
    let broken: Result<Vec<_>, _> = stream.unwrap().try_collect().await;
    assert!(matches!(broken, Err(Error::Internal(_))));
    assert_ended_incomplete(&app).await;
}
