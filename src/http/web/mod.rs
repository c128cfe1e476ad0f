//! Pages for people: the documentation, the pages behind links in mails, and the mailbox of development.

mod dev_mail;
mod docs;
pub mod pages;

use axum::Router;

use super::state::AppState;

/// The routes of all pages.
pub(super) fn router(state: &AppState) -> Router<AppState> {
    let router = docs::router(state);
    if state.caught_mail.is_some() {
        router.merge(dev_mail::router(state))
    } else {
        router
    }
}
