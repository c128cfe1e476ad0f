//! The native API: one file a noun, each with its handlers, its DTOs and its `router()`.

mod address_body;
pub mod audit;
pub mod deletion;
mod download;
pub mod email_change;
pub mod export;
pub mod health;
pub mod keys;
pub mod links;
pub mod login;
mod mailed_link;
pub mod me;
pub mod password_reset;
pub mod passwords;
mod profile_body;
pub mod profiles;
pub mod registration;
pub mod roles;
pub mod sessions;
pub mod text_schemas;
pub mod tokens;
pub mod unlock;
mod user_agent;
pub mod user_body;
pub mod user_export;
pub mod user_imports;
mod user_list;
mod user_query;
pub mod user_suggestions;
pub mod users;
pub mod verification;
pub mod welcome;

use utoipa_axum::router::OpenApiRouter;

use super::state::AppState;

/// Every route of the API.
pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(welcome::router())
        .merge(registration::router())
        .merge(verification::router())
        .merge(login::router())
        .merge(tokens::router())
        .merge(sessions::router())
        .merge(unlock::router())
        .merge(me::router())
        .merge(export::router())
        .merge(profiles::router())
        .merge(keys::router())
        .merge(password_reset::router())
        .merge(passwords::router())
        .merge(email_change::router())
        .merge(deletion::router())
        .merge(users::router())
        .merge(user_imports::router())
        .merge(roles::router())
        .merge(user_suggestions::router())
        .merge(user_export::router())
        .merge(audit::router())
        .merge(health::router())
}
