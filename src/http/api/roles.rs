//! `/users/{id}/role` and `/users/{id}/role-changes`.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    links::{self, Link},
    profile_body::optional,
    registration::parse_role,
    text_schemas::ReasonText,
    user_body::{RoleName, UserBody, UserIdParam, time},
};
use crate::{
    domain::{
        role::Role,
        role_change::{Reason, RoleChange},
    },
    error::{FieldErrors, Result},
    http::{
        error::Answer,
        extract::{Authenticated, Id, Json, Paged, Query},
        mount,
        openapi::{
            Forbidden, Internal, Invalid, Malformed, TooLarge, Unauthenticated, Unavailable,
            UnsupportedMediaType, UserNotFound,
        },
        state::AppState,
    },
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    let router = mount(OpenApiRouter::new(), routes!(set));
    mount(router, routes!(history))
}

/// Another role for a user.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewRole, example = json!({"role": "MANAGER", "reason": "Runs the office from now on."}))]
struct RoleBody {
    /// The role.
    #[schema(value_type = RoleName)]
    role: String,
    /// Why; the user reads it in his mail.
    #[serde(default)]
    #[schema(value_type = Option<ReasonText>, required = false)]
    reason: Option<String>,
}

impl RoleBody {
    fn parse(self) -> Result<(Role, Option<Reason>)> {
        let mut errors = FieldErrors::default();
        let role = errors.take("role", parse_role(&self.role));
        let reason = optional(&mut errors, "reason", self.reason.as_deref(), Reason::parse);
        let role = errors.finish(role)?;
        Ok((role, reason))
    }
}

/// Change a user's role
///
/// By the rules of rank: a manager changes users below him, and gives roles below his own; an
/// administrator may all of it, but the last one stays administrator. It works at once: the user's
/// sessions end, and he gets a mail. Where he has the role already, nothing is done.
#[utoipa::path(
    put, path = "/users/{user_id}/role", operation_id = "set_user_role", tag = "users", security(("password" = [])),
    params(UserIdParam), request_body = RoleBody,
    responses(
        (status = 200, description = "The user with the role", body = UserBody),
        Malformed, Unauthenticated, Forbidden, UserNotFound, TooLarge, UnsupportedMediaType, Invalid, Internal, Unavailable
    ),
)]
async fn set(
    State(state): State<AppState>,
    Authenticated(ctx): Authenticated,
    Id(id): Id,
    Json(body): Json<RoleBody>,
) -> Answer<axum::Json<UserBody>> {
    let (role, reason) = body.parse()?;
    let user = state.services.roles.set(&ctx, id, role, reason).await?;
    Ok(axum::Json(UserBody::new(&state, user)))
}

/// Which part of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only documents the parameters")]
struct RoleChangePageParams {
    /// Changes to pass over
    #[param(minimum = 0, maximum = 2_147_483_647, default = 0, required = false)]
    skip: u32,
    /// Changes at most
    #[param(minimum = 1, maximum = 100, default = 10, required = false)]
    limit: u32,
}

/// Who changed a role.
#[derive(Serialize, ToSchema)]
#[schema(as = RoleChanger, example = json!({
    "id": "0199c5a0-5c43-7b0d-8e59-2a0e1c3d4f5a", "nickname": "wise_owl_12",
}))]
struct ChangerBody {
    /// His id.
    id: Uuid,
    /// The nickname that he has now; none when he is gone.
    nickname: Option<String>,
}

/// A change of a role.
#[derive(Serialize, ToSchema)]
#[schema(as = RoleChange, example = json!({
    "from": "AUTHENTICATED", "to": "MANAGER", "reason": "Runs the office from now on.",
    "changed_by": {"id": "0199c5a0-5c43-7b0d-8e59-2a0e1c3d4f5a", "nickname": "wise_owl_12"},
    "changed_at": "2026-11-21T12:00:00.000000Z",
}))]
struct RoleChangeBody {
    /// The role before.
    #[schema(value_type = RoleName)]
    from: &'static str,
    /// The role after.
    #[schema(value_type = RoleName)]
    to: &'static str,
    /// Why; none where nothing was said.
    reason: Option<String>,
    /// Who changed it; none where it was no user but an operator.
    changed_by: Option<ChangerBody>,
    /// When.
    #[serde(serialize_with = "time")]
    changed_at: DateTime<Utc>,
}

impl From<RoleChange> for RoleChangeBody {
    fn from(made: RoleChange) -> Self {
        let RoleChange {
            change,
            changed_by_nickname: nickname,
            ..
        } = made;
        Self {
            from: change.from.as_str(),
            to: change.to.as_str(),
            reason: change.reason.map(|reason| reason.as_str().to_owned()),
            changed_by: change
                .changed_by
                .map(|id| ChangerBody { id: id.0, nickname }),
            changed_at: change.changed_at,
        }
    }
}

/// A page of changes of a user's role.
#[derive(Serialize, ToSchema)]
#[schema(as = RoleChangeList, example = json!({
    "items": [{
        "from": "AUTHENTICATED", "to": "MANAGER", "reason": "Runs the office from now on.",
        "changed_by": {"id": "0199c5a0-5c43-7b0d-8e59-2a0e1c3d4f5a", "nickname": "wise_owl_12"},
        "changed_at": "2026-11-21T12:00:00.000000Z",
    }],
    "total": 1, "page": 1, "size": 1,
    "links": [{"rel": "self", "href": "https://users.example.com/users/0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b/role-changes?skip=0&limit=10",
               "method": "GET", "action": "view", "type": "application/json"}],
}))]
struct RoleChangeListBody {
    /// The changes of the page, newest first.
    items: Vec<RoleChangeBody>,
    /// How many changes there are.
    total: u64,
    /// The number of the page, from 1.
    page: u32,
    /// How many changes the page has.
    size: usize,
    /// This page, the first, the last, and the next and the previous where there are such.
    links: Vec<Link>,
}

/// Read what became of a user's role
///
/// The changes that somebody made, newest first. That a user is AUTHENTICATED since he verified his
/// address is none of them.
#[utoipa::path(
    get, path = "/users/{user_id}/role-changes", operation_id = "list_role_changes", tag = "users", security(("password" = [])),
    params(UserIdParam, RoleChangePageParams),
    responses(
        (status = 200, description = "A page of changes, newest first", body = RoleChangeListBody),
        Unauthenticated, Forbidden, UserNotFound, Invalid, Internal, Unavailable
    ),
)]
async fn history(
    State(state): State<AppState>,
    Authenticated(ctx): Authenticated,
    Id(id): Id,
    Paged(page): Paged,
) -> Answer<axum::Json<RoleChangeListBody>> {
    let listed = state.services.roles.history(&ctx, id, page).await?;
    Ok(axum::Json(RoleChangeListBody {
        size: listed.items.len(),
        items: listed.items.into_iter().map(Into::into).collect(),
        total: listed.total,
        page: page.number(),
        links: links::by_skip(
            &state,
            &format!("users/{id}/role-changes"),
            &Query::default(),
            page,
            listed.total,
            u64::from(page.skip) + u64::from(page.limit) < listed.total,
        ),
    }))
}
