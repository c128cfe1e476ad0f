//! `user-management keys …`.

use anyhow::{anyhow, bail};
use clap::Subcommand;

use super::{
    output::{self, Table},
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
    Rotate,
    /// List the key pairs of access tokens, without their secrets.
    List,
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    let session = Session::open().await?;
    let keys = &session.app.services.signing_keys;
    let done = match command {
        Command::Rotate => keys.rotate(&session.ctx).await.map(rotated),
        Command::List => keys.list(&session.ctx).await.map(listed),
    };
    session.close().await?;
    output::print(&done??)
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
    let mut table = Table::new(&["KID", "ALGORITHM", "CREATED", "RETIRED"]);
    for key in keys {
        let (created, retired) = (output::time(key.created_at), output::time(key.retired_at));
        table.row([key.id.as_str(), key.algorithm.as_str(), &created, &retired]);
    }
    Ok(table.to_string())
}

fn no_pairs(algorithm: Algorithm) -> anyhow::Error {
    anyhow!(
        "there is nothing to rotate or to list: by JWT_ALGORITHM={} tokens are signed with \
         JWT_SECRET_KEY. Give every instance another one and restart it; that ends all tokens",
        algorithm.as_str()
    )
}
