//! A database for each test, on one PostgreSQL for the whole process.
//!
//! The server is the one that `TEST_DATABASE_URL` names (its role must be allowed to create
//! databases), else a throw-away one of our own. A template is migrated once, and each test gets a
//! clone of it.

use std::{
    env,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    process,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, PgConnection, PgPool,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use user_management::infra::embedded_postgres::{
    Durability, EmbeddedPostgres, Options, fresh_directory,
};

static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// The names of the template and of its clones begin with this.
const PREFIX: &str = "user_management_test";

/// Connections that a test's pool may hold.
const POOL_SIZE: u32 = 5;

/// Connections to the server, for all tests that run at once.
const MAX_CONNECTIONS: u16 = 300;

/// Makes two processes take turns with the template; any number does.
const TEMPLATE_LOCK: i64 = 0x7465_6d70;

/// How long a test waits for its database to be dropped.
const DROP_LIMIT: Duration = Duration::from_secs(30);

/// A migrated database of one test's own, dropped at the test's end.
pub struct TestDatabase {
    /// A small pool of connections to it.
    pub pool: PgPool,
    options: PgConnectOptions,
}

impl TestDatabase {
    /// Makes the database; the first call in a process starts the server.
    pub async fn create() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let server = Server::get();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}_{}_{number}", process::id());
        let mut connection = maintenance(&server.options).await;
        let template = &server.template;
        // A copy of the files is the fastest where nothing is synced to disk.
        let create =
            format!(r#"create database "{name}" template "{template}" strategy file_copy"#);
        execute(&mut connection, create).await;
        connection.close().await.unwrap();

        let options = server.options.clone().database(&name);
        let pool = PgPoolOptions::new().max_connections(POOL_SIZE);
        let pool = pool.connect_with(options.clone()).await.unwrap();
        Self { pool, options }
    }

    /// How to connect to it: for a second instance, with a pool of its own.
    pub fn connect_options(&self) -> PgConnectOptions {
        self.options.clone()
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Some(name) = self.options.get_database() {
            Server::get().drop_database(name.to_owned());
        }
    }
}

/// The server of all tests.
///
/// A test's runtime ends with the test, so nothing here may belong to one: the server and the
/// connection that drops databases live on a thread with a runtime of its own.
struct Server {
    options: PgConnectOptions,
    template: String,
    /// Whether it is the one of `TEST_DATABASE_URL`, which remains after us.
    external: bool,
    to_drop: UnboundedSender<ToDrop>,
}

/// The name of a database, and whom to tell when it is gone.
type ToDrop = (String, mpsc::Sender<()>);

impl Server {
    fn get() -> &'static Self {
        static SERVER: OnceLock<Server> = OnceLock::new();
        SERVER.get_or_init(|| {
            let (ready, started) = mpsc::channel();
            thread::Builder::new()
                .name("test-database-server".to_owned())
                .spawn(move || run(&ready))
                .unwrap();
            started.recv().expect("the test database server starts")
        })
    }

    /// Drops a database: at leisure where the whole server goes at the end, else at once.
    fn drop_database(&self, name: String) {
        let (done, gone) = mpsc::channel();
        let sent = self.to_drop.send((name, done));
        if self.external && sent.is_ok() && gone.recv_timeout(DROP_LIMIT).is_err() {
            eprintln!("a test database could not be dropped in time");
        }
    }
}

/// Keeps the server for as long as the process lives. Its own runtime ends never, and the embedded
/// server notices the end of the process by itself.
#[tokio::main(flavor = "current_thread")]
async fn run(ready: &mpsc::Sender<Server>) {
    let url = env::var("TEST_DATABASE_URL").ok();
    let (options, _embedded) = match &url {
        Some(url) => (url.parse().unwrap(), None),
        None => {
            let embedded = start_embedded().await;
            (embedded.connect_options(), Some(embedded))
        }
    };
    let template = make_template(&options).await;
    let (to_drop, databases) = unbounded_channel();
    let server = Server {
        options: options.clone(),
        template,
        external: url.is_some(),
        to_drop,
    };
    ready.send(server).unwrap();
    drop_databases(&options, databases).await;
}

async fn start_embedded() -> EmbeddedPostgres {
    let options = Options {
        directory: fresh_directory(&env::temp_dir()).unwrap(),
        durability: Durability::ThrowAway,
        max_connections: MAX_CONNECTIONS,
        search_path: env::var_os("PATH"),
    };
    match EmbeddedPostgres::start(&options).await {
        Ok(embedded) => embedded,
        Err(error) => panic!("{error}: {error:?}"),
    }
}

/// Makes the template unless an earlier process made the same. It appears migrated or not at all.
async fn make_template(options: &PgConnectOptions) -> String {
    let mut hasher = DefaultHasher::new();
    for migration in MIGRATOR.iter() {
        (migration.version, &migration.checksum).hash(&mut hasher);
    }
    let template = format!("{PREFIX}_template_{:016x}", hasher.finish());

    let mut connection = maintenance(options).await;
    sqlx::query("select pg_advisory_lock($1)")
        .bind(TEMPLATE_LOCK)
        .execute(&mut connection)
        .await
        .unwrap();
    let known = sqlx::query("select 1 from pg_database where datname = $1")
        .bind(&template)
        .fetch_optional(&mut connection)
        .await
        .unwrap();
    if known.is_none() {
        let unfinished = format!("{PREFIX}_template_unfinished");
        let drop = format!(r#"drop database if exists "{unfinished}" with (force)"#);
        execute(&mut connection, drop).await;
        execute(
            &mut connection,
            format!(r#"create database "{unfinished}""#),
        )
        .await;
        let database = options.clone().database(&unfinished);
        let mut migrating = PgConnection::connect_with(&database).await.unwrap();
        MIGRATOR.run(&mut migrating).await.unwrap();
        migrating.close().await.unwrap();
        let rename = format!(r#"alter database "{unfinished}" rename to "{template}""#);
        execute(&mut connection, rename).await;
    }
    connection.close().await.unwrap();
    template
}

async fn drop_databases(options: &PgConnectOptions, mut databases: UnboundedReceiver<ToDrop>) {
    let mut connection = maintenance(options).await;
    while let Some((name, done)) = databases.recv().await {
        let drop = format!(r#"drop database if exists "{name}" with (force)"#);
        // Whoever connects to it again and again may prevent it. Then it remains, and the server, which
        // ends with this thread, must go on for the other tests.
        match connection.execute(AssertSqlSafe(drop)).await {
            // Nobody waits for the databases of a throw-away server.
            Ok(_) => {
                let _nobody_waits = done.send(());
            }
            Err(error) => eprintln!("the test database {name} remains: {error}"),
        }
    }
}

/// A connection to the server's own database, for making and dropping others.
async fn maintenance(options: &PgConnectOptions) -> PgConnection {
    let options = options.clone().database("postgres");
    PgConnection::connect_with(&options).await.unwrap()
}

async fn execute(connection: &mut PgConnection, statement: String) {
    connection.execute(AssertSqlSafe(statement)).await.unwrap();
}
