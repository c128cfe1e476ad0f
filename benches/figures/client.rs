//! The client that makes the load: HTTP/1.1 over kept connections, as light as it can be, because
//! it shares the machine with what it measures.

use std::{
    cell::Cell,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use futures::future::try_join_all;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// So many requests end a load before its time, so that memory for latencies is bounded.
const MOST_REQUESTS: usize = 2_000_000;

/// Longer than any time limit of the server.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// One kept connection.
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

/// The answer to one request.
pub struct Answer<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: &'a [u8],
}

/// What the head of an answer says.
struct Head {
    status: u16,
    body_starts: usize,
    body_length: usize,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            received: Vec::with_capacity(16 * 1024),
        })
    }

    /// Sends one request and reads its whole answer.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.stream.write_all(request).await?;
        self.received.clear();
        let head = loop {
            self.receive().await?;
            if let Some(head) = Head::parse(&self.received)? {
                break head;
            }
        };
        let end = head.body_starts + head.body_length;
        while self.received.len() < end {
            self.receive().await?;
        }
        ensure!(
            self.received.len() == end,
            "more than one answer to one request"
        );
        Ok(Answer {
            status: head.status,
            body: &self.received[head.body_starts..end],
        })
    }

    async fn receive(&mut self) -> Result<()> {
        let count = self.stream.read_buf(&mut self.received).await?;
        ensure!(
            count > 0,
            "the server closed a connection in the midst of an answer"
        );
        Ok(())
    }
}

impl Head {
    /// The head, when `received` holds all of it.
    fn parse(received: &[u8]) -> Result<Option<Self>> {
        const END: &[u8] = b"\r\n\r\n";
        let Some(end) = received.windows(END.len()).position(|bytes| bytes == END) else {
            return Ok(None);
        };
        let head = str::from_utf8(&received[..end]).context("the answer's head is not text")?;
        let mut lines = head.split("\r\n");
        let status: u16 = lines
            .next()
            .and_then(|line| line.strip_prefix("HTTP/1.1 "))
            .and_then(|line| line.get(..3))
            .and_then(|status| status.parse().ok())
            .with_context(|| format!("not an answer of HTTP/1.1: {head}"))?;
        let length = lines
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map(|(_, length)| length.trim().parse());
        let body_length = match length {
            Some(length) => length.context("content-length")?,
            None if status == 204 => 0,
            None => bail!("an answer without content-length: {head}"),
        };
        Ok(Some(Self {
            status,
            body_starts: end + END.len(),
            body_length,
        }))
    }
}

/// A request without a body.
pub fn get(path: &str, token: Option<&str>) -> Vec<u8> {
    let authorization = token.map_or_else(String::new, bearer);
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{authorization}\r\n").into_bytes()
}

/// A request with a body.
pub fn post(path: &str, media_type: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media_type}\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// A closed loop on each of some connections: the next request goes out when the answer is in.
pub struct Load<'a> {
    /// How many connections.
    pub connections: usize,
    /// Makes the next request.
    pub request: &'a dyn Fn() -> Vec<u8>,
    /// The statuses that are a success. Any other ends the run.
    pub expected: &'a [u16],
}

/// How long each request of a load took, and how long all of them together.
pub struct Samples {
    /// One a request, in no order.
    pub latencies: Vec<Duration>,
    /// From the first request to the last answer.
    pub elapsed: Duration,
}

/// The connections of a load.
pub struct Clients(Vec<Connection>);

impl Clients {
    /// Opens `count` connections.
    pub async fn connect(address: SocketAddr, count: usize) -> Result<Self> {
        try_join_all((0..count).map(|_| Connection::open(address)))
            .await
            .map(Self)
    }

    /// Runs `load` for `duration`.
    ///
    /// # Errors
    ///
    /// The first answer with a status that is not expected, or the first broken connection.
    pub async fn drive(&mut self, load: &Load<'_>, duration: Duration) -> Result<Samples> {
        let started = Instant::now();
        let count = Cell::new(0);
        let loops = self
            .0
            .iter_mut()
            .map(|connection| closed_loop(connection, load, started + duration, &count));
        let latencies = try_join_all(loops).await?.concat();
        Ok(Samples {
            latencies,
            elapsed: started.elapsed(),
        })
    }
}

async fn closed_loop(
    connection: &mut Connection,
    load: &Load<'_>,
    end: Instant,
    count: &Cell<usize>,
) -> Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    while count.get() < MOST_REQUESTS && Instant::now() < end {
        count.set(count.get() + 1);
        let request = (load.request)();
        let sent = Instant::now();
        let answer = tokio::time::timeout(ANSWER_LIMIT, connection.exchange(&request))
            .await
            .context("no answer")??;
        latencies.push(sent.elapsed());
        if !load.expected.contains(&answer.status) {
            let body = String::from_utf8_lossy(answer.body);
            bail!("a request was answered with {}: {body}", answer.status);
        }
    }
    Ok(latencies)
}
