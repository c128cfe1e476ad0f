//! Which entries somebody asks for.

use std::net::IpAddr;

use chrono::{DateTime, Utc};

use super::{Action, Outcome};
use crate::{
    domain::{
        id::{RequestId, UserId},
        moment,
    },
    error::Rule,
};

/// Most characters of a subject's id.
const MAX_SUBJECT: usize = 200;

/// Which entries; what is none doesn't matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Of this user.
    pub actor: Option<UserId>,
    /// About the one of this id.
    pub subject: Option<String>,
    /// Of this kind.
    pub action: Option<Action>,
    /// That went so.
    pub outcome: Option<Outcome>,
    /// Of this request.
    pub request_id: Option<RequestId>,
    /// From this address.
    pub client_address: Option<IpAddr>,
    /// Not before.
    pub from: Option<DateTime<Utc>>,
    /// Before.
    pub to: Option<DateTime<Utc>>,
}

impl AuditFilter {
    /// What can be asked for.
    pub const NAMES: [&str; 8] = [
        "actor",
        "subject",
        "action",
        "outcome",
        "request_id",
        "client_address",
        "from",
        "to",
    ];

    /// Asks for one of [`Self::NAMES`] as somebody wrote it.
    ///
    /// # Errors
    ///
    /// Where there is no such name, or no such value of it.
    pub fn set(&mut self, name: &str, text: &str) -> Result<(), Rule> {
        const ID: Rule = Rule::new("invalid_uuid", "must be a UUID");
        match name {
            "actor" => self.actor = Some(UserId(text.parse().map_err(|_| ID)?)),
            "request_id" => self.request_id = Some(RequestId(text.parse().map_err(|_| ID)?)),
            "subject" => self.subject = Some(subject(text)?),
            "action" => self.action = Some(Action::named(text).ok_or_else(|| one_of(&actions()))?),
            "outcome" => {
                self.outcome = Some(Outcome::named(text).ok_or_else(|| one_of(&outcomes()))?);
            }
            "client_address" => self.client_address = Some(address(text)?),
            "from" => self.from = Some(moment::first(text)?),
            "to" => self.to = Some(moment::end(text)?),
            _ => return Err(one_of(&Self::NAMES)),
        }
        Ok(())
    }
}

fn actions() -> Vec<&'static str> {
    Action::ALL.iter().map(|action| action.as_str()).collect()
}

fn outcomes() -> Vec<&'static str> {
    let outcomes = Outcome::ALL.iter();
    outcomes.map(|outcome| outcome.as_str()).collect()
}

fn one_of(names: &[&str]) -> Rule {
    Rule {
        kind: "unknown",
        message: format!("must be one of {}", names.join(", ")).into(),
    }
}

fn subject(text: &str) -> Result<String, Rule> {
    let is_fit = (1..=MAX_SUBJECT).contains(&text.chars().count());
    if !is_fit || text.contains(char::is_control) {
        let rule = "must have 1 to 200 characters, none of them a control character";
        return Err(Rule::new("invalid_subject", rule));
    }
    // An id of a user, however it is written.
    let id = text.parse::<UserId>().map(|id| id.to_string());
    Ok(id.unwrap_or_else(|_| text.to_owned()))
}

fn address(text: &str) -> Result<IpAddr, Rule> {
    let address: Result<IpAddr, _> = text.parse();
    let rule = Rule::new("invalid_address", "must be an IP address");
    Ok(address.map_err(|_| rule)?.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_takes_its_values_and_no_others() {
        for (name, good, bad) in [
            ("actor", "0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b", "me"),
            ("subject", "anything", "\u{0}"),
            ("action", "user_locked", "USER_LOCKED"),
            ("outcome", "refused", ""),
            ("request_id", "0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b", "1"),
            ("client_address", "::ffff:192.0.2.1", "192.0.2.0/24"),
            ("from", "2026-11-21", "yesterday"),
            ("to", "2026-11-21T12:00:00+01:00", "-9999-01-01T00:00:00Z"),
        ] {
            assert!(AuditFilter::NAMES.contains(&name));
            let mut filter = AuditFilter::default();
            filter.set(name, good).unwrap();
            assert_ne!(filter, AuditFilter::default(), "{name}");
            assert!(filter.set(name, bad).is_err(), "{name}");
        }
        let unknown = AuditFilter::default().set("acter", "x").unwrap_err();
        assert!(unknown.message.contains("client_address"), "{unknown}");
    }

    #[test]
    fn a_day_belongs_to_what_it_bounds() {
        let mut filter = AuditFilter::default();
        filter.set("from", "2026-11-20").unwrap();
        filter.set("to", "2026-11-21").unwrap();
        assert_eq!(filter.from, "2026-11-20T00:00:00Z".parse().ok());
        assert_eq!(filter.to, "2026-11-22T00:00:00Z".parse().ok());
    }

    #[test]
    fn ids_and_addresses_are_found_however_they_are_written() {
        let mut filter = AuditFilter::default();
        filter
            .set("subject", "0199C5A06D547C1E8F6A3B1F2D4E5A6B")
            .unwrap();
        let id = "0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b";
        assert_eq!(filter.subject.as_deref(), Some(id));
        filter.set("client_address", "::ffff:192.0.2.1").unwrap();
        assert_eq!(filter.client_address.unwrap().to_string(), "192.0.2.1");
    }
}
