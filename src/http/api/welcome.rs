//! `GET /`: where to start.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::links::Link;
use crate::http::{
    mount,
    openapi::{Internal, Unavailable},
    state::AppState,
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    mount(OpenApiRouter::new(), routes!(welcome))
}

/// The welcome.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Welcome, example = json!({
    "message": "Welcome to User Management",
    "links": [{"rel": "documentation", "href": "https://users.example.com/docs", "method": "GET",
               "action": "view", "type": "text/html"}],
}))]
struct WelcomeBody {
    /// A greeting.
    #[schema(value_type = String)]
    message: &'static str,
    /// Documentation, registration and login.
    links: Vec<Link>,
}

/// Where to start
///
/// Links to the documentation, to registration and to login.
#[utoipa::path(
    get, path = "/", operation_id = "welcome", tag = "welcome",
    responses((status = 200, description = "A greeting and links", body = WelcomeBody), Internal, Unavailable),
)]
async fn welcome(State(state): State<AppState>) -> axum::Json<WelcomeBody> {
    axum::Json(WelcomeBody {
        message: "Welcome to User Management",
        links: vec![
            Link::new("documentation", state.url("docs"), "GET", "view").of_type("text/html"),
            Link::new("openapi", state.url("openapi.json"), "GET", "view"),
            Link::new("register", state.url("register/"), "POST", "register"),
            Link::new("login", state.url("login/"), "POST", "login")
                .of_type("application/x-www-form-urlencoded"),
        ],
    })
}
