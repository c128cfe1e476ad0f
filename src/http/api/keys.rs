//! `GET /.well-known/jwks.json`: the public keys of access tokens.

use axum::{
    Json,
    extract::State,
    http::{HeaderName, header},
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    domain::signing_key::{JwkMembers, PublicKey},
    http::{
        error::Answer,
        mount,
        openapi::{Internal, Unavailable},
        state::AppState,
    },
};

/// A new key signs at once: whoever asks for the keys, because he doesn't know one, must not get a copy
/// that some cache has kept.
const CACHE: (HeaderName, &str) = (header::CACHE_CONTROL, "public, no-cache");

pub(super) fn router() -> OpenApiRouter<AppState> {
    mount(OpenApiRouter::new(), routes!(list_keys))
}

/// Public keys (RFC 7517, 5).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KeySet, example = json!({
    "keys": [{
        "kty": "OKP",
        "crv": "Ed25519",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
        "use": "sig",
        "alg": "EdDSA",
    }],
}))]
struct KeySetBody {
    /// The keys that are accepted, the one that signs first.
    keys: Vec<KeyBody>,
}

/// A public key.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Key)]
struct KeyBody {
    /// The key's family: `OKP` for EdDSA, `EC` for ES256.
    #[schema(value_type = String)]
    kty: &'static str,
    /// The curve: `Ed25519` or `P-256`.
    #[schema(value_type = String)]
    crv: &'static str,
    /// The point of Ed25519, or the first coordinate.
    x: String,
    /// The second coordinate, of ES256.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    y: Option<String>,
    /// The key's name, as tokens have it in their header: its thumbprint (RFC 7638).
    kid: String,
    /// What it is for: `sig`.
    #[serde(rename = "use")]
    #[schema(value_type = String)]
    usage: &'static str,
    /// The algorithm: `EdDSA` or `ES256`.
    #[schema(value_type = String)]
    alg: &'static str,
}

impl From<PublicKey> for KeyBody {
    fn from(key: PublicKey) -> Self {
        let JwkMembers { kty, crv, x, y } = key.jwk();
        Self {
            kty,
            crv,
            x,
            y,
            kid: key.id().as_str().to_owned(),
            usage: "sig",
            alg: key.algorithm().as_str(),
        }
    }
}

/// The public keys of access tokens
///
/// A JSON Web Key Set (RFC 7517), for services that verify access tokens themselves; empty where
/// they are signed with a secret. Fetch it again at a `kid` that it doesn't have. A token that
/// verifies may still belong to a session that has ended.
#[utoipa::path(
    get, path = "/.well-known/jwks.json", operation_id = "list_keys", tag = "keys",
    responses(
        (
            status = 200, description = "The keys that are accepted at present", body = KeySetBody,
            headers(("Cache-Control" = String, description = "How long to keep them"))
        ),
        Internal, Unavailable,
    ),
)]
async fn list_keys(
    State(state): State<AppState>,
) -> Answer<([(HeaderName, &'static str); 1], Json<KeySetBody>)> {
    let keys = state.services.signing_keys.public_keys().await?;
    let keys = keys.into_iter().map(KeyBody::from).collect();
    Ok(([CACHE], Json(KeySetBody { keys })))
}
