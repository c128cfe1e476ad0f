//! The real program: runs it with settings of its own, and talks to it over TCP.
//!
//! [`Program`] is the settings, [`Process`] a run of it, [`Server`] a run that serves. Whatever a
//! test starts is killed at its end, and its output is printed when the test fails.

mod server;
mod terminal;

use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead as _, BufReader, Read, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sqlx::ConnectOptions as _;

use super::{database::TestDatabase, directory::Directory, eventually::eventually};

use self::terminal::Terminal;

pub use self::server::Server;

/// The program that these tests are about.
const PROGRAM: &str = env!("CARGO_BIN_EXE_user-management");

/// The program with its settings and its directory; cheap to clone.
#[derive(Clone)]
pub struct Program {
    settings: BTreeMap<String, String>,
    directory: Arc<Directory>,
}

impl Program {
    /// Development on a database of its own, on free ports.
    pub fn new() -> Self {
        let directory = Arc::new(Directory::new());
        let data = directory.path().join("data");
        Self {
            settings: BTreeMap::new(),
            directory,
        }
        .set("ENVIRONMENT", "development")
        .set("DATA_DIR", data.to_str().unwrap())
        .set("BIND_ADDRESS", "127.0.0.1:0")
        .set("OPERATIONS_ADDRESS", "127.0.0.1:0")
        .set("LOG_FORMAT", "json")
    }

    /// The same on this database.
    pub fn on(database: &TestDatabase) -> Self {
        let url = database.connect_options().to_url_lossy();
        Self::new().set("DATABASE_URL", url.as_str())
    }

    /// With no settings at all.
    pub fn without_settings() -> Self {
        let mut program = Self::new();
        program.settings.clear();
        program
    }

    /// With this setting.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Without this setting.
    pub fn unset(mut self, name: &str) -> Self {
        self.settings.remove(name);
        self
    }

    /// Where it keeps its files.
    pub fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Its own directory, which it runs in.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Runs a command.
    pub fn spawn(&self, arguments: &[&str]) -> Process {
        let mut command = Command::new(PROGRAM);
        command.args(arguments);
        self.spawn_command(command)
    }

    /// Runs a command that a shell prepares: `script` ends in `exec "$0" serve` or the like.
    pub fn spawn_by_shell(&self, script: &str) -> Process {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script, PROGRAM]);
        self.spawn_command(command)
    }

    fn spawn_command(&self, mut command: Command) -> Process {
        command.stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.start(command);
        let stderr = Lines::of(child.stderr.take().unwrap());
        self.process(child, stderr)
    }

    /// Starts a command with these settings. What it is given of a terminal is kept by nobody else.
    fn start(&self, mut command: Command) -> Child {
        command
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap())
            .envs(&self.settings)
            .current_dir(self.directory.path())
            .spawn()
            .unwrap()
    }

    fn process(&self, mut child: Child, stderr: Lines) -> Process {
        Process {
            stdout: Lines::of(child.stdout.take().unwrap()),
            stderr,
            child,
            _directory: Arc::clone(&self.directory),
        }
    }

    /// Runs a command to its end at a terminal, where somebody types this; standard output goes
    /// elsewhere. What the terminal shows is the standard error.
    pub async fn run_at_terminal(&self, arguments: &[&str], typed: &str) -> Finished {
        let mut terminal = Terminal::open();
        let mut command = Command::new(PROGRAM);
        command.args(arguments);
        command.stdin(terminal.side()).stderr(terminal.side());
        command.stdout(Stdio::piped());
        let child = self.start(command);
        terminal.write_all(typed.as_bytes()).unwrap();
        let shown = Lines::of(terminal.shown());
        self.process(child, shown).finish().await
    }

    /// Runs a command to its end whose standard output is a terminal with so many columns: what that shows.
    pub fn shown_at_terminal(&self, arguments: &[&str], columns: u16) -> String {
        let terminal = Terminal::open();
        terminal.resize(columns);
        let mut command = Command::new(PROGRAM);
        command.args(arguments);
        command.stdin(Stdio::null()).stdout(terminal.side());
        let child = self.start(command);
        let shown = Lines::of(terminal.shown()).read_to_end();
        assert!(child.wait_with_output().unwrap().status.success());
        shown
    }

    /// Runs a command to its end with this standard input.
    pub async fn run(&self, arguments: &[&str], input: &str) -> Finished {
        let mut process = self.spawn(arguments);
        let mut stdin = process.child.stdin.take().unwrap();
        // Who doesn't read it has ended already.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        process.finish().await
    }

    /// Serves, and waits until that is ready.
    pub async fn serve(&self) -> Server {
        Server::of(self.spawn(&["serve"])).await
    }
}

/// The lines of an output, as they come.
struct Lines {
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Lines {
    fn of(output: impl Read + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        let reader = thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                kept.lock().unwrap().push(line.unwrap());
            }
        });
        Self {
            lines,
            reader: Some(reader),
        }
    }

    fn get(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    fn read_to_end(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.get().join("\n")
    }
}

/// A run that has ended.
#[derive(Debug)]
pub struct Finished {
    /// The exit code; none: ended by a signal.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Finished {
    /// Fails unless it ended with this exit code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        self
    }
}

/// A run of the program.
pub struct Process {
    child: Child,
    stdout: Lines,
    stderr: Lines,
    _directory: Arc<Directory>,
}

impl Process {
    /// Its id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The lines of standard output so far.
    pub fn stdout(&self) -> Vec<String> {
        self.stdout.get()
    }

    /// The lines of its log so far, which are JSON objects.
    pub fn log(&self) -> Vec<Value> {
        let lines = self.stdout.get().into_iter().chain(self.stderr.get());
        lines
            .filter_map(|line| serde_json::from_str(&line).ok())
            .filter(|line: &Value| line["level"].is_string())
            .collect()
    }

    /// Waits for a log line with this message.
    pub async fn logged(&mut self, message: &str) -> Value {
        let what = format!("the log says {message}");
        eventually(&what, async || {
            let lines = self.log();
            let line = lines.into_iter().find(|line| line["message"] == message);
            if line.is_none()
                && let Some(status) = self.child.try_wait().unwrap()
            {
                panic!("it ended before {what}: {status}");
            }
            line
        })
        .await
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end.
    pub async fn finish(mut self) -> Finished {
        let status = eventually("the process ends", async || self.child.try_wait().unwrap()).await;
        Finished {
            code: status.code(),
            stdout: self.stdout.read_to_end(),
            stderr: self.stderr.read_to_end(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ended_meanwhile = self.child.kill();
            let _reaped_already = self.child.wait();
        }
        if thread::panicking() {
            let (stdout, stderr) = (self.stdout.get(), self.stderr.get());
            eprintln!(
                "stdout:\n{}\nstderr:\n{}",
                stdout.join("\n"),
                stderr.join("\n")
            );
        }
    }
}

/// Whether some process, but for this one, names `path` in its command line. Knows of nobody where
/// there is no `/proc`.
pub fn is_named_by_a_process(path: &Path) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else {
        return false;
    };
    let path = path.to_str().unwrap();
    processes
        .filter_map(|process| fs::read(process.ok()?.path().join("cmdline")).ok())
        .any(|command| String::from_utf8_lossy(&command).contains(path))
}
