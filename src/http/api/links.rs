//! Links in answers.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    domain::{id::UserId, page::Page},
    http::{extract::Query, state::AppState},
};

/// Where to go from here.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "rel": "self", "href": "https://users.example.com/users/0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b",
    "method": "GET", "action": "view", "type": "application/json",
}))]
pub struct Link {
    /// How it relates to this answer.
    #[schema(value_type = String)]
    pub(super) rel: &'static str,
    /// The absolute URL.
    #[schema(format = "uri")]
    href: String,
    /// The method to use.
    #[schema(value_type = String)]
    method: &'static str,
    /// What it does.
    #[schema(value_type = String)]
    action: &'static str,
    /// The media type that goes there, or comes from there.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    kind: &'static str,
}

impl Link {
    /// A link to JSON.
    #[must_use]
    pub fn new(
        rel: &'static str,
        href: String,
        method: &'static str,
        action: &'static str,
    ) -> Self {
        Self {
            rel,
            href,
            method,
            action,
            kind: "application/json",
        }
    }

    /// The same to another media type.
    #[must_use]
    pub fn of_type(self, kind: &'static str) -> Self {
        Self { kind, ..self }
    }
}

/// What can be done with a user.
#[must_use]
pub fn of_user(state: &AppState, id: UserId) -> Vec<Link> {
    let href = state.url(&format!("users/{id}"));
    vec![
        Link::new("self", href.clone(), "GET", "view"),
        Link::new("update", href.clone(), "PUT", "update"),
        Link::new("delete", href, "DELETE", "delete"),
    ]
}

/// The pages around a page of a list of `total` rows: self, first, last, and next and prev where there
/// are such. Each asks what `query` asks.
#[must_use]
pub fn by_skip(
    state: &AppState,
    path: &str,
    query: &Query,
    page: Page,
    total: u64,
    has_next: bool,
) -> Vec<Link> {
    let rest = query.without(&["skip", "limit"]);
    let and = if rest.is_empty() { "" } else { "&" };
    let (limit, skip) = (u64::from(page.limit), u64::from(page.skip));
    let link = |rel, skip: u64| {
        let href = state.url(&format!("{path}?{rest}{and}skip={skip}&limit={limit}"));
        Link::new(rel, href, "GET", "view")
    };
    let last = total.saturating_sub(1) / limit * limit;
    let mut links = vec![link("self", skip), link("first", 0), link("last", last)];
    if has_next {
        links.push(link("next", skip + limit));
    }
    if skip > 0 {
        // From beyond the end the way back leads to the last page.
        links.push(link("prev", skip.saturating_sub(limit).min(last)));
    }
    links
}
