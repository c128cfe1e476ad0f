//! `user-management users import`; `import/progress.rs` shows how far it has got.

mod progress;

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow, bail};
use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser as _},
};
use serde_json::{Value, json};

use self::progress::Progress;
use crate::{
    cli::{exit::Refusal, output, runtime::Session},
    domain::user_import::{Format, ImportOptions, ImportState, OnConflict, UserImport},
    error::{Error, ErrorCode, FieldError, Rule},
    infra::{csv, whole_file::WholeFile},
    repository::error::is_deadlock,
    services::{Ctx, user_imports::UserImports},
    shutdown::StopSignals,
};

/// What and how.
#[derive(Debug, Args)]
pub(in crate::cli) struct Import {
    /// A table (.csv) or a JSON object a line (.ndjson), in UTF-8.
    ///
    /// The columns are those of `users export`, of which email, phone_number or legacy_name is needed,
    /// and `password`; `password_hash` takes hashes of Argon2, bcrypt, scrypt, PBKDF2 and SHA-crypt. A cell
    /// that is empty isn't given. Who has no password can't log in until he has set one.
    file: PathBuf,
    /// How it is written; else its name tells.
    #[arg(long, value_name = "csv|ndjson", value_parser = PossibleValuesParser::new(["csv", "ndjson"])
        .map(|name| Format::named(&name).unwrap_or_default()))]
    format: Option<Format>,
    /// What becomes of a row whose account is there: it is an error, it is passed over, or what it gives
    /// takes the place of what the account has.
    #[arg(long, value_name = "fail|skip|update", default_value = "fail",
        value_parser = PossibleValuesParser::new(["fail", "skip", "update"])
        .map(|name| OnConflict::named(&name).unwrap_or_default()))]
    on_conflict: OnConflict,
    /// Find out what would happen, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Import all rows or, if one is bad, none. Else good rows go in and bad ones don't.
    #[arg(long)]
    atomic: bool,
    /// Go on with an import of this file by these options that was broken off; of one that has ended the
    /// result is told again.
    #[arg(long)]
    resume: bool,
    /// Mail each new user who has an address and no password a link to set one, good for 7 days.
    #[arg(long)]
    invite: bool,
    /// Where to write what is wrong with rows, if there are such: a table of line, column and reason.
    /// Else beside the file, as FILE.errors.csv.
    #[arg(long, value_name = "FILE")]
    errors: Option<PathBuf>,
    #[command(flatten)]
    output: output::Format,
}

impl Import {
    fn options(&self) -> anyhow::Result<ImportOptions> {
        let name = self.file.to_str().and_then(Format::of_file);
        let Some(format) = self.format.or(name) else {
            let rule = Rule::new(
                "missing",
                "can't be told by the file's name: give --format csv or --format ndjson",
            );
            bail!(Error::invalid(FieldError::body("format", rule)));
        };
        Ok(ImportOptions {
            format,
            on_conflict: self.on_conflict,
            dry_run: self.dry_run,
            atomic: self.atomic,
            invite: self.invite,
        })
    }

    fn errors_file(&self) -> PathBuf {
        self.errors.clone().unwrap_or_else(|| {
            let mut name = self.file.clone().into_os_string();
            name.push(".errors.csv");
            name.into()
        })
    }

    /// Refuses to write what is wrong with rows over the rows.
    fn spare_file(&self) -> anyhow::Result<()> {
        // What isn't there is not the other one.
        let Ok(file) = self.file.canonicalize() else {
            return Ok(());
        };
        let path = self.errors_file();
        if path.canonicalize().is_ok_and(|path| path == file) {
            let rule = Rule::new("same_file", "would be written over the file of users");
            bail!(Error::invalid(FieldError::body("errors", rule)));
        }
        Ok(())
    }
}

pub(super) async fn run(import: Import) -> anyhow::Result<()> {
    // What is mistyped needs no database.
    let options = import.options()?;
    import.spare_file()?;
    let signals = StopSignals::listen().context("can't listen for signals")?;
    let session = Session::open().await?;
    let done = work(&import, options, &session, signals).await;
    session.close().await?;
    let (ended, errors_file) = done?;
    import
        .output
        .print(&summary(&ended, errors_file.as_deref()), |_| {
            text(&ended, errors_file.as_deref())
        })?;
    judge(&ended)
}

/// Imports, and writes what is wrong with rows: answers where, if there is something.
async fn work(
    import: &Import,
    options: ImportOptions,
    session: &Session,
    signals: StopSignals,
) -> anyhow::Result<(UserImport, Option<PathBuf>)> {
    let imports = &session.app.services.user_imports;
    let progress = Progress::new();
    let mut tell = |so_far: &UserImport| {
        progress.show(so_far);
    };
    let importing = imports.import_file(
        &session.ctx,
        &import.file,
        options,
        import.resume,
        &mut tell,
    );
    let ended = tokio::select! {
        ended = importing => Some(ended),
        () = signals.received() => None,
    };
    let rows = progress.end();
    let Some(ended) = ended else {
        if options.is_whole() {
            bail!("stopped: nothing was imported");
        }
        let are = if rows == 1 { "is" } else { "are" };
        let rows = output::count(rows, "rows");
        bail!("stopped: {rows} {are} done; the same command with --resume goes on");
    };
    let ended = ended.map_err(|error| explain(error, options))?;
    let path = import.errors_file();
    let is_ours = import.errors.is_none();
    let written = write_errors(imports, &session.ctx, &ended, &path, is_ours).await;
    let has_errors = written.with_context(|| {
        let path = path.display();
        format!("the import has ended, but what is wrong with rows can't be written to {path}: the same command with --resume writes it again")
    })?;
    Ok((ended, has_errors.then_some(path)))
}

