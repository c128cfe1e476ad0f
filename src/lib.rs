//! User Management: a self-hosted user-management server.
//!
//! # Layout
//!
//! ```text
//! main ─► cli ─► app (composition root) ─► everything below
//!        http ─┐
//!      worker ─┼─► services ─► repository ─► domain
//!         cli ─┘        └────► infra ──────► domain          error, config: leaves
//! ```
//!
//! * [`domain`]: values and rules, pure. [`domain::email::Email`] and its like are parsed once.
//! * [`repository`]: all SQL.
//! * [`infra`]: effects outside our PostgreSQL, each with a trait where a test needs a fake.
//! * [`services`]: use cases, which own every rule.
//! * [`http`], [`worker`], [`cli`]: the three ways in.
//! * [`app`]: builds every service once. [`config`] and [`error`] depend on nothing else of ours
//!   but the values that they hold.
//!
//! The documentation of each layer's module is its how-to.
//!
//! # Life of a request
//!
//! 1. [`http::server`] accepts the connection, within limits of time.
//! 2. [`http::middleware`] gives the request an id and a time limit.
//! 3. An extractor of [`http::extract`] makes the [`services::Ctx`]: who asks, from where, and the
//!    one time of the whole operation. A bearer token names a session, which
//!    [`services::access_tokens`] looks up in the database at most once a second.
//! 4. The handler in [`http::api`] parses the body into values of [`domain`] and calls a service.
//! 5. The service checks the permission, opens at most one transaction, calls [`repository`],
//!    enqueues what is to be done outside the database as a job, tells [`services::audit`] what it
//!    changed, commits, and wakes the [`worker`].
//! 6. The handler renders. An [`error::Error`] says what went wrong by meaning; [`http::error`]
//!    alone knows the statuses.
//! 7. The middleware writes what was refused into the audit log, the body of an error, the log line and
//!    the headers of security.

pub mod app;
pub mod cli;
pub mod config;
pub mod domain;
pub mod error;
pub mod http;
pub mod infra;
pub mod repository;
pub mod services;
pub mod shutdown;
pub mod telemetry;
pub mod worker;
