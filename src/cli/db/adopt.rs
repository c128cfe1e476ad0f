//! `user-management db adopt`.

use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::refuse;
use crate::{
    cli::{
        confirm::Consent,
        exit::Exit,
        output::{self, Format},
        runtime::{self, Database},
    },
    config::{Config, without_password},
    error::Result,
    infra::{
        password_hasher::{HashCost, PasswordHasher},
        random::{Random, SystemRandom},
    },
    services::adoption::{Adopting, Adoption, Finding, Run, Summary},
};

/// How to take it over.
#[derive(Debug, Clone, Copy, Args)]
pub(in crate::cli) struct Options {
    /// Only tell what would happen. The old service may go on meanwhile.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    format: Format,
}

pub(super) async fn run(
    options: Options,
    config: &Config,
    database: &Database,
) -> anyhow::Result<Exit> {
    let Options {
        dry_run,
        consent,
        format,
    } = options;
    let asks = !dry_run && !consent.is_given();
    if asks && format.is_json() {
        return refuse("--json is for programs, which give --dry-run or --yes too");
    }
    if asks {
        consent.check()?;
    }
    let random: Arc<dyn Random> = Arc::new(SystemRandom);
    let hasher = PasswordHasher::start(HashCost::RECOMMENDED, None, Arc::clone(&random))?;
    let adopting = Adopting::new(
        database.options.clone(),
        random,
        Arc::new(hasher),
        config.login.max_attempts,
    );
    let ctx = runtime::operator();
    let first = match consent.is_given() && !dry_run {
        true => Run::Real,
        false => Run::Trial,
    };
    let mut report = Report::new(format);
    let mut tell = |found: &Finding| report.found(found);
    let adoption = adopting.adopt(&ctx, first, &mut tell).await?;
    report.end(first, &adoption)?;
    if let Some(exit) = not_done(&adoption)? {
        return Ok(exit);
    }
    if asks {
        let place = without_password(&database.options);
        let options = &database.options;
        // PostgreSQL's own default is the one that is called as the user is.
        let name = options.get_database().unwrap_or(options.get_username());
        let users = match &adoption {
            Adoption::Done(summary) => output::count(summary.users, "users"),
            _ => "nobody".to_owned(),
        };
        consent.ask(&format!("takes over {place}, with {users}"), name)?;
        // What happens to whom has been told; a generated nickname is found in the account.
        let adoption = adopting.adopt(&ctx, Run::Real, &mut |_| Ok(())).await?;
        Report::new(format).end(Run::Real, &adoption)?;
        not_done(&adoption)?;
    }
    Ok(Exit::Done)
}

/// The end of a command that has nothing to take over.
fn not_done(adoption: &Adoption) -> anyhow::Result<Option<Exit>> {
    match adoption {
        Adoption::Done(_) => Ok(None),
        Adoption::Ours => Ok(Some(Exit::Done)),
        Adoption::Empty => {
            refuse("there is nothing to take over: `db migrate` makes a new database")
        }
        Adoption::Foreign { missing_columns } => refuse(&format!(
            "its table `users` isn't the FastAPI service's: it has no {}",
            missing_columns.join(", ")
        )),
        Adoption::AsideTaken => refuse(
            "the schema `fastapi` has the users of an earlier takeover: `drop schema fastapi cascade` makes room",
        ),
        Adoption::InTheWay { names } => refuse(&format!(
            "it has more than the FastAPI service's tables, of names that are needed: {}. Rename it, or move it to \
             another schema",
            names.join(", ")
        )),
    }
}

/// What is printed while it is found, so that it may be of any length.
struct Report {
    format: Format,
    findings: u64,
}

#[derive(Serialize)]
struct FindingLine<'a> {
    user_id: String,
    field: &'a str,
    problem: &'a str,
    outcome: &'a str,
}

impl Report {
    fn new(format: Format) -> Self {
        Self {
            format,
            findings: 0,
        }
    }

    fn found(&mut self, finding: &Finding) -> Result<()> {
        let line = FindingLine {
            user_id: finding.user_id.to_string(),
            field: finding.field,
            problem: &finding.problem,
            outcome: &finding.outcome,
        };
        let is_first = self.findings == 0;
        self.findings += 1;
        let text = if self.format.is_json() {
            let line = serde_json::to_string(&line).map_err(anyhow::Error::from)?;
            let before = if is_first { OPENING } else { "," };
            format!("{before}\n    {line}")
        } else {
            let head = match is_first {
                true => row("USER", "FIELD", "WHAT IS WRONG", "WHAT HAPPENS"),
                false => String::new(),
            };
            head + &row(&line.user_id, line.field, line.problem, line.outcome)
        };
        Ok(output::print(&text)?)
    }

