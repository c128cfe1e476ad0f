//! `GET /users/suggest`: users of whom somebody thinks who is typing.

use axum::extract::State;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::user_query::{required, text};
use crate::http::{
    error::Answer,
    extract::{Authenticated, Query},
    mount,
    openapi::{Forbidden, Internal, Invalid, Unauthenticated, Unavailable},
    state::AppState,
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    mount(OpenApiRouter::new(), routes!(suggest))
}

/// What is typed so far.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only documents the parameters")]
struct SuggestParams {
    /// Words, or their beginnings
    #[param(min_length = 1, max_length = 200, example = "lovel")]
    q: String,
    /// Suggestions at most
    #[param(minimum = 1, maximum = 20, default = 10, required = false)]
    limit: u32,
}

/// A user, as much as a list to choose from shows.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b", "nickname": "clever_panda_417", "email": "ada@example.com",
    "phone_number": null, "first_name": "Ada", "last_name": "Lovelace",
}))]
struct Suggestion {
    /// The id.
    id: uuid::Uuid,
    /// The public name.
    nickname: String,
    /// The address.
    email: Option<String>,
    /// The phone number.
    phone_number: Option<String>,
    /// Given name.
    first_name: Option<String>,
    /// Family name.
    last_name: Option<String>,
}

/// Users of whom somebody thinks who is typing.
#[derive(Serialize, ToSchema)]
struct SuggestionList {
    /// The best match first.
    items: Vec<Suggestion>,
}

/// Suggest users
///
/// For auto-complete: the users whom these words mean most likely.
#[utoipa::path(
    get, path = "/users/suggest", operation_id = "suggest_users", tag = "users", security(("password" = [])),
    params(SuggestParams),
    responses(
        (status = 200, description = "The best matches", body = SuggestionList, example = json!({"items": [{
            "id": "0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b", "nickname": "clever_panda_417", "email": "ada@example.com",
            "phone_number": null, "first_name": "Ada", "last_name": "Lovelace",
        }]})),
        Unauthenticated, Forbidden, Invalid, Internal, Unavailable
    ),
)]
async fn suggest(
    State(state): State<AppState>,
    Authenticated(ctx): Authenticated,
    mut query: Query,
) -> Answer<axum::Json<SuggestionList>> {
    query.only(&["q", "limit"]);
    let limit = query.read_number("limit", 1, 20).unwrap_or(10);
    let text = text(&mut query);
    let text = required(query.finish(text)?)?;
    let users = state
        .services
        .user_search
        .suggest(&ctx, text, limit)
        .await?;
    let items = users.into_iter().map(|user| Suggestion {
        id: user.id.0,
        nickname: user.nickname.to_string(),
        email: user.email.map(|email| email.as_str().to_owned()),
        phone_number: user.phone_number.map(|number| number.as_str().to_owned()),
        first_name: user.profile.first_name.map(|name| name.as_str().to_owned()),
        last_name: user.profile.last_name.map(|name| name.as_str().to_owned()),
    });
    Ok(axum::Json(SuggestionList {
        items: items.collect(),
    }))
}
