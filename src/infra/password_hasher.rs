//! Hashing of passwords: slow on purpose, so it has threads, memory and a queue of its own.
//!
//! Each of as many threads as there are cores keeps one buffer for Argon2's memory, so that neither
//! memory nor the number of hashes at a time can be driven up from outside. A hash that other software
//! made may need more than ours, up to [`MAX_MEMORY`](crate::domain::imported_hash::MAX_MEMORY) a
//! thread; that is given back when it is compared, and a buffer when it wasn't used for a while. The
//! threads have a lower priority than those that answer requests, which therefore hardly feel a storm
//! of logins.

mod compare;

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::phc::{self, Ident, ParamsString, Salt},
};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use tokio::sync::oneshot;
use unicode_normalization::{UnicodeNormalization as _, is_nfkc};

use super::random::Random;
use crate::domain::{
    imported_hash::{ImportedHash, Scheme},
    password::{Password, PasswordHash, TypedPassword},
};

/// How long a request waits for a thread before it is turned away.
pub const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// How often somebody waits so long who has time.
const PATIENCE: u32 = 30;
/// How long a thread keeps a buffer that it doesn't use.
const KEEP_BUFFER: Duration = Duration::from_secs(20);
/// Blocks of 1 KiB that allocators ask the operating system for one by one, and give back at once
/// when they are freed: glibc does so from 32 MiB on.
const MAPPED: usize = 33 * 1024;
/// By how much the threads step back, in steps of `nice(2)`.
const NICENESS: i32 = 5;

/// What a hash costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashCost {
    /// Memory in KiB.
    pub memory: u32,
    /// Passes over the memory.
    pub iterations: u32,
    /// Lanes.
    pub parallelism: u32,
}

impl HashCost {
    /// OWASP Password Storage Cheat Sheet, Argon2id with 19 MiB.
    pub const RECOMMENDED: Self = Self {
        memory: 19_456,
        iterations: 2,
        parallelism: 1,
    };
    /// As cheap as it gets: for tests that aren't about hashing.
    pub const CHEAPEST: Self = Self {
        memory: 8,
        iterations: 1,
        parallelism: 1,
    };

    fn params(self) -> Params {
        Params::new(self.memory, self.iterations, self.parallelism, None)
            .expect("costs are constants of this module")
    }
}

/// Too many passwords wait to be hashed; nothing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no thread to hash a password was free in time")]
pub struct Busy;

/// The answer to a comparison of a password with a hash.
#[derive(Debug)]
pub enum Verdict {
    /// It is another password, or there is no account.
    Wrong,
    /// It is the password.
    Right {
        /// A new hash of it, where the old one's algorithm or cost is out of date.
        renewed: Option<PasswordHash>,
    },
}

type Task = Box<dyn FnOnce(&mut Vec<Block>) + Send>;

/// Hashes passwords and compares them with hashes.
///
/// # Concurrency
///
/// As many at a time as it was given threads; others wait in order of arrival, at most
/// [`LONGEST_WAIT`].
pub struct PasswordHasher {
    tasks: Sender<Task>,
    threads: usize,
    random: Arc<dyn Random>,
    params: Params,
    /// A hash of nothing anybody knows, compared with where there is no account.
    dummy: Arc<ImportedHash>,
}

impl PasswordHasher {
    /// Starts `threads` threads, or as many as there are cores.
    ///
    /// # Errors
    ///
    /// If the operating system gives no thread.
    pub fn start(
        cost: HashCost,
        threads: Option<NonZeroUsize>,
        random: Arc<dyn Random>,
    ) -> std::io::Result<Self> {
        let threads = threads
            .or_else(|| thread::available_parallelism().ok())
            .map_or(1, NonZeroUsize::get);
        let (tasks, queue) = crossbeam_channel::unbounded::<Task>();
        for number in 0..threads {
            let queue = queue.clone();
            thread::Builder::new()
                .name(format!("hash-{number}"))
                .spawn(move || work(&queue))?;
        }
        let params = cost.params();
        let dummy = phc_string(&params, &random.bytes(), &random.bytes::<32>());
        let dummy = ImportedHash::parse(&dummy).expect("our hashes are of a known form");
        Ok(Self {
            tasks,
            threads,
            random,
            params,
            dummy: Arc::new(dummy),
        })
    }

    /// Hashes a new password.
    ///
    /// # Errors
    ///
    /// [`Busy`] after [`LONGEST_WAIT`].
    pub async fn hash(&self, password: &Password) -> Result<PasswordHash, Busy> {
        let (password, params, salt) = (password.clone(), self.params.clone(), self.random.bytes());
        self.run(move |memory| hash(password.expose(), &params, &salt, memory))
            .await
    }

    /// Hashes a password that nobody waits for: when others keep the threads busy it tries again.
    ///
    /// # Errors
    ///
    /// [`Busy`] after half a minute.
    pub async fn hash_when_free(&self, password: &Password) -> Result<PasswordHash, Busy> {
        for _ in 1..PATIENCE {
            if let Ok(hash) = self.hash(password).await {
                return Ok(hash);
            }
        }
        self.hash(password).await
    }

