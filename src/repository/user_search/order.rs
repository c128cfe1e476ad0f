//! In which order: keys, places, and the parts that an order falls into.

use super::filter::Sql;
use crate::domain::{
    role::Role,
    user_order::{Place, SortField, SortKey, Tier, UserOrder},
    user_search::UserFilter,
};

impl SortField {
    /// What is sorted by, as its index has it.
    pub(super) fn expression(self) -> &'static str {
        match self {
            Self::Nickname => "lower(nickname)",
            Self::Email => "(coalesce(search_form(email), '') collate \"C\")",
            Self::FirstName => "(coalesce(search_form(first_name), '') collate \"C\")",
            Self::LastName => "(coalesce(search_form(last_name), '') collate \"C\")",
            Self::Role => {
                "case role when 'ANONYMOUS' then 0 when 'AUTHENTICATED' then 1 when 'MANAGER' then 2 else 3 end"
            }
            Self::IsProfessional => "is_professional",
            Self::CreatedAt => "created_at",
            Self::LastLoginAt => "coalesce(last_login_at, '-infinity')",
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Nickname | Self::Email | Self::FirstName | Self::LastName => "text",
            Self::Role => "integer",
            Self::IsProfessional => "boolean",
            Self::CreatedAt | Self::LastLoginAt => "timestamptz",
        }
    }

    /// What stands for a value that is absent, if one may be: less than all others.
    pub(super) fn absent(self) -> &'static str {
        match self {
            Self::LastLoginAt => "'-infinity'",
            _ => "''",
        }
    }

    fn may_be_absent(self) -> bool {
        match self {
            Self::Email | Self::FirstName | Self::LastName | Self::LastLoginAt => true,
            Self::Nickname | Self::Role | Self::IsProfessional | Self::CreatedAt => false,
        }
    }
}

/// What all rows of a branch have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fixed {
    Role(Role),
    Professional(bool),
    Absent(SortField),
    Present(SortField),
    Tier(Tier),
    /// A field is the word, or begins with it.
    Begun,
}

/// Where the values are that are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys {
    /// They are reckoned from the row, as its indexes have them.
    OfRow,
    /// They were gathered, or handed on.
    Gathered,
}

/// A part of an order: rows that have something in common, sorted by keys of which the first has an
/// index to walk along.
///
/// An order by a field of few values falls into one branch for each, one after the other. So does an
/// order by several fields where the first may be absent: so many rows lack it that the second decides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Branch {
    pub(super) fixed: Vec<Fixed>,
    /// How many of the order's keys are fixed.
    pub(super) depth: usize,
    pub(super) keys: Vec<SortKey>,
    /// The direction of the ids of rows that are alike.
    pub(super) descending: bool,
    /// Whether it is sorted by the tier before all else, and then by the value that begins with the word.
    pub(super) by_match: bool,
}

impl Branch {
    /// All of an order, in its direction or backwards.
    pub(super) fn whole(order: &UserOrder, backwards: bool) -> Self {
        let UserOrder::By(keys) = order else {
            return Self {
                descending: backwards,
                by_match: true,
                ..Self::default()
            };
        };
        let in_direction = |key: &SortKey| SortKey {
            descending: key.descending != backwards,
            ..*key
        };
        let keys: Vec<_> = keys.iter().map(in_direction).collect();
        Self {
            descending: keys.last().is_some_and(|key| key.descending),
            keys,
            ..Self::default()
        }
    }

    /// The branches that a whole order falls into; the best match is of so many words.
    pub(super) fn split(&self, words: usize, filter: &UserFilter) -> Vec<Self> {
        if !self.by_match {
            return self.split_by_keys(filter);
        }
        let tier = |tier| Self {
            fixed: vec![Fixed::Tier(tier)],
            descending: self.descending,
            ..Self::default()
        };
        let begun = Self {
            fixed: vec![Fixed::Begun],
            ..self.clone()
        };
        let mut branches = match words {
            1 => vec![begun, tier(Tier::Contains), tier(Tier::Similar)],
            _ => Tier::ALL.map(tier).into(),
        };
        if self.descending {
            branches.reverse();
        }
        branches
    }

    fn split_by_keys(&self, filter: &UserFilter) -> Vec<Self> {
        let Some(&key) = self.keys.first() else {
            return vec![self.clone()];
        };
        let fix = |fixed| {
            let mut part = self.clone();
            part.fixed.push(fixed);
            part.keys.remove(0);
            part.depth += 1;
            part.split_by_keys(filter)
        };
        // The rest of these begins somewhere in the order.
        let is_bounded = key.field == SortField::LastLoginAt && filter.logged_in_since.is_some();
        let mut parts: Vec<Vec<Self>> = match key.field {
            SortField::Role => Role::ALL
                .into_iter()
                .map(|role| fix(Fixed::Role(role)))
                .collect(),
            SortField::IsProfessional => [false, true]
                .into_iter()
                .map(|is| fix(Fixed::Professional(is)))
                .collect(),
            field if field.may_be_absent() && (self.keys.len() > 1 || is_bounded) => {
                let mut present = self.clone();
                present.fixed.push(Fixed::Present(field));
                vec![fix(Fixed::Absent(field)), vec![present]]
            }
            _ => return vec![self.clone()],
        };
        if key.descending {
            parts.reverse();
        }
        parts.into_iter().flatten().collect()
    }

    /// Whether it holds whoever has a field that begins with the word.
    pub(super) fn is_begun(&self) -> bool {
        self.fixed == [Fixed::Begun]
    }

    /// How well all its rows match, where that is one tier.
    pub(super) fn tier(&self) -> Option<Tier> {
        self.fixed.iter().find_map(|fixed| match fixed {
            Fixed::Tier(tier) => Some(*tier),
            _ => None,
        })
    }

