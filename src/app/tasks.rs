//! What runs behind requests.

use std::{sync::Arc, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::App;
use crate::{
    repository::pool,
    services::{access_tokens, audit, maintenance, rate_limits, sessions},
    worker::{
        self, Worker, WorkerSettings,
        handlers::{
            ImportUsers, MailPasswordReset, NotifyAccountExists, NotifyLockout, OfferEmailChange,
            ResendVerification, SendMail, Sweep,
        },
        jobs_upkeep::{self, JobsUpkeep},
    },
};

/// How often expired rows are cleared away.
const SWEEP_EVERY: Duration = Duration::from_secs(600);
/// How often the queue tidies itself.
const UPKEEP_EVERY: Duration = Duration::from_secs(3600);

impl App {
    /// Starts what keeps sessions fresh and limits small: needed wherever requests are served.
    pub fn start_listening(&self, tasks: &TaskTracker, stop: &CancellationToken) {
        let pool = pool::connect(self.database.clone(), 1);
        tasks.spawn(access_tokens::listen(
            pool,
            Arc::clone(&self.cache),
            Arc::clone(&self.services.signing_keys),
            stop.clone(),
        ));
        tasks.spawn(sessions::keep_seen(
            Arc::clone(&self.services.sessions),
            stop.clone(),
        ));
        tasks.spawn(rate_limits::keep_small(
            Arc::clone(&self.limits),
            stop.clone(),
        ));
        tasks.spawn(worker::announce(
            self.pool.clone(),
            self.wake_up.clone(),
            stop.clone(),
        ));
    }

    /// Starts what gives entries of the audit log their places in its chain: needed in every process that
    /// serves or works.
    pub fn start_chaining(&self, tasks: &TaskTracker, stop: &CancellationToken) {
        let log = Arc::clone(&self.services.audit);
        tasks.spawn(audit::keep_chained(log, stop.clone()));
    }

    /// Starts the worker, which sends mail and does the other work behind requests.
    pub fn start_worker(&self, tasks: &TaskTracker, stop: &CancellationToken) {
        let clock = || Arc::clone(&self.clock);
        let services = &self.services;
        let worker = Worker::new(
            self.pool.clone(),
            clock(),
            Arc::clone(&self.random),
            self.wake_up.clone(),
            WorkerSettings::default(),
        )
        .handle(SendMail::new(Arc::clone(&services.mails), clock()))
        .handle(ResendVerification::new(
            Arc::clone(&services.verification),
            clock(),
        ))
        .handle(MailPasswordReset::new(
            Arc::clone(&services.password_reset),
            clock(),
        ))
        .handle(OfferEmailChange::new(
            Arc::clone(&services.email_changes),
            clock(),
        ))
        .handle(NotifyAccountExists::new(
            Arc::clone(&services.registration),
            clock(),
        ))
        .handle(NotifyLockout::new(Arc::clone(&services.login), clock()))
        .handle(ImportUsers::new(
            Arc::clone(&services.user_imports),
            clock(),
        ))
        .handle(Sweep::new(Arc::clone(&services.maintenance), clock()))
        .handle(JobsUpkeep::new(self.pool.clone(), clock()))
        .every(maintenance::SWEEP, SWEEP_EVERY)
        .every(jobs_upkeep::KIND, UPKEEP_EVERY);
        tasks.spawn(worker.run(stop.clone()));
    }
}
