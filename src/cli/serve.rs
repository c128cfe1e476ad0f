//! `user-management serve`.

use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::Args;
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::runtime::{self, Database, Join};
use crate::{
    app::App,
    config::{Config, Environment, Source},
    http::{self, server, telemetry::Metrics},
    infra::{
        embedded_postgres::{Durability, fresh_directory},
        random::{Random, SystemRandom},
    },
    repository::pool,
    services::registration::EnsuredAdmin,
    shutdown::StopSignals,
    telemetry::{self, LogDetail, LogTarget},
};

/// How often the metrics are tidied up.
const UPKEEP: Duration = Duration::from_secs(5);

/// How to serve.
#[derive(Debug, Default, Args)]
pub(super) struct Options {
    /// Serve on a free port with a throw-away database, and print one line of JSON when ready.
    ///
    /// For integration tests: whatever the settings say of databases and addresses is passed over,
    /// mail is caught, and nothing is left when the server stops.
    #[arg(long)]
    ephemeral: bool,
}

/// What `--ephemeral` prints.
#[derive(Serialize)]
struct Ready {
    url: String,
    mail_url: String,
    openapi_url: String,
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    // Heard from the very start: a stop that comes while the database starts ends that properly too.
    let signals = StopSignals::listen().context("can't hear of signals")?;
    let stop = CancellationToken::new();
    let signalled = stop.clone();
    tokio::spawn(async move {
        signals.received().await;
        tracing::info!("stopping");
        signalled.cancel();
    });
    let (config, target) = if options.ephemeral {
        (ephemeral_config()?, LogTarget::StandardError)
    } else {
        (runtime::load_config()?, LogTarget::StandardOutput)
    };
    let detail = LogDetail::of_service(config.server.debug);
    let (format, picked) = (config.server.log_format, config.server.log_filter.as_ref());
    telemetry::start_log(format, picked, detail, target)?;
    let metrics = telemetry::start_metrics()?;
    raise_file_limit();
    let listener = bind(config.server.bind_address, "BIND_ADDRESS").await?;
    let operations = bind_operations(&config).await?;
    let (database, data_dir) = if options.ephemeral {
        open_ephemeral(&config).await?
    } else {
        let data_dir = runtime::data_dir(&config)?;
        let place = data_dir.join("postgres");
        let opened = Database::open(&config, place, Durability::Durable, Join::Never).await?;
        (opened, data_dir)
    };
    let served = serve(
        config,
        &data_dir,
        &database,
        listener,
        operations,
        metrics,
        stop,
        options.ephemeral,
    )
    .await;
    let closed = database.close().await;
    served?;
    closed
}

/// Each connection is an open file, of which many systems allow 1,024 unless a process asks for more.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    // Some systems name a limit that they don't grant; we get on with what there is.
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit of open files remains as it is");
    }
}