    /// Whether its rows match a text as it is searched for.
    pub(super) fn has_text(&self) -> bool {
        let is_of_text = |fixed: &Fixed| matches!(fixed, Fixed::Tier(_) | Fixed::Begun);
        self.fixed.iter().any(is_of_text)
    }

    /// Whether a filter lets anybody of this branch pass.
    pub(super) fn may_pass(&self, filter: &UserFilter) -> bool {
        self.fixed.iter().all(|fixed| match fixed {
            Fixed::Role(role) => filter.roles.is_empty() || filter.roles.contains(role),
            Fixed::Professional(is) => filter.is_professional.is_none_or(|wanted| wanted == *is),
            Fixed::Absent(SortField::LastLoginAt) => {
                filter.last_login.from.is_none() && filter.last_login.to.is_none()
            }
            _ => true,
        })
    }

    /// Whether a place is in this branch.
    pub(super) fn holds(&self, place: &Place, keys: &[SortKey]) -> bool {
        let value_of = |field| {
            let at = keys.iter().position(|key| key.field == field);
            at.and_then(|at| place.keys.get(at)).map(String::as_str)
        };
        self.fixed.iter().all(|fixed| match *fixed {
            Fixed::Role(role) => {
                let rank = (role as u8).to_string();
                value_of(SortField::Role) == Some(&rank)
            }
            Fixed::Professional(is) => {
                value_of(SortField::IsProfessional) == Some(if is { "true" } else { "false" })
            }
            Fixed::Absent(field) => value_of(field) == Some(field.absent().trim_matches('\'')),
            Fixed::Present(field) => value_of(field) != Some(field.absent().trim_matches('\'')),
            Fixed::Tier(tier) => place.tier == Some(tier),
            Fixed::Begun => place.tier.is_some_and(|tier| tier <= Tier::Prefix),
        })
    }

    fn names(&self, keys: Keys) -> Vec<String> {
        let name = |(number, key): (usize, &SortKey)| match keys {
            Keys::OfRow => key.field.expression().to_owned(),
            Keys::Gathered => format!("k{number}"),
        };
        self.keys.iter().enumerate().map(name).collect()
    }

    /// Writes what is gathered, with a comma behind each.
    pub(super) fn push_key_columns(&self, sql: &mut Sql) {
        let expressions = self.names(Keys::OfRow);
        for (expression, name) in expressions.iter().zip(self.names(Keys::Gathered)) {
            sql.push(expression).push(" as ").push(name).push(", ");
        }
    }

    /// Writes that rows come after a place in this branch, with `and` before it.
    pub(super) fn push_after(&self, sql: &mut Sql, place: &Place, keys: Keys) {
        let names = self.names(keys);
        let values: Vec<&String> = place.keys.iter().skip(self.depth).collect();
        let directions = self.keys.iter().map(|key| key.descending);
        if directions.clone().all(|is| is == self.descending) {
            // One comparison of rows, by which an index is entered at the very place.
            sql.push(" and (");
            if self.by_match {
                sql.push("tier, matched, ");
            }
            for name in &names {
                sql.push(name).push(", ");
            }
            sql.push("id) ").push(sign(self.descending)).push(" (");
            if self.by_match {
                sql.push(format!("{}, ", place.tier.map_or(0, |tier| tier as i32)));
                sql.push_bind(place.matched()).push(", ");
            }
            for (key, value) in self.keys.iter().zip(&values) {
                push_value(sql, key.field, value);
                sql.push(", ");
            }
            sql.push_bind(place.id).push(")");
            return;
        }
        for ((key, value), name) in self.keys.iter().zip(&values).zip(&names).take(1) {
            sql.push(" and ").push(name);
            sql.push(" ").push(sign(key.descending)).push("= ");
            push_value(sql, key.field, value);
        }
        sql.push(" and (");
        for ((key, value), expression) in self.keys.iter().zip(&values).zip(&names) {
            sql.push(expression).push(" ").push(sign(key.descending));
            sql.push(" ");
            push_value(sql, key.field, value);
            sql.push(" or ").push(expression).push(" = ");
            push_value(sql, key.field, value);
            sql.push(" and (");
        }
        sql.push("id ").push(sign(self.descending)).push(" ");
        sql.push_bind(place.id);
        sql.push(")".repeat(self.keys.len() + 1));
    }

    /// Writes `order by …`.
    pub(super) fn push_order(&self, sql: &mut Sql, keys: Keys) {
        sql.push(" order by ");
        if self.by_match {
            sql.push(if self.descending {
                "tier desc, matched desc, "
            } else {
                "tier, matched, "
            });
        }
        for (key, name) in self.keys.iter().zip(self.names(keys)) {
            sql.push(name);
            sql.push(if key.descending { " desc, " } else { ", " });
        }
        sql.push(if self.descending { "id desc" } else { "id" });
    }
}

pub(super) fn sign(descending: bool) -> &'static str {
    if descending { "<" } else { ">" }
}

fn push_value(sql: &mut Sql, field: SortField, value: &str) {
    sql.push_bind(value.to_owned())
        .push("::")
        .push(field.kind());
}

/// Writes an array of a row's values of an order's keys.
pub(super) fn push_keys(sql: &mut Sql, order: &UserOrder) {
    sql.push("array[");
    match order {
        UserOrder::BestMatch => {
            sql.push("matched");
        }
        UserOrder::By(keys) => {
            for (number, key) in keys.iter().enumerate() {
                if number > 0 {
                    sql.push(", ");
                }
                sql.push(key.field.expression()).push("::text");
            }
        }
    }
    sql.push("]::text[]");
}