    fn end(&self, run: Run, adoption: &Adoption) -> anyhow::Result<()> {
        if self.format.is_json() {
            let opening = if self.findings == 0 { OPENING } else { "\n  " };
            let outcome = serde_json::to_string(&as_json(run, adoption))?;
            // The members of the outcome stand beside the findings.
            let members = outcome.trim_start_matches('{');
            return output::print(&format!("{opening}],\n  {members}\n"));
        }
        match adoption {
            Adoption::Done(summary) => output::print(&in_words(run, summary)),
            Adoption::Ours => {
                output::print("the database is ours already: nothing is to be done\n")
            }
            // Told as the reason of a refusal.
            Adoption::Empty
            | Adoption::Foreign { .. }
            | Adoption::AsideTaken
            | Adoption::InTheWay { .. } => Ok(()),
        }
    }
}

/// How the JSON document begins.
const OPENING: &str = "{\n  \"findings\": [";

/// As wide as an id, the longest name of a column, and most problems: the whole is never known.
fn row(user: &str, field: &str, problem: &str, outcome: &str) -> String {
    format!("{user:36}  {field:20}  {problem:50}  {outcome}\n")
}

fn as_json(run: Run, adoption: &Adoption) -> serde_json::Value {
    let outcome = match adoption {
        Adoption::Done(_) if run == Run::Trial => "can_be_adopted",
        Adoption::Done(_) => "adopted",
        Adoption::Ours => "ours_already",
        Adoption::Empty => "empty",
        Adoption::Foreign { .. } => "foreign",
        Adoption::AsideTaken => "old_tables_in_the_way",
        Adoption::InTheWay { .. } => "names_in_the_way",
    };
    match adoption {
        Adoption::Done(summary) => json!({
            "outcome": outcome,
            "users": summary.users,
            "findings_by_field": summary.findings,
            "unverified": summary.unverified,
            "locked": summary.locked,
            "columns_left_out": summary.more_columns,
            "has_admin": summary.has_admin,
            "other_sessions": summary.other_sessions,
        }),
        _ => json!({ "outcome": outcome }),
    }
}

fn in_words(run: Run, summary: &Summary) -> String {
    let users = |number| output::count(number, "users");
    let mut text = match (run, summary.users) {
        (Run::Trial, some) => format!("{} would be taken over", users(some)),
        (Run::Real, 1) => "1 user was taken over".to_owned(),
        (Run::Real, some) => format!("{} were taken over", users(some)),
    };
    text += match summary.findings.is_empty() {
        true => ", each as he is.\n",
        false => ". Of their values, not as they are:\n",
    };
    for (field, count) in &summary.findings {
        text += &format!("  {field:20}  {count}\n");
    }
    if summary.unverified > 0 {
        let have = match summary.unverified {
            1 => "1 user hasn't".to_owned(),
            some => format!("{} haven't", users(some)),
        };
        text += &format!(
            "{have} verified their address. Links in the old service's mails verify it no more; each asks for \
             another mail.\n"
        );
    }
    if summary.locked > 0 {
        text += &match summary.locked {
            1 => "1 user stays locked.\n".to_owned(),
            some => format!("{} stay locked.\n", users(some)),
        };
    }
    if !summary.more_columns.is_empty() {
        let columns = output::printable(&summary.more_columns.join(", "));
        let called = output::called(summary.more_columns.len() as u64, "columns");
        text += &format!("Nothing is taken from the {called} {columns}.\n");
    }
    if !summary.has_admin {
        text += "Nobody can log in as administrator: make one by `user-management users create-admin`.\n";
    }
    if summary.other_sessions > 0 {
        let use_it = match summary.other_sessions {
            1 => "1 other session uses".to_owned(),
            some => format!("{some} other sessions use"),
        };
        text += &format!("{use_it} the database: is the old service still running?\n");
    }
    text += match run {
        Run::Trial => "Nothing has been done yet.\n",
        Run::Real => {
            "The old tables are kept in the schema `fastapi`, with their personal data: when you need them no more, run \
             `drop schema fastapi cascade`.\n"
        }
    };
    text
}
