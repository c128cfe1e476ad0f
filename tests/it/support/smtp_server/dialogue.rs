//! The SMTP server's side of one connection.

use std::io;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};

use super::{Action, Protection, Received, Shared, Stage};

/// One connection's dialogue.
pub(super) struct Dialogue<'a> {
    pub shared: &'a Shared,
    pub encrypted: bool,
    pub user: Option<String>,
    pub connection: usize,
}

impl Dialogue<'_> {
    /// Talks until the client leaves. Gives the stream back for TLS after STARTTLS.
    pub async fn run<S>(&mut self, stream: S, greet: bool) -> io::Result<Option<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut stream = BufReader::new(stream);
        if greet
            && !self
                .answer(&mut stream, Stage::Connect, "220 test ESMTP")
                .await?
        {
            return Ok(None);
        }
        let mut from = None;
        let mut to = Vec::new();
        let mut line = String::new();
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(None);
            }
            let line = line.trim_end();
            let verb = line.split(' ').next().unwrap_or_default().to_uppercase();
            match verb.as_str() {
                "EHLO" => {
                    let features = self.features();
                    self.answer(&mut stream, Stage::Ehlo, &features).await?;
                }
                "STARTTLS" if self.offers_starttls() => {
                    if self
                        .answer(&mut stream, Stage::StartTls, "220 go ahead")
                        .await?
                    {
                        return Ok(Some(stream.into_inner()));
                    }
                }
                "AUTH" => self.authenticate(&mut stream, line).await?,
                "MAIL" if self.shared.credentials.is_some() && self.user.is_none() => {
                    send(&mut stream, "530 5.7.0 authentication required").await?;
                }
                "MAIL" => {
                    from = None;
                    to.clear();
                    if self
                        .answer(&mut stream, Stage::Mail, "250 sender ok")
                        .await?
                    {
                        from = Some(address(line));
                    }
                }
                "RCPT" if from.is_some() => {
                    if self
                        .answer(&mut stream, Stage::Rcpt, "250 recipient ok")
                        .await?
                    {
                        to.push(address(line));
                    }
                }
                "DATA" if !to.is_empty() => {
                    if self.answer(&mut stream, Stage::Data, "354 go on").await? {
                        let data = read_content(&mut stream).await?;
                        let reply = self.decide(Stage::Content).await?;
                        let reply = reply.as_deref().unwrap_or("250 2.0.0 queued");
                        // Kept before the answer: who has the answer may ask for the mail.
                        if let (Some(from), true) = (from.take(), reply.starts_with('2')) {
                            self.keep(from, std::mem::take(&mut to), data);
                        }
                        send(&mut stream, reply).await?;
                    }
                }
                "RSET" => {
                    from = None;
                    to.clear();
                    self.answer(&mut stream, Stage::Rset, "250 ok").await?;
                }
                "NOOP" => send(&mut stream, "250 ok").await?,
                "QUIT" => {
                    send(&mut stream, "221 bye").await?;
                    return Ok(None);
                }
                _ => send(&mut stream, "503 5.5.1 bad sequence of commands").await?,
            }
        }
    }

    fn keep(&self, from: String, to: Vec<String>, data: String) {
        let received = Received {
            from,
            to,
            data,
            encrypted: self.encrypted,
            user: self.user.clone(),
            connection: self.connection,
        };
        self.shared.received.send_modify(|all| all.push(received));
    }

    fn offers_starttls(&self) -> bool {
        self.shared.protection == Protection::StartTls && !self.encrypted
    }

    fn features(&self) -> String {
        let mut lines = vec!["250-test", "250-PIPELINING"];
        if self.offers_starttls() {
            lines.push("250-STARTTLS");
        }
        if self.shared.credentials.is_some() {
            lines.push("250-AUTH PLAIN LOGIN");
        }
        lines.push("250 8BITMIME");
        lines.join("\r\n")
    }

    /// AUTH PLAIN with its initial response (RFC 4616), as lettre sends it.
    async fn authenticate<S>(&mut self, stream: &mut S, line: &str) -> io::Result<()>
    where
        S: AsyncWrite + Unpin,
    {
        let given = line
            .split(' ')
            .nth(2)
            .and_then(|response| STANDARD.decode(response).ok())
            .and_then(|response| String::from_utf8(response).ok())
            .unwrap_or_default();
        let mut parts = given.split('\0').skip(1);
        let pair = (
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
        );
        let right = self
            .shared
            .credentials
            .as_ref()
            .is_some_and(|(user, password)| pair == (user.as_str(), password.as_str()));
        if !right {
            return send(stream, "535 5.7.8 authentication credentials invalid").await;
        }
        if self
            .answer(stream, Stage::Auth, "235 2.7.0 welcome")
            .await?
        {
            self.user = Some(pair.0.to_owned());
        }
        Ok(())
    }

    /// Does what the script says for `stage`, or else accepts with `positive`. Says whether the
    /// answer was positive.
    async fn answer<S>(&self, stream: &mut S, stage: Stage, positive: &str) -> io::Result<bool>
    where
        S: AsyncWrite + Unpin,
    {
        let reply = self.decide(stage).await?;
        let reply = reply.as_deref().unwrap_or(positive);
        send(stream, reply).await?;
        Ok(reply.starts_with(['2', '3']))
    }

    /// The reply that the script wants at `stage`, none to accept. An error ends the connection.
    async fn decide(&self, stage: Stage) -> io::Result<Option<String>> {
        match self.shared.action(stage) {
            None => Ok(None),
            Some(Action::Reply(reply)) => Ok(Some(reply)),
            Some(Action::Drop) => Err(io::ErrorKind::ConnectionAborted.into()),
            Some(Action::Hang) => std::future::pending().await,
            Some(Action::Delay(time)) => {
                tokio::time::sleep(time).await;
                Ok(None)
            }
        }
    }
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, reply: &str) -> io::Result<()> {
    stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
    stream.flush().await
}

/// Reads the lines of a mail up to the single dot.
async fn read_content<S>(stream: &mut BufReader<S>) -> io::Result<String>
where
    S: AsyncRead + Unpin,
{
    let mut content = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line == ".\r\n" {
            return Ok(content);
        }
        content.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}

/// What stands in the angle brackets of `MAIL FROM:<…>` or `RCPT TO:<…>`.
fn address(line: &str) -> String {
    let begin = line.find('<').map_or(0, |at| at + 1);
    let end = line.find('>').unwrap_or(line.len());
    line.get(begin..end).unwrap_or_default().to_owned()
}
