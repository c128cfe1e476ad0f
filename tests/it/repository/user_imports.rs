//! The tables of imports of users; `many.rs` beside has many users at once, `upkeep.rs` how imports end.

mod many;
mod upkeep;

use chrono::TimeDelta;
use sqlx::{Connection as _, PgConnection};
use user_management::{
    domain::{
        audit::ActorKind,
        id::{ImportId, RequestId, SessionId, UserId},
        user_import::{
            FilePlace, Format, ImportCounts, ImportOptions, ImportState, ImportedBy, OnConflict,
            RowError, UserImport,
        },
    },
    repository::user_imports::{self, ListedError},
};
use uuid::Uuid;

use super::{after, noon};
use crate::support::{database::TestDatabase, eventually::wait_until};

const DIGEST: [u8; 32] = [7; 32];

fn id(number: u128) -> ImportId {
    ImportId(Uuid::from_u128(number))
}

fn import(number: u128, state: ImportState) -> UserImport {
    UserImport {
        id: id(number),
        options: ImportOptions {
            format: Format::Ndjson,
            on_conflict: OnConflict::Update,
            dry_run: false,
            atomic: false,
            invite: true,
        },
        is_upload: true,
        file_digest: (state != ImportState::Uploading).then_some(DIGEST),
        file_size: 100,
        state,
        failure: None,
        place: FilePlace::default(),
        counts: ImportCounts::default(),
        created_at: noon(),
        updated_at: noon(),
    }
}

fn by() -> ImportedBy {
    ImportedBy {
        actor: ActorKind::User,
        user: Some((UserId(Uuid::from_u128(1)), SessionId(Uuid::from_u128(2)))),
        account: None,
        request_id: RequestId(Uuid::from_u128(3)),
        client_address: Some([192, 0, 2, 1].into()),
        device: Some("curl".to_owned()),
    }
}

async fn store(conn: &mut PgConnection, import: &UserImport) {
    user_imports::insert(conn, import, &by()).await.unwrap();
}

async fn read(conn: &mut PgConnection, number: u128) -> UserImport {
    let found = user_imports::find(conn, id(number)).await.unwrap();
    found.unwrap().0
}

#[tokio::test]
async fn an_import_comes_back_as_it_was_stored_and_gets_on_from_where_it_stands() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let running = import(1, ImportState::Running);
    store(&mut conn, &running).await;
    let found = user_imports::find(&mut conn, id(1)).await.unwrap();
    assert_eq!(found, Some((running.clone(), by())));
    assert_eq!(user_imports::find(&mut conn, id(2)).await.unwrap(), None);

    let counts = ImportCounts {
        created: 1,
        updated: 2,
        skipped: 3,
        rejected: 4,
        undone: 0,
    };
    let (from, to) = (
        FilePlace::default(),
        FilePlace {
            offset: 50,
            line: 11,
        },
    );
    let later = after(TimeDelta::seconds(1));
    let mut advance = async |from| {
        user_imports::advance(&mut conn, id(1), from, to, counts, later)
            .await
            .unwrap()
    };
    assert!(advance(from).await);
    assert!(!advance(from).await, "somebody else was faster");
    let so_far = UserImport {
        place: to,
        counts,
        updated_at: later,
        ..running.clone()
    };
    assert_eq!(read(&mut conn, 1).await, so_far);

    user_imports::restart(&mut conn, id(1), noon())
        .await
        .unwrap();
    assert_eq!(read(&mut conn, 1).await, running);
    let end = async |conn: &mut PgConnection, why| {
        user_imports::end(conn, id(1), why, later).await.unwrap()
    };
    assert!(end(&mut conn, None).await);
    let done = read(&mut conn, 1).await;
    assert_eq!((done.state, done.place.offset), (ImportState::Done, 100));
    assert!(!end(&mut conn, Some("too late")).await);
}

#[tokio::test]
async fn an_import_is_found_by_its_file_and_its_options() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let first = import(1, ImportState::Running);
    store(&mut conn, &first).await;
    let second = UserImport {
        created_at: after(TimeDelta::seconds(1)),
        ..import(2, ImportState::Running)
    };
    store(&mut conn, &second).await;
    let mut find = async |digest: [u8; 32], is_upload, options| {
        let found = user_imports::find_of_file(&mut conn, &digest, is_upload, options).await;
        found.unwrap().map(|import| import.id)
    };
    assert_eq!(find(DIGEST, true, first.options).await, Some(id(2)));
    assert_eq!(find([8; 32], true, first.options).await, None);
    assert_eq!(find(DIGEST, false, first.options).await, None);
    let other = ImportOptions {
        atomic: true,
        ..first.options
    };
    assert_eq!(find(DIGEST, true, other).await, None);
    let mut is_broken_off = async || {
        let is = user_imports::is_broken_off(&mut conn, &DIGEST).await;
        is.unwrap()
    };
    assert!(!is_broken_off().await, "uploads go on by themselves");
    let mut conn = db.pool.acquire().await.unwrap();
    let of_command = UserImport {
        is_upload: false,
        ..import(3, ImportState::Running)
    };
    store(&mut conn, &of_command).await;
    assert!(is_broken_off().await);
}

