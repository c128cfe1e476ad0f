//! The table.

use std::{
    fmt::{self, Write as _},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::client::Samples;

/// What a run of some work showed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Measured {
    /// Connections, or threads.
    pub connections: usize,
    /// How many requests were made.
    pub requests: usize,
    /// Requests a second.
    pub per_second: f64,
    /// The median of latencies, in milliseconds.
    pub p50: f64,
    /// The latency that one in twenty exceeds, in milliseconds.
    pub p95: f64,
    /// The latency that one in a hundred exceeds, in milliseconds.
    pub p99: f64,
    /// CPU time a request of the process that does the work, in milliseconds.
    pub cpu: Option<f64>,
    /// PostgreSQL's CPU time a request, in milliseconds.
    pub postgres_cpu: Option<f64>,
    /// The most memory that the process had in RAM meanwhile, in KiB.
    pub peak: Option<u64>,
}

impl Measured {
    /// Latencies and throughput, without what the processes spent.
    pub fn new(connections: usize, samples: Samples) -> Self {
        let Samples {
            mut latencies,
            elapsed,
        } = samples;
        latencies.sort_unstable();
        let percentile = |percent: usize| {
            let at = (latencies.len() * percent / 100).min(latencies.len().saturating_sub(1));
            latencies.get(at).copied().unwrap_or_default()
        };
        Self {
            connections,
            requests: latencies.len(),
            per_second: latencies.len() as f64 / elapsed.as_secs_f64(),
            p50: millis(percentile(50)),
            p95: millis(percentile(95)),
            p99: millis(percentile(99)),
            cpu: None,
            postgres_cpu: None,
            peak: None,
        }
    }

    /// The mean of several runs of the same work.
    pub fn mean(runs: &[Self]) -> Self {
        let mean =
            |field: fn(&Self) -> f64| runs.iter().map(field).sum::<f64>() / runs.len() as f64;
        let optional_mean = |field: fn(&Self) -> Option<f64>| {
            let sum: Option<f64> = runs.iter().map(field).sum();
            sum.map(|sum| sum / runs.len() as f64)
        };
        Self {
            connections: runs.first().map_or(0, |run| run.connections),
            requests: runs.iter().map(|run| run.requests).sum(),
            per_second: mean(|run| run.per_second),
            p50: mean(|run| run.p50),
            p95: mean(|run| run.p95),
            p99: mean(|run| run.p99),
            cpu: optional_mean(|run| run.cpu),
            postgres_cpu: optional_mean(|run| run.postgres_cpu),
            peak: runs.iter().filter_map(|run| run.peak).max(),
        }
    }
}

/// A number that is promised, and what it is.
#[derive(Debug, Clone)]
pub struct Figure {
    /// What is promised.
    pub target: String,
    /// What it is.
    pub found: String,
    /// Whether the promise is kept; none: it is an aim, or only for information.
    pub met: Option<bool>,
}

impl Figure {
    /// At most `limit`.
    pub fn at_most(found: f64, limit: f64, unit: &str) -> Self {
        Self {
            target: format!("at most {limit} {unit}"),
            found: format!("{} {unit}", number(found)),
            met: Some(found <= limit),
        }
    }

    /// How `found`'s throughput compares with that of `limit`.
    pub fn ratio(found: &Measured, limit: &Measured, of: &'static str) -> Ratio {
        Ratio {
            percent: 100.0 * found.per_second / limit.per_second,
            of,
        }
    }

    /// The same without a verdict, for a reason.
    pub fn not_judged(self, reason: &str) -> Self {
        Self {
            found: format!("{} ({reason})", self.found),
            met: None,
            ..self
        }
    }

    /// Without a promise.
    pub fn information(found: f64, unit: &str) -> Self {
        Self {
            target: String::new(),
            found: format!("{} {unit}", number(found)),
            met: None,
        }
    }
}

/// A throughput as a part of another.
#[derive(Debug, Clone, Copy)]
pub struct Ratio {
    percent: f64,
    of: &'static str,
}

impl Ratio {
    /// A promise.
    pub fn at_least(self, percent: f64) -> Figure {
        Figure {
            met: Some(self.percent >= percent),
            ..self.aim(percent)
        }
    }

    /// An aim, which is not judged.
    pub fn aim(self, percent: f64) -> Figure {
        Figure {
            target: format!("at least {percent} % {}", self.of),
            found: format!("{:.1} %", self.percent),
            met: None,
        }
    }
}

/// The table's rows.
#[derive(Debug, Default)]
pub struct Report(Vec<[String; 11]>);

const HEADER: [&str; 11] = [
    "work",
    "conns",
    "req/s",
    "p50 ms",
    "p99 ms",
    "CPU ms/req",
    "PG ms/req",
    "peak MiB",
    "target",
    "found",
    "",
];

/// Columns of words begin at the left; numbers end at the right.
const LEFT: [usize; 4] = [0, 8, 9, 10];

impl Report {
    /// A row; further figures of the same work go on rows of their own below it.
    pub fn add(&mut self, work: &str, measured: Option<&Measured>, figures: &[Figure]) {
        let optional = |value: Option<f64>| value.map_or_else(String::new, number);
        let numbers = measured.map_or_else(Default::default, |measured| {
            [
                measured.connections.to_string(),
                number(measured.per_second),
                number(measured.p50),
                number(measured.p99),
                optional(measured.cpu),
                optional(measured.postgres_cpu),
                optional(measured.peak.map(mebibytes)),
            ]
        });
        let mut figures = figures.iter();
        let mut row: [String; 11] = Default::default();
        row[0] = work.to_owned();
        row[1..8].clone_from_slice(&numbers);
        row[8..].clone_from_slice(&cells(figures.next()));
        self.0.push(row);
        for figure in figures {
            let mut row: [String; 11] = Default::default();
            row[8..].clone_from_slice(&cells(Some(figure)));
            self.0.push(row);
        }
    }
}

fn cells(figure: Option<&Figure>) -> [String; 3] {
    figure.map_or_else(Default::default, |figure| {
        let verdict = match figure.met {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "",
        };
        [
            figure.target.clone(),
            figure.found.clone(),
            verdict.to_owned(),
        ]
    })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = HEADER.map(str::to_owned);
        let rows = || std::iter::once(&header).chain(&self.0);
        let widths: [usize; 11] = std::array::from_fn(|column| {
            let cells = rows().map(|row| row[column].chars().count());
            cells.max().unwrap_or_default()
        });
        for (index, row) in rows().enumerate() {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
                if LEFT.contains(&column) {
                    write!(line, "{cell:<width$}  ")?;
                } else {
                    write!(line, "{cell:>width$}  ")?;
                }
            }
            writeln!(f, "{}", line.trim_end())?;
            if index == 0 {
                let rule = widths.iter().sum::<usize>() + 2 * (widths.len() - 1);
                writeln!(f, "{}", "-".repeat(rule))?;
            }
        }
        Ok(())
    }
}

/// Three digits that count, no more: the rest is noise.
fn number(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        ..0.0995 => format!("{value:.3}"),
        ..9.995 => format!("{value:.2}"),
        ..99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// Milliseconds.
pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// MiB of KiB.
pub fn mebibytes(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
