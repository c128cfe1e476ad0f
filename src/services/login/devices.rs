//! Device tokens: by them we know a device again on which the owner of an account has logged in.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::PgConnection;

use super::Login;
use crate::{
    domain::{id::UserId, login_name::LoginName, password::PasswordHash},
    error::Result,
    repository::users,
    services::Ctx,
};

/// How long a device counts as the owner's after his last login on it.
pub const DEVICE_LIFETIME: TimeDelta = TimeDelta::days(365);
/// Bytes of a device's id.
pub(super) const DEVICE_ID: usize = 16;
/// Characters of a token: 56 bytes in Base64.
const TOKEN_LENGTH: usize = 75;

/// Tells that the owner of an account has logged in on this device before.
#[derive(Debug, Clone)]
pub struct DeviceToken {
    /// Tells accounts apart, so that a device can keep a token for each: 12 hexadecimal digits.
    pub account: String,
    /// The token.
    pub token: SecretString,
}

impl Login {
    /// The device of the account's owner that the client names, if it names one.
    pub(super) async fn find_device(
        &self,
        connection: &mut PgConnection,
        ctx: &Ctx,
        name: &LoginName,
    ) -> Result<Option<[u8; DEVICE_ID]>> {
        let presented = ctx.client.device_tokens.iter();
        let presented: Vec<_> = presented
            .filter_map(|token| DeviceMark::decode(token.expose_secret()))
            .collect();
        if presented.is_empty() {
            return Ok(None);
        }
        let owner = users::find_credentials(connection, name)
            .await?
            .map(|found| Owner::of(found.user_id, &found.password_hash));
        // As much work where there is no account, so that the time doesn't tell.
        let is_known = owner.is_some();
        let owner = owner.unwrap_or_else(Owner::nobody);
        let devices: Vec<_> = presented
            .iter()
            .filter_map(|mark| self.device_of(mark, &owner, ctx.now))
            .collect();
        Ok(devices.first().copied().filter(|_| is_known))
    }

    /// Names a device to its owner: an id, the time, and a signature. The device keeps its id from
    /// login to login.
    pub(super) fn device_token(
        &self,
        device: Option<[u8; DEVICE_ID]>,
        owner: &Owner,
        now: DateTime<Utc>,
    ) -> DeviceToken {
        let id = device.unwrap_or_else(|| self.platform.random.bytes());
        let issued = now.timestamp().to_be_bytes();
        let key = &self.options.device_key;
        let signature = key.tag(&[&id, &issued, &owner.0]);
        let account = key.tag(&[b"account", &owner.0[..16]]);
        DeviceToken {
            account: account[..6]
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            token: BASE64_URL_SAFE_NO_PAD
                .encode([id.as_slice(), &issued, &signature].concat())
                .into(),
        }
    }

    /// The device that a token names, if we signed it for this owner within its lifetime.
    fn device_of(
        &self,
        mark: &DeviceMark,
        owner: &Owner,
        now: DateTime<Utc>,
    ) -> Option<[u8; DEVICE_ID]> {
        let DeviceMark {
            id,
            issued,
            signature,
        } = mark;
        let key = &self.options.device_key;
        let is_ours = key.verify(&[id, issued, &owner.0], signature);
        let age = now - DateTime::from_timestamp(i64::from_be_bytes(*issued), 0)?;
        (is_ours && age < DEVICE_LIFETIME).then_some(*id)
    }
}

/// What a device token says, unchecked.
struct DeviceMark {
    id: [u8; DEVICE_ID],
    issued: [u8; 8],
    signature: [u8; 32],
}

impl DeviceMark {
    /// Reads a token, whose length bounds the work.
    fn decode(token: &str) -> Option<Self> {
        if token.len() != TOKEN_LENGTH {
            return None;
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        let (id, rest) = bytes.split_first_chunk()?;
        let (issued, signature) = rest.split_first_chunk()?;
        Some(Self {
            id: *id,
            issued: *issued,
            signature: signature.try_into().ok()?,
        })
    }
}

/// Whom a device token is for: an account, until its password changes.
pub(super) struct Owner(Vec<u8>);

impl Owner {
    pub(super) fn of(user_id: UserId, hash: &PasswordHash) -> Self {
        Self([user_id.0.as_bytes().as_slice(), hash.expose().as_bytes()].concat())
    }

    /// As long as most.
    fn nobody() -> Self {
        Self(vec![0; 16 + 97])
    }
}
