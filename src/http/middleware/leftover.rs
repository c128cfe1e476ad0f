//! What handlers leave unread of bodies.
//!
//! Many clients send all of a request before they read. When the server answers and closes while
//! they are still sending, they see a broken connection in place of the answer. So what is left of
//! a body is read and thrown away.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::header,
};
use http_body_util::BodyExt as _;
use hyper::body::{Frame, SizeHint};
use tokio::sync::oneshot;

/// Most bytes that are thrown away: four times a large upload. A client that sends more than that
/// sends without end.
const MOST: usize = 256 * 1024 * 1024;

/// What will be left of a request's body.
pub struct Leftover(Option<oneshot::Receiver<Unread>>);

struct Unread {
    body: Body,
    /// Whether the client waits for `100 Continue`, and so sends nothing.
    waits: bool,
}

/// A body that comes back when its handler drops it.
struct Lent {
    unread: Unread,
    back: Option<oneshot::Sender<Unread>>,
}

impl Leftover {
    /// Lends the body of `request` to a handler.
    pub fn lend(request: Request) -> (Request, Self) {
        if request.body().is_end_stream() {
            return (request, Self(None));
        }
        let (back, returned) = oneshot::channel();
        let waits = request.headers().contains_key(header::EXPECT);
        let request = request.map(|body| {
            Body::new(Lent {
                unread: Unread { body, waits },
                back: Some(back),
            })
        });
        (request, Self(Some(returned)))
    }

    /// Reads and throws away what the handler, which is done, has left.
    pub async fn discard(self) {
        let Some(Ok(unread)) = self.0.map(|mut returned| returned.try_recv()) else {
            return;
        };
        if unread.waits {
            return;
        }
        let (mut body, mut discarded) = (unread.body, 0);
        while let Some(Ok(frame)) = body.frame().await {
            discarded += frame.data_ref().map_or(0, Bytes::len);
            if discarded > MOST {
                return;
            }
        }
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        // Whoever asks for the body has the client told to send it.
        self.unread.waits = false;
        Pin::new(&mut self.unread.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.unread.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.unread.body.size_hint()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(back) = self.back.take() {
            let unread = Unread {
                body: mem::take(&mut self.unread.body),
                waits: self.unread.waits,
            };
            // Nobody waits for it when the whole request is dropped.
            let _ = back.send(unread);
        }
    }
}
