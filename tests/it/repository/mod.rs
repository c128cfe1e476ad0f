//! The repository's functions, on PostgreSQL.

mod jobs;