    /// How many passwords are hashed at a time.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// A hash that no password has, and that takes as long to compare as any.
    #[must_use]
    pub fn hash_of_nobody(&self) -> PasswordHash {
        let (salt, output) = (self.random.bytes(), self.random.bytes());
        PasswordHash::new(phc_string(&self.params, &salt, &output))
    }

    /// Compares `typed` with `hash`; without a hash, or with one of an unknown form or beyond the bounds
    /// of [`ImportedHash`], it spends what a comparison with ours costs, so that the time doesn't tell.
    ///
    /// # Errors
    ///
    /// [`Busy`] after [`LONGEST_WAIT`].
    pub async fn verify(
        &self,
        typed: &TypedPassword,
        hash: Option<&PasswordHash>,
    ) -> Result<Verdict, Busy> {
        let (typed, stored) = (typed.clone(), hash.cloned());
        let (params, dummy) = (self.params.clone(), Arc::clone(&self.dummy));
        let salt = self.random.bytes();
        self.run(move |memory| {
            // What is too long to be a password costs no more than one that isn't.
            let text = typed.expose().unwrap_or_default();
            let known = stored.and_then(|hash| ImportedHash::parse(hash.expose()).ok());
            let compared = known.as_ref().unwrap_or(&dummy);
            let mut right = compare::is_of(text, compared, memory);
            // Our hashes are of normalized passwords, imported ones of whatever was typed.
            if !right && !is_nfkc(text) {
                let normalized: String = text.nfkc().collect();
                right = compare::is_of(&normalized, compared, memory);
            }
            match known {
                Some(known) if right && !text.is_empty() => {
                    let renewed = (!is_current(&known, &params)).then(|| {
                        let normalized: String = text.nfkc().collect();
                        self::hash(&normalized, &params, &salt, memory)
                    });
                    Verdict::Right { renewed }
                }
                _ => Verdict::Wrong,
            }
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Vec<Block>) -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let (answer, mut answered) = oneshot::channel();
        // By the thread that begins, or by the caller who waits no longer: whoever is first.
        let taken = Arc::new(AtomicBool::new(false));
        let begun = Arc::clone(&taken);
        let task: Task = Box::new(move |memory| {
            if answer.is_closed() || begun.swap(true, Ordering::Relaxed) {
                return;
            }
            let started = std::time::Instant::now();
            let result = work(memory);
            metrics::histogram!("password_hash_seconds").record(started.elapsed());
            // Whoever asked may have gone away.
            drop(answer.send(result));
        });
        self.tasks.send(task).map_err(|_| Busy)?;
        let answer = match tokio::time::timeout(LONGEST_WAIT, &mut answered).await {
            Ok(answer) => answer,
            Err(_) if taken.swap(true, Ordering::Relaxed) => answered.await,
            Err(_) => {
                metrics::counter!("password_hashes_refused_total").increment(1);
                return Err(Busy);
            }
        };
        answer.map_err(|_| Busy)
    }
}

fn work(queue: &Receiver<Task>) {
    // On Linux a thread's niceness is its own; elsewhere it would be the whole process's.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::debug!(%error, "threads that hash passwords keep their priority");
    }
    let mut memory = Vec::new();
    loop {
        match queue.recv_timeout(KEEP_BUFFER) {
            Ok(task) => {
                // A panic must not take the thread away: its task answers `Busy`.
                let run = std::panic::AssertUnwindSafe(|| task(&mut memory));
                if std::panic::catch_unwind(run).is_err() {
                    tracing::error!("hashing a password panicked");
                }
                if memory.len() > MAPPED {
                    memory = Vec::new();
                }
            }
            Err(RecvTimeoutError::Timeout) => memory = Vec::new(),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn hash(password: &str, params: &Params, salt: &[u8; 16], memory: &mut Vec<Block>) -> PasswordHash {
    let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone())
        .hash_password_into_with_memory(
            password.as_bytes(),
            salt,
            &mut output,
            compare::buffer(params, memory),
        )
        .expect("lengths of password, salt and output are within Argon2's bounds");
    PasswordHash::new(phc_string(params, salt, &output))
}

fn phc_string(params: &Params, salt: &[u8; 16], output: &[u8; 32]) -> String {
    let hash = phc::PasswordHash {
        algorithm: Ident::new(Algorithm::Argon2id.as_str()).expect("a valid identifier"),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(params).expect("parameters fit into a PHC string"),
        salt: Some(Salt::new(salt).expect("16 bytes are a salt")),
        hash: Some(phc::Output::new(output).expect("32 bytes are an output")),
    };
    hash.to_string()
}

/// Whether a hash is as [`hash`] makes it.
fn is_current(hash: &ImportedHash, params: &Params) -> bool {
    matches!(
        hash.scheme(),
        Scheme::Argon2 {
            algorithm: Algorithm::Argon2id,
            version: Version::V0x13,
            params: used,
            ..
        } if used == params
    )
}

#[cfg(test)]
mod tests;
