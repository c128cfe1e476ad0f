//! Who asks: the request's context, with or without a token.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts},
};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    domain::{actor::Actor, id::RequestId},
    error::{Error, ErrorCode},
    http::{error::Problem, state::AppState},
    services::{
        Client, Ctx,
        login::{DEVICE_LIFETIME, DeviceToken},
    },
};

/// The header by which clients without cookies keep a device token.
pub const DEVICE_TOKEN_HEADER: HeaderName = HeaderName::from_static("x-device-token");
/// Most device tokens that are looked at: more accounts than people have on one device.
const MAX_DEVICE_TOKENS: usize = 20;
/// Most characters of a user agent that are kept.
const MAX_USER_AGENT: usize = 512;

/// The address of whoever opened the connection; an extension of each request.
#[derive(Debug, Clone, Copy)]
pub struct PeerAddress(pub SocketAddr);

/// The context of a request that needs no login.
pub struct Anyone(pub Ctx);

/// The context of a request by a logged-in user.
pub struct Authenticated(pub Ctx);

impl FromRequestParts<AppState> for Anyone {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        Ok(Self(context(parts, state, Actor::Nobody)))
    }
}

impl FromRequestParts<AppState> for Authenticated {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let token =
            bearer(&parts.headers).ok_or(Error::Unauthenticated(ErrorCode::NotAuthenticated))?;
        let actor = state.services.access_tokens.authenticate(token).await?;
        Ok(Self(context(parts, state, actor)))
    }
}

/// The token of `Authorization: Bearer …` (RFC 6750).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_start())
}

fn context(parts: &Parts, state: &AppState, actor: Actor) -> Ctx {
    let now = state.clock.now();
    let request_id = match parts.extensions.get::<RequestId>() {
        Some(id) => *id,
        None => RequestId(state.random.uuid_v7(now)),
    };
    let peer = parts
        .extensions
        .get::<PeerAddress>()
        .map(|peer| peer.0.ip().to_canonical());
    let user_agent = parts
        .headers
        .get(header::USER_AGENT)
        .and_then(|value| value.to_str().ok());
    Ctx {
        actor,
        request_id,
        client: Client {
            address: peer.map(|peer| client_address(peer, &parts.headers, state)),
            user_agent: user_agent.map(|agent| agent.chars().take(MAX_USER_AGENT).collect()),
            device_tokens: device_tokens(&parts.headers, state),
        },
        now,
    }
}

/// The client's address: the peer's, or behind proxies that we trust the last one named that isn't
/// such a proxy. Whatever stands before it, the client may have written himself.
fn client_address(peer: IpAddr, headers: &HeaderMap, state: &AppState) -> IpAddr {
    let is_proxy = |address: &IpAddr| {
        state
            .trusted_proxies
            .iter()
            .any(|network| network.contains(address))
    };
    if !is_proxy(&peer) {
        return peer;
    }
    let mut client = peer;
    let named: Vec<_> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    for name in named.iter().rev() {
        let Some(address) = forwarded_address(name.trim()) else {
            break;
        };
        client = address.to_canonical();
        if !is_proxy(&client) {
            break;
        }
    }
    client
}

/// An address as proxies write it: alone, with a port, or in brackets.
fn forwarded_address(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let alone = bare.unwrap_or(text).parse().ok();
    alone.or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))
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

fn device_tokens(headers: &HeaderMap, state: &AppState) -> Vec<SecretString> {
    let in_header = headers
        .get(DEVICE_TOKEN_HEADER)
        .and_then(|token| token.to_str().ok());
    let in_cookies = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|cookie| {
            cookie
                .trim()
                .strip_prefix(device_cookie_prefix(state))?
                .split_once('=')
        })
        .map(|(_account, token)| token);
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
