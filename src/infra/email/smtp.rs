//! Mail by SMTP.
//!
//! lettre speaks the protocol over TCP and TLS; the steps, their time limit and the pool are ours.
//! lettre's own transport does not tell which step failed, which decides whether another attempt
//! makes sense; and it has a limit on connecting only: a caller who gives up in the middle leaves
//! a connection in its pool whose next answer belongs to the previous mail.

mod connection;
mod failure;
mod pool;

use std::{net::IpAddr, sync::Arc, time::Duration};

use futures::future::{BoxFuture, FutureExt as _};
use lettre::transport::smtp::client::{Certificate, TlsParameters};
use secrecy::SecretString;
use thiserror::Error;
use tokio::time::Instant;

use self::{connection::Server, failure::Failure, pool::Pool};
use super::{Mailer, SendError, mime::to_mime};
use crate::{domain::message::Message, infra::clock::Clock};

/// How the connection to the SMTP server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// Plain first, then TLS by STARTTLS; without it nothing is sent. Usual on port 587.
    StartTls,
    /// TLS from the first byte. Usual on port 465.
    Tls,
    /// No protection: for a server on this machine or in a network of its own.
    None,
}

/// Where and how mail is handed over.
#[derive(Debug, Clone)]
pub struct SmtpOptions {
    /// The server's name, which its certificate must bear, or IP address.
    pub host: String,
    /// The server's port.
    pub port: u16,
    /// How the connection is protected.
    pub security: SmtpSecurity,
    /// User name and password, where the server wants them.
    pub credentials: Option<(String, SecretString)>,
    /// The name by which we greet the server; without one, this machine's host name.
    pub hello_name: Option<String>,
    /// The limit for one mail, connecting included. 30 s are usual.
    pub timeout: Duration,
    /// Certificates in PEM to trust besides those of the system, for a server whose authority
    /// is not public.
    pub extra_roots: Option<Vec<u8>>,
}

/// The options cannot be used.
#[derive(Debug, Error)]
pub enum SmtpConfigError {
    /// A password would go over a network in clear text.
    #[error(
        "an SMTP password needs SMTP_SECURITY starttls or tls unless the server is on this machine"
    )]
    PasswordInClear,
    /// TLS cannot be set up.
    #[error("TLS for SMTP cannot be set up: {0}")]
    Tls(String),
}

/// Sends mail by SMTP, over connections that are used again.
///
/// # What is retried
///
/// Transient is all that says nothing about this mail: no connection, TLS, a time limit, 4xx,
/// and any refusal before the recipient is named (greeting, AUTH, sender), since it is our
/// settings that are refused and somebody will mend them. Permanent is 5xx to the recipient, to
/// DATA or to the content, save for the codes that ask for authentication or complain about the
/// order of commands.
///
/// # Concurrency
///
/// Any number of mails can be sent at once, each over a connection of its own. Of the connections
/// that become free a few are kept, for half a minute. To give up waiting is safe at any time:
/// the connection is closed.
pub struct SmtpMailer {
    server: Server,
    timeout: Duration,
    pool: Arc<Pool>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for SmtpMailer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SmtpMailer")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl SmtpMailer {
    /// A mailer that has not connected yet. `clock` dates the mails.
    ///
    /// # Errors
    ///
    /// [`SmtpConfigError`] if a password would be sent in clear text or TLS cannot be set up.
    pub fn new(options: SmtpOptions, clock: Arc<dyn Clock>) -> Result<Self, SmtpConfigError> {
        let clear = options.security == SmtpSecurity::None;
        if clear && options.credentials.is_some() && !is_loopback(&options.host) {
            return Err(SmtpConfigError::PasswordInClear);
        }
        let tls = if clear {
            None
        } else {
            Some(
                tls_parameters(&options)
                    .map_err(|error| SmtpConfigError::Tls(error.to_string()))?,
            )
        };
        Ok(Self {
            timeout: options.timeout,
            server: Server::new(options, tls),
            pool: Arc::default(),
            clock,
        })
    }

    /// Connects, protects the connection, logs in and takes leave: tries the options without sending
    /// anything.
    ///
    /// # Errors
    ///
    /// Which step failed, and why.
    pub async fn try_out(&self) -> Result<(), SendError> {
        let connection = self.server.connect(Instant::now() + self.timeout).await?;
        connection.quit().await;
        Ok(())
    }

    async fn deliver(&self, message: &Message) -> Result<(), SendError> {
        let mime = to_mime(message, self.clock.now())?;
        let deadline = Instant::now() + self.timeout;
        let mut connection = match self.pool.take(deadline).await {
            Some(connection) => connection,
            None => self.server.connect(deadline).await?,
        };
        let sent = connection
            .deliver(mime.envelope(), &mime.formatted(), deadline)
            .await;
        if sent
            .as_ref()
            .err()
            .is_none_or(Failure::leaves_connection_usable)
        {
            self.pool.park(connection);
        }
        Ok(sent?)
    }
}

impl Mailer for SmtpMailer {
    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), SendError>> {
        self.deliver(message).boxed()
    }
}

fn tls_parameters(options: &SmtpOptions) -> Result<TlsParameters, lettre::transport::smtp::Error> {
    let mut tls = TlsParameters::builder(options.host.clone());
    if let Some(pem) = &options.extra_roots {
        tls = tls.add_root_certificate(Certificate::from_pem(pem)?);
    }
    tls.build_rustls()
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}
