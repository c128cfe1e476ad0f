//! Which users: conditions on the table `users`.
//!
//! Each condition is written by the very expression that its index has.

use sqlx::{Postgres, QueryBuilder};

use super::{
    order::{Branch, Fixed},
    words::{By, Word, push_better, push_tier},
};
use crate::domain::{
    user_order::{SortField, Tier},
    user_search::{Status, TextMatch, TimeRange, UserFilter},
};

/// A statement that is being written.
pub(super) type Sql = QueryBuilder<Postgres>;

pub(super) const NICKNAME: &str = "lower(nickname)";
pub(super) const EMAIL: &str = "search_form(email)";
pub(super) const FIRST_NAME: &str = "search_form(first_name)";
pub(super) const LAST_NAME: &str = "search_form(last_name)";
pub(super) const MIDDLE_NAME: &str = "search_form(middle_name)";
pub(super) const PHONE_NUMBER: &str = "phone_number";
/// All that a user is called, each behind a line's end.
pub(super) const TEXT: &str = "search_text";
/// The address and the names as the indexes of their orders have them.
pub(super) const EMAIL_IN_ORDER: &str = "(coalesce(search_form(email), '') collate \"C\")";
pub(super) const FIRST_NAME_IN_ORDER: &str =
    "(coalesce(search_form(first_name), '') collate \"C\")";
pub(super) const MIDDLE_NAME_IN_ORDER: &str =
    "(coalesce(search_form(middle_name), '') collate \"C\")";
pub(super) const LAST_NAME_IN_ORDER: &str = "(coalesce(search_form(last_name), '') collate \"C\")";
/// Behind all texts that begin alike.
pub(super) const LAST_LETTER: char = char::MAX;

/// Whether nothing but a text is looked for.
pub(super) fn is_text_only(filter: &UserFilter) -> bool {
    let rest = UserFilter {
        text: None,
        ..filter.clone()
    };
    rest == UserFilter::default()
}

/// Writes the conditions of a filter, each with `and` before it.
pub(super) fn push_filter(sql: &mut Sql, filter: &UserFilter, words: &[Word], by: By) {
    if filter.text.is_some() {
        push_tier(sql, words, Tier::Similar, by);
    }
    push_filter_but_text(sql, filter, by);
}

/// Writes what of a filter bounds the field that an order begins with, each with `and` before it: a walk along
/// the order begins and ends there.
pub(super) fn push_bounds(sql: &mut Sql, filter: &UserFilter, field: SortField) {
    let (pattern, expression) = match field {
        SortField::Nickname => (&filter.nickname, NICKNAME),
        SortField::Email => (&filter.email, EMAIL_IN_ORDER),
        SortField::FirstName => (&filter.first_name, FIRST_NAME_IN_ORDER),
        SortField::LastName => (&filter.last_name, LAST_NAME_IN_ORDER),
        SortField::CreatedAt => {
            push_within(sql, field.expression(), filter.created);
            return;
        }
        SortField::LastLoginAt => {
            push_within(sql, field.expression(), filter.last_login);
            if let Some(since) = filter.inactive_since {
                sql.push(" and ").push(field.expression()).push(" <= ");
                sql.push_bind(since);
            }
            if filter.last_login.to.is_some() {
                sql.push(" and ").push(field.expression()).push(" > ");
                sql.push(field.absent());
            }
            if let Some(since) = filter.logged_in_since {
                // Of those who have logged in; a branch of its own has the others.
                sql.push(" and ").push(field.expression()).push(" >= ");
                sql.push_bind(since);
            }
            return;
        }
        SortField::Role | SortField::IsProfessional => return,
    };
    let (from, to) = match pattern {
        Some(TextMatch::Exact(text)) => (text.clone(), text.clone()),
        Some(TextMatch::Prefix(text)) => (text.clone(), format!("{text}{LAST_LETTER}")),
        Some(TextMatch::Contains(_)) | None => return,
    };
    sql.push(" and ").push(expression).push(" >= ");
    sql.push_bind(from);
    sql.push(" and ").push(expression).push(" <= ");
    sql.push_bind(to);
}

/// Whether a filter bounds the field.
pub(super) fn is_bounded(filter: &UserFilter, field: SortField) -> bool {
    let mut sql = Sql::new("");
    push_bounds(&mut sql, filter, field);
    !sql.sql().as_str().is_empty()
}

fn push_within(sql: &mut Sql, expression: &str, range: TimeRange) {
    if let Some(from) = range.from {
        sql.push(" and ").push(expression).push(" >= ");
        sql.push_bind(from);
    }
    if let Some(to) = range.to {
        sql.push(" and ").push(expression).push(" <= ");
        sql.push_bind(to);
    }
}

