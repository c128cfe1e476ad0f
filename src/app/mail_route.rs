//! How mail goes out, by the settings.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::{
    config::{self, Config},
    infra::{
        clock::Clock,
        email::{DirectoryMailer, Mailer, SmtpMailer, SmtpOptions, SmtpSecurity},
    },
};

/// How long one mail may take at the SMTP server.
const SMTP_TIME: Duration = Duration::from_secs(30);

/// How mail goes out.
pub enum MailRoute {
    /// To the SMTP server.
    Send(Arc<dyn Mailer>),
    /// Into a directory; in development it is shown at `/dev/mail`.
    Keep(DirectoryMailer),
}

impl MailRoute {
    /// The route of the settings; mail that isn't sent is kept in `directory`.
    ///
    /// # Errors
    ///
    /// If the settings can't be used.
    pub fn of(config: &Config, directory: PathBuf, clock: &Arc<dyn Clock>) -> anyhow::Result<Self> {
        Ok(match smtp_mailer(config, clock)? {
            Some(mailer) => Self::Send(Arc::new(mailer)),
            None => Self::Keep(DirectoryMailer::new(directory, Arc::clone(clock))),
        })
    }
}

/// What sends mail by the SMTP server of the settings; none if they name no server.
///
/// # Errors
///
/// If the settings can't be used.
pub fn smtp_mailer(config: &Config, clock: &Arc<dyn Clock>) -> anyhow::Result<Option<SmtpMailer>> {
    let Some(smtp) = config.mail.smtp.clone() else {
        return Ok(None);
    };
    let options = SmtpOptions {
        host: smtp.server,
        port: smtp.port,
        security: match smtp.security {
            config::SmtpSecurity::StartTls => SmtpSecurity::StartTls,
            config::SmtpSecurity::Tls => SmtpSecurity::Tls,
            config::SmtpSecurity::None => SmtpSecurity::None,
        },
        credentials: smtp.credentials,
        hello_name: None,
        timeout: SMTP_TIME,
        extra_roots: None,
    };
    Ok(Some(SmtpMailer::new(options, Arc::clone(clock))?))
}
