//! Which users: conditions on the table `users`.
//!
//! Each condition is written by the very expression that its index has.

use sqlx::{Postgres, QueryBuilder};

use super::order::{Branch, Fixed};
use crate::domain::{
    user_order::{SortField, Tier},
    user_search::{Status, TextMatch, TimeRange, UserFilter, finds_parts},
};

/// A statement that is being written.
pub(super) type Sql = QueryBuilder<Postgres>;

/// A word that is looked for.
#[derive(Debug, Clone)]
pub struct Word {
    /// The word, in search form.
    pub word: String,
    /// Where it is looked for.
    pub scope: Scope,
    /// What the vocabulary has of it, once it was looked up.
    pub known: Option<Known>,
}

/// Whole words that somebody is called by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Those that differ by one letter.
    pub similar: Vec<String>,
    /// All that contain the word; none where it isn't of letters, is too short, or where there are too many.
    pub containing: Option<Vec<String>>,
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
const EMAIL: &str = "search_form(email)";
const FIRST_NAME: &str = "search_form(first_name)";
const MIDDLE_NAME: &str = "search_form(middle_name)";
const LAST_NAME: &str = "search_form(last_name)";
const PHONE_NUMBER: &str = "phone_number";
/// The address and the names as the indexes of their orders have them.
const EMAIL_IN_ORDER: &str = "(coalesce(search_form(email), '') collate \"C\")";
const FIRST_NAME_IN_ORDER: &str = "(coalesce(search_form(first_name), '') collate \"C\")";
const MIDDLE_NAME_IN_ORDER: &str = "(coalesce(search_form(middle_name), '') collate \"C\")";
const LAST_NAME_IN_ORDER: &str = "(coalesce(search_form(last_name), '') collate \"C\")";
/// Behind all texts that begin alike.
const LAST_LETTER: char = char::MAX;

/// A field that may begin with a word.
#[derive(Debug, Clone)]
pub(super) struct Begun {
    /// The field, as an index has it that is in its order.
    pub(super) field: &'static str,
    /// What its index has besides: a condition, with `and` behind it.
    present: &'static str,
    /// Its value, as values of several fields are compared.
    pub(super) value: &'static str,
    /// Least and greatest value of the field that begins with the word.
    pub(super) range: (String, String),
}

impl Word {
    /// A word that was not looked up.
    #[must_use]
    pub fn new(word: &str, scope: Scope) -> Self {
        Self {
            word: word.to_owned(),
            scope,
            known: None,
        }
    }

    fn similar(&self) -> &[String] {
        self.known.as_ref().map_or(&[], |known| &known.similar)
    }

    fn containing(&self) -> Option<&Vec<String>> {
        self.known
            .as_ref()
            .and_then(|known| known.containing.as_ref())
    }

    /// The fields that may begin with the word.
    pub(super) fn begun(&self) -> Vec<Begun> {
        let range = |from: String| {
            let to = format!("{from}{LAST_LETTER}");
            (from, to)
        };
        let begun = |field| Begun {
            field,
            present: match field {
                MIDDLE_NAME_IN_ORDER => "middle_name is not null and ",
                _ => "",
            },
            value: field,
            range: range(self.word.clone()),
        };
        let fields = [
            NICKNAME,
            EMAIL_IN_ORDER,
            FIRST_NAME_IN_ORDER,
            MIDDLE_NAME_IN_ORDER,
            LAST_NAME_IN_ORDER,
        ];
        let known = match self.scope {
            Scope::Names => &fields[..],
            Scope::Nickname => &fields[..1],
        };
        let mut all: Vec<Begun> = known.iter().copied().map(begun).collect();
        if self.is_number() {
            all.push(Begun {
                field: PHONE_NUMBER,
                present: "",
                value: "substr(phone_number, 2)",
                range: range(format!("+{}", self.word)),
            });
        }
        all
    }

    fn is_number(&self) -> bool {
        self.scope == Scope::Names && self.word.bytes().all(|byte| byte.is_ascii_digit())
    }

    /// Whether it may be one of a user's `search_words`.
    fn is_of_letters(&self) -> bool {
        self.scope == Scope::Names && self.word.chars().all(char::is_alphabetic)
    }
}

