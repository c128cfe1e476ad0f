//! The API, one file a noun, called through the real router.

mod registration;
