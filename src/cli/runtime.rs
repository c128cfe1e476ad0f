//! What commands run on: settings, a runtime, a database.

use std::{env, fs, path::PathBuf, sync::Arc};

use anyhow::{Context as _, bail};
use sqlx::postgres::PgConnectOptions;
use tokio::signal::unix::{SignalKind, signal};
use url::Url;

use crate::{
    app::{App, MailRoute, Parts},
    config::{Config, LogFormat, Source},
    domain::id::RequestId,
    infra::{
        clock::{Clock, SystemClock},
        embedded_postgres::{
            Durability, EmbeddedPostgres, Options, StartError, default_data_dir, find_running,
        },
        password_hasher::HashCost,
        random::{Random, SystemRandom},
        secret_file,
    },
    repository::pool,
    services::Ctx,
    telemetry::{self, LogDetail, LogTarget},
};

/// Where mail is kept that isn't sent, in the directory of an installation.
pub(super) const MAIL_DIRECTORY: &str = "mail";

/// Most characters of an account's name that are kept.
const MAX_ACCOUNT: usize = 200;

/// Runs a command on a runtime with as many threads as there are cores.
pub(super) fn block_on<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("can't start the runtime")?
        .block_on(async {
            // A file that may not grow is an error of its writer, and no end of the program.
            const FILE_SIZE_EXCEEDED: i32 = 25;
            let _listening = signal(SignalKind::from_raw(FILE_SIZE_EXCEEDED))?;
            command.await
        })
}

/// The settings of the environment, and of a `.env` file for those that the environment lacks.
pub(super) fn load_config() -> anyhow::Result<Config> {
    Ok(Config::read(&Sources::read()?.joined())?)
}

/// Starts the log of a command: warnings on standard error, or what was picked.
///
/// # Errors
///
/// If a log was started already.
pub(super) fn start_log(config: &Config) -> anyhow::Result<()> {
    let picked = config.server.log_filter.as_ref();
    let (detail, target) = (LogDetail::Warnings, LogTarget::StandardError);
    telemetry::start_log(LogFormat::Text, picked, detail, target)
}

/// What settings come from.
pub(super) struct Sources {
    /// The environment.
    pub(super) environment: Source,
    /// The `.env` file of the working directory; empty without one.
    pub(super) env_file: Source,
}

impl Sources {
    /// Reads the environment and the `.env` file.
    ///
    /// # Errors
    ///
    /// If that file can't be read.
    pub(super) fn read() -> anyhow::Result<Self> {
        Ok(Self {
            environment: env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
            env_file: read_env_file()?,
        })
    }

    /// Both; what the environment has takes the place of what the file has.
    pub(super) fn joined(&self) -> Source {
        let mut source = self.env_file.clone();
        source.extend(self.environment.clone());
        source
    }
}

/// The settings of the `.env` file, if there is one.
fn read_env_file() -> anyhow::Result<Source> {
    let file = match dotenvy::dotenv_iter() {
        Ok(file) => file,
        Err(error) if error.not_found() => return Ok(Source::new()),
        Err(error) => return Err(error).context("can't read the .env file"),
    };
    let mut source = Source::new();
    let mut last = "its beginning".to_owned();
    for setting in file {
        match setting {
            Ok((name, value)) => {
                last.clone_from(&name);
                source.insert(name, value);
            }
            // The error would print the line, which may hold a secret.
            Err(dotenvy::Error::LineParse(..)) => bail!(
                "can't read the .env file: what follows {last} is not NAME=value; a value with spaces or quotes in it stands in single quotes"
            ),
            Err(error) => return Err(error).context("can't read the .env file"),
        }
    }
    Ok(source)
}

/// What to do when another process runs our own database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Join {
    /// Refuse: there is one server to a directory.
    Never,
    /// Use it: a command beside a server.
    Running,
}

/// The database of a command: one that is there, or one of our own.
pub(super) struct Database {
    /// How to reach it.
    pub(super) options: PgConnectOptions,
    /// Our own, to be stopped at the end.
    pub(super) embedded: Option<EmbeddedPostgres>,
}

impl Database {
    /// The database of a command that doesn't serve: that of the settings, of the running server, or in
    /// development one that is started for the command.
    ///
    /// # Errors
    ///
    /// If our own can't be started.
    pub(super) async fn of_command(config: &Config) -> anyhow::Result<Self> {
        let place = data_dir(config)?.join("postgres");
        Self::open(config, place, Durability::Durable, Join::Running).await
    }

    /// Finds the database of the settings; without one it starts our own in `directory`.
    pub(super) async fn open(
        config: &Config,
        directory: PathBuf,
        durability: Durability,
        join: Join,
    ) -> anyhow::Result<Self> {
        if let Some(options) = config.database.url.clone() {
            return Ok(Self {
                options,
                embedded: None,
            });
        }
        let options = Options {
            directory,
            durability,
            max_connections: 100,
            search_path: env::var_os("PATH"),
        };
        let embedded = match EmbeddedPostgres::start(&options).await {
            Err(StartError::InUse(_)) if join == Join::Running => {
                let running = find_running(&options.directory).await;
                let options =
                    running.context("the database of the running server doesn't answer")?;
                return Ok(Self {
                    options,
                    embedded: None,
                });
            }
            started => started?,
        };
        Ok(Self {
            options: embedded.connect_options(),
            embedded: Some(embedded),
        })
    }

