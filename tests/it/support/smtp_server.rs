//! An SMTP server that does what a test tells it.
//!
//! It accepts every mail until told otherwise: `on` gives an answer to each command of a stage,
//! `once` to the next ones only. It speaks plain SMTP, STARTTLS or TLS, and wants AUTH if asked.

mod dialogue;

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{AbortHandle, JoinSet},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, pki_types::PrivateKeyDer},
};

use self::dialogue::Dialogue;

/// A point of the dialogue at which the server can be told what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The greeting, as soon as somebody connects.
    Connect,
    Ehlo,
    StartTls,
    /// The answer to the credentials.
    Auth,
    Mail,
    Rcpt,
    Data,
    /// The answer to the mail's content.
    Content,
    Rset,
}

/// What to do at a [`Stage`] in place of accepting.
#[derive(Debug, Clone)]
pub enum Action {
    /// Answer with this line, such as `450 4.2.1 busy`. After a refusal nothing is kept.
    Reply(String),
    /// Close the connection without an answer.
    Drop,
    /// Never answer.
    Hang,
    /// Wait, then go on as if nothing had been said.
    Delay(Duration),
}

impl Action {
    pub fn reply(line: &str) -> Self {
        Self::Reply(line.to_owned())
    }
}

/// How the server's connections are protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    Plain,
    StartTls,
    Tls,
}

/// A mail that the server has accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The address of MAIL FROM.
    pub from: String,
    /// The addresses of RCPT TO.
    pub to: Vec<String>,
    /// The mail as it came, with dots unstuffed.
    pub data: String,
    /// Whether it came over TLS.
    pub encrypted: bool,
    /// Who was logged in.
    pub user: Option<String>,
    /// Which connection it came over, counted from 1.
    pub connection: usize,
}

/// The server. It stops when it is dropped.
pub struct SmtpServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    certificate: Option<String>,
    task: AbortHandle,
}

struct Shared {
    script: Mutex<Script>,
    received: watch::Sender<Vec<Received>>,
    connections: watch::Sender<usize>,
    /// Counts up to close every connection that is open.
    closing: watch::Sender<usize>,
    acceptor: Option<TlsAcceptor>,
    protection: Protection,
    credentials: Option<(String, String)>,
}

#[derive(Default)]
struct Script {
    standing: HashMap<Stage, Action>,
    once: HashMap<Stage, VecDeque<Action>>,
}

impl SmtpServer {
    /// A plain server on a free port of the loopback interface.
    pub async fn start() -> Self {
        Self::start_with(Protection::Plain, None).await
    }

    /// A server that is protected, with a certificate of its own making for `localhost`, or that
    /// wants `credentials` (user and password) before it takes mail, or both.
    pub async fn start_with(protection: Protection, credentials: Option<(&str, &str)>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (acceptor, certificate) = if protection == Protection::Plain {
            (None, None)
        } else {
            let (acceptor, pem) = tls_acceptor();
            (Some(acceptor), Some(pem))
        };
        let shared = Arc::new(Shared {
            script: Mutex::default(),
            received: watch::Sender::default(),
            connections: watch::Sender::default(),
            closing: watch::Sender::default(),
            acceptor,
            protection,
            credentials: credentials.map(|(user, password)| (user.into(), password.into())),
        });
        let task = tokio::spawn(serve(listener, Arc::clone(&shared))).abort_handle();
        Self {
            address,
            shared,
            certificate,
            task,
        }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The server's certificate in PEM, for clients to trust.
    pub fn certificate(&self) -> Option<&str> {
        self.certificate.as_deref()
    }

    /// Does `action` at every `stage` from now on.
    pub fn on(&self, stage: Stage, action: Action) {
        self.shared.script().standing.insert(stage, action);
    }

    /// Does `action` at the next `stage`, after what was said for it before.
    pub fn once(&self, stage: Stage, action: Action) {
        let mut script = self.shared.script();
        script.once.entry(stage).or_default().push_back(action);
    }

    /// Accepts everything again.
    pub fn accept_all(&self) {
        *self.shared.script() = Script::default();
    }

    /// The mails accepted so far, in order.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.borrow().clone()
    }

    /// Waits until `count` mails are accepted, and gives them.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        let mut received = self.shared.received.subscribe();
        let enough = received.wait_for(|received| received.len() >= count);
        tokio::time::timeout(Duration::from_secs(30), enough)
            .await
            .expect("the mails do not come")
            .unwrap()
            .clone()
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        *self.shared.connections.borrow()
    }

    /// Closes every connection that is open, as a server does with idle ones.
    pub fn close_connections(&self) {
        self.shared.closing.send_modify(|times| *times += 1);
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn action(&self, stage: Stage) -> Option<Action> {
        let mut script = self.script();
        let once = script.once.get_mut(&stage).and_then(VecDeque::pop_front);
        once.or_else(|| script.standing.get(&stage).cloned())
    }
}

fn tls_acceptor() -> (TlsAcceptor, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = tokio_rustls::rustls::crypto::aws_lc_rs::default_provider();
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let body = STANDARD.encode(made.cert.der());
    let pem = format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
    (TlsAcceptor::from(Arc::new(config)), pem)
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut sessions = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        shared.connections.send_modify(|count| *count += 1);
        let connection = *shared.connections.borrow();
        let shared = Arc::clone(&shared);
        sessions.spawn(async move {
            let mut closing = shared.closing.subscribe();
            closing.borrow_and_update();
            tokio::select! {
                // A client that goes away in the middle is no concern of the server.
                _ = session(stream, &shared, connection) => {}
                _ = closing.changed() => {}
            }
        });
    }
}

async fn session(stream: TcpStream, shared: &Shared, connection: usize) -> io::Result<()> {
    let mut dialogue = Dialogue {
        shared,
        encrypted: shared.protection == Protection::Tls,
        user: None,
        connection,
    };
    match &shared.acceptor {
        None => dialogue.run(stream, true).await.map(drop),
        Some(acceptor) if shared.protection == Protection::Tls => {
            let stream = acceptor.accept(stream).await?;
            dialogue.run(stream, true).await.map(drop)
        }
        Some(acceptor) => {
            let Some(stream) = dialogue.run(stream, true).await? else {
                return Ok(());
            };
            let stream = acceptor.accept(stream).await?;
            dialogue.encrypted = true;
            dialogue.run(stream, false).await.map(drop)
        }
    }
}
