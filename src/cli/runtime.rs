//! What commands run on: settings, a runtime, a database.

use std::{env, fs, path::PathBuf, sync::Arc};

use anyhow::{Context as _, bail};
use sqlx::postgres::PgConnectOptions;
use url::Url;

use crate::{
    app::{App, MailRoute, Parts},
    config::{Config, Source},
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
};

/// Where mail is kept that isn't sent, in the directory of an installation.
pub(super) const MAIL_DIRECTORY: &str = "mail";

/// Most characters of an account's name that are kept.
const MAX_ACCOUNT: usize = 200;

/// Runs a command on a runtime with as many threads as there are cores.
pub(super) fn block_on(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("can't start the runtime")?
        .block_on(command)
}

/// The settings of the environment, and of a `.env` file for those that the environment lacks.
pub(super) fn load_config() -> anyhow::Result<Config> {
    let mut source = read_env_file()?;
    source.extend(
        env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }),
    );
    Ok(Config::read(&source)?)
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

/// The services, for a command that doesn't serve. In development without `DATABASE_URL` it uses the
/// database of the running server, or starts it for itself.
pub(super) async fn open_app() -> anyhow::Result<(App, Database)> {
    let config = load_config()?;
    let directory = data_dir(&config)?;
    let place = directory.join("postgres");
    let database = Database::open(&config, place, Durability::Durable, Join::Running).await?;
    pool::migrate(&database.options).await?;
    let base_url = base_url(&config, config.server.bind_address)?;
    let app = App::build(parts(
        config,
        database.options.clone(),
        &directory,
        base_url,
    )?)?;
    Ok((app, database))
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
