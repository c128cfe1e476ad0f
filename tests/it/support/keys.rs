//! Tokens taken apart, and made by whoever has the private key.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, jwk::JwkSet};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use user_management::{
    domain::{id::RequestId, signing_key::KeyId},
    infra::{clock::Clock as _, sealer::Sealer},
    services::{Ctx, signing_keys::Rotation},
};
use uuid::Uuid;

use super::app::{SECRET_KEY, TestApp};

/// A part of a token: 0 the header, 1 the claims.
pub fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// The name of the key that signed a token.
pub fn kid(token: &str) -> String {
    part(token, 0)["kid"].as_str().unwrap().to_owned()
}

/// The claims of a token, verified as another service does it: by the published keys alone.
pub fn verify_elsewhere(token: &str, published: &Value) -> Option<Value> {
    let keys: JwkSet = serde_json::from_value(published.clone()).unwrap();
    let jwk = keys.find(&kid(token))?;
    let algorithm = match part(token, 0)["alg"].as_str()? {
        "EdDSA" => Algorithm::EdDSA,
        "ES256" => Algorithm::ES256,
        other => panic!("{other}"),
    };
    let mut validation = Validation::new(algorithm);
    validation.set_audience(&["user-management"]);
    // The clock of tests stands still somewhere else.
    validation.validate_exp = false;
    let key = DecodingKey::from_jwk(jwk).unwrap();
    let verified = jsonwebtoken::decode(token, &key, &validation);
    Some(verified.unwrap().claims)
}

impl TestApp {
    /// A new token of an account with the password of tests.
    pub async fn token(&self, email: &str) -> String {
        self.log_in(email).await.expect(200).text("access_token")
    }

    /// The published keys.
    pub async fn published_keys(&self) -> Value {
        let answer = self.get("/.well-known/jwks.json").send().await;
        answer.expect(200).json()
    }

    /// Rotates the keys, as an operator does, and answers the name of the new one.
    pub async fn rotate_keys(&self) -> String {
        let ctx = Ctx::operator(RequestId(Uuid::nil()), self.clock.now());
        match self.app.services.signing_keys.rotate(&ctx).await.unwrap() {
            Rotation::Rotated(id) => id.as_str().to_owned(),
            other => panic!("{other:?}"),
        }
    }

    /// Signs a token with a private key of the database, as a thief does who has all secrets.
    pub async fn forge(&self, kid: &str, claims: &Value) -> String {
        let query = "select algorithm, sealed_private_key from signing_keys where kid = $1";
        let (algorithm, sealed): (String, Vec<u8>) = sqlx::query_as(query)
            .bind(kid)
            .fetch_one(&self.database.pool)
            .await
            .unwrap();
        let sealer = Sealer::new(SECRET_KEY.as_bytes(), "signing keys");
        let private = sealer.open(kid.as_bytes(), &sealed).unwrap();
        let (algorithm, key) = match &*algorithm {
            "EdDSA" => (
                Algorithm::EdDSA,
                EncodingKey::from_ed_der(private.expose_secret()),
            ),
            _ => (
                Algorithm::ES256,
                EncodingKey::from_ec_der(private.expose_secret()),
            ),
        };
        sign(algorithm, Some(kid), &key, claims)
    }
}

/// A token with this header.
pub fn sign(algorithm: Algorithm, kid: Option<&str>, key: &EncodingKey, claims: &Value) -> String {
    let mut header = Header::new(algorithm);
    header.kid = kid.map(str::to_owned);
    jsonwebtoken::encode(&header, claims, key).unwrap()
}

/// A name that no key has.
pub fn made_up_kid(number: u32) -> KeyId {
    let mut bytes = [0x5a; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    KeyId::parse(&BASE64_URL_SAFE_NO_PAD.encode(bytes)).unwrap()
}
