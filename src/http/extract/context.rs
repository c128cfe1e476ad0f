//! Who asks: the request's context, with or without a token.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::cookies::{check_not_foreign, check_same_origin, device_tokens, session_secret};
use crate::{
    domain::{actor::Actor, id::RequestId},
    error::{Error, ErrorCode},
    http::{error::Problem, state::AppState},
    services::{Client, Ctx, audit::Refusals},
};

/// Most characters of a user agent that are kept.
const MAX_USER_AGENT: usize = 512;

/// The address of whoever opened the connection; an extension of each request.
#[derive(Debug, Clone, Copy)]
pub struct PeerAddress(pub SocketAddr);

/// The context of a request that needs no login.
pub struct Anyone(pub Ctx);

/// The context of a request by a logged-in user: by an access token, or else by the cookie of a
/// session. By cookie, what changes something must come from a page of ours.
pub struct Authenticated(pub Ctx);

/// The context of a request that needs no login, and that no foreign page may make: it would log
/// its visitors in as somebody else.
pub struct SamePage(pub Ctx);

/// The context of a request by a logged-in user, or by another service with its credentials
/// (`Authorization: Basic`, RFC 7617).
pub struct UserOrService(pub Ctx);

impl FromRequestParts<AppState> for Anyone {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        Ok(Self(context(parts, state, Actor::Nobody)))
    }
}

impl FromRequestParts<AppState> for Authenticated {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let sessions = &state.services.sessions;
        let actor = if let Some(token) = authorization(&parts.headers, "bearer") {
            sessions.authenticate(token).await?
        } else {
            let secret = session_secret(&parts.headers, state);
            let secret = secret.ok_or(Error::Unauthenticated(ErrorCode::NotAuthenticated))?;
            let actor = sessions.authenticate_cookie(&secret).await?;
            // A browser sends the cookie whoever made the page that asks.
            if !parts.method.is_safe() {
                check_same_origin(&parts.headers, state)?;
            }
            actor
        };
        Ok(Self(context(parts, state, actor)))
    }
}

impl FromRequestParts<AppState> for SamePage {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        check_not_foreign(&parts.headers, state)?;
        Ok(Self(context(parts, state, Actor::Nobody)))
    }
}

impl FromRequestParts<AppState> for UserOrService {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let Some(credentials) = authorization(&parts.headers, "basic") else {
            let Authenticated(ctx) = Authenticated::from_request_parts(parts, state).await?;
            return Ok(Self(ctx));
        };
        let decoded = BASE64_STANDARD.decode(credentials).ok();
        let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        let text = text.unwrap_or_default();
        let (name, secret) = text.split_once(':').unwrap_or_default();
        let mut known = state.service_credentials.iter();
        if !known.any(|service| service.is(name, secret)) {
            return Err(Error::Unauthenticated(ErrorCode::InvalidClient).into());
        }
        Ok(Self(context(parts, state, Actor::Service)))
    }
}

/// What follows this scheme in `Authorization`: for `Bearer` a token (RFC 6750).
pub(in crate::http) fn authorization<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let (scheme, rest) = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .split_once(' ')?;
    scheme
        .eq_ignore_ascii_case(wanted)
        .then(|| rest.trim_start())
}

/// The context of a request by this actor.
pub(in crate::http) fn context(parts: &Parts, state: &AppState, actor: Actor) -> Ctx {
    let now = state.clock.now();
    let request_id = match parts.extensions.get::<RequestId>() {
        Some(id) => *id,
        None => RequestId(state.random.uuid_v7(now)),
    };
    let peer = parts
        .extensions
        .get::<PeerAddress>()
        .map(|peer| peer.0.ip().to_canonical());
    let refusals = parts.extensions.get::<Refusals>();
    let user_agent = parts
        .headers
        .get(header::USER_AGENT)
        .and_then(|value| value.to_str().ok());
    Ctx {
        actor,
        account: None,
        request_id,
        client: Client {
            address: peer.map(|peer| client_address(peer, &parts.headers, state)),
            user_agent: user_agent.map(|agent| agent.chars().take(MAX_USER_AGENT).collect()),
            device_tokens: device_tokens(&parts.headers, state),
        },
        now,
        refusals: refusals.cloned().unwrap_or_default(),
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
