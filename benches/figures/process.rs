//! What Linux tells about a process in `/proc`: CPU time and memory.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};

use crate::{
    client::Samples,
    report::{Measured, millis},
};

/// The unit of CPU times in `/proc/<pid>/stat`: Linux's `USER_HZ` is 100 on every architecture
/// that is in use.
const TICK: Duration = Duration::from_millis(10);

/// A running process.
#[derive(Debug, Clone, Copy)]
pub struct Process(pub u32);

/// The memory of a process that is in RAM, in KiB.
pub struct Memory {
    /// All of it, pages of files (the program itself) included.
    pub resident: u64,
    /// The part that belongs to no file: heap and stacks.
    pub anonymous: u64,
    /// The most that was resident since [`Process::reset_peak`].
    pub peak: u64,
}

/// The fields of `/proc/<pid>/stat` that we need.
struct Stat {
    parent: u32,
    own: Duration,
    ended_children: Duration,
}

impl Process {
    /// This process.
    pub fn own() -> Self {
        Self(std::process::id())
    }

    /// The CPU time of all its threads, those that have ended too.
    pub fn cpu(self) -> Result<Duration> {
        Ok(self.stat()?.own)
    }

    /// The CPU time of it and its children, those that have ended too.
    pub fn cpu_with_children(self) -> Result<Duration> {
        let stat = self.stat()?;
        let mut sum = stat.own + stat.ended_children;
        for entry in fs::read_dir("/proc")? {
            let Ok(pid) = entry?.file_name().to_string_lossy().parse() else {
                continue;
            };
            // It may have ended since the directory was read: then its parent counts it, next time.
            if let Ok(child) = Self(pid).stat()
                && child.parent == self.0
            {
                sum += child.own;
            }
        }
        Ok(sum)
    }

    /// Its parent.
    pub fn parent(self) -> Result<Self> {
        Ok(Self(self.stat()?.parent))
    }

    /// Its memory now.
    pub fn memory(self) -> Result<Memory> {
        let path = format!("/proc/{}/status", self.0);
        let status = fs::read_to_string(&path).with_context(|| path.clone())?;
        let field = |name: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB"))
                .and_then(|kib| kib.trim().parse().ok())
                .with_context(|| format!("{path} has no {name}"))
        };
        Ok(Memory {
            resident: field("VmRSS:")?,
            anonymous: field("RssAnon:")?,
            peak: field("VmHWM:")?,
        })
    }

    /// Lets the peak of its memory begin anew.
    ///
    pub fn reset_peak(self) -> Result<()> {
        let path = format!("/proc/{}/clear_refs", self.0);
        fs::write(&path, "5").with_context(|| path)
    }

    fn stat(self) -> Result<Stat> {
        let path = format!("/proc/{}/stat", self.0);
        let stat = fs::read_to_string(&path).with_context(|| path.clone())?;
        // The second field is the program's name in parentheses, which may hold anything.
        let (_, rest) = stat.rsplit_once(')').with_context(|| path.clone())?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |field: usize| -> Result<u32> {
            // proc(5) counts from 1, and two fields are cut off.
            let text = fields.get(field - 3).with_context(|| path.clone())?;
            text.parse().with_context(|| path.clone())
        };
        Ok(Stat {
            parent: number(4)?,
            own: TICK * (number(14)? + number(15)?),
            ended_children: TICK * (number(16)? + number(17)?),
        })
    }
}

/// What a run of some work costs: from [`Usage::begin`] to [`Usage::end`].
pub struct Usage {
    process: Process,
    postgres: Option<Process>,
    cpu: Duration,
    postgres_cpu: Duration,
}

impl Usage {
    /// Begins to count what `process` spends, and PostgreSQL, given as its first process.
    pub fn begin(process: Process, postgres: Option<Process>) -> Result<Self> {
        process.reset_peak()?;
        Ok(Self {
            process,
            postgres,
            cpu: process.cpu()?,
            postgres_cpu: postgres.map_or(Ok(Duration::ZERO), Process::cpu_with_children)?,
        })
    }

    /// What `samples`, taken meanwhile on so many connections, show together with what was spent.
    pub fn end(self, connections: usize, samples: Samples) -> Result<Measured> {
        let cpu = self.process.cpu()?.saturating_sub(self.cpu);
        let postgres_cpu = self.postgres.map(Process::cpu_with_children).transpose()?;
        let mut measured = Measured::new(connections, samples);
        let a_request = |spent: Duration| millis(spent) / measured.requests as f64;
        measured.cpu = Some(a_request(cpu));
        measured.postgres_cpu =
            postgres_cpu.map(|now| a_request(now.saturating_sub(self.postgres_cpu)));
        measured.peak = Some(self.process.memory()?.peak);
        Ok(measured)
    }
}

/// The first process of the PostgreSQL behind `database`: the parent of the one that serves us.
pub async fn postgres(database: &PgConnectOptions) -> Result<Process> {
    let mut connection = PgConnection::connect_with(database).await?;
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()")
        .fetch_one(&mut connection)
        .await?;
    let parent = Process(u32::try_from(pid)?).parent();
    connection.close().await?;
    parent
}

/// The machine, in a line.
pub fn machine() -> Result<String> {
    let cpus = fs::read_to_string("/proc/cpuinfo").context("/proc/cpuinfo")?;
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown CPU", |(_, model)| model.trim());
    let kernel =
        fs::read_to_string("/proc/sys/kernel/osrelease").context("the kernel's release")?;
    let load = fs::read_to_string("/proc/loadavg").context("/proc/loadavg")?;
    let load = load.split(' ').next().unwrap_or_default();
    let cores = std::thread::available_parallelism()?;
    Ok(format!(
        "{cores} cores of {model}, Linux {}, load before the run {load}",
        kernel.trim()
    ))
}
