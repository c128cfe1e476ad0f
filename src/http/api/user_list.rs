//! Pages of users, as `GET /users/` answers them.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::{
    PartialSchema as _, ToSchema,
    openapi::{
        RefOr, Schema,
        schema::{AnyOfBuilder, ArrayBuilder, ObjectBuilder, Ref, SchemaType, Type},
    },
};

use super::{
    links::{self, Link},
    user_body::UserBody,
    user_query::{parameters, parse},
};
use crate::{
    domain::{page::Page, user::User},
    error::{Error, Result, Rule},
    http::{extract::Query, state::AppState},
    services::{
        Ctx,
        user_search::{FARTHEST_SKIP, Paging, UserPage},
    },
};

/// Members of a user.
fn fields(query: &mut Query) -> Option<Vec<String>> {
    if !query.has("fields") {
        return None;
    }
    let known = members();
    Some(query.read_list("fields", |name| {
        if known.iter().any(|known| known == name) {
            Ok(name.to_owned())
        } else {
            let known: Vec<_> = known.iter().map(String::as_str).collect();
            Err(Rule::one_of(&known))
        }
    }))
}

/// The members that a user has, by the document.
fn members() -> Vec<String> {
    match UserBody::schema() {
        RefOr::T(Schema::Object(object)) => object.properties.keys().cloned().collect(),
        _ => Vec::new(),
    }
}

/// A user of a list: whole, or the members that are wanted.
#[derive(Serialize)]
#[serde(untagged)]
enum ListedUser {
    Whole(Box<UserBody>),
    Part(Map<String, Value>),
}

impl ListedUser {
    fn new(state: &AppState, user: User, fields: Option<&[String]>) -> Result<Self> {
        let body = UserBody::new(state, user);
        let Some(fields) = fields else {
            return Ok(Self::Whole(body.into()));
        };
        let mut part = match serde_json::to_value(body) {
            Ok(Value::Object(members)) => members,
            Ok(_) | Err(_) => return Err(Error::Internal(anyhow::anyhow!("can't write a user"))),
        };
        part.retain(|name, _| fields.contains(name));
        Ok(Self::Part(part))
    }
}

fn listed_users() -> RefOr<Schema> {
    let part = ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::Object))
        .description(Some("The members of a user that `fields` names"));
    let user = AnyOfBuilder::new()
        .item(Ref::from_schema_name("User"))
        .item(part);
    ArrayBuilder::new()
        .items(user)
        .description(Some("The users of the page."))
        .into()
}

/// A page of users.
#[derive(Serialize, ToSchema)]
#[schema(as = UserList, example = json!({
    "items": [{
        "id": "0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b", "nickname": "clever_panda_417",
        "email": "ada@example.com", "email_verified": true, "phone_number": null,
        "first_name": "Ada", "middle_name": null, "last_name": null, "is_name_public": false, "bio": null,
        "location": null, "locale": null,
        "profile_picture_url": null, "linkedin_profile_url": null, "github_profile_url": null,
        "role": "AUTHENTICATED", "is_professional": false, "professional_status_updated_at": null,
        "is_locked": false, "deletion_due_at": null, "last_login_at": null, "created_at": "2026-11-20T08:15:00.000000Z",
        "updated_at": "2026-11-20T08:20:00.000000Z", "links": [],
    }],
    "total": 42, "total_is_estimate": false, "page": 1, "size": 1, "next_cursor": "AbCdEf",
    "links": [{"rel": "next", "href": "https://users.example.com/users/?skip=1&limit=1",
               "method": "GET", "action": "view", "type": "application/json"}],
}))]
pub(super) struct UserListBody {
    #[schema(schema_with = listed_users)]
    items: Vec<ListedUser>,
    /// How many users there are: exact up to a thousand, and where there are few or no filters; in pages by
    /// cursor as it was at the first one.
    total: u64,
    /// Whether the total is an estimate.
    total_is_estimate: bool,
    /// The number of the page, from 1.
    page: u64,
    /// How many users the page has.
    size: usize,
    /// The cursor of the next page, if there is one.
    next_cursor: Option<String>,
    /// This page, the first, the last, and the next and the previous where there are such.
    links: Vec<Link>,
}

/// The answer to a search.
pub(super) async fn list(state: &AppState, ctx: &Ctx, mut query: Query) -> Result<UserListBody> {
    query.only(&parameters());
    let (search, paging) = parse(&mut query);
    let fields = fields(&mut query);
    let frame = query.clone();
    let (search, paging) = query.finish((search, paging))?;
    let is_open = search.is_open();
    let page = state
        .services
        .user_search
        .browse(ctx, search, paging.clone())
        .await?;
    let links = match &paging {
        Paging::Skip(by) => links_by_skip(state, &frame, *by, &page, is_open),
        Paging::Cursor { .. } => links_by_cursor(state, "users/", &frame, &page),
    };
    let items: Result<Vec<_>> = page
        .items
        .into_iter()
        .map(|user| ListedUser::new(state, user, fields.as_deref()))
        .collect();
    let items = items?;
    Ok(UserListBody {
        size: items.len(),
        items,
        total: page.total.count,
        total_is_estimate: page.total.is_estimate,
        page: page.number,
        next_cursor: page.next,
        links,
    })
}

/// The links of a page that was reached by passing over rows. Where so many aren't passed over, or it isn't known
/// how many, a cursor leads on.
fn links_by_skip(
    state: &AppState,
    frame: &Query,
    by: Page,
    page: &UserPage,
    is_open: bool,
) -> Vec<Link> {
    let total = page.total.count;
    let has_next = page.next.is_some();
    let mut links = links::by_skip(state, "users/", frame, by, total, has_next);
    let farthest = u64::from(FARTHEST_SKIP);
    let (limit, skip) = (u64::from(by.limit), u64::from(by.skip));
    let last = total.saturating_sub(1) / limit * limit;
    let frame = frame.without(&["skip"]);
    let and = if frame.is_empty() { "" } else { "&" };
    let cursors = [
        (
            "last",
            Some(&page.last).filter(|_| last > farthest || page.total.is_estimate),
        ),
        (
            "next",
            page.next.as_ref().filter(|_| skip + limit > farthest),
        ),
    ];
    for (rel, cursor) in cursors.into_iter().filter(|_| !is_open) {
        let link = links.iter_mut().find(|link| link.rel == rel);
        if let (Some(link), Some(cursor)) = (link, cursor) {
            let href = state.url(&format!("users/?{frame}{and}cursor={cursor}"));
            *link = Link::new(rel, href, "GET", "view");
        }
    }
    links
}

/// The links of a page that a cursor leads to.
pub(super) fn links_by_cursor<T>(
    state: &AppState,
    path: &str,
    frame: &Query,
    page: &UserPage<T>,
) -> Vec<Link> {
    let rest = frame.without(&["cursor"]);
    let own = frame.without(&[]);
    let link =
        |rel, query: &str| Link::new(rel, state.url(&format!("{path}?{query}")), "GET", "view");
    let to = |cursor: &str| {
        let and = if rest.is_empty() { "" } else { "&" };
        format!("{rest}{and}cursor={cursor}")
    };
    let mut links = vec![
        link("self", &own),
        link("first", &to("")),
        link("last", &to(&page.last)),
    ];
    for (rel, cursor) in [("next", &page.next), ("prev", &page.previous)] {
        links.extend(cursor.as_deref().map(|cursor| link(rel, &to(cursor))));
    }
    links
}
