//! Effects outside our PostgreSQL.

mod smtp;
