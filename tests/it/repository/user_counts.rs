//! The number of users, kept by triggers.

use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::task::JoinSet;
use user_management::repository::users;

use super::{hash, put, told, user};
use crate::support::database::TestDatabase;

async fn expect_count(conn: &mut PgConnection, expected: u64) {
    let counted = users::count(conn).await.unwrap();
    let there: i64 = sqlx::query_scalar("select count(*) from users")
        .fetch_one(conn)
        .await
        .unwrap();
    assert_eq!((counted, there), (expected, expected.cast_signed()));
}

#[tokio::test]
async fn the_count_follows_inserts_deletions_rollbacks_and_truncation() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    expect_count(&mut conn, 0).await;
    for number in 1..=5 {
        put(&mut conn, number).await;
    }
    expect_count(&mut conn, 5).await;

    // What is taken back counts nothing, but within its own transaction.
    let mut transaction = conn.begin().await.unwrap();
    put(&mut transaction, 6).await;
    users::delete(&mut transaction, user(1).id).await.unwrap();
    users::delete(&mut transaction, user(2).id).await.unwrap();
    expect_count(&mut transaction, 4).await;
    let mut inner = transaction.begin().await.unwrap();
    put(&mut inner, 7).await;
    expect_count(&mut inner, 5).await;
    inner.rollback().await.unwrap();
    expect_count(&mut transaction, 4).await;
    transaction.rollback().await.unwrap();
    expect_count(&mut conn, 5).await;

    // A row that was not inserted, and one that was not there to be deleted.
    let mut same_nickname = user(8);
    same_nickname.nickname = user(1).nickname;
    assert!(
        !users::insert(&mut conn, &same_nickname, &hash(8), &told())
            .await
            .unwrap()
    );
    let mut same_address = user(8);
    same_address.email = user(1).email;
    users::insert(&mut conn, &same_address, &hash(8), &told())
        .await
        .unwrap_err();
    assert!(!users::delete(&mut conn, user(9).id).await.unwrap());
    expect_count(&mut conn, 5).await;

    // Many rows in one statement.
    conn.execute(
        "insert into users (id, nickname, email, password_hash, role, created_at, updated_at) \
         select gen_random_uuid(), 'many_' || n, 'many' || n || '@example.com', 'x', 'ANONYMOUS', now(), now() \
         from generate_series(1, 1000) as n",
    )
    .await
    .unwrap();
    expect_count(&mut conn, 1005).await;
    conn.execute("delete from users where nickname like 'many_%' and nickname <> 'many_1'")
        .await
        .unwrap();
    expect_count(&mut conn, 6).await;
    conn.execute("truncate users cascade").await.unwrap();
    expect_count(&mut conn, 0).await;
    put(&mut conn, 1).await;
    expect_count(&mut conn, 1).await;
}

#[tokio::test]
async fn the_count_is_right_after_many_wrote_at_once() {
    let db = TestDatabase::create().await;
    let mut writers = JoinSet::new();
    for writer in 0..5_u32 {
        let options = db.connect_options();
        writers.spawn(async move {
            let mut conn = PgConnection::connect_with(&options).await.unwrap();
            for step in 0..20 {
                let number = writer * 100 + step + 1;
                let mut transaction = conn.begin().await.unwrap();
                put(&mut transaction, number).await;
                if step % 4 == 3 {
                    users::delete(&mut transaction, user(number - 1).id)
                        .await
                        .unwrap();
                }
                if step % 5 == 4 {
                    transaction.rollback().await.unwrap();
                } else {
                    transaction.commit().await.unwrap();
                }
            }
        });
    }
    writers.join_all().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let there: i64 = sqlx::query_scalar("select count(*) from users")
        .fetch_one(&mut *conn)
        .await
        .unwrap();
    assert!(there > 20, "{there}");
    expect_count(&mut conn, there.cast_unsigned()).await;
}