#[tokio::test]
async fn a_file_comes_piece_by_piece_until_it_is_whole() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    store(&mut conn, &import(1, ImportState::Uploading)).await;
    for (offset, sealed, size) in [(0, b"one", 3), (3, b"two", 6)] {
        let added = user_imports::add_chunk(&mut conn, id(1), offset, sealed, size, noon());
        assert!(added.await.unwrap());
    }
    assert_eq!(read(&mut conn, 1).await.file_size, 6);
    for (offset, begin, sealed) in [
        (0, 0, b"one"),
        (2, 0, b"one"),
        (3, 3, b"two"),
        (9, 3, b"two"),
    ] {
        let chunk = user_imports::find_chunk(&mut conn, id(1), offset)
            .await
            .unwrap();
        assert_eq!(chunk, Some((begin, sealed.to_vec())));
    }
    let options = import(1, ImportState::Running).options;
    let mut end = async || {
        user_imports::end_upload(&mut conn, id(1), &DIGEST, 6, options, noon())
            .await
            .unwrap()
    };
    assert!(end().await);
    assert!(!end().await);
    let late = user_imports::add_chunk(&mut conn, id(1), 6, b"late", 10, noon()).await;
    assert!(!late.unwrap());
    user_imports::delete_upload(&mut conn, id(1)).await.unwrap();
    assert_eq!(read(&mut conn, 1).await.state, ImportState::Running);
    user_imports::delete_chunks(&mut conn, id(1)).await.unwrap();
    let chunk = user_imports::find_chunk(&mut conn, id(1), 0).await.unwrap();
    assert_eq!(chunk, None);

    store(&mut conn, &import(2, ImportState::Uploading)).await;
    user_imports::delete_upload(&mut conn, id(2)).await.unwrap();
    assert_eq!(user_imports::find(&mut conn, id(2)).await.unwrap(), None);
}

#[tokio::test]
async fn errors_of_rows_are_listed_in_the_order_of_the_file() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    store(&mut conn, &import(1, ImportState::Running)).await;
    let error = |line, column, reason: &str| RowError {
        line,
        column,
        reason: reason.to_owned(),
    };
    let errors = [
        error(9, None, "is cut off"),
        error(2, Some("email"), "is wrong"),
        error(2, Some("role"), &"x".repeat(600)),
    ];
    user_imports::insert_errors(&mut conn, id(1), &errors)
        .await
        .unwrap();
    let listed = |line, place, column: Option<&str>, reason: &str| ListedError {
        line,
        place,
        column_name: column.map(str::to_owned),
        reason: reason.to_owned(),
    };
    let expected = [
        listed(2, 0, Some("email"), "is wrong"),
        listed(2, 1, Some("role"), &"x".repeat(500)),
        listed(9, 0, None, "is cut off"),
    ];
    let mut list = async |after, limit| {
        let listed = user_imports::list_errors(&mut conn, id(1), after, limit);
        listed.await.unwrap()
    };
    assert_eq!(list(None, 10).await, expected);
    assert_eq!(list(Some((2, 0)), 1).await, expected[1..2]);
    assert_eq!(list(Some((9, 0)), 10).await, []);
    user_imports::delete_errors(&mut conn, id(1)).await.unwrap();
    let listed = user_imports::list_errors(&mut conn, id(1), None, 10).await;
    assert_eq!(listed.unwrap(), []);
}

#[tokio::test]
async fn one_connection_at_a_time_works_on_a_file() {
    let db = TestDatabase::create().await;
    let mut first = PgConnection::connect_with(&db.connect_options())
        .await
        .unwrap();
    let mut second = db.pool.acquire().await.unwrap();
    assert!(user_imports::try_lock(&mut first, &DIGEST).await.unwrap());
    assert!(!user_imports::try_lock(&mut second, &DIGEST).await.unwrap());
    assert!(user_imports::try_lock(&mut second, &[8; 32]).await.unwrap());
    first.close().await.unwrap();
    wait_until("the database has noticed", async || {
        user_imports::try_lock(&mut second, &DIGEST).await.unwrap()
    })
    .await;
}

#[tokio::test]
async fn a_transaction_may_be_allowed_to_stand_idle() {
    let db = TestDatabase::create().await;
    let mut transaction = db.pool.begin().await.unwrap();
    sqlx::query("set local idle_in_transaction_session_timeout = '10s'")
        .execute(&mut *transaction)
        .await
        .unwrap();
    user_imports::allow_pauses(&mut transaction).await.unwrap();
    let limit: String = sqlx::query_scalar("show idle_in_transaction_session_timeout")
        .fetch_one(&mut *transaction)
        .await
        .unwrap();
    assert_eq!(limit, "0");
}

#[tokio::test]
async fn what_ended_long_ago_and_uploads_that_stopped_are_swept() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let (hour, day) = (TimeDelta::hours(1), TimeDelta::days(1));
    for (number, state, age) in [
        (1, ImportState::Running, day),
        (2, ImportState::Uploading, hour),
        (3, ImportState::Running, hour),
        (4, ImportState::Uploading, hour - TimeDelta::seconds(1)),
    ] {
        let old = UserImport {
            updated_at: noon() - age,
            ..import(number, state)
        };
        store(&mut conn, &old).await;
    }
    let mut sweep = async |limit| {
        user_imports::sweep(&mut conn, noon() - day, noon() - hour, limit)
            .await
            .unwrap()
    };
    assert_eq!(
        (sweep(1).await, sweep(10).await, sweep(10).await),
        (1, 1, 0)
    );
    let left: Vec<Uuid> = sqlx::query_scalar("select id from user_imports order by id")
        .fetch_all(&mut *conn)
        .await
        .unwrap();
    assert_eq!(left, [3, 4].map(Uuid::from_u128));
}
