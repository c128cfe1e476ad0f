//! `user-management keys …`.

use anyhow::{anyhow, bail};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;

use super::{
    output::{self, Format, Table},
    runtime::Session,
};
use crate::{
    domain::signing_key::Algorithm,
    services::signing_keys::{KeyListing, Rotation},
};

/// What to do.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(super) enum Command {
    /// Make a new key, which signs access tokens from now on, and retire the former ones.
    ///
    /// Tokens of a retired key are accepted until the last of them has expired: for 16 minutes.
    Rotate(Options),
    /// List the key pairs of access tokens, without their secrets.
    List(Options),
}

/// How to tell it.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Options {
    #[command(flatten)]
    format: Format,
}

/// A key as programs read it.
#[derive(Serialize)]
struct Key {
    kid: String,
    algorithm: &'static str,
    created_at: Option<String>,
    /// Null: it signs.
    retired_at: Option<String>,
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    let work = async |session: &Session| {
        let (keys, ctx) = (&session.app.services.signing_keys, &session.ctx);
        Ok(match command {
            Command::Rotate(options) => (options.format, Done::Rotated(keys.rotate(ctx).await?)),
            Command::List(options) => (options.format, Done::Listed(keys.list(ctx).await?)),
        })
    };
    match Session::with(work).await? {
        (format, Done::Rotated(rotation)) => {
            let kid = rotated(rotation)?;
            format.print(&json!({"kid": kid}), |_| format!("{kid}\n"))
        }
        (format, Done::Listed(keys)) => format.print(&listed(keys)?, |keys| as_table(keys)),
    }
}

/// What was answered.
enum Done {
    Rotated(Rotation),
    Listed(KeyListing),
}

fn rotated(rotation: Rotation) -> anyhow::Result<String> {
    match rotation {
        Rotation::Rotated(id) => Ok(id.to_string()),
        Rotation::Files => bail!(
            "there is nothing to rotate: the keys are in the files of JWT_PRIVATE_KEY_FILES. Name a \
             new file last and restart every instance, then first, and leave the former one out when \
             its tokens have expired"
        ),
        Rotation::Secret(algorithm) => Err(no_pairs(algorithm)),
    }
}

fn listed(keys: KeyListing) -> anyhow::Result<Vec<Key>> {
    let keys = match keys {
        KeyListing::Pairs(keys) => keys,
        KeyListing::Secret(algorithm) => return Err(no_pairs(algorithm)),
    };
    let time = |at: Option<DateTime<Utc>>| at.map(|_| output::time(at));
    let keys = keys.into_iter().map(|key| Key {
        kid: key.id.as_str().to_owned(),
        algorithm: key.algorithm.as_str(),
        created_at: time(key.created_at),
        retired_at: time(key.retired_at),
    });
    Ok(keys.collect())
}

fn as_table(keys: &[Key]) -> String {
    let mut table = Table::new(&["KID", "ALGORITHM", "CREATED", "RETIRED"]);
    for key in keys {
        let time = |at: &Option<String>| at.clone().unwrap_or_else(|| output::time(None));
        let (created, retired) = (time(&key.created_at), time(&key.retired_at));
        table.row([&key.kid, key.algorithm, &created, &retired]);
    }
    table.to_string()
}

fn no_pairs(algorithm: Algorithm) -> anyhow::Error {
    anyhow!(
        "there is nothing to rotate or to list: by JWT_ALGORITHM={} tokens are signed with \
         JWT_SECRET_KEY. Give every instance another one and restart it; that ends all tokens",
        algorithm.as_str()
    )
}
