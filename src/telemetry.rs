//! Logs and metrics of the process.

use std::io;

use anyhow::Context as _;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::Level;
use tracing_subscriber::{
    EnvFilter, Layer as _,
    filter::{FilterFn, filter_fn},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::config::{LogFilter, LogFormat};

/// Where log lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogTarget {
    /// A service's log is a stream on standard output.
    StandardOutput,
    /// Where standard output is for answers.
    StandardError,
}

/// How much is logged where `RUST_LOG` says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogDetail {
    /// What somebody should look at. A command does one thing and tells itself what became of that, at a
    /// terminal beside a bar that shows its progress.
    Warnings,
    /// What a service does.
    Info,
    /// What it does in detail, with `DEBUG`.
    Debug,
}

impl LogDetail {
    /// That of a service.
    #[must_use]
    pub fn of_service(debug: bool) -> Self {
        if debug { Self::Debug } else { Self::Info }
    }

    fn filter(self) -> &'static str {
        match self {
            Self::Warnings => "warn",
            Self::Info => "warn,user_management=info",
            Self::Debug => "info,user_management=debug",
        }
    }
}

/// Bounds of request and hash times, in seconds.
const SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0,
];

/// What parses the HTML of mails: it logs each tag, and the texts between them with their links, which let whoever
/// has them in.
const PARSERS_OF_MAILS: &[&str] = &["html5ever", "markup5ever", "selectors"];

/// What is logged: what was picked, or else in this detail.
fn filter(picked: Option<&LogFilter>, detail: LogDetail) -> anyhow::Result<EnvFilter> {
    let directives = picked.map_or(detail.filter(), LogFilter::as_str);
    EnvFilter::try_new(directives).context("can't log what RUST_LOG picks")
}

/// Keeps what parses mails to warnings, whatever was picked.
fn without_mails() -> FilterFn {
    fn is_of(target: &str, name: &str) -> bool {
        let rest = target.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    }
    filter_fn(|logged| {
        let parses_mails = PARSERS_OF_MAILS
            .iter()
            .any(|name| is_of(logged.target(), name));
        *logged.level() <= Level::WARN || !parses_mails
    })
}

/// Starts the log, of what was picked, or else in this detail.
///
/// # Errors
///
/// If a log was started already.
pub fn start_log(
    format: LogFormat,
    picked: Option<&LogFilter>,
    detail: LogDetail,
    target: LogTarget,
) -> anyhow::Result<()> {
    let filter = filter(picked, detail)?;
    let writer = move || -> Box<dyn io::Write> {
        match target {
            LogTarget::StandardOutput => Box::new(io::stdout()),
            LogTarget::StandardError => Box::new(io::stderr()),
        }
    };
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    let layer = match format {
        LogFormat::Text => layer
            .with_target(false)
            .with_ansi(is_terminal(target))
            .boxed(),
        LogFormat::Json => layer
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .boxed(),
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(without_mails())
        .with(layer)
        .try_init()
        .context("can't start the log")
}

fn is_terminal(target: LogTarget) -> bool {
    use io::IsTerminal as _;
    match target {
        LogTarget::StandardOutput => io::stdout().is_terminal(),
        LogTarget::StandardError => io::stderr().is_terminal(),
    }
}

/// Starts collecting metrics. Call [`PrometheusHandle::run_upkeep`] now and then.
///
/// # Errors
///
/// If they are collected already.
pub fn start_metrics() -> anyhow::Result<PrometheusHandle> {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
        .context("bounds of metrics are wrong")?
        .build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).context("can't start metrics")?;
    describe();
    Ok(handle)
}

fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    describe_histogram!(
        "http_request_seconds",
        "Requests by method, route and class of status"
    );
    describe_histogram!(
        "password_hash_seconds",
        "Time that a thread spent on one password"
    );
    describe_counter!(
        "password_hashes_refused_total",
        "Requests that found no thread to hash a password in time"
    );
    describe_counter!("logins_total", "Attempts to log in by outcome");
    describe_counter!(
        "lockouts_total",
        "Names of accounts that were locked after failed logins"
    );
    describe_counter!(
        "rate_limited_total",
        "Requests turned away by the limits per client address"
    );
    describe_counter!("users_created_total", "Accounts made");
    describe_counter!("emails_verified_total", "Addresses verified");
    describe_counter!("mails_total", "Attempts to send a mail by outcome");
    describe_counter!("jobs_finished_total", "Runs of jobs by kind and outcome");
    describe_gauge!("jobs", "Jobs in the queue by state");
    describe_gauge!(
        "jobs_overdue_seconds",
        "How long the oldest job that is due has been waiting"
    );
    describe_gauge!("database_up", "Whether the database answers");
    describe_gauge!("database_connections", "Connections of the pool");
    describe_gauge!(
        "database_connections_idle",
        "Connections of the pool that nobody uses"
    );
}

#[cfg(test)]
mod tests {
    use tracing::{enabled, subscriber::with_default};
    use tracing_subscriber::Registry;

    use super::*;

    #[test]
    fn parsers_of_mails_log_warnings_only_since_mails_have_links() {
        let logged = |picked: &str| {
            let picked = picked.parse().unwrap();
            let filter = filter(Some(&picked), LogDetail::Info).unwrap();
            with_default(
                Registry::default().with(filter).with(without_mails()),
                || {
                    (
                        enabled!(target: "html5ever::tokenizer", Level::DEBUG),
                        enabled!(target: "html5ever::tokenizer", Level::WARN),
                        enabled!(target: "user_management::app", Level::DEBUG),
                    )
                },
            )
        };
        assert_eq!(logged("debug"), (false, true, true));
        assert_eq!(logged("trace"), (false, true, true));
        assert_eq!(logged("debug,html5ever=debug"), (false, true, true));
        assert_eq!(logged("html5ever::tokenizer=trace"), (false, true, false));
        assert_eq!(logged("error"), (false, false, false));
    }
}