/// Writes the least value of a field that begins with the word, or null.
pub(super) fn push_match(sql: &mut Sql, word: &Word) {
    sql.push("least(");
    for (number, begun) in word.begun().into_iter().enumerate() {
        if number > 0 {
            sql.push(", ");
        }
        sql.push("case when ");
        push_range(sql, &begun);
        sql.push(" then ").push(begun.value).push(" end");
    }
    sql.push(") collate \"C\"");
}

/// Writes that a field begins with the word.
pub(super) fn push_range(sql: &mut Sql, begun: &Begun) {
    let (from, to) = begun.range.clone();
    sql.push(begun.present);
    sql.push(begun.field).push(" >= ").push_bind(from);
    sql.push(" and ").push(begun.field).push(" <= ");
    sql.push_bind(to);
}

/// By what it is found out whether a row matches words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// By whole words that contain them, of which there is a small index; a row would be asked for each of
    /// them in turn.
    Words,
    /// By the fields, of whose parts there is an index too.
    Fields,
}

impl By {
    /// What is best to gather all rows that pass: whole words where nothing else is asked, so that it is their
    /// index that finds them.
    pub(super) fn to_gather(filter: &UserFilter, words: &[Word]) -> Self {
        if is_text_only(filter) && words.iter().all(|word| word.containing().is_some()) {
            Self::Words
        } else {
            Self::Fields
        }
    }
}

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
    push_filter_but_text(sql, filter);
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
pub(super) fn push_filter_but_text(sql: &mut Sql, filter: &UserFilter) {
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
    push_within(sql, "created_at", filter.created);
    push_within(
        sql,
        "coalesce(last_login_at, '-infinity')",
        filter.last_login,
    );
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

/// Writes that the words aren't matched so well, with `and` before it.
fn push_better(sql: &mut Sql, words: &[Word], tier: Tier) {
    // A name that is absent makes it neither true nor false.
    sql.push(" and (true");
    push_tier(sql, words, tier, By::Fields);
    sql.push(") is not true");
}

/// Writes an expression for how well the row matches: a number, or null if it doesn't.
pub(super) fn push_tier_of(sql: &mut Sql, words: &[Word]) {
    sql.push("case");
    for tier in Tier::ALL {
        sql.push(" when true");
        push_tier(sql, words, tier, By::Fields);
        sql.push(format!(" then {}", tier as i32));
    }
    sql.push(" end");
}

/// Writes that each word is matched so well or better, each with `and` before it.
fn push_tier(sql: &mut Sql, words: &[Word], tier: Tier, by: By) {
    for word in words {
        if let (Some(containing), By::Words, Tier::Contains | Tier::Similar) =
            (word.containing(), by, tier)
        {
            let mut known = containing.clone();
            if tier == Tier::Similar {
                known.extend_from_slice(word.similar());
            }
            sql.push(" and search_words && ").push_bind(known);
            continue;
        }
        let is_one_of_many = words.len() > 1 && word.is_of_letters();
        if is_one_of_many && tier == Tier::Equal {
            // Whoever has a field that is the word has the word.
            sql.push(" and search_words @> ")
                .push_bind(vec![word.word.clone()]);
            continue;
        }
        sql.push(" and (");
        if tier >= Tier::Contains && finds_parts(&word.word) {
            push_parts(sql, &word.word, word.scope);
        } else {
            push_begun(sql, word, tier == Tier::Equal);
            if is_one_of_many {
                sql.push(" or search_words @> ")
                    .push_bind(vec![word.word.clone()]);
            }
        }
        if tier == Tier::Similar && !word.similar().is_empty() {
            sql.push(" or search_words && ")
                .push_bind(word.similar().to_vec());
        }
        sql.push(")");
    }
}

/// A field is the word, or begins with it.
fn push_begun(sql: &mut Sql, word: &Word, is_whole: bool) {
    for (number, begun) in word.begun().into_iter().enumerate() {
        if number > 0 {
            sql.push(" or ");
        }
        if is_whole {
            sql.push(begun.present);
            sql.push(begun.field).push(" = ").push_bind(begun.range.0);
        } else {
            push_range(sql, &begun);
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