fn explain(error: Error, options: ImportOptions) -> anyhow::Error {
    if options.is_whole() && is_deadlock(&error) {
        tracing::debug!(%error, "an import was given up");
        let why = "others are adding or changing the same people, and each waited for the other: nothing was imported; run it again when they are done";
        return Refusal(why.to_owned()).into();
    }
    let advice = match &error {
        Error::Conflict(ErrorCode::ImportRunning) => Some(
            "this file is being imported, or its import was broken off: --resume goes on with that, by the same options",
        ),
        Error::Unavailable(_) | Error::Internal(_) if !options.is_whole() => {
            Some("broken off; the same command with --resume goes on")
        }
        _ => None,
    };
    match advice {
        Some(advice) => anyhow!(error).context(advice),
        None => error.into(),
    }
}

/// Writes what is wrong with rows, if something is: wholly or not at all. Else it takes away what an earlier
/// import has written there, if the place is ours. Answers whether there was something.
async fn write_errors(
    imports: &UserImports,
    ctx: &Ctx,
    import: &UserImport,
    path: &Path,
    is_ours: bool,
) -> anyhow::Result<bool> {
    let mut page = imports.list_errors(ctx, import.id, None).await?;
    if page.is_empty() {
        if is_ours && fs::symlink_metadata(path).is_ok_and(|kind| kind.is_file()) {
            fs::remove_file(path)?;
        }
        return Ok(false);
    }
    if is_ours && fs::symlink_metadata(path).is_ok_and(|kind| kind.is_symlink()) {
        // Whoever has put it there doesn't choose what is written over.
        fs::remove_file(path)?;
    }
    // What is no file, such as a pipe, can't be put in its place.
    let is_special = fs::metadata(path).is_ok_and(|kind| !kind.is_file());
    let mut file = match is_special {
        true => ErrorsFile::Special(BufWriter::new(File::options().write(true).open(path)?)),
        false => ErrorsFile::Whole(WholeFile::begin(path, true)?),
    };
    file.write_all(&csv::line(["line", "column", "reason"]))?;
    while let Some(last) = page.last() {
        for error in &page {
            let line = error.line.to_string();
            let column = error.column_name.as_deref().unwrap_or_default();
            file.write_all(&csv::line([&*line, column, &error.reason]))?;
        }
        page = imports.list_errors(ctx, import.id, Some(last)).await?;
    }
    file.finish()?;
    Ok(true)
}

/// Where the errors of rows go.
enum ErrorsFile {
    /// A pipe or a device.
    Special(BufWriter<File>),
    /// A file that is there wholly or not at all.
    Whole(WholeFile),
}

impl ErrorsFile {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Special(file) => file.write_all(bytes),
            Self::Whole(file) => file.write_all(bytes),
        }
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Special(mut file) => file.flush(),
            Self::Whole(file) => file.finish(),
        }
    }
}

fn summary(import: &UserImport, errors_file: Option<&Path>) -> Value {
    let counts = import.counts;
    json!({
        "import_id": import.id,
        "state": import.state.as_str(),
        "failure": import.failure,
        "dry_run": import.options.dry_run,
        "rows": {
            "read": counts.read(),
            "created": counts.created,
            "updated": counts.updated,
            "skipped": counts.skipped,
            "rejected": counts.rejected,
        },
        "errors_file": errors_file,
    })
}

fn text(import: &UserImport, errors_file: Option<&Path>) -> String {
    let counts = import.counts;
    let mut text = format!(
        "{}{}: {} created, {} updated, {} skipped, {} rejected\n",
        if import.options.dry_run {
            "dry run of "
        } else {
            ""
        },
        output::count(counts.read(), "rows"),
        counts.created,
        counts.updated,
        counts.skipped,
        counts.rejected
    );
    if let Some(path) = errors_file {
        text += &format!("what is wrong with rows: {}\n", path.display());
    }
    text
}

fn judge(import: &UserImport) -> anyhow::Result<()> {
    if import.state == ImportState::Failed {
        let why = import.failure.as_deref().unwrap_or("it failed");
        return Err(Refusal(why.to_owned()).into());
    }
    match import.counts.rejected {
        0 => Ok(()),
        rejected => {
            let were = if rejected == 1 { "was" } else { "were" };
            let rows = output::count(rejected, "rows");
            Err(Refusal(format!("{rows} {were} rejected")).into())
        }
    }
}
