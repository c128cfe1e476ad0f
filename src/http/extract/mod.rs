//! Extractors: who asks, and what for. Each refuses what it can't read with the error format of
//! ours, so that none of axum's own answers reaches a client.
//!
//! The order of a handler's arguments is the order in which they are checked: first the actor, then
//! the path and the query, and the body last.

mod body;
mod context;
mod params;

pub use body::{Form, Json, MAX_BODY};
pub use context::{Anyone, Authenticated, DEVICE_TOKEN_HEADER, PeerAddress, device_cookie};
pub use params::{Id, MailLink, MailToken, Name, Paged};
