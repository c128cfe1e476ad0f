//! Whole lives of a server, from start to end.

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use sqlx::{Connection as _, PgConnection};
use tokio::time::{sleep, timeout};

use super::super::{Durability, EmbeddedPostgres, Options, StartError, fresh_directory};

/// A directory that PostgreSQL's user can pass through, also when we are root; removed at the end.
struct Place(PathBuf);

impl Place {
    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A failing test leaves a server that ends only now, and writes until then.
        if let Err(error) = fs::remove_dir_all(&self.0) {
            assert!(std::thread::panicking(), "{error}");
        }
    }
}

fn place() -> Place {
    Place(fresh_directory(&env::temp_dir()).unwrap())
}

fn options(directory: PathBuf, durability: Durability) -> Options {
    Options {
        directory,
        durability,
        max_connections: 10,
        search_path: None,
    }
}

async fn start(options: &Options) -> EmbeddedPostgres {
    match EmbeddedPostgres::start(options).await {
        Ok(server) => server,
        Err(error) => panic!("{error}: {error:?}"),
    }
}

async fn connect(server: &EmbeddedPostgres) -> PgConnection {
    let options = server.connect_options();
    PgConnection::connect_with(&options).await.unwrap()
}

async fn run(connection: &mut PgConnection, statement: &'static str) {
    sqlx::query(statement).execute(connection).await.unwrap();
}

async fn ask(connection: &mut PgConnection, question: &'static str) -> String {
    let answer = sqlx::query_scalar(question).fetch_one(connection).await;
    answer.unwrap()
}

/// The process id of the server in `directory`.
fn postmaster(directory: &Path) -> Pid {
    let file = fs::read_to_string(directory.join("data/postmaster.pid")).unwrap();
    let pid = file.lines().next().unwrap().parse().unwrap();
    Pid::from_raw(pid).unwrap()
}

