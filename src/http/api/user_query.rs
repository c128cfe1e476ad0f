//! What `GET /users/` is asked: filters, order and page.

use utoipa::IntoParams;

use super::user_body::RoleName;
use crate::{
    domain::{user_order::UserOrder, user_search::SearchText, user_selection::UserSelection},
    error::{Error, FieldError, Result, Rule},
    http::extract::Query,
    services::user_search::{Paging, UserQuery},
};

/// The parameters of a list that choose no users.
const PAGE: [&str; 6] = ["sort", "fields", "cursor", "skip", "limit", "count"];

/// Every parameter of a list.
pub(super) fn parameters() -> Vec<&'static str> {
    [&UserSelection::NAMES[..], &PAGE].concat()
}

/// Which users.
///
/// Examples stand in the text: an explorer would fill them all in at once.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only documents the parameters")]
pub(super) struct SelectionParams {
    /// Words, all of which are found in what the user is called (nickname, address, names, phone number), the
    /// best match first; slips of one letter are forgiven, and words of one or two characters are found where one of
    /// these begins with them; for example `ada lovelace`
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
}

/// In which order, and which page.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only documents the parameters")]
pub(super) struct PageParams {
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

/// Reads which users are asked for.
pub(super) fn selection(query: &mut Query) -> UserSelection {
    let mut selection = UserSelection::default();
    for name in UserSelection::NAMES {
        query.read(name, |text| selection.set(name, text));
    }
    selection
}

/// Reads a search for users, and which page.
pub(super) fn parse(query: &mut Query) -> (UserQuery, Paging) {
    let selection = selection(query);
    let order = selection.in_order(query.read("sort", UserOrder::parse));
    let search = UserQuery {
        selection,
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

fn exactly(text: &str) -> Result<(), Rule> {
    match text {
        "exact" => Ok(()),
        _ => Err(Rule::one_of(&["exact"])),
    }
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
