//! What `GET /users/` is asked: filters, order and page.

use chrono::TimeDelta;
use utoipa::IntoParams;

use super::user_body::RoleName;
use crate::{
    domain::{
        locale::Locale,
        role::Role,
        user_order::UserOrder,
        user_search::{SearchText, Status, TextMatch, TimeRange, UserFilter},
    },
    error::{Error, FieldError, Result, Rule},
    http::extract::Query,
    services::user_search::{Paging, UserQuery},
};

/// Every parameter of a list.
pub(super) const PARAMETERS: [&str; 20] = [
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
    "sort",
    "fields",
    "cursor",
    "skip",
    "limit",
    "count",
];

/// Which users, in which order, and which page.
///
/// Examples stand in the text: an explorer would fill them all in at once.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only documents the parameters")]
pub(super) struct ListParams {
    /// Words, all of which are found in what the user is called (nickname, address, names, phone number), the
    /// best match first; slips of one letter are forgiven; for example `ada lovelace`
    #[param(required = false, min_length = 1, max_length = 200)]
    q: String,
    /// The nickname: `text`, `text*` or `*text*`, without case and accents, like the three below; for example `clever_*`
    #[param(required = false, max_length = 254)]
    nickname: String,
    /// The address; for example `*@example.com*`
    #[param(required = false, max_length = 254)]
    email: String,
    /// The given name; for example `Ada`
    #[param(required = false, max_length = 254)]
    first_name: String,
    /// The family name; for example `love*`
    #[param(required = false, max_length = 254)]
    last_name: String,
    /// One of these roles, with commas between
    #[param(required = false, value_type = RoleName)]
    role: String,
    /// One of these states, with commas between: `verified`, `unverified`, `locked`, `deleted`
    #[param(required = false)]
    status: String,
    /// Professional status
    #[param(required = false)]
    is_professional: bool,
    /// Registered at this time or later; a day counts from its beginning; for example `2026-01-01`
    #[param(required = false)]
    created_from: String,
    /// Registered at this time or before; a day counts to its end; for example `2026-12-31T23:59:59Z`
    #[param(required = false)]
    created_to: String,
    /// Last logged in at this time or later; for example `2026-01-01`
    #[param(required = false)]
    last_login_from: String,
    /// Last logged in at this time or before; for example `2026-12-31`
    #[param(required = false)]
    last_login_to: String,
    /// Neither registered nor logged in for so many hours, days, weeks or years: `24h`, `7d`, `2w`, `1y`
    #[param(required = false, pattern = "^[1-9][0-9]{0,3}[hdwy]$")]
    inactive_for: String,
    /// One of these languages, with commas between; for example `de,pt-BR`
    #[param(required = false)]
    locale: String,
    /// Up to three fields, with commas between, each with `-` before it for descending order: `nickname`, `email`,
    /// `first_name`, `last_name`, `role`, `is_professional`, `created_at`, `last_login_at`. Without it: the best match
    /// first where there is `q`, else newest last; for example `-last_login_at,nickname`
    #[param(required = false)]
    sort: String,
    /// The members of a user that are wanted, with commas between; for example `id,nickname`
    #[param(required = false)]
    fields: String,
    /// The page of this cursor, or the first one where it is empty: pages that stay in step while users come and
    /// go, and take as long however far they are
    #[param(required = false)]
    cursor: String,
    /// Users to pass over
    #[param(minimum = 0, maximum = 2_147_483_647, default = 0, required = false)]
    skip: u32,
    /// Users at most
    #[param(minimum = 1, maximum = 100, default = 10, required = false)]
    limit: u32,
    /// `exact`: count however many there are
    #[param(required = false, pattern = "^exact$")]
    count: String,
}

/// Reads a search for users, and which page.
pub(super) fn parse(query: &mut Query) -> (UserQuery, Paging) {
    let filter = UserFilter {
        text: query.read("q", SearchText::parse),
        nickname: query.read("nickname", TextMatch::parse),
        email: query.read("email", TextMatch::parse),
        first_name: query.read("first_name", TextMatch::parse),
        last_name: query.read("last_name", TextMatch::parse),
        roles: query.read_list("role", role),
        statuses: query.read_list("status", status),
        is_professional: query.read("is_professional", truth),
        created: TimeRange {
            from: query.read_time("created_from", false),
            to: query.read_time("created_to", true),
        },
        last_login: TimeRange {
            from: query.read_time("last_login_from", false),
            to: query.read_time("last_login_to", true),
        },
        inactive_since: None,
        locales: query.read_list("locale", Locale::parse),
        is_public: false,
    };
    let order = match (query.read("sort", UserOrder::parse), &filter.text) {
        (Some(order), _) => order,
        (None, Some(_)) => UserOrder::BestMatch,
        (None, None) => UserOrder::default(),
    };
    let search = UserQuery {
        filter,
        inactive_for: query.read("inactive_for", span),
        order,
        count_exactly: query.read("count", exactly).is_some(),
    };
    (search, paging(query))
}

fn paging(query: &mut Query) -> Paging {
    let page = query.read_page();
    if !query.has("cursor") {
        return Paging::Skip(page);
    }
    if query.has("skip") {
        query.refuse(
            "skip",
            Rule::new("conflict", "doesn't go together with cursor"),
        );
    }
    Paging::Cursor {
        cursor: cursor(query),
        limit: page.limit,
    }
}

/// The cursor; none where it is empty.
pub(super) fn cursor(query: &mut Query) -> Option<String> {
    let text = query.read("cursor", |text| Ok(text.to_owned()));
    text.filter(|text| !text.is_empty())
}

fn role(text: &str) -> Result<Role, Rule> {
    let known = Role::ALL.iter().find(|role| role.as_str() == text);
    known
        .copied()
        .ok_or_else(|| one_of(&Role::ALL.map(Role::as_str)))
}

fn status(text: &str) -> Result<Status, Rule> {
    let known = Status::ALL.iter().find(|status| status.as_str() == text);
    known
        .copied()
        .ok_or_else(|| one_of(&Status::ALL.map(Status::as_str)))
}

fn truth(text: &str) -> Result<bool, Rule> {
    text.parse().map_err(|_| one_of(&["true", "false"]))
}

fn exactly(text: &str) -> Result<(), Rule> {
    match text {
        "exact" => Ok(()),
        _ => Err(one_of(&["exact"])),
    }
}

pub(super) fn one_of(known: &[&str]) -> Rule {
    Rule {
        kind: "unknown_value",
        message: format!("must be one of: {}", known.join(", ")).into(),
    }
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

/// What is searched for.
pub(super) fn text(query: &mut Query) -> Option<SearchText> {
    query.read("q", SearchText::parse)
}

/// The same where there must be something.
pub(super) fn required(text: Option<SearchText>) -> Result<SearchText> {
    let missing = || FieldError::query("q", Rule::new("missing", "is required"));
    text.ok_or_else(|| Error::invalid(missing()))
}
