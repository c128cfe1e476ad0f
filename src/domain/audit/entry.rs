//! An entry as it is kept, and its hash in the chain.

use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::Position;

/// What stands before the first entry of the chain.
pub const GENESIS: [u8; 32] = [0; 32];

/// Tells this encoding from any other that somebody may hash.
const ENCODING: &[u8] = b"user-management audit entry 1";

/// An entry of the audit log, as it is kept. Names are texts: a newer version may have written some
/// that this one doesn't know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its id.
    pub id: i64,
    /// When it was.
    pub at: DateTime<Utc>,
    /// What acted, see [`ActorKind`](super::ActorKind).
    pub actor_kind: String,
    /// Which user.
    pub actor_id: Option<Uuid>,
    /// Which account of the operating system.
    pub actor_name: Option<String>,
    /// For which user.
    pub on_behalf_of: Option<Uuid>,
    /// What was done, see [`Action`](super::Action).
    pub action: String,
    /// What kind of thing it was done to.
    pub subject_kind: Option<String>,
    /// Which one.
    pub subject_id: Option<String>,
    /// In which request.
    pub request_id: Option<Uuid>,
    /// From where.
    pub client_address: Option<String>,
    /// By what program.
    pub device: Option<String>,
    /// What changed, as it was: JSON as the database writes it.
    pub before: Option<String>,
    /// What changed, as it is since: JSON as the database writes it.
    pub after: Option<String>,
    /// How it went, see [`Outcome`](super::Outcome).
    pub outcome: String,
}

impl AuditEntry {
    /// Its place in the list.
    #[must_use]
    pub fn position(&self) -> Position {
        Position {
            at: self.at,
            id: self.id,
        }
    }

    /// Its hash in the chain: SHA-256 of the hash before it and of every member.
    ///
    /// Each member is one byte, 0 where there is none and else 1, and then its length in 8 bytes and
    /// its bytes: so no two entries are written alike. Numbers are big-endian, times are microseconds
    /// since 1970. JSON is hashed as text, as PostgreSQL writes `jsonb`, so that no number loses
    /// digits on the way.
    #[must_use]
    pub fn hash(&self, previous: &[u8; 32]) -> [u8; 32] {
        fn text(member: Option<&String>) -> Option<&[u8]> {
            member.map(String::as_bytes)
        }
        fn id(member: Option<&Uuid>) -> Option<&[u8]> {
            member.map(|id| id.as_bytes().as_slice())
        }
        let mut hasher = Sha256::new();
        hasher.update(ENCODING);
        hasher.update(previous);
        let (own_id, at) = (
            self.id.to_be_bytes(),
            self.at.timestamp_micros().to_be_bytes(),
        );
        let members = [
            Some(own_id.as_slice()),
            Some(at.as_slice()),
            text(Some(&self.actor_kind)),
            id(self.actor_id.as_ref()),
            text(self.actor_name.as_ref()),
            id(self.on_behalf_of.as_ref()),
            text(Some(&self.action)),
            text(self.subject_kind.as_ref()),
            text(self.subject_id.as_ref()),
            id(self.request_id.as_ref()),
            text(self.client_address.as_ref()),
            text(self.device.as_ref()),
            text(self.before.as_ref()),
            text(self.after.as_ref()),
            text(Some(&self.outcome)),
        ];
        for member in members {
            match member {
                None => hasher.update([0]),
                Some(bytes) => {
                    hasher.update([1]);
                    hasher.update((bytes.len() as u64).to_be_bytes());
                    hasher.update(bytes);
                }
            }
        }
        hasher.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn entry() -> AuditEntry {
        AuditEntry {
            id: 7,
            at: DateTime::UNIX_EPOCH,
            actor_kind: "user".into(),
            actor_id: Some(Uuid::from_u128(1)),
            actor_name: None,
            on_behalf_of: None,
            action: "user_locked".into(),
            subject_kind: Some("user".into()),
            subject_id: Some("ab".into()),
            request_id: Some(Uuid::from_u128(2)),
            client_address: Some("192.0.2.1".into()),
            device: Some("a browser".into()),
            before: None,
            after: Some(r#"{"a": 1}"#.into()),
            outcome: "success".into(),
        }
    }

    #[test]
    fn a_change_of_any_member_changes_the_hash() {
        let changed = |change: fn(&mut AuditEntry)| {
            let mut entry = entry();
            change(&mut entry);
            entry.hash(&GENESIS)
        };
        let hashes = [
            changed(|_| ()),
            changed(|entry| entry.id = 8),
            changed(|entry| entry.at += chrono::TimeDelta::microseconds(1)),
            changed(|entry| entry.actor_kind = "system".into()),
            changed(|entry| entry.actor_id = None),
            changed(|entry| entry.actor_name = Some(String::new())),
            changed(|entry| entry.on_behalf_of = Some(Uuid::from_u128(1))),
            changed(|entry| entry.action = "user_unlocked".into()),
            changed(|entry| entry.subject_kind = None),
            changed(|entry| entry.subject_id = Some("a".into())),
            changed(|entry| entry.request_id = None),
            changed(|entry| entry.client_address = None),
            changed(|entry| entry.device = Some("a browse".into())),
            changed(|entry| entry.before = entry.after.take()),
            changed(|entry| entry.after = Some(r#"{"a": 2}"#.into())),
            changed(|entry| entry.outcome = "failed".into()),
            entry().hash(&[1; 32]),
        ];
        let different: HashSet<_> = hashes.iter().collect();
        assert_eq!(different.len(), hashes.len());
    }

    #[test]
    fn what_moves_from_one_member_to_the_next_changes_the_hash() {
        let mut moved = entry();
        moved.subject_kind = Some("usera".into());
        moved.subject_id = Some("b".into());
        assert_ne!(moved.hash(&GENESIS), entry().hash(&GENESIS));
    }

    /// Chains that exist must verify for ever.
    #[test]
    fn the_hash_is_the_one_that_was_decided() {
        let hash = entry().hash(&GENESIS);
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        insta::assert_snapshot!(hex, @"c242c4f37a7226e9cef3ac6f9cd1c6387b63358cdbce483e4ff06cd948e5f15d");
    }
}
