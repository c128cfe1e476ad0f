//! Which users somebody asks for, in the words of a request or of a command line.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    locale::Locale,
    moment,
    role::Role,
    user_order::UserOrder,
    user_search::{SearchText, Status, TextMatch, UserFilter},
};
use crate::error::Rule;

/// Which users: a filter, as somebody wrote it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserSelection {
    /// What they must be like, but for what is reckoned from now.
    pub filter: UserFilter,
    /// They haven't logged in, or registered, for so long.
    pub inactive_for: Option<TimeDelta>,
    given: Vec<(&'static str, String)>,
}

impl UserSelection {
    /// What can be asked for.
    pub const NAMES: [&str; 14] = [
        "q",
        "nickname",
        "email",
        "first_name",
        "last_name",
        "role",
        "status",
        "is_professional",
        "created_from",
        "created_to",
        "last_login_from",
        "last_login_to",
        "inactive_for",
        "locale",
    ];

    /// Whom a filter lets pass that nobody wrote.
    #[must_use]
    pub fn of(filter: UserFilter) -> Self {
        Self {
            filter,
            ..Self::default()
        }
    }

    /// Asks for one of [`Self::NAMES`] as somebody wrote it.
    ///
    /// # Errors
    ///
    /// Where there is no such name, or no such value of it.
    pub fn set(&mut self, name: &str, text: &str) -> Result<(), Rule> {
        let known = Self::NAMES.into_iter().find(|known| *known == name);
        let name = known.ok_or_else(|| Rule::one_of(&Self::NAMES))?;
        let filter = &mut self.filter;
        match name {
            "q" => filter.text = Some(SearchText::parse(text)?),
            "nickname" => filter.nickname = Some(TextMatch::parse(text)?),
            "email" => filter.email = Some(TextMatch::parse(text)?),
            "first_name" => filter.first_name = Some(TextMatch::parse(text)?),
            "last_name" => filter.last_name = Some(TextMatch::parse(text)?),
            "role" => filter.roles = list(text, role)?,
            "status" => filter.statuses = list(text, status)?,
            "is_professional" => filter.is_professional = Some(truth(text)?),
            "created_from" => filter.created.from = Some(moment::first(text)?),
            "created_to" => filter.created.to = Some(moment::last(text)?),
            "last_login_from" => filter.last_login.from = Some(moment::first(text)?),
            "last_login_to" => filter.last_login.to = Some(moment::last(text)?),
            "inactive_for" => self.inactive_for = Some(span(text)?),
            "locale" => filter.locales = list(text, Locale::parse)?,
            _ => return Err(Rule::one_of(&Self::NAMES)),
        }
        self.given.push((name, text.to_owned()));
        Ok(())
    }

