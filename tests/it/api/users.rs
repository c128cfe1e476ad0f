//! `/users/…`

mod add;
mod browse;
mod delete;
mod edit;
mod last_admin;
mod lock;
mod search;
