//! An export of all users, on the server of the searches.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    bench::Bench,
    client::get,
    report::{Figure, Report, mebibytes},
};

/// Rows a second that are promised.
const RATE: f64 = 50_000.0;
/// MiB that an export may take.
const MEMORY: f64 = 64.0;
/// How an answer in chunks ends.
const END: &[u8] = b"\r\n0\r\n\r\n";

/// Measures how fast all users leave, and what memory the server takes for it.
pub async fn run(bench: &Bench<'_>, users: usize, report: &mut Report) -> Result<()> {
    for format in ["ndjson", "csv"] {
        bench.settle().await?;
        let process = bench.server.process();
        let idle = process.memory()?.resident;
        process.reset_peak()?;
        let began = Instant::now();
        let path = format!("/users/export?format={format}");
        let objects = download(bench, &path).await?;
        let seconds = began.elapsed().as_secs_f64();
        ensure!(
            format == "csv" || objects >= users,
            "{objects} of {users} users were exported"
        );
        let peak = process.memory()?.peak;
        report.add(
            &format!("`GET /users/export` as {format}, {users} users"),
            None,
            &[
                Figure::at_most(seconds, users as f64 / RATE, "s"),
                Figure::information(users as f64 / seconds, "rows/s"),
                Figure::at_most(
                    mebibytes(peak.saturating_sub(idle)),
                    MEMORY,
                    "MiB over idle",
                ),
            ],
        );
    }
    Ok(())
}

/// Reads an answer to its end, and counts the lines that end an object.
async fn download(bench: &Bench<'_>, path: &str) -> Result<usize> {
    let mut stream = TcpStream::connect(bench.server.address).await?;
    stream.write_all(&get(path, Some(&bench.token))).await?;
    let mut buffer = vec![0; 256 * 1024];
    // What a search at the edge of two reads needs of the one before.
    let mut edge: Vec<u8> = Vec::new();
    let mut objects = 0;
    let mut is_first = true;
    loop {
        let read = stream.read(&mut buffer).await?;
        ensure!(read > 0, "the export broke off");
        let part = &buffer[..read];
        if is_first {
            let status = part.get(9..12).context("an answer without a status")?;
            ensure!(status == b"200", "the export is refused");
            is_first = false;
        }
        let joint = edge.last() == Some(&b'}') && part[0] == b'\n';
        objects += usize::from(joint) + part.windows(2).filter(|pair| pair == b"}\n").count();
        edge.extend_from_slice(&part[read.saturating_sub(END.len())..]);
        if edge.ends_with(END) {
            return Ok(objects);
        }
        edge.drain(..edge.len().saturating_sub(END.len()));
    }
}