    /// What was asked for, as it was written.
    #[must_use]
    pub fn given(&self) -> &[(&'static str, String)] {
        &self.given
    }

    /// What users must be like at this time.
    #[must_use]
    pub fn at(&self, now: DateTime<Utc>) -> UserFilter {
        UserFilter {
            // Nobody was here before the first year there is.
            inactive_since: self.inactive_for.map(|time| {
                let since = now.checked_sub_signed(time).unwrap_or(FIRST_YEAR);
                since.max(FIRST_YEAR)
            }),
            ..self.filter.clone()
        }
    }

    /// The order that is wished for; without one the best match first where there are words, else newest
    /// last.
    #[must_use]
    pub fn in_order(&self, wished: Option<UserOrder>) -> UserOrder {
        match (wished, &self.filter.text) {
            (Some(order), _) => order,
            (None, Some(_)) => UserOrder::BestMatch,
            (None, None) => UserOrder::default(),
        }
    }
}

/// The beginning of the year 1.
const FIRST_YEAR: DateTime<Utc> = DateTime::from_timestamp(-62_135_596_800, 0).unwrap();

/// Values with commas between.
fn list<T>(text: &str, parse: impl Fn(&str) -> Result<T, Rule>) -> Result<Vec<T>, Rule> {
    text.split(',').map(|value| parse(value.trim())).collect()
}

fn role(text: &str) -> Result<Role, Rule> {
    let known = Role::ALL.into_iter().find(|role| role.as_str() == text);
    known.ok_or_else(|| Rule::one_of(&Role::ALL.map(Role::as_str)))
}

fn status(text: &str) -> Result<Status, Rule> {
    let known = Status::ALL
        .into_iter()
        .find(|status| status.as_str() == text);
    known.ok_or_else(|| Rule::one_of(&Status::ALL.map(Status::as_str)))
}

fn truth(text: &str) -> Result<bool, Rule> {
    text.parse().map_err(|_| Rule::one_of(&["true", "false"]))
}

/// So many hours, days, weeks or years of 365 days.
fn span(text: &str) -> Result<TimeDelta, Rule> {
    const INVALID: Rule = Rule::new(
        "invalid_span",
        "must be a number from 1 to 9999 and a unit: h, d, w or y, such as 24h, 7d or 1y",
    );
    let unit = text.chars().last().ok_or(INVALID)?;
    let number = text.strip_suffix(unit).unwrap_or_default();
    let is_plain = number.bytes().all(|b| b.is_ascii_digit());
    let number: i64 = number.parse().map_err(|_| INVALID)?;
    if !is_plain || !(1..=9999).contains(&number) {
        return Err(INVALID);
    }
    match unit {
        'h' => TimeDelta::try_hours(number),
        'd' => TimeDelta::try_days(number),
        'w' => TimeDelta::try_weeks(number),
        'y' => TimeDelta::try_days(number * 365),
        _ => None,
    }
    .ok_or(INVALID)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_takes_its_values_and_no_others() {
        for (name, good, bad) in [
            ("q", "ada lovelace", ""),
            ("nickname", "ada*", "a*c"),
            ("email", "*@example.com*", "**"),
            ("first_name", "Ada", "\u{7}"),
            ("last_name", "Lovelace", "*"),
            ("role", "ADMIN, MANAGER", "admin"),
            ("status", "locked,deleted", "locked,gone"),
            ("is_professional", "true", "yes"),
            ("created_from", "2026-11-21", "yesterday"),
            ("created_to", "2026-11-21T08:15:00Z", ""),
            ("last_login_from", "2026-11-21", "2026-13-01"),
            ("last_login_to", "2026-11-21", "262000-01-01"),
            ("inactive_for", "7d", "7m"),
            ("locale", "de,pt-BR", "de,-"),
        ] {
            assert!(UserSelection::NAMES.contains(&name));
            let mut selection = UserSelection::default();
            selection.set(name, good).unwrap();
            assert_eq!(selection.given(), [(name, good.to_owned())]);
            let is_set = selection.inactive_for.is_some();
            assert!(is_set || selection.filter != UserFilter::default());
            let mut refused = UserSelection::default();
            assert!(refused.set(name, bad).is_err(), "{name}");
            assert_eq!(refused, UserSelection::default(), "{name}");
        }
        let unknown = UserSelection::default().set("role_name", "x").unwrap_err();
        assert!(unknown.message.contains("is_professional"), "{unknown}");
    }

    #[test]
    fn what_is_reckoned_from_now_and_the_order_follow_from_what_is_asked() {
        let now = moment::first("2026-11-21T12:00:00Z").unwrap();
        let mut selection = UserSelection::default();
        assert_eq!(selection.at(now), UserFilter::default());
        assert_eq!(selection.in_order(None), UserOrder::default());
        selection.set("inactive_for", "12h").unwrap();
        selection.set("q", "ada").unwrap();
        let ever = UserSelection {
            inactive_for: Some(span("9999y").unwrap()),
            ..UserSelection::default()
        };
        let since = ever.at(now).inactive_since.unwrap();
        assert_eq!(since.to_rfc3339(), "0001-01-01T00:00:00+00:00");
        let since = selection.at(now).inactive_since.unwrap();
        assert_eq!(since.to_rfc3339(), "2026-11-21T00:00:00+00:00");
        assert_eq!(selection.in_order(None), UserOrder::BestMatch);
        let by_role = UserOrder::parse("role").unwrap();
        assert_eq!(selection.in_order(Some(by_role.clone())), by_role);
    }
}
