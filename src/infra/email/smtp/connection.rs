//! One connection to the SMTP server, step by step.

use std::time::Duration;

use lettre::{
    address::Envelope,
    transport::smtp::{
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, TlsParameters},
        commands::{Data, Mail, Quit, Rcpt, Rset},
        extension::{ClientId, Extension, MailBodyParameter, MailParameter},
    },
};
use secrecy::ExposeSecret as _;
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    SmtpOptions, SmtpSecurity,
    failure::{Failure, Step},
};

/// The limit for one of the server's addresses, so that one that is dead leaves time for the next.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// The limit for a kept connection to show that it is alive, and for a farewell.
const QUICK_LIMIT: Duration = Duration::from_secs(5);

/// Where to connect to, and how.
pub(super) struct Server {
    options: SmtpOptions,
    hello: ClientId,
    tls: Option<TlsParameters>,
}

/// A connection that is ready for a mail.
pub(super) struct Connection(AsyncSmtpConnection);

impl Server {
    pub(super) fn new(options: SmtpOptions, tls: Option<TlsParameters>) -> Self {
        let hello = options
            .hello_name
            .clone()
            .map_or_else(ClientId::default, ClientId::Domain);
        Self {
            options,
            hello,
            tls,
        }
    }

    /// Connects, protects the connection and logs in.
    pub(super) async fn connect(&self, deadline: Instant) -> Result<Connection, Failure> {
        let SmtpOptions {
            host,
            port,
            security,
            credentials,
            ..
        } = &self.options;
        let wrapper = self.tls.clone().filter(|_| *security == SmtpSecurity::Tls);
        let connect = AsyncSmtpConnection::connect_tokio1(
            (host.as_str(), *port),
            Some(CONNECT_LIMIT),
            &self.hello,
            wrapper,
            None,
        );
        let mut connection = step(Step::Connect, deadline, connect).await?;
        if let (SmtpSecurity::StartTls, Some(tls)) = (security, &self.tls) {
            let protect = connection.starttls(tls.clone(), &self.hello);
            step(Step::StartTls, deadline, protect).await?;
        }
        if let Some((user, password)) = credentials {
            let credentials = Credentials::new(user.clone(), password.expose_secret().to_owned());
            let log_in = connection.auth(DEFAULT_MECHANISMS, &credentials);
            step(Step::LogIn, deadline, log_in).await?;
        }
        Ok(Connection(connection))
    }
}

impl Connection {
    /// Hands over one mail.
    pub(super) async fn deliver(
        &mut self,
        envelope: &Envelope,
        mail: &[u8],
        deadline: Instant,
    ) -> Result<(), Failure> {
        let Self(connection) = self;
        let server = connection.server_info();
        let mut parameters = Vec::new();
        // Our mails are ASCII unless an address is not, which takes both extensions (RFC 6531).
        if !mail.is_ascii() {
            if !server.supports_feature(Extension::SmtpUtfEight)
                || !server.supports_feature(Extension::EightBitMime)
            {
                return Err(Failure::address_not_supported());
            }
            parameters.push(MailParameter::SmtpUtfEight);
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        let sender = Mail::new(envelope.from().cloned(), parameters);
        step(Step::Sender, deadline, connection.command(sender)).await?;
        for recipient in envelope.to() {
            let recipient = Rcpt::new(recipient.clone(), Vec::new());
            step(Step::Recipient, deadline, connection.command(recipient)).await?;
        }
        // The codes are checked, so that answers that are one off (one could be put before the
        // TLS handshake by somebody on the line) are never taken for a mail's acceptance.
        let ready = step(Step::Data, deadline, connection.command(Data)).await?;
        if !ready.has_code(354) {
            return Err(Failure::unexpected(Step::Data));
        }
        let taken = step(Step::Content, deadline, connection.message(mail)).await?;
        if !taken.has_code(250) {
            return Err(Failure::unexpected(Step::Content));
        }
        Ok(())
    }

    /// Whether the server is still there; forgets what is left of a refused mail.
    pub(super) async fn is_alive(&mut self, deadline: Instant) -> bool {
        let deadline = deadline.min(Instant::now() + QUICK_LIMIT);
        matches!(
            timeout_at(deadline, self.0.command(Rset)).await,
            Ok(Ok(answer)) if answer.has_code(250)
        )
    }

    /// Takes leave of the server.
    pub(super) async fn quit(mut self) {
        // There is nobody left to care about the answer.
        let _ = timeout(QUICK_LIMIT, self.0.command(Quit)).await;
    }
}

/// Waits for one step, at most until `deadline`.
async fn step<T>(
    step: Step,
    deadline: Instant,
    work: impl Future<Output = Result<T, lettre::transport::smtp::Error>>,
) -> Result<T, Failure> {
    match timeout_at(deadline, work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Failure::new(step, &error)),
        Err(_) => Err(Failure::timed_out(step)),
    }
}
