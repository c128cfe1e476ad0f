//! `user-management audit …`.

use std::sync::Arc;

use anyhow::bail;
use chrono::SecondsFormat;
use clap::{Args, Subcommand};
use futures::TryStreamExt as _;
use serde::Serialize;
use serde_json::json;

use super::{
    options::{FileFormat, Wrong, option_of},
    output::{self, Format, Table},
    runtime::Session,
};
use crate::{
    domain::audit::{AuditEntry, AuditFilter},
    error::Rule,
    http::api::audit::{AuditEntryBody, head, lines},
    services::{
        Ctx,
        audit::{AuditLog, MAX_LIMIT, Verification},
    },
};

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Compute the chain of hashes again, and tell the first entry that isn't as it was written.
    ///
    /// Note the hash at its end outside of the database: with `--head` a later run tells whether the
    /// chain still has it. The exit code is 1 where something is wrong.
    Verify(Verify),
    /// Show the newest entries.
    List(List),
    /// Print all entries that match, newest first.
    Export(Export),
}

/// How to verify.
#[derive(Debug, Args)]
pub(super) struct Verify {
    /// A hash that was the chain's end earlier: 64 hexadecimal digits.
    #[arg(long, value_name = "HASH")]
    head: Option<String>,
    #[command(flatten)]
    format: Format,
}

/// What to show.
#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    filters: Filters,
    /// Entries at most, 200 of them.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_LIMIT)))]
    limit: u32,
    #[command(flatten)]
    format: Format,
}

/// What to print.
#[derive(Debug, Args)]
pub(super) struct Export {
    #[command(flatten)]
    filters: Filters,
    /// How.
    #[arg(long, value_enum, default_value_t = FileFormat::Ndjson)]
    format: FileFormat,
}

/// Which entries.
#[derive(Debug, Args)]
struct Filters {
    /// Of the user of this id.
    #[arg(long, value_name = "ID")]
    actor: Option<String>,
    /// Done to what has this id.
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// Of this kind, such as `user_locked`.
    #[arg(long)]
    action: Option<String>,
    /// That went so: success, refused or failed.
    #[arg(long)]
    outcome: Option<String>,
    /// Of this request.
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// From this address.
    #[arg(long, value_name = "ADDRESS")]
    client_address: Option<String>,
    /// Not before this time, such as 2026-11-21 or 2026-11-21T12:00:00Z.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Before this time, or the end of this day.
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
}

impl Filters {
    /// What they let pass; what is wrong with them is noted.
    fn read(&self, wrong: &mut Wrong) -> AuditFilter {
        let mut filter = AuditFilter::default();
        let given = [
            ("actor", &self.actor),
            ("subject", &self.subject),
            ("action", &self.action),
            ("outcome", &self.outcome),
            ("request_id", &self.request_id),
            ("client_address", &self.client_address),
            ("from", &self.from),
            ("to", &self.to),
        ];
        for (name, text) in given {
            let set = |text: &str| filter.set(name, text);
            wrong.read(option_of(name), text.as_deref(), set);
        }
        filter
    }
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    // What is mistyped needs no database.
    let mut wrong = Wrong::default();
    let task = Task::read(command, &mut wrong);
    let task = wrong.finish(task)?;
    Session::with(async |session| task.run(&session.ctx, &session.app.services.audit).await).await
}

/// A command that was read.
enum Task {
    Verify {
        noted: Option<[u8; 32]>,
        format: Format,
    },
    List {
        filter: AuditFilter,
        limit: u32,
        format: Format,
    },
    Export {
        filter: AuditFilter,
        format: FileFormat,
    },
}

/// A list as programs read it.
#[derive(Serialize)]
struct Listed {
    items: Vec<AuditEntryBody>,
}

impl Task {
    fn read(command: Command, wrong: &mut Wrong) -> Self {
        match command {
            Command::Verify(options) => Self::Verify {
                noted: wrong.read("--head", options.head.as_deref(), hash),
                format: options.format,
            },
            Command::List(options) => Self::List {
                filter: options.filters.read(wrong),
                limit: options.limit,
                format: options.format,
            },
            Command::Export(options) => Self::Export {
                filter: options.filters.read(wrong),
                format: options.format,
            },
        }
    }

