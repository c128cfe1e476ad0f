//! How imports end, and what they hold until then.

use chrono::TimeDelta;
use serde_json::json;
use user_management::{
    domain::user_import::{FilePlace, ImportState, RowError, UserImport},
    repository::{
        jobs::{self, JobKind, NewJob},
        user_imports, users,
    },
};
use uuid::Uuid;

use super::{id, import, read, store};
use crate::{
    repository::{noon, put, user},
    support::database::TestDatabase,
};

#[tokio::test]
async fn an_import_that_no_job_goes_on_with_is_ended_and_its_file_forgotten() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let of_command = UserImport {
        is_upload: false,
        ..import(4, ImportState::Running)
    };
    for stored in [
        import(1, ImportState::Running),
        import(2, ImportState::Running),
        import(3, ImportState::Uploading),
        of_command,
    ] {
        store(&mut conn, &stored).await;
    }
    user_imports::add_chunk(&mut conn, id(3), 0, b"sealed", 6, noon())
        .await
        .unwrap();
    sqlx::query(
        "insert into user_import_chunks select $1, byte_offset, sealed from user_import_chunks",
    )
    .bind(id(1))
    .execute(&mut *conn)
    .await
    .unwrap();
    let kind = JobKind {
        name: "import",
        max_attempts: 1,
    };
    for (number, dies) in [(1, true), (2, false)] {
        let job = NewJob::new(kind, json!({"import_id": id(number)}));
        jobs::enqueue(&mut conn, &job, Some(noon())).await.unwrap();
        if dies {
            sqlx::query("update jobs set dead_at = now()")
                .execute(&mut *conn)
                .await
                .unwrap();
        }
    }
    let ended = user_imports::end_forsaken(&mut conn, "import", "why", noon()).await;
    assert_eq!(ended.unwrap(), [id(1)]);
    let forsaken = read(&mut conn, 1).await;
    assert_eq!(forsaken.state, ImportState::Failed);
    assert_eq!(forsaken.failure.as_deref(), Some("why"));
    assert_eq!(read(&mut conn, 2).await.state, ImportState::Running);
    assert_eq!(read(&mut conn, 4).await.state, ImportState::Running);
    let left: Vec<Uuid> = sqlx::query_scalar("select import_id from user_import_chunks")
        .fetch_all(&mut *conn)
        .await
        .unwrap();
    assert_eq!(left, [Uuid::from_u128(3)]);
}

#[tokio::test]
async fn errors_of_old_imports_are_swept_a_few_at_a_time() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let day = TimeDelta::days(1);
    for (number, age) in [(1, day), (2, TimeDelta::zero())] {
        let old = UserImport {
            updated_at: noon() - age,
            ..import(number, ImportState::Running)
        };
        store(&mut conn, &old).await;
        let errors = [2, 3, 4].map(|line| RowError {
            line,
            column: None,
            reason: "is wrong".to_owned(),
        });
        user_imports::insert_errors(&mut conn, id(number), &errors)
            .await
            .unwrap();
    }
    let mut swept = Vec::new();
    for _ in 0..3 {
        let step = user_imports::sweep_errors(&mut conn, noon() - day, 2).await;
        swept.push(step.unwrap());
    }
    assert_eq!(swept, [2, 1, 0]);
    let left = user_imports::list_errors(&mut conn, id(2), None, 10).await;
    assert_eq!(left.unwrap().len(), 3);
}

#[tokio::test]
async fn a_transaction_that_takes_long_keeps_nobody_from_being_counted() {
    let db = TestDatabase::create().await;
    let mut long = db.pool.begin().await.unwrap();
    user_imports::allow_pauses(&mut long).await.unwrap();
    user_imports::count_apart(&mut long).await.unwrap();
    put(&mut long, 1).await;
    // Whatever slot it is that others of this connection would have.
    let mut other = db.pool.begin().await.unwrap();
    let slots: Result<i64, _> = sqlx::query_scalar(
        "select count(*) from (select 1 from user_counts where slot < 32 for update nowait) free",
    )
    .fetch_one(&mut *other)
    .await;
    assert_eq!(slots.unwrap(), 32);
    other.rollback().await.unwrap();
    put(&mut long, 2).await;
    assert!(users::delete(&mut long, user(1).id).await.unwrap());
    assert_eq!(users::count(&mut long).await.unwrap(), 1);
    let mut conn = db.pool.acquire().await.unwrap();
    users::merge_counts(&mut conn).await.unwrap();
    long.commit().await.unwrap();
    let slots = async || -> i64 {
        sqlx::query_scalar("select count(*) from user_counts")
            .fetch_one(&db.pool)
            .await
            .unwrap()
    };
    assert_eq!(users::count(&mut conn).await.unwrap(), 1);
    assert_eq!(slots().await, 33);
    users::merge_counts(&mut conn).await.unwrap();
    assert_eq!(users::count(&mut conn).await.unwrap(), 1);
    assert_eq!(slots().await, 32);
}

#[tokio::test]
async fn a_batch_waits_for_the_one_before_and_one_of_two_that_wait_for_each_other_fails() {
    let db = TestDatabase::create().await;
    let [first, second] = [0, 70].map(|offset| FilePlace { offset, line: 1 });
    let mut one = db.pool.begin().await.unwrap();
    let mut two = db.pool.begin().await.unwrap();
    user_imports::begin_batch(&mut one, id(1), first)
        .await
        .unwrap();
    user_imports::begin_batch(&mut two, id(1), second)
        .await
        .unwrap();
    let is_behind = async {
        let waited = user_imports::await_batch(&mut two, id(1), first).await;
        (waited, two)
    };
    let is_stuck = async {
        let waited = user_imports::await_batch(&mut one, id(1), second).await;
        // It is over by now, whichever of them it was that failed.
        one.rollback().await.unwrap();
        waited
    };
    let ((behind, two), stuck) = tokio::join!(is_behind, is_stuck);
    two.rollback().await.unwrap();
    let failed = [behind.is_err(), stuck.is_err()];
    assert!(
        failed == [true, false] || failed == [false, true],
        "{failed:?}"
    );

    let mut other = db.pool.begin().await.unwrap();
    user_imports::begin_batch(&mut other, id(2), first)
        .await
        .unwrap();
    let mut free = db.pool.begin().await.unwrap();
    user_imports::await_batch(&mut free, id(1), first)
        .await
        .unwrap();
}
