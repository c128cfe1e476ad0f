//! User Management: a self-hosted user-management server.

pub mod config;
pub mod domain;
pub mod error;
pub mod infra;
pub mod repository;
pub mod worker;
