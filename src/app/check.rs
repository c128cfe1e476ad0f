//! Whether the service could be built by the settings.

use std::sync::Arc;

use super::{catalog_options, key_files, mail_route::smtp_mailer};
use crate::{
    config::{Config, Problems},
    infra::{clock::Clock, email::Catalog},
};

/// What besides the settings' own form keeps the service from being built by them: files that they name,
/// and values that don't go together. Each problem is told, and nothing is connected to.
#[must_use]
pub fn check(config: &Config, clock: &Arc<dyn Clock>) -> Vec<String> {
    let mut problems = Vec::new();
    if let Err(error) = key_files(config) {
        match error.downcast::<Problems>() {
            Ok(Problems(found)) => problems.extend(found),
            Err(error) => problems.push(format!("JWT_PRIVATE_KEY_FILES: {error:#}")),
        }
    }
    if let Err(error) = Catalog::load(&catalog_options(config)) {
        problems.push(format!("EMAIL_TEMPLATES_DIR: {error}"));
    }
    if let Err(error) = smtp_mailer(config, clock) {
        problems.push(format!("SMTP_SECURITY: {error:#}"));
    }
    problems
}
