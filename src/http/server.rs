//! Accepts connections and serves them until it is told to stop.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::extract::PeerAddress;

/// How long a client may take to send a request's header.
const HEADER_TIME: Duration = Duration::from_secs(10);
/// Most bytes of a request's header, and of what is read ahead of a body: the library's own 400 KiB a
/// connection would be memory for whoever opens many.
const BUFFER: usize = 64 * 1024;
/// How long a client may take no data of an answer.
#[cfg(target_os = "linux")]
const SILENCE: Duration = Duration::from_secs(30);
/// Most connections at a time; more wait in the operating system's queue.
const CONNECTIONS: usize = 10_000;
/// How long requests may go on when the server stops.
const DRAIN_TIME: Duration = Duration::from_secs(10);
/// How long to wait when no connection can be accepted, for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` on `listener` until `stop`, then lets running requests end, 10 seconds at most.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let accept = async || {
        let place = Arc::clone(&places).acquire_owned().await;
        (listener.accept().await, place.ok())
    };
    while let Some((accepted, place)) = stop.run_until_cancelled(accept()).await {
        match accepted {
            Ok((stream, peer)) => {
                serve_connection(stream, PeerAddress(peer), router.clone(), &graceful, place);
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "can't accept connections");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_TIME, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("requests that took longer than {DRAIN_TIME:?} were cut off");
    }
}

fn serve_connection(
    stream: TcpStream,
    peer: PeerAddress,
    router: Router,
    graceful: &GracefulShutdown,
    place: Option<OwnedSemaphorePermit>,
) {
    if let Err(error) = stream
        .set_nodelay(true)
        .and_then(|()| limit_silence(&stream))
    {
        tracing::debug!(%error, "a connection is gone already");
    }
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        let router = router.clone();
        async move {
            Ok::<_, Infallible>(
                router
                    .oneshot(request)
                    .await
                    .unwrap_or_else(|never| match never {}),
            )
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        let _place = place;
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection ended early");
        }
    });
}

/// Has the operating system end a connection whose client takes no data for too long, so that
/// nobody makes us keep answers that he doesn't read.
#[cfg(target_os = "linux")]
fn limit_silence(stream: &TcpStream) -> io::Result<()> {
    socket2::SockRef::from(stream).set_tcp_user_timeout(Some(SILENCE))
}

#[cfg(not(target_os = "linux"))]
fn limit_silence(_: &TcpStream) -> io::Result<()> {
    Ok(())
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}
