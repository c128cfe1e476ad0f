//! Effects outside our PostgreSQL: one module each, a trait, the real thing and a fake beside it.

pub mod clock;
pub mod csv;
pub mod email;
pub mod embedded_postgres;
pub mod key_pair;
pub mod keys;
pub mod password_hasher;
pub mod random;
pub mod sealer;
pub mod secret_file;
pub mod user_file;
pub mod user_writer;
pub mod wake_up;
pub mod whole_file;
