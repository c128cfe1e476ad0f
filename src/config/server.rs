//! The server: addresses, proxies, logs.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr};

use ipnet::IpNet;
use url::Url;

use super::{Environment, LogFilter, Reader};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("must be text or json"),
        }
    }
}

/// Addresses, proxies and logs.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// What links are built from; none: the address that the server is bound to.
    pub base_url: Option<Url>,
    /// Where the API is served.
    pub bind_address: SocketAddr,
    /// Where metrics are served.
    pub operations_address: SocketAddr,
    /// Whether that address was set, or is the default, which may give way.
    pub operations_address_is_set: bool,
    /// Where an embedded database, secrets and caught mail are kept; none: the default place.
    pub data_dir: Option<PathBuf>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Origins whose pages may call the API.
    pub cors_allowed_origins: Vec<Origin>,
    /// Whether log lines are detailed.
    pub debug: bool,
    /// How log lines look.
    pub log_format: LogFormat,
    /// What is logged; none: what suits a service, or a command.
    pub log_filter: Option<LogFilter>,
    /// Whether `serve` runs the worker too.
    pub worker: bool,
}

/// The origin of a web page: scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(pub String);

impl FromStr for Origin {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const INVALID: &str = "must be origins such as https://app.example.com; `*` is not one";
        let url = Url::parse(text).map_err(|_| INVALID)?;
        let origin = url.origin().ascii_serialization();
        if matches!(url.scheme(), "http" | "https") && text.trim_end_matches('/') == origin {
            Ok(Self(origin))
        } else {
            Err(INVALID)
        }
    }
}

/// A network, or a single address.
struct Network(IpNet);

impl FromStr for Network {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse()
            .or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from))
            .map(Self)
            .map_err(|_| "must be addresses or networks such as 10.0.0.0/8")
    }
}

/// `SERVER_BASE_URL`.
struct BaseUrl(Url);

impl FromStr for BaseUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut url =
            Url::parse(text).map_err(|_| "must be a URL such as https://users.example.com")?;
        if !matches!(url.scheme(), "http" | "https")
            || !url.username().is_empty()
            || url.password().is_some()
            || url.query().is_some()
            || url.fragment().is_some()
        {
            return Err("must be an http or https URL without user, query and fragment");
        }
        // Paths are joined to it, so it ends in a slash.
        if !url.path().ends_with('/') {
            let path = format!("{}/", url.path());
            url.set_path(&path);
        }
        Ok(Self(url))
    }
}

impl ServerConfig {
    pub(super) fn read(reader: &mut Reader<'_>, environment: Environment) -> Self {
        reader.section("Service");
        let base_url: Option<BaseUrl> = reader.optional(
            "SERVER_BASE_URL",
            "The service's public address: every link in answers and mails begins with it. Required in production; default in development: the address that the server is bound to.",
        );
        if environment == Environment::Production
            && base_url.is_none()
            && !reader
                .problems
                .iter()
                .any(|p| p.starts_with("SERVER_BASE_URL"))
        {
            reader.problem("SERVER_BASE_URL", "is required in production");
        }
        let bind_address: Option<SocketAddr> = reader.optional(
            "BIND_ADDRESS",
            "Where the API is served; port 0 picks a free one. Default: `127.0.0.1:8000` in development, `0.0.0.0:8000` in production.",
        );
        let operations_address: Option<SocketAddr> = reader.optional(
            "OPERATIONS_ADDRESS",
            "Where `/metrics` is served, with `/health`; keep it private. Default: `127.0.0.1:9000`.",
        );
        let data_dir = reader.optional(
            "DATA_DIR",
            "Where development keeps its database, secrets and caught mail. Default: `data` in the working directory, or a directory that PostgreSQL's user can enter.",
        );
        let trusted_proxies: Vec<Network> = reader.list(
            "TRUSTED_PROXIES",
            "Addresses or networks of the proxies in front, separated by commas: only behind them is the client's address taken from `X-Forwarded-For`.",
        );
        let cors_allowed_origins = reader.list(
            "CORS_ALLOWED_ORIGINS",
            "Origins of web pages that may call the API, separated by commas, exact: `https://app.example.com`.",
        );
        let debug = reader
            .switch("DEBUG", "false", "Detailed logs.")
            .unwrap_or(false);
        let log_format = reader.optional(
            "LOG_FORMAT",
            "`text` or `json`. Default: `text` in development, `json` in production.",
        );
        let log_filter = reader.optional(
            "RUST_LOG",
            "What is logged, in place of what DEBUG says: levels, alone or behind a target, separated by commas, as `warn,user_management=debug`; a target alone is refused, since it may be a mistyped level. What parses the HTML of mails logs warnings only, since its lines have their links. Commands log warnings by default.",
        );
        let worker = reader
            .switch("WORKER", "true", "Whether `serve` also sends mail and does the other background work; `false` where `user-management worker` runs beside it.")
            .unwrap_or(true);
        let any: [u8; 4] = match environment {
            Environment::Development => [127, 0, 0, 1],
            Environment::Production => [0, 0, 0, 0],
        };
        let operations_address_is_set = operations_address.is_some();
        let bind_address = bind_address.unwrap_or_else(|| (any, 8000).into());
        let operations_address =
            operations_address.unwrap_or_else(|| ([127, 0, 0, 1], 9000).into());
        let log_format = log_format.unwrap_or(match environment {
            Environment::Development => LogFormat::Text,
            Environment::Production => LogFormat::Json,
        });
        reader.show("BIND_ADDRESS", bind_address);
        reader.show("OPERATIONS_ADDRESS", operations_address);
        reader.show("LOG_FORMAT", log_format);
        Self {
            base_url: base_url.map(|url| url.0),
            bind_address,
            operations_address_is_set,
            operations_address,
            data_dir,
            trusted_proxies: trusted_proxies
                .into_iter()
                .map(|network| network.0)
                .collect(),
            cors_allowed_origins,
            debug,
            log_format,
            log_filter,
            worker,
        }
    }
}