/// Writes the conditions of a filter but for its text, each with `and` before it.
pub(super) fn push_filter_but_text(sql: &mut Sql, filter: &UserFilter, by: By) {
    let fields = [
        (&filter.nickname, NICKNAME, NICKNAME),
        (&filter.email, EMAIL_IN_ORDER, EMAIL),
        (&filter.first_name, FIRST_NAME_IN_ORDER, FIRST_NAME),
        (&filter.last_name, LAST_NAME_IN_ORDER, LAST_NAME),
    ];
    for (pattern, in_order, in_parts) in fields {
        match pattern {
            None => {}
            Some(TextMatch::Exact(text)) => {
                sql.push(" and ").push(in_order).push(" = ");
                sql.push_bind(text.clone());
            }
            Some(TextMatch::Prefix(text)) => {
                sql.push(" and ");
                push_like(sql, in_order, like(text) + "%");
            }
            Some(TextMatch::Contains(text)) => {
                sql.push(" and ");
                let pattern = format!("%{}%", like(text));
                if by == By::Text {
                    push_like(sql, TEXT, pattern.clone());
                    sql.push(" and ");
                }
                push_like(sql, in_parts, pattern);
            }
        }
    }
    if !filter.roles.is_empty() {
        let names: Vec<_> = filter.roles.iter().map(|role| role.as_str()).collect();
        sql.push(" and role = any(").push_bind(names).push(")");
    }
    if !filter.statuses.is_empty() {
        let conditions: Vec<_> = filter
            .statuses
            .iter()
            .map(|status| state(*status))
            .collect();
        sql.push(" and (").push(conditions.join(" or ")).push(")");
    }
    if let Some(is_professional) = filter.is_professional {
        sql.push(if is_professional {
            " and is_professional"
        } else {
            " and not is_professional"
        });
    }
    push_within(sql, "created_at", filter.created);
    push_within(
        sql,
        "coalesce(last_login_at, '-infinity')",
        filter.last_login,
    );
    if filter.last_login.to.is_some() {
        // Who has never logged in did so at no time. As the indexes have it.
        sql.push(" and coalesce(last_login_at, '-infinity') > '-infinity'");
    }
    if let Some(since) = filter.inactive_since {
        sql.push(" and coalesce(last_login_at, '-infinity') <= ")
            .push_bind(since);
        sql.push(" and created_at <= ").push_bind(since);
    }
    if filter.is_public {
        sql.push(" and role <> 'ANONYMOUS' and locked_at is null and deletion_due_at is null");
    }
    if !filter.locales.is_empty() {
        let tags: Vec<_> = filter
            .locales
            .iter()
            .map(|locale| locale.as_str().to_owned())
            .collect();
        sql.push(" and locale = any(").push_bind(tags).push(")");
    }
}

/// Writes the conditions of a branch, each with `and` before it.
pub(super) fn push_branch(sql: &mut Sql, branch: &Branch, words: &[Word], by: By) {
    for fixed in &branch.fixed {
        match fixed {
            Fixed::Role(role) => {
                sql.push(" and role = ").push_bind(role.as_str());
            }
            Fixed::Professional(is_professional) => {
                sql.push(" and is_professional = ")
                    .push_bind(*is_professional);
            }
            Fixed::Absent(field) => {
                sql.push(" and ").push(field.expression());
                sql.push(" = ").push(field.absent());
            }
            Fixed::Present(field) => {
                sql.push(" and ").push(field.expression());
                sql.push(" > ").push(field.absent());
            }
            Fixed::Begun => push_tier(sql, words, Tier::Prefix, by),
            Fixed::Tier(Tier::Similar) if words.len() == 1 => {
                // Less work than the rule below: who has it in no other way is like the one word.
                for word in words {
                    sql.push(" and search_words && ")
                        .push_bind(word.similar().to_vec());
                }
                push_better(sql, words, Tier::Contains);
            }
            Fixed::Tier(tier) => {
                push_tier(sql, words, *tier, by);
                if let Some(better) = Tier::ALL.iter().rev().find(|other| *other < tier) {
                    push_better(sql, words, *better);
                }
            }
        }
    }
}

pub(super) fn push_like(sql: &mut Sql, expression: &str, pattern: String) {
    sql.push(expression).push(" like ").push_bind(pattern);
}

/// `text` as a pattern of `like` that stands for itself.
pub(super) fn like(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

fn state(status: Status) -> &'static str {
    match status {
        Status::Verified => "email_verified_at is not null",
        Status::Unverified => "email_verified_at is null",
        Status::Locked => "locked_at is not null",
        Status::Deleted => "deletion_due_at is not null",
    }
}
