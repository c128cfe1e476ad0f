//! The real program, over TCP and by its command line: what tests in process can't see.

mod commands;
mod create_admin;
mod ephemeral;
mod settings;
mod smoke;
mod stopping;
