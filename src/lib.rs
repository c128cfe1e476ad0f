//! User Management: a self-hosted user-management server.

pub mod domain;
pub mod infra;
pub mod repository;
pub mod worker;
