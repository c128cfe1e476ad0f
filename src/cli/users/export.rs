//! `users export`.

use std::{
    fs,
    future::poll_fn,
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    task::Poll,
};

use anyhow::{Context as _, bail};
use clap::Args;
use futures::TryStreamExt as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::filters::Filters;
use crate::{
    cli::{
        exit::Refusal,
        options::{FileFormat, Wrong, wrong},
        output::{self, Format},
        runtime::Session,
    },
    domain::{file_format, user_selection::UserSelection},
    infra::{user_writer::UserWriter, whole_file::WholeFile},
    services::user_search::{Paging, UserQuery},
};

/// How standard output is called.
const STANDARD_OUTPUT: &str = "-";

/// Which users, and where to.
#[derive(Debug, Args)]
pub(in crate::cli) struct Export {
    #[command(flatten)]
    filters: Filters,
    /// How; without it by the end of the file's name, else ndjson.
    #[arg(long, value_enum)]
    format: Option<FileFormat>,
    /// Where to: a file that only you can read, and that is there when all is in it; - is standard output.
    #[arg(long, short, value_name = "FILE", default_value = STANDARD_OUTPUT)]
    output: PathBuf,
    /// Replace the file if it is there.
    #[arg(long)]
    force: bool,
    /// With the hashes of passwords: keep the file as safe as the database.
    #[arg(long)]
    password_hashes: bool,
    #[command(flatten)]
    told: Format,
}

/// What was done.
#[derive(Serialize)]
struct Exported {
    users: u64,
    file: PathBuf,
    format: &'static str,
    password_hashes: bool,
}

pub(super) async fn run(options: Export) -> anyhow::Result<()> {
    let mut errors = Wrong::default();
    let selection = options.filters.read(&mut errors);
    let selection = errors.finish(selection)?;
    let to_file = options.output.as_os_str() != STANDARD_OUTPUT;
    if options.told.is_json() && !to_file {
        let why = "tells what was written to a file: give --output FILE";
        return Err(wrong("--json", "conflict", why).into());
    }
    let format = options.format.map(Into::into);
    let of_name = || file_format::FileFormat::of_file(&options.output.to_string_lossy());
    let format = format
        .or_else(of_name)
        .unwrap_or(file_format::FileFormat::Ndjson);
    let hashes = options.password_hashes;
    let work = async |session: &Session| {
        let (interruption, target) = match to_file {
            true => {
                // Heard from before the file is there, so that none stays when we are ended.
                let interruption = Interruption::listen()?;
                let file = begin(&options.output, options.force)?;
                (interruption, Target::File(file))
            }
            // There it just ends.
            false => (Interruption::never(), Target::Standard),
        };
        tokio::select! {
            written = write(session, &selection, format, hashes, target) => written,
            () = interruption.come() => bail!("interrupted: no file was written"),
        }
    };
    let users = Session::with(work).await?;
    if !to_file {
        return Ok(());
    }
    let exported = Exported {
        users,
        file: options.output,
        format: format.as_str(),
        password_hashes: hashes,
    };
    options.told.print(&exported, |exported| {
        let are = if users == 1 { "is" } else { "are" };
        let users = output::count(users, "users");
        format!("{users} {are} in {}\n", exported.file.display())
    })
}

fn begin(path: &Path, replaces: bool) -> anyhow::Result<WholeFile> {
    match WholeFile::begin(path, replaces) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let why = format!(
                "{} is there already: give --force to replace it",
                path.display()
            );
            Err(Refusal(why).into())
        }
        begun => begun.with_context(|| format!("can't write {}", path.display())),
    }
}

/// SIGINT, SIGTERM and SIGHUP, which no longer end the process but are heard from now on.
struct Interruption(Vec<Signal>);

impl Interruption {
    /// Begins to listen to those that whoever started us hasn't told us to ignore, as `nohup` does.
    fn listen() -> anyhow::Result<Self> {
        let ignored = ignored_signals();
        let kinds = [
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::hangup(),
        ];
        let heard = kinds.into_iter().filter(|kind| {
            let bit = 1 << (kind.as_raw_value() - 1);
            ignored & bit == 0
        });
        let signals: io::Result<Vec<_>> = heard.map(signal).collect();
        Ok(Self(signals.context("can't listen to signals")?))
    }

    /// None is heard.
    const fn never() -> Self {
        Self(Vec::new())
    }

    /// Waits for the first of them, which may have come since.
    async fn come(mut self) {
        poll_fn(|context| {
            let mut signals = self.0.iter_mut();
            match signals.any(|signal| signal.poll_recv(context).is_ready()) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }
}

/// The signals that this process ignores, a bit each from that of signal 1; none where the operating system
/// doesn't tell by `/proc`.
fn ignored_signals() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or_default()
}

/// Where it is written to.
enum Target {
    Standard,
    File(WholeFile),
}

impl Target {
    /// Writes, and answers whether somebody takes it: `head` leaves when it has seen enough.
    fn take(&mut self, bytes: &[u8]) -> anyhow::Result<bool> {
        match self {
            Self::Standard => output::pass_on(bytes),
            Self::File(file) => {
                file.write_all(bytes).context("can't write the file")?;
                Ok(true)
            }
        }
    }

    fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Standard => Ok(()),
            Self::File(file) => file.finish().context("can't write the file"),
        }
    }
}

/// Writes them, and answers how many they were.
async fn write(
    session: &Session,
    selection: &UserSelection,
    format: file_format::FileFormat,
    with_hashes: bool,
    mut target: Target,
) -> anyhow::Result<u64> {
    let progress = progress(session, selection, &target).await?;
    let exports = &session.app.services.user_export;
    let users = exports.stream(&session.ctx, selection, with_hashes).await?;
    let mut users = Box::pin(users);
    let writer = UserWriter::new(format, with_hashes);
    let mut count = 0;
    let mut is_taken = target.take(&writer.head())?;
    while is_taken {
        let Some(batch) = users.try_next().await? else {
            break;
        };
        is_taken = target.take(&writer.lines(&batch)?)?;
        count += batch.len() as u64;
        progress.set_position(count);
    }
    // Its end stands in the audit log.
    drop(users);
    progress.finish_and_clear();
    target.finish()?;
    Ok(count)
}

/// A bar on standard error, where that is a terminal and the users aren't written to the same.
async fn progress(
    session: &Session,
    selection: &UserSelection,
    target: &Target,
) -> anyhow::Result<ProgressBar> {
    if matches!(target, Target::Standard) && io::stdout().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let progress = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if progress.is_hidden() {
        return Ok(progress);
    }
    let is_everybody = selection.given().is_empty();
    let template = match is_everybody {
        true => "{wide_bar} {human_pos}/{human_len} users, {per_sec}, {eta} left",
        // How many pass the filters only the end tells.
        false => "{spinner} {human_pos} users, {per_sec}",
    };
    let style = ProgressStyle::with_template(template).context("can't show the progress")?;
    progress.set_style(style);
    if is_everybody {
        let first = Paging::Cursor {
            cursor: None,
            limit: 1,
        };
        let search = &session.app.services.user_search;
        let page = search.browse(&session.ctx, UserQuery::default(), first);
        progress.set_length(page.await?.total.count);
    }
    Ok(progress)
}
