//! User Management: a self-hosted user-management server.

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
