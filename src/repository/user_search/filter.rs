//! Which users: conditions on the table `users`.
//!
//! Each condition is written by the very expression that its index has.

use sqlx::{Postgres, QueryBuilder};

use super::order::{Branch, Fixed};
use crate::domain::{
    user_order::Tier,
    user_search::{Status, TextMatch, UserFilter, finds_parts},
};

/// A statement that is being written.
pub(super) type Sql = QueryBuilder<Postgres>;

/// A word that is looked for, and the words that are like it.
#[derive(Debug, Clone)]
pub struct Word {
    /// The word, in search form.
    pub word: String,
    /// Words that somebody is called by, and that differ by one letter.
    pub similar: Vec<String>,
    /// Where it is looked for.
    pub scope: Scope,
}

/// Where a word is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// In whatever a user is called, and in his phone number.
    Names,
    /// In his nickname.
    Nickname,
}

impl Scope {
    fn of<'a>(self, fields: &'a [&'static str; 6]) -> &'a [&'static str] {
        match self {
            Self::Names => fields,
            Self::Nickname => &fields[..1],
        }
    }
}

const NICKNAME: &str = "lower(nickname)";
const EMAIL: &str = "lower(email)";
const FIRST_NAME: &str = "search_form(first_name)";
const MIDDLE_NAME: &str = "search_form(middle_name)";
const LAST_NAME: &str = "search_form(last_name)";
const PHONE_NUMBER: &str = "phone_number";
/// The names as the indexes of their orders have them.
const FIRST_NAME_IN_ORDER: &str = "(coalesce(search_form(first_name), '') collate \"C\")";
const LAST_NAME_IN_ORDER: &str = "(coalesce(search_form(last_name), '') collate \"C\")";

/// Writes the conditions of a filter, each with `and` before it.
pub(super) fn push_filter(sql: &mut Sql, filter: &UserFilter, words: &[Word]) {
    if filter.text.is_some() {
        push_tier(sql, words, Tier::Similar);
    }
    let fields = [
        (&filter.nickname, NICKNAME, NICKNAME),
        (&filter.email, EMAIL, EMAIL),
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
                push_like(sql, in_parts, format!("%{}%", like(text)));
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
    for (range, column) in [
        (filter.created, "created_at"),
        (filter.last_login, "coalesce(last_login_at, '-infinity')"),
    ] {
        if let Some(from) = range.from {
            sql.push(" and ").push(column).push(" >= ").push_bind(from);
        }
        if let Some(to) = range.to {
            sql.push(" and ").push(column).push(" <= ").push_bind(to);
        }
    }
    if filter.last_login.to.is_some() {
        // Who has never logged in did so at no time.
        sql.push(" and last_login_at is not null");
    }
    if let Some(since) = filter.inactive_since {
        sql.push(" and coalesce(last_login_at, '-infinity') <= ")
            .push_bind(since);
        sql.push(" and (last_login_at is not null or created_at <= ")
            .push_bind(since)
            .push(")");
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
pub(super) fn push_branch(sql: &mut Sql, branch: &Branch, words: &[Word]) {
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
            Fixed::Tier(tier) => {
                push_tier(sql, words, *tier);
                if let Some(better) = Tier::ALL.iter().rev().find(|other| *other < tier) {
                    // A name that is absent makes it neither true nor false.
                    sql.push(" and (true");
                    push_tier(sql, words, *better);
                    sql.push(") is not true");
                }
            }
        }
    }
}

/// Writes an expression for how well the row matches: a number, or null if it doesn't.
pub(super) fn push_tier_of(sql: &mut Sql, words: &[Word]) {
    sql.push("case");
    for tier in Tier::ALL {
        sql.push(" when true");
        push_tier(sql, words, tier);
        sql.push(format!(" then {}", tier as i32));
    }
    sql.push(" end");
}

/// Writes that each word is matched so well or better, each with `and` before it.
fn push_tier(sql: &mut Sql, words: &[Word], tier: Tier) {
    for Word {
        word,
        similar,
        scope,
    } in words
    {
        sql.push(" and (");
        let with_parts = tier >= Tier::Contains && finds_parts(word);
        if with_parts {
            push_parts(sql, word, *scope);
        } else {
            push_begun(sql, word, *scope, tier == Tier::Equal);
        }
        if tier == Tier::Similar {
            for word in similar {
                sql.push(" or ");
                push_parts(sql, word, *scope);
            }
        }
        sql.push(")");
    }
}

/// A field is the word, or begins with it.
fn push_begun(sql: &mut Sql, word: &str, scope: Scope, is_whole: bool) {
    let pattern = like(word);
    let is_number = scope == Scope::Names && word.bytes().all(|b| b.is_ascii_digit());
    let fields = [
        NICKNAME,
        EMAIL,
        FIRST_NAME_IN_ORDER,
        MIDDLE_NAME,
        LAST_NAME_IN_ORDER,
        PHONE_NUMBER,
    ];
    for (number, field) in scope.of(&fields).iter().enumerate() {
        if number > 0 {
            sql.push(" or ");
        }
        if is_whole {
            sql.push(*field).push(" = ").push_bind(word.to_owned());
        } else {
            push_like(sql, field, format!("{pattern}%"));
        }
    }
    if is_number {
        sql.push(" or ");
        let number = format!("+{word}");
        if is_whole {
            sql.push(PHONE_NUMBER).push(" = ").push_bind(number);
        } else {
            push_like(sql, PHONE_NUMBER, number + "%");
        }
    }
}

/// A field contains the word.
fn push_parts(sql: &mut Sql, word: &str, scope: Scope) {
    let pattern = format!("%{}%", like(word));
    let fields = [
        NICKNAME,
        EMAIL,
        FIRST_NAME,
        MIDDLE_NAME,
        LAST_NAME,
        PHONE_NUMBER,
    ];
    for (number, field) in scope.of(&fields).iter().enumerate() {
        if number > 0 {
            sql.push(" or ");
        }
        push_like(sql, field, pattern.clone());
    }
}

fn push_like(sql: &mut Sql, expression: &str, pattern: String) {
    sql.push(expression).push(" like ").push_bind(pattern);
}

/// `text` as a pattern of `like` that stands for itself.
fn like(text: &str) -> String {
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
