//! Mail.

use std::{fmt, path::PathBuf, str::FromStr};

use secrecy::SecretString;

use super::{Environment, Reader};

/// How mail goes out.
#[derive(Debug, Clone)]
pub struct MailConfig {
    /// The server that takes it; none: mail is kept on disk.
    pub smtp: Option<SmtpConfig>,
    /// The sender.
    pub from: MailFrom,
    /// Templates that replace built-in ones.
    pub templates_dir: Option<PathBuf>,
}

/// A server that takes mail.
#[derive(Debug, Clone)]
pub struct SmtpConfig {
    /// Its name.
    pub server: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub security: SmtpSecurity,
    /// Who we are there.
    pub credentials: Option<(String, SecretString)>,
}

/// How the connection to the mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// In clear until STARTTLS, which is required.
    StartTls,
    /// TLS from the first byte.
    Tls,
    /// Not at all.
    None,
}

impl FromStr for SmtpSecurity {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "starttls" => Ok(Self::StartTls),
            "tls" => Ok(Self::Tls),
            "none" => Ok(Self::None),
            _ => Err("must be starttls, tls or none"),
        }
    }
}

/// A sender: an address, or a name and an address in angle brackets.
#[derive(Clone)]
pub struct MailFrom(pub lettre::message::Mailbox);

impl fmt::Debug for MailFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MailFrom(…)")
    }
}

impl FromStr for MailFrom {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self).map_err(|_| "must be an address such as no-reply@example.com or User Management <no-reply@example.com>")
    }
}

impl MailConfig {
    pub(super) fn read(reader: &mut Reader<'_>, environment: Environment) -> Self {
        reader.section("Mail");
        let server: Option<String> = reader.optional(
            "SMTP_SERVER",
            "The mail server's name. Unset in development: mail is not sent but kept in DATA_DIR and shown at `/dev/mail`.",
        );
        let port: Option<u16> = reader.optional(
            "SMTP_PORT",
            "Its port. Default: 587 with `starttls`, 465 with `tls`, 25 with `none`.",
        );
        let username: Option<String> = reader.optional("SMTP_USERNAME", "The user name there.");
        let password: Option<String> = reader
            .secret()
            .optional("SMTP_PASSWORD", "The password there.");
        let security: SmtpSecurity =
            reader.with_default("SMTP_SECURITY", "starttls", "`starttls`, `tls` or `none`.");
        let from: Option<MailFrom> = reader.optional(
            "MAIL_FROM",
            "The sender: `no-reply@example.com` or `Example <no-reply@example.com>`. Default: SMTP_USERNAME where that is an address.",
        );
        let send = reader
            .switch(
                "SEND_REAL_MAIL",
                "true",
                "`false` keeps each mail as a file in DATA_DIR, whatever the SMTP settings say.",
            )
            .unwrap_or(true);
        let templates_dir = reader.optional(
            "EMAIL_TEMPLATES_DIR",
            "A directory of mail templates: a file there replaces the built-in one of its name.",
        );

        let from_given = from.or_else(|| username.as_deref().and_then(|name| name.parse().ok()));
        let credentials = match (username, password) {
            (Some(username), Some(password)) => Some((username, SecretString::from(password))),
            (None, None) => None,
            (Some(_), None) => {
                reader.problem("SMTP_PASSWORD", "is required with SMTP_USERNAME");
                None
            }
            (None, Some(_)) => {
                reader.problem("SMTP_USERNAME", "is required with SMTP_PASSWORD");
                None
            }
        };
        if send && environment == Environment::Production && server.is_none() {
            reader.problem(
                "SMTP_SERVER",
                "is required in production, unless SEND_REAL_MAIL=false",
            );
        }
        if send
            && server.is_some()
            && from_given.is_none()
            && !reader.problems.iter().any(|p| p.starts_with("MAIL_FROM"))
        {
            reader.problem("MAIL_FROM", "is required with SMTP_SERVER");
        }
        let port = port.unwrap_or(match security {
            SmtpSecurity::StartTls => 587,
            SmtpSecurity::Tls => 465,
            SmtpSecurity::None => 25,
        });
        let smtp = server.filter(|_| send).map(|server| SmtpConfig {
            server,
            port,
            security,
            credentials,
        });
        if smtp.is_some() {
            reader.show("SMTP_PORT", port);
        }
        if let Some(MailFrom(from)) = &from_given {
            reader.show("MAIL_FROM", from);
        }
        Self {
            smtp,
            from: from_given.unwrap_or_else(|| {
                MailFrom(
                    "User Management <no-reply@localhost>"
                        .parse()
                        .expect("a valid mailbox"),
                )
            }),
            templates_dir,
        }
    }
}