    /// Stops the database if it is our own.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        match self.embedded {
            Some(embedded) => embedded.stop().await.context("can't stop PostgreSQL"),
            None => Ok(()),
        }
    }
}

/// Where this installation keeps its files.
pub(super) fn data_dir(config: &Config) -> anyhow::Result<PathBuf> {
    match &config.server.data_dir {
        Some(directory) => std::path::absolute(directory).context("DATA_DIR is not a path"),
        None => Ok(default_data_dir(
            &env::current_dir().context("can't tell the working directory")?,
        )),
    }
}

/// The parts of the real service.
pub(super) fn parts(
    config: Config,
    database: PgConnectOptions,
    data_dir: &std::path::Path,
    base_url: Url,
) -> anyhow::Result<Parts> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let random: Arc<dyn Random> = Arc::new(SystemRandom);
    let secret_key = match config.tokens.secret_key.clone() {
        Some(key) => key,
        None => {
            let path = data_dir.join("secrets").join("jwt_secret_key");
            secret_file::read_or_generate(&path, &*random)
                .with_context(|| format!("can't keep a secret in {}", path.display()))?
        }
    };
    let mail_route = MailRoute::of(&config, data_dir.join(MAIL_DIRECTORY), &clock)?;
    Ok(Parts {
        config,
        database,
        secret_key,
        base_url,
        clock,
        random,
        hash_cost: HashCost::RECOMMENDED,
        hash_threads: None,
        mail_route,
    })
}

/// What a command works on that doesn't serve: the services, on a database that is up to date, and the
/// operator who asks.
pub(super) struct Session {
    /// The services.
    pub(super) app: App,
    /// The operator, and the time.
    pub(super) ctx: Ctx,
    database: Database,
}

impl Session {
    /// Starts the log, finds the database, migrates it and builds the services. In development without `DATABASE_URL` it uses the database of the running server, or starts it for itself.
    ///
    /// # Errors
    ///
    /// If the settings can't be used, or the database is away.
    pub(super) async fn open() -> anyhow::Result<Self> {
        let config = load_config()?;
        start_log(&config)?;
        let directory = data_dir(&config)?;
        let database = Database::of_command(&config).await?;
        pool::migrate(&database.options).await?;
        let base_url = base_url(&config, config.server.bind_address)?;
        let options = database.options.clone();
        let app = App::build(parts(config, options, &directory, base_url)?)?;
        Ok(Self {
            app,
            ctx: operator(),
            database,
        })
    }

    /// Does something in a session, and leaves it whatever became of that.
    ///
    /// # Errors
    ///
    /// As of [`Self::open`] and [`Self::close`], and those of what is done.
    pub(super) async fn with<T>(
        work: impl AsyncFnOnce(&Self) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let session = Self::open().await?;
        let done = work(&session).await;
        session.close().await?;
        done
    }

    /// Writes what was refused into the audit log, waits for what else is still being written, and leaves the
    /// database. What a service answered is looked at after this, so that an error leaves nothing running.
    ///
    /// # Errors
    ///
    /// If a database of our own can't be stopped.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        let audit = &self.app.services.audit;
        if let Err(error) = audit.write_refusals(&self.ctx.refusals).await {
            tracing::error!(%error, "a refused attempt isn't audited");
        }
        self.app.detached.close();
        self.app.detached.wait().await;
        self.app.pool.close().await;
        self.database.close().await
    }
}

/// The context of a command: for the audit log it names the operating system's account.
pub(super) fn operator() -> Ctx {
    let now = SystemClock.now();
    let random: &dyn Random = &SystemRandom;
    Ctx {
        account: Some(account()),
        ..Ctx::operator(RequestId(random.uuid_v7(now)), now)
    }
}

/// The account of the operating system that runs this command, and whose sudo made it so.
fn account() -> String {
    let uid = rustix::process::getuid().as_raw();
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = account_named(&passwd, uid).unwrap_or_else(|| format!("uid {uid}"));
    let name = match env::var("SUDO_USER") {
        Ok(person) if uid == 0 => format!("{person} as {name}"),
        _ => name,
    };
    name.chars().take(MAX_ACCOUNT).collect()
}

/// The name of an account in the lines of `passwd`; accounts of a directory service aren't there.
fn account_named(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let _password = fields.next()?;
        let is_it = fields.next()?.parse() == Ok(uid);
        (is_it && !name.is_empty()).then(|| name.to_owned())
    })
}

/// What links are built from: the setting, or the address that the server is bound to.
pub(super) fn base_url(config: &Config, bound: std::net::SocketAddr) -> anyhow::Result<Url> {
    if let Some(url) = &config.server.base_url {
        return Ok(url.clone());
    }
    let host = match bound.ip() {
        ip if ip.is_unspecified() => "localhost".to_owned(),
        std::net::IpAddr::V4(ip) => ip.to_string(),
        std::net::IpAddr::V6(ip) => format!("[{ip}]"),
    };
    match Url::parse(&format!("http://{host}:{}/", bound.port())) {
        Ok(url) => Ok(url),
        Err(error) => bail!("the bound address makes no URL: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_named_as_passwd_has_it() {
        let passwd =
            "root:x:0:0:root:/root:/bin/bash\nbroken\nada:x:1000:1000::/home/ada:/bin/sh\n";
        assert_eq!(account_named(passwd, 0).as_deref(), Some("root"));
        assert_eq!(account_named(passwd, 1000).as_deref(), Some("ada"));
        assert_eq!(account_named(passwd, 7), None);
        assert!(!account().is_empty());
    }
}
