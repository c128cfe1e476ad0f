//! The API, one file a noun, called through the real router.

mod bad_input;
mod registration;