    async fn run(self, ctx: &Ctx, log: &Arc<AuditLog>) -> anyhow::Result<()> {
        match self {
            Self::Verify { noted, format } => {
                let verified = log.verify(ctx, noted.as_ref()).await?;
                format.print(&as_json(&verified), |_| as_text(&verified))?;
                judge(&verified)
            }
            Self::List {
                filter,
                limit,
                format,
            } => {
                let page = log.browse(ctx, &filter, None, limit).await?;
                let table = as_table(&page.items);
                let items = page.items.into_iter().map(AuditEntryBody::try_from);
                let items = items.collect::<Result<_, _>>()?;
                format.print(&Listed { items }, |_| table)
            }
            Self::Export { filter, format } => {
                let mut batches = Box::pin(log.stream(ctx, filter).await?);
                let mut is_taken = output::pass_on(&head(format.into()))?;
                while is_taken {
                    let Some(batch) = batches.try_next().await? else {
                        break;
                    };
                    is_taken = output::pass_on(&lines(format.into(), batch)?)?;
                }
                Ok(())
            }
        }
    }
}

/// A hash as `verify` prints it.
fn hash(text: &str) -> Result<[u8; 32], Rule> {
    const WRONG: Rule = Rule::new("invalid_hash", "must have 64 hexadecimal digits");
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(WRONG);
    }
    let mut hash = [0; 32];
    for (byte, at) in hash.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| WRONG)?;
    }
    Ok(hash)
}

fn hex(hash: &[u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn as_json(verified: &Verification) -> serde_json::Value {
    json!({
        "good": verified.is_good(),
        "entries": verified.entries,
        "waiting": verified.waiting,
        "head": verified.head.map(|head| json!({"sequence": head.sequence, "hash": hex(&head.hash)})),
        "removed": verified.anchor.map(|anchor| json!({
            "sequence": anchor.link.sequence,
            "hash": hex(&anchor.link.hash),
            "at": anchor.removed_at.to_rfc3339_opts(SecondsFormat::Micros, true),
        })),
        "finding": verified.finding.map(|finding| json!({
            "kind": finding.kind(),
            "sequence": finding.sequence(),
            "entry_id": finding.entry_id(),
            "text": finding.to_string(),
        })),
        "head_known": verified.is_head_known,
    })
}

fn as_text(verified: &Verification) -> String {
    let entries = match verified.entries {
        1 => "1 entry is as it was written".to_owned(),
        some => format!("{some} entries are as they were written"),
    };
    let waiting = match verified.waiting {
        1 => "1 waits for its place".to_owned(),
        some => format!("{some} wait for their places"),
    };
    let mut text = format!("{entries}; {waiting} in the chain\n");
    if let Some(anchor) = verified.anchor {
        let at = anchor.removed_at.to_rfc3339_opts(SecondsFormat::Secs, true);
        text += &format!(
            "those up to place {} were removed, the last of them at {at}\n",
            anchor.link.sequence
        );
    }
    if let Some(head) = verified.head {
        text += &format!("head: {} at place {}\n", hex(&head.hash), head.sequence);
    }
    text
}

fn judge(verified: &Verification) -> anyhow::Result<()> {
    if let Some(finding) = verified.finding {
        bail!("the audit log isn't as it was written: {finding}");
    }
    if verified.is_head_known == Some(false) {
        bail!(
            "the chain doesn't have the hash of --head: its end was cut off or written anew since, or it \
             is of a part that was removed"
        );
    }
    Ok(())
}

/// Entries for people.
fn as_table(entries: &[AuditEntry]) -> String {
    let mut table = Table::new(&["AT", "ACTOR", "ACTION", "OUTCOME", "SUBJECT"]);
    for entry in entries {
        let at = output::time(Some(entry.at));
        let actor_id = entry.actor_id.map(|id| id.to_string());
        let actor = match actor_id.as_ref().or(entry.actor_name.as_ref()) {
            Some(name) => format!("{} {name}", entry.actor_kind),
            None => entry.actor_kind.clone(),
        };
        let subject = match (&entry.subject_kind, &entry.subject_id) {
            (Some(kind), Some(id)) => format!("{kind} {id}"),
            _ => "-".to_owned(),
        };
        table.row([&at, &actor, &entry.action, &entry.outcome, &subject]);
    }
    table.fitted()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        filters: Filters,
    }

    #[test]
    fn every_filter_has_its_option() {
        let command = Line::command();
        let options: Vec<_> = command
            .get_arguments()
            .map(|option| option.get_id().as_str())
            .collect();
        assert_eq!(options, AuditFilter::NAMES);
    }

    #[test]
    fn a_hash_is_read_as_it_is_printed() {
        let bytes: [u8; 32] = std::array::from_fn(|at| u8::try_from(at * 7 % 256).unwrap());
        assert_eq!(hash(&hex(&bytes)).unwrap(), bytes);
        for bad in ["", "00", &"g".repeat(64), &"ä".repeat(32)] {
            assert!(hash(bad).is_err(), "{bad}");
        }
    }
}