/// The settings of a server for somebody's tests.
fn ephemeral_config() -> anyhow::Result<Config> {
    let random: &dyn Random = &SystemRandom;
    // Nothing but these: a .env file that lies about must not change somebody's tests.
    let mut source: Source = [
        ("ENVIRONMENT", "development"),
        ("BIND_ADDRESS", "127.0.0.1:0"),
        ("OPERATIONS_ADDRESS", "127.0.0.1:0"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let hex: String = random
        .bytes::<32>()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    source.insert("JWT_SECRET_KEY".to_owned(), hex);
    for name in EPHEMERAL_SETTINGS {
        if let Ok(value) = env::var(name) {
            source.insert((*name).to_owned(), value);
        }
    }
    Ok(Config::read(&source)?)
}

/// A throw-away database. Its directory, which vanishes with it, holds the mail too.
async fn open_ephemeral(config: &Config) -> anyhow::Result<(Database, PathBuf)> {
    let directory =
        fresh_directory(&env::temp_dir()).context("can't make a directory for temporary files")?;
    let place = directory.clone();
    let opened = Database::open(config, place, Durability::ThrowAway, Join::Never).await;
    if opened.is_err() {
        // What counts is why there is no database.
        let _ = fs::remove_dir_all(&directory);
    }
    let database = opened?;
    if let Some(embedded) = &database.embedded {
        embedded.add_directory(runtime::MAIL_DIRECTORY)?;
    }
    Ok((database, directory))
}

/// The settings that somebody's tests may want to choose.
const EPHEMERAL_SETTINGS: &[&str] = &[
    "ACCESS_TOKEN_EXPIRE_MINUTES",
    "ACCOUNT_DELETION_GRACE_DAYS",
    "ADMIN_PASSWORD",
    "ADMIN_USER",
    "COMPAT_APIS",
    "CORS_ALLOWED_ORIGINS",
    "DEBUG",
    "EMAIL_TEMPLATES_DIR",
    "FIRST_USER_IS_ADMIN",
    "HIDE_ACCOUNT_EXISTENCE",
    "IMPORT_MAX_BYTES",
    "JWT_ALGORITHM",
    "LOG_FORMAT",
    "MAIL_FROM",
    "MAX_LOGIN_ATTEMPTS",
    "PHONE_DEFAULT_REGION",
    "RATE_LIMITS",
    "RATE_LIMIT_LOGIN",
    "RATE_LIMIT_REGISTER",
    "RATE_LIMIT_RESEND",
    "RATE_LIMIT_RESET",
    "REFRESH_TOKEN_EXPIRE_MINUTES",
    "SERVICE_CREDENTIALS",
    "SESSION_MAX_MINUTES",
];

async fn bind(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("can't listen on {address}; set {setting} to another address"))
}

/// The default operations address gives way in development: another project may use its port.
pub(super) async fn bind_operations(config: &Config) -> anyhow::Result<TcpListener> {
    let address = config.server.operations_address;
    let bound = bind(address, "OPERATIONS_ADDRESS").await;
    if bound.is_err()
        && config.environment == Environment::Development
        && !config.server.operations_address_is_set
    {
        return bind(SocketAddr::new(address.ip(), 0), "OPERATIONS_ADDRESS").await;
    }
    bound
}

#[expect(
    clippy::too_many_arguments,
    reason = "each is opened before the others and outlives this"
)]
async fn serve(
    config: Config,
    data_dir: &Path,
    database: &Database,
    listener: TcpListener,
    operations: TcpListener,
    metrics: PrometheusHandle,
    stop: CancellationToken,
    ephemeral: bool,
) -> anyhow::Result<()> {
    let bound = listener
        .local_addr()
        .context("the listening socket has no address")?;
    let operations_address = operations
        .local_addr()
        .context("the listening socket has no address")?;
    let Some(migrated) = stop
        .run_until_cancelled(pool::migrate(&database.options))
        .await
    else {
        return Ok(());
    };
    migrated?;
    let base_url = runtime::base_url(&config, bound)?;
    let (warnings, runs_worker) = (config.warnings.clone(), config.server.worker);
    let app = App::build(runtime::parts(
        config,
        database.options.clone(),
        data_dir,
        base_url,
    )?)?;
    let prepared = app.services.signing_keys.prepare().await;
    prepared.context("can't sign access tokens")?;
    let admin = app.ensure_admin().await?;

    let tasks = TaskTracker::new();
    app.start_listening(&tasks, &stop);
    app.start_chaining(&tasks, &stop);
    tell(&app, bound, operations_address, database, ephemeral)?;
    match admin {
        Some(EnsuredAdmin::Made(user_id)) => {
            tracing::info!(%user_id, "the administrator of ADMIN_USER was made");
        }
        Some(EnsuredAdmin::AddressTaken(user_id)) => tracing::warn!(
            %user_id,
            "the administrator of ADMIN_USER was not made: somebody else has the address; \
             delete that account and start again, or use `users create-admin` with another address"
        ),
        Some(EnsuredAdmin::MadeBefore) | None => {}
    }
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    if runs_worker {
        app.start_worker(&tasks, &stop);
    }
    tasks.spawn(tidy(metrics.clone(), stop.clone()));
    // Metrics and health are there until the last request has been answered.
    let drained = CancellationToken::new();
    let operations_router = http::operations_router(&app.state, Metrics(metrics));
    let operations = tokio::spawn(server::serve(
        operations,
        operations_router,
        drained.clone(),
    ));
    let state = app.state.clone();
    let draining = stop.clone();
    tasks.spawn(async move {
        draining.cancelled().await;
        state.drain();
    });
    server::serve(listener, http::router(&app.state), stop).await;
    for tasks in [tasks, app.detached.clone()] {
        tasks.close();
        tasks.wait().await;
    }
    drained.cancel();
    operations.await.context("the server of metrics failed")?;
    app.pool.close().await;
    tracing::info!("stopped");
    Ok(())
}

/// The first log line: where everything is.
fn tell(
    app: &App,
    bound: SocketAddr,
    operations: SocketAddr,
    database: &Database,
    ephemeral: bool,
) -> anyhow::Result<()> {
    let state = &app.state;
    let ready = Ready {
        url: state.url("").trim_end_matches('/').to_owned(),
        mail_url: state.url("dev/mail"),
        openapi_url: state.url("openapi.json"),
    };
    tracing::info!(
        address = %bound,
        api = ready.url,
        docs = state.url("docs"),
        mail = state.caught_mail.as_ref().map(|_| &ready.mail_url),
        metrics = %format_args!("http://{operations}/metrics"),
        database = database.embedded.as_ref().map(crate::infra::embedded_postgres::EmbeddedPostgres::url),
        "ready"
    );
    if ephemeral {
        print_line(&serde_json::to_string(&ready).context("can't write the line")?)?;
    }
    Ok(())
}

fn print_line(line: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) => bail!("can't tell that the server is ready: {error}"),
    }
}

/// Keeps the buffers of metrics small while nobody asks for them.
pub(super) async fn tidy(metrics: PrometheusHandle, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(UPKEEP);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        metrics.run_upkeep();
    }
}
