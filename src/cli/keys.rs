//! `user-management keys …`.

use std::io::{self, Write as _};

use anyhow::{Context as _, anyhow, bail};
use chrono::{DateTime, SecondsFormat, Utc};
use clap::Subcommand;

use super::runtime;
use crate::{
    config::LogFormat,
    domain::signing_key::Algorithm,
    services::signing_keys::{KeyListing, Rotation},
    telemetry::{self, LogTarget},
};

/// What to do.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(super) enum Command {
    /// Make a new key, which signs access tokens from now on, and retire the former ones.
    ///
    /// Tokens of a retired key are accepted until the last of them has expired: for 16 minutes.
    Rotate,
    /// List the key pairs of access tokens, without their secrets.
    List,
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    telemetry::start_log(LogFormat::Text, false, LogTarget::StandardError)?;
    let (app, database) = runtime::open_app().await?;
    let ctx = runtime::operator();
    let keys = &app.services.signing_keys;
    let done = match command {
        Command::Rotate => keys.rotate(&ctx).await.map(rotated),
        Command::List => keys.list(&ctx).await.map(listed),
    };
    app.pool.close().await;
    database.close().await?;
    let text = done??;
    let mut out = io::stdout();
    out.write_all(text.as_bytes())
        .context("can't print the keys")
}

fn rotated(rotation: Rotation) -> anyhow::Result<String> {
    match rotation {
        Rotation::Rotated(id) => Ok(format!("{id}\n")),
        Rotation::Files => bail!(
            "there is nothing to rotate: the keys are in the files of JWT_PRIVATE_KEY_FILES. Name a \
             new file last and restart every instance, then first, and leave the former one out when \
             its tokens have expired"
        ),
        Rotation::Secret(algorithm) => Err(no_pairs(algorithm)),
    }
}

fn listed(keys: KeyListing) -> anyhow::Result<String> {
    let keys = match keys {
        KeyListing::Pairs(keys) => keys,
        KeyListing::Secret(algorithm) => return Err(no_pairs(algorithm)),
    };
    let mut text = line("KID", "ALGORITHM", "CREATED", "RETIRED");
    for key in keys {
        let (created, retired) = (time(key.created_at), time(key.retired_at));
        text += &line(key.id.as_str(), key.algorithm.as_str(), &created, &retired);
    }
    Ok(text)
}

fn no_pairs(algorithm: Algorithm) -> anyhow::Error {
    anyhow!(
        "there is nothing to rotate or to list: by JWT_ALGORITHM={} tokens are signed with \
         JWT_SECRET_KEY. Give every instance another one and restart it; that ends all tokens",
        algorithm.as_str()
    )
}

/// As wide as a kid, an algorithm and a time.
fn line(kid: &str, algorithm: &str, created: &str, retired: &str) -> String {
    format!("{kid:43}  {algorithm:9}  {created:20}  {retired}\n")
}

fn time(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(
        || "-".to_owned(),
        |at| at.to_rfc3339_opts(SecondsFormat::Secs, true),
    )
}
