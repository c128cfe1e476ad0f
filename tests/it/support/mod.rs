//! What the tests stand on.

pub mod accounts;
pub mod app;
pub mod binary;
pub mod browser;
pub mod database;
pub mod directory;
pub mod eventually;
pub mod fastapi;
pub mod keys;
pub mod operations;
pub mod request;
pub mod smtp_server;
