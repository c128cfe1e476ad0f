//! The running processes: a shell that outlives us for a moment, and PostgreSQL under it.

use std::{
    collections::VecDeque,
    io::{self, PipeWriter},
    path::Path,
    process::Stdio,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, ChildStderr, Command},
    task::JoinHandle,
};

use super::{
    Durability, PORT, directory::Directory, error::StartError, installation::Installation, memory,
    user::run_as,
};

/// How many lines of PostgreSQL's log are kept for an error message.
const KEPT_LINES: usize = 20;

/// Runs a server until its standard input ends. The arguments: the signal that stops the server,
/// two directories to remove afterwards (empty: none), then the server's command.
///
/// It ignores the terminal's signals, for it is us who decide when the database goes. The reader
/// of the pipe is killed when the server ends by itself.
const SUPERVISE: &str = r#"
trap '' HUP INT TERM
signal=$1 first=$2 second=$3
shift 3
exec 3<&0 </dev/null
"$@" 3<&- &
server=$!
{ read -r _; kill -s "$signal" "$server"; } <&3 &
reader=$!
exec 3<&-
wait "$server"
status=$?
kill -s KILL "$reader" 2>/dev/null
for rubbish in "$first" "$second"; do
  if [ -n "$rubbish" ]; then rm -rf -- "$rubbish"; fi
done
exit "$status"
"#;

/// The last lines of the log.
type Lines = Arc<Mutex<VecDeque<String>>>;

/// The server runs while this exists. Who watches it holds it weakly, and so knows at its end
/// whether we wanted it.
#[derive(Debug)]
struct Lifeline {
    /// Open, not written: its end is the signal.
    _pipe: PipeWriter,
    /// Whether the server has ever been ready; until then its end is the starter's error.
    ready: AtomicBool,
}

/// A server with its shell.
#[derive(Debug)]
pub(super) struct Supervisor {
    lifeline: Arc<Lifeline>,
    lines: Lines,
    watch: JoinHandle<()>,
}

impl Supervisor {
    /// Starts PostgreSQL; it is not ready yet when this returns.
    pub fn start(
        installation: &Installation,
        directory: &Directory,
        max_connections: u16,
    ) -> Result<Self, StartError> {
        let program = installation.bin.join("postgres");
        let failed = |source: io::Error| StartError::Io {
            action: "run",
            path: program.clone(),
            source,
        };
        let (reader, pipe) = io::pipe().map_err(failed)?;
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", SUPERVISE, "supervise"])
            .arg(match directory.durability() {
                // "Fast": breaks off connections, then writes everything to disk.
                Durability::Durable => "INT",
                // "Immediate": drops everything.
                Durability::ThrowAway => "QUIT",
            })
            .args(directory.rubbish())
            .arg(&program)
            .arg("-D")
            .arg(directory.data())
            .args(settings(directory, max_connections))
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .current_dir("/")
            .stdin(reader)
            .stdout(directory.server_lock()?)
            .stderr(Stdio::piped())
            .process_group(0);
        run_as(&mut command, directory.user());
        let child = command.spawn().map_err(failed)?;
        let lifeline = Arc::new(Lifeline {
            _pipe: pipe,
            ready: AtomicBool::new(false),
        });
        let lines = Lines::default();
        let watch = watch(child, Arc::clone(&lines), Arc::downgrade(&lifeline));
        Ok(Self {
            lifeline,
            lines,
            watch: tokio::spawn(watch),
        })
    }

    /// Waits for the end of the server, wanted or not.
    ///
    /// # Concurrency
    ///
    /// It may be dropped and called anew, but not after it was done.
    pub async fn ended(&mut self) {
        if let Err(error) = (&mut self.watch).await {
            tracing::error!(%error, "the watch over PostgreSQL failed");
        }
    }

    /// From now on an end that nobody wanted is logged as an error.
    pub fn mark_ready(&self) {
        self.lifeline.ready.store(true, Ordering::Release);
    }

    /// The last lines that PostgreSQL logged.
    pub fn last_lines(&self) -> String {
        joined(&self.lines)
    }

    /// Stops the server and waits for its end.
    pub async fn stop(self) {
        let Self {
            lifeline, watch, ..
        } = self;
        drop(lifeline);
        if let Err(error) = watch.await {
            tracing::error!(%error, "the watch over PostgreSQL failed");
        }
    }
}

/// Follows the log to its end, which comes when the last process of the server has closed it.
async fn watch(mut child: Child, lines: Lines, lifeline: Weak<Lifeline>) {
    if let Some(log) = child.stderr.take()
        && let Err(error) = follow(log, &lines).await
    {
        tracing::error!(%error, "cannot read PostgreSQL's log");
    }
    let status = match child.wait().await {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    let unwanted = lifeline
        .upgrade()
        .is_some_and(|lifeline| lifeline.ready.load(Ordering::Acquire));
    if unwanted {
        let log = joined(&lines);
        tracing::error!(status, log, "PostgreSQL ended though nobody stopped it");
    }
}

/// Hands the log on to ours, and keeps its last lines.
async fn follow(log: ChildStderr, lines: &Lines) -> io::Result<()> {
    let mut log = BufReader::new(log);
    let mut line = Vec::new();
    while log.read_until(b'\n', &mut line).await? > 0 {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        tracing::debug!(target: "postgres", "{text}");
        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT_LINES {
            lines.pop_front();
        }
        lines.push_back(text);
        line.clear();
    }
    Ok(())
}

fn joined(lines: &Lines) -> String {
    let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
    lines.make_contiguous().join("\n")
}

/// What is given up for speed where nothing is to last.
const FAST: [&str; 3] = [
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
];

/// The server's settings. They stand on the command line, not in the cluster, so that a newer
/// version of ours brings its own.
fn settings(directory: &Directory, max_connections: u16) -> Vec<String> {
    let mut settings = vec![
        "listen_addresses=".to_owned(),
        format!("unix_socket_directories={}", quoted(directory.socket())),
        "unix_socket_permissions=0700".to_owned(),
        format!("port={PORT}"),
        format!("max_connections={max_connections}"),
        "cluster_name=user-management".to_owned(),
        "timezone=UTC".to_owned(),
        // The log: to us, without statements and details, which hold addresses.
        "logging_collector=off".to_owned(),
        "log_destination=stderr".to_owned(),
        "log_line_prefix=".to_owned(),
        "log_error_verbosity=terse".to_owned(),
        "log_min_error_statement=panic".to_owned(),
        "log_checkpoints=off".to_owned(),
        // Nobody replicates from here.
        "wal_level=minimal".to_owned(),
        "max_wal_senders=0".to_owned(),
    ];
    match directory.durability() {
        Durability::Durable => {
            settings.push(format!("shared_buffers={}MB", memory::shared_buffers()))
        }
        Durability::ThrowAway => settings.extend(FAST.map(str::to_owned)),
    }
    let flag = |setting| ["-c".to_owned(), setting];
    settings.into_iter().flat_map(flag).collect()
}

/// A path as an element of a list, where a comma would end it.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.to_string_lossy().replace('"', "\"\""))
}
