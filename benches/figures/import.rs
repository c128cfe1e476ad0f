//! An import of users with their hashes, by the command, beside the server of the searches.

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use rand::{SeedableRng as _, rngs::StdRng};
use tokio::time::sleep;

use crate::{
    bench::Bench,
    population::{Names, record},
    process::Process,
    report::{Figure, Report, mebibytes},
    server,
};

/// Rows of the file.
const ROWS: usize = 100_000;
/// Seconds that they may take.
const SECONDS: f64 = 10.0;
/// MiB that they may take over an import of one row.
const MEMORY: f64 = 64.0;
/// How often memory is looked at.
const PAUSE: Duration = Duration::from_millis(20);

/// Measures how fast users come in beside so many, and what memory that takes.
pub async fn run(
    bench: &Bench<'_>,
    names: &Names,
    users: usize,
    report: &mut Report,
) -> Result<()> {
    // Of numbers that nobody has.
    let from = 10 * users;
    let (_, idle) = import(bench.directory, names, from..from + 1).await?;
    bench.settle().await?;
    let (seconds, peak) = import(bench.directory, names, from + 1..from + 1 + ROWS).await?;
    report.add(
        &format!("`users import` of {ROWS} users with hashes beside {users}"),
        None,
        &[
            Figure::at_most(seconds, SECONDS, "s"),
            Figure::information(ROWS as f64 / seconds, "rows/s"),
            Figure::at_most(
                mebibytes(peak.saturating_sub(idle)),
                MEMORY,
                "MiB over an import of one",
            ),
        ],
    );
    Ok(())
}

/// Imports users of these numbers: how many seconds it took, and the most KiB that were resident.
async fn import(
    directory: &Path,
    names: &Names,
    numbers: std::ops::Range<usize>,
) -> Result<(f64, u64)> {
    let mut random = StdRng::seed_from_u64(numbers.start as u64);
    let mut table = String::from(
        "nickname,email,email_verified_at,password_hash,first_name,last_name,phone_number\n",
    );
    for number in numbers {
        writeln!(table, "{}", record(names, &mut random, number))?;
    }
    let file = directory.join("import.csv");
    fs::write(&file, table)?;
    let mut command = server::command(directory);
    command.args(["users", "import", "--json"]).arg(&file);
    let began = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()?;
    let mut peak = 0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        // It may have ended by now.
        if let Ok(memory) = Process(child.id()).memory() {
            peak = peak.max(memory.peak);
        }
        sleep(PAUSE).await;
    };
    let seconds = began.elapsed().as_secs_f64();
    ensure!(status.success(), "the import ended with {status}");
    fs::remove_file(&file)?;
    Ok((seconds, peak))
}
