//! Use cases, on PostgreSQL.
