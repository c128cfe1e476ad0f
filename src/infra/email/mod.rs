//! Mail: what it says and how it leaves.
//!
//! A mail is rendered by the [`Catalog`] from the Markdown files in `email_templates/`, put into
//! a [`Message`], and handed to a [`Mailer`]: [`SmtpMailer`] sends it, [`DirectoryMailer`] keeps
//! it as a file for development, [`MemoryMailer`] keeps it for a test.
//!
//! # How to add a mail
//!
//! 1. Write `email_templates/<name>.md`: front matter with the subject, then Markdown.
//! 2. Add a variant to [`Mail`], its name, and one sample of values for each case of the template.
//! 3. Add the file to `BUILT_IN` in `catalog.rs`; a test says so if it is forgotten.
//! 4. Run the tests and look at the new snapshots in `snapshots/`.
//!
//! # How a template is written
//!
//! * `{{ name }}` puts in a value, `{% if flag %}…{% else %}…{% endif %}` chooses,
//!   `{# … #}` is a comment. There are no filters. A value that is missing is an error.
//! * `service`, the name of the service, can be used everywhere; see [`Mail`] for the others.
//! * A paragraph that is nothing but one link becomes a button, with the address below it.
//! * Images, raw HTML, tables and footnotes are refused: the HTML around a mail, with its style
//!   rules, is `layout.html`.
//! * A translation is a folder: `de/email_verification.md` is used for `de` and `de-AT`, and what
//!   it lacks is taken from the English files at the top.

mod catalog;
mod directory;
mod mail;
mod markdown;
mod memory;
mod mime;
mod render;
mod smtp;
mod values;

use futures::future::BoxFuture;
use thiserror::Error;

pub use catalog::{Catalog, CatalogOptions, TemplateProblem, TemplateProblems};
pub use directory::{CaughtMail, DirectoryMailer};
pub use mail::Mail;
pub use memory::MemoryMailer;
pub use mime::to_mime;
pub use render::{RenderError, Rendered};
pub use smtp::{SmtpConfigError, SmtpMailer, SmtpOptions, SmtpSecurity};
pub use values::{InvalidSiteUrl, Link, SiteUrl, Values, greeting_name};

use crate::domain::message::Message;

/// Sends mail.
pub trait Mailer: Send + Sync + 'static {
    /// Sends `message` now. Sending it again after a failure is safe: it keeps its message id.
    ///
    /// # Errors
    ///
    /// [`SendError::Transient`] if a later attempt may succeed, [`SendError::Permanent`] if none
    /// will.
    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), SendError>>;
}

/// Why a mail was not sent. The texts carry no e-mail address, so they can be logged and stored.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SendError {
    /// Something between us and the recipient failed: try again later.
    #[error("{0}")]
    Transient(String),
    /// This mail will never be accepted: do not try again.
    #[error("{0}")]
    Permanent(String),
}