fn runs(pid: Pid) -> bool {
    test_kill_process(pid).is_ok()
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let poll = async {
        while !condition() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let outcome = timeout(Duration::from_secs(20), poll).await;
    outcome.unwrap_or_else(|_| panic!("not in time: {what}"));
}

#[tokio::test]
async fn data_is_kept_across_restarts_and_stopping_leaves_no_process() {
    let place = place();
    let directory = place.path().join("not/yet/there");
    let options = options(directory.clone(), Durability::Durable);
    let server = start(&options).await;
    let mut connection = connect(&server).await;
    run(
        &mut connection,
        "create table kept as select 'as it was' as text",
    )
    .await;
    let first = postmaster(&directory);
    server.stop().await.unwrap();
    assert!(!runs(first));

    let server = start(&options).await;
    let mut connection = connect(&server).await;
    assert_eq!(
        ask(&mut connection, "select text from kept").await,
        "as it was"
    );
    assert_eq!(ask(&mut connection, "show fsync").await, "on");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn it_is_closed_to_others_and_we_are_no_superuser() {
    let place = place();
    let directory = place.path().join("server");
    let server = start(&options(directory.clone(), Durability::ThrowAway)).await;
    let data = fs::metadata(directory.join("data")).unwrap();
    let socket = fs::metadata(directory.join("socket")).unwrap();
    assert_eq!((data.mode() & 0o777, socket.mode() & 0o777), (0o700, 0o700));
    assert_ne!(data.uid(), 0, "PostgreSQL must not run as root");

    let mut connection = connect(&server).await;
    for (question, answer) in [
        ("show listen_addresses", ""),
        ("show is_superuser", "off"),
        ("select current_user::text", "user_management"),
        ("select current_database()::text", "user_management"),
        ("show server_encoding", "UTF8"),
        ("select lower('ÄÖ')", "äö"),
        ("show fsync", "off"),
    ] {
        assert_eq!(ask(&mut connection, question).await, answer, "{question}");
    }
    run(&mut connection, "create extension pg_trgm").await;
    server.stop().await.unwrap();
    assert!(!directory.exists(), "a throw-away server leaves nothing");
}

#[tokio::test]
async fn its_url_connects_also_when_the_path_is_long_and_odd() {
    let place = place();
    let name = format!("it's \"a, path\" + 100% {}", "long ".repeat(20));
    let server = start(&options(place.path().join(name), Durability::ThrowAway)).await;
    let socket = server.directory.socket().to_owned();
    assert!(socket.as_os_str().len() < 80, "{}", socket.display());
    let mut connection = PgConnection::connect(&server.url()).await.unwrap();
    connection.ping().await.unwrap();
    server.stop().await.unwrap();
    assert!(!socket.exists());

    let server = start(&options(
        place.path().join("a, \"b\" + c"),
        Durability::ThrowAway,
    ))
    .await;
    let mut connection = PgConnection::connect(&server.url()).await.unwrap();
    connection.ping().await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_directory_serves_one_at_a_time() {
    let place = place();
    let options = options(place.path().join("server"), Durability::Durable);
    let server = start(&options).await;
    let error = EmbeddedPostgres::start(&options).await.unwrap_err();
    assert!(matches!(error, StartError::InUse(_)), "{error}");
    // Dropped without a stop it ends by itself, and the next start waits for that.
    drop(server);
    start(&options).await.stop().await.unwrap();
}

#[tokio::test]
async fn a_directory_of_others_is_left_alone() {
    let place = place();
    let directory = place.path();
    fs::write(directory.join("thesis.txt"), "years of work").unwrap();
    let start = |directory: PathBuf| async {
        let options = options(directory, Durability::ThrowAway);
        EmbeddedPostgres::start(&options).await.unwrap_err()
    };
    let error = start(directory.to_owned()).await;
    assert!(error.to_string().contains("thesis.txt"), "{error}");

    // A cluster that somebody else made, and something that only has our directory's name.
    fs::create_dir_all(directory.join("cluster/base")).unwrap();
    fs::create_dir_all(directory.join("photos/data/2019")).unwrap();
    for name in ["cluster", "photos"] {
        let error = start(directory.join(name)).await;
        assert!(matches!(error, StartError::Foreign { .. }), "{error}");
    }
    let left = |path: &str| fs::read_dir(directory.join(path)).unwrap().count();
    assert_eq!((left(""), left("cluster"), left("photos")), (3, 1, 1));
}

#[tokio::test]
async fn a_cluster_that_was_left_half_made_is_made_anew() {
    let place = place();
    let directory = place.path().join("server");
    fs::create_dir_all(directory.join("data.new/base")).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o711)).unwrap();
    let options = options(directory, Durability::Durable);
    let server = start(&options).await;

    // Nor does it matter when somebody drops our database.
    let superuser = server.connect_options().username("postgres");
    let superuser = superuser.database("postgres");
    let mut connection = PgConnection::connect_with(&superuser).await.unwrap();
    run(&mut connection, "drop database user_management").await;
    server.stop().await.unwrap();
    let server = start(&options).await;
    connect(&server).await.ping().await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why() {
    let place = place();
    let directory = place.path().join("server");
    let options = options(directory.clone(), Durability::Durable);
    start(&options).await.stop().await.unwrap();

    fs::remove_file(directory.join("data/global/pg_control")).unwrap();
    let error = EmbeddedPostgres::start(&options).await.unwrap_err();
    assert!(error.to_string().contains("pg_control"), "{error}");

    fs::write(directory.join("data/PG_VERSION"), "9\n").unwrap();
    let error = EmbeddedPostgres::start(&options).await.unwrap_err();
    let expected = matches!(error, StartError::MajorMissing { wanted: 9, .. });
    assert!(expected, "{error}");
}

#[tokio::test]
async fn as_root_a_directory_that_postgres_cannot_enter_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return; // Anybody else runs PostgreSQL as himself.
    }
    let closed = tempfile::tempdir().unwrap();
    fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let options = options(closed.path().join("server"), Durability::ThrowAway);
    let error = EmbeddedPostgres::start(&options).await.unwrap_err();
    let StartError::NotEnterable { obstacle, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(obstacle, closed.path());
}

/// What was logged as an error on this thread.
#[derive(Clone, Default)]
struct Errors(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Errors {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn an_end_that_nobody_wanted_is_logged_and_the_next_start_recovers() {
    let errors = Errors::default();
    let writer = errors.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::ERROR)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let logged = || String::from_utf8(errors.0.lock().unwrap().clone()).unwrap();

    let place = place();
    let directory = place.path().join("server");
    let options = options(directory.clone(), Durability::Durable);
    start(&options).await.stop().await.unwrap();
    assert_eq!(logged(), "", "a stop is no error");

    let server = start(&options).await;
    kill_process(postmaster(&directory), Signal::KILL).unwrap();
    until("the error in the log", || {
        logged().contains("PostgreSQL ended though nobody stopped it")
    })
    .await;
    server.stop().await.unwrap();
    start(&options).await.stop().await.unwrap();
}

/// Tells a second run of this test binary to hold a server in this directory.
const HOLD: &str = "TEST_HOLD_POSTGRES_IN";

#[tokio::test]
async fn a_killed_process_leaves_no_postgres_and_loses_nothing() {
    let name = "a_killed_process_leaves_no_postgres_and_loses_nothing";
    if let Some(directory) = env::var_os(HOLD) {
        return hold(PathBuf::from(directory)).await;
    }
    let place = place();
    for durability in ["durable", "throw-away"] {
        let directory = place.path().join(durability);
        // The name of a test begins with its module, without the crate.
        let module = module_path!().split_once("::").unwrap().1;
        let mut holder = Command::new(env::current_exe().unwrap())
            .args([&format!("{module}::{name}"), "--exact", "--nocapture"])
            .env(HOLD, &directory)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("holding")));
        let postmaster = postmaster(&directory);
        assert!(runs(postmaster));
        holder.kill().unwrap();
        holder.wait().unwrap();

        if durability == "durable" {
            let server = start(&options(directory, Durability::Durable)).await;
            assert!(
                !runs(postmaster),
                "the old server has ended before the new one starts"
            );
            let mut connection = connect(&server).await;
            let count = ask(&mut connection, "select count(*)::text from kept").await;
            assert_eq!(count, "1");
            server.stop().await.unwrap();
        } else {
            until("the end of the server", || !runs(postmaster)).await;
            until("the removal of its files", || {
                !directory.join("data").exists()
            })
            .await;
        }
    }
}

/// Holds a server until we are killed.
async fn hold(directory: PathBuf) {
    let durability = if directory.ends_with("durable") {
        Durability::Durable
    } else {
        Durability::ThrowAway
    };
    let server = start(&options(directory, durability)).await;
    let mut connection = connect(&server).await;
    run(&mut connection, "create table kept as select 1 as number").await;
    println!("holding");
    std::future::pending::<()>().await;
}
