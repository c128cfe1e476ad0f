//! Cookies: of sessions and of known devices, and whether a page of ours made the request that
//! carries one.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::{
    domain::session::SessionSecret,
    error::{Error, ErrorCode},
    http::state::AppState,
    services::login::{DEVICE_LIFETIME, DeviceToken},
};

/// The header by which clients without cookies keep a device token.
pub const DEVICE_TOKEN_HEADER: HeaderName = HeaderName::from_static("x-device-token");
/// Most device tokens that are looked at: more accounts than people have on one device.
const MAX_DEVICE_TOKENS: usize = 20;

/// The values of the cookies whose names begin so; what follows in the name, and the value.
pub(in crate::http) fn cookies<'a>(
    headers: &'a HeaderMap,
    prefix: &'a str,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(move |cookie| cookie.trim().strip_prefix(prefix)?.split_once('='))
}

/// The name of the cookie of sessions. The prefix `__Host-` makes browsers refuse one that isn't ours.
fn session_cookie_name(state: &AppState) -> &'static str {
    if state.is_https() {
        "__Host-um_session"
    } else {
        "um_session"
    }
}

/// What the cookie of a session holds.
pub(super) fn session_secret(headers: &HeaderMap, state: &AppState) -> Option<SessionSecret> {
    let (_, value) =
        cookies(headers, session_cookie_name(state)).find(|(rest, _)| rest.is_empty())?;
    SessionSecret::presented(value)
}

/// Adds the cookie of a session, which the browser keeps for so many seconds; 0 takes it away.
pub fn set_session_cookie(state: &AppState, headers: &mut HeaderMap, secret: &str, seconds: i64) {
    let secure = if state.is_https() { "; Secure" } else { "" };
    let cookie = format!(
        "{}={secret}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}",
        session_cookie_name(state),
    );
    // Base64 and the attributes above are valid in a header.
    if let Ok(mut value) = HeaderValue::from_str(&cookie) {
        value.set_sensitive(true);
        headers.append(header::SET_COOKIE, value);
    }
}

/// Where a request comes from, as far as a browser tells.
enum Page {
    /// A page of ours, or of an origin that the settings allow.
    Ours,
    /// Another page.
    Foreign,
    /// The client doesn't tell: it is no browser of today.
    Unknown,
}

fn page(headers: &HeaderMap, state: &AppState) -> Page {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    let site = text(HeaderName::from_static("sec-fetch-site"));
    let Some(origin) = text(header::ORIGIN) else {
        return match site {
            Some("same-origin") => Page::Ours,
            Some(_) => Page::Foreign,
            None => Page::Unknown,
        };
    };
    let is_allowed = state
        .cors_allowed_origins
        .iter()
        .any(|allowed| allowed.0 == origin)
        || state.base_url.origin().ascii_serialization() == origin;
    // The service may be reached under several names, of which the settings have one.
    let is_same = site == Some("same-origin") && {
        let origin = Url::parse(origin).ok();
        let authority = origin.as_ref().map(Url::authority);
        authority.is_some() && authority == text(header::HOST)
    };
    if is_allowed || is_same {
        Page::Ours
    } else {
        Page::Foreign
    }
}

/// Lets pass what a page of ours asks for.
///
/// # Errors
///
/// [`ErrorCode::CrossSiteRequest`] also where the client doesn't tell.
pub(super) fn check_same_origin(headers: &HeaderMap, state: &AppState) -> Result<(), Error> {
    match page(headers, state) {
        Page::Ours => Ok(()),
        Page::Foreign | Page::Unknown => Err(Error::Forbidden(ErrorCode::CrossSiteRequest)),
    }
}

/// Lets pass all but what a foreign page asks for.
///
/// # Errors
///
/// [`ErrorCode::CrossSiteRequest`].
pub(in crate::http) fn check_not_foreign(
    headers: &HeaderMap,
    state: &AppState,
) -> Result<(), Error> {
    match page(headers, state) {
        Page::Ours | Page::Unknown => Ok(()),
        Page::Foreign => Err(Error::Forbidden(ErrorCode::CrossSiteRequest)),
    }
}

/// What the names of cookies of device tokens begin with; the account follows, so that a browser keeps one
/// for each. The prefix `__Host-` makes browsers refuse one that isn't ours.
fn device_cookie_prefix(state: &AppState) -> &'static str {
    if state.is_https() {
        "__Host-um_device_"
    } else {
        "um_device_"
    }
}

pub(super) fn device_tokens(headers: &HeaderMap, state: &AppState) -> Vec<SecretString> {
    let in_header = headers
        .get(DEVICE_TOKEN_HEADER)
        .and_then(|token| token.to_str().ok());
    let in_cookies = cookies(headers, device_cookie_prefix(state)).map(|(_account, token)| token);
    in_header
        .into_iter()
        .chain(in_cookies)
        .take(MAX_DEVICE_TOKENS)
        .map(SecretString::from)
        .collect()
}

/// The headers that give a client its device token: a cookie for browsers, a header for others.
#[must_use]
pub fn device_cookie(state: &AppState, device: &DeviceToken) -> HeaderMap {
    let secure = if state.is_https() { "; Secure" } else { "" };
    let token = device.token.expose_secret();
    let cookie = format!(
        "{}{}={token}; Path=/; Max-Age={}; HttpOnly; SameSite=Lax{secure}",
        device_cookie_prefix(state),
        device.account,
        DEVICE_LIFETIME.num_seconds(),
    );
    let mut headers = HeaderMap::new();
    for (name, value) in [(header::SET_COOKIE, &*cookie), (DEVICE_TOKEN_HEADER, token)] {
        // Base64 and the attributes above are valid in a header.
        if let Ok(mut value) = HeaderValue::from_str(value) {
            value.set_sensitive(true);
            headers.insert(name, value);
        }
    }
    headers
}
