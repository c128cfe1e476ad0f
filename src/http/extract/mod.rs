//! Extractors: who asks, and what for. Each refuses what it can't read with the error format of
//! ours, so that none of axum's own answers reaches a client.
//!
//! The order of a handler's arguments is the order in which they are checked: first the actor, then
//! the path and the query, and the body last.

mod accept;
mod body;
mod context;
mod cookies;
mod idempotency;
mod multipart;
mod params;
mod query;

pub use accept::Accepted;
pub use body::{Form, Json, JsonOrForm, MAX_BODY};
pub use context::{Anyone, Authenticated, PeerAddress, SamePage, UserOrService};
pub(super) use context::{authorization, context};
pub use cookies::{DEVICE_TOKEN_HEADER, device_cookie, set_session_cookie};
pub(super) use cookies::{check_not_foreign, cookies};
pub use idempotency::{
    IDEMPOTENCY_KEY, IDEMPOTENCY_REPLAYED, IdempotencyParam, Idempotent, answer,
};
pub use multipart::{Multipart, Part, too_large};
pub use params::{Id, ImportIdInPath, MailLink, MailToken, Name, Nicknamed, SessionIdInPath};
pub use query::{Paged, Query};
