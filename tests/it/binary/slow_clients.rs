//! Clients that open connections and then take their time.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Duration, interval},
};

use crate::support::{
    binary::{Program, Server},
    database::TestDatabase,
};

/// More than the number of files that many systems allow a process unless it asks for more.
const IDLE: u64 = 2000;

/// Allows this process as many files as it may have.
fn raise_own_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    assert!(limit.maximum.is_none_or(|maximum| maximum > IDLE + 1000));
}

/// A header that comes byte by byte, without end: the connection is closed.
async fn endless_header(server: &Server) {
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let (mut input, mut output) = stream.into_split();
    let dripping = async {
        output
            .write_all(b"GET / HTTP/1.1\r\nHost: here\r\nX-Drip: ")
            .await?;
        let mut pace = interval(Duration::from_millis(100));
        loop {
            pace.tick().await;
            output.write_all(b"a").await?;
        }
    };
    let mut answer = Vec::new();
    let closed = async {
        let _reset_or_closed = input.read_to_end(&mut answer).await;
    };
    tokio::select! {
        () = closed => {}
        written = dripping => {
            let written: std::io::Result<()> = written;
            assert!(written.is_err());
        }
    }
    assert!(!answer.starts_with(b"HTTP/1.1 2"));
}

/// A body that never ends: the request is answered without it.
async fn endless_body(server: &Server) {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let request = b"POST /register/ HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n\
                    Content-Length: 1000\r\n\r\n{\"email\":";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("\"code\":\"unavailable\""), "{answer}");
}

/// Connections that say nothing: they are closed, and meanwhile others are served.
async fn silence(server: &Server) {
    let mut idle = Vec::new();
    for _ in 0..IDLE {
        idle.push(TcpStream::connect(server.address()).await.unwrap());
    }
    assert_eq!(server.get("/health/ready").await.status(), 200);
    let registered = server.register("ada@example.com").await.unwrap();
    assert_eq!(registered.status(), 200);
    for mut stream in idle {
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(answer.is_empty());
    }
}

#[tokio::test]
async fn slow_clients_are_cut_off_and_keep_nobody_from_being_served() {
    raise_own_limit();
    let database = TestDatabase::create().await;
    let program = Program::on(&database);
    let server = program.spawn_by_shell("ulimit -S -n 1024; exec \"$0\" serve");
    let server = Server::of(server).await;
    tokio::join!(
        silence(&server),
        endless_header(&server),
        endless_body(&server)
    );
    assert_eq!(server.get("/health/ready").await.status(), 200);
    let log = server.stop().await.stdout;
    assert!(!log.contains("can't accept"), "{log}");
}
