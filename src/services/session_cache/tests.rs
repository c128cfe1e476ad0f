use chrono::DateTime;
use uuid::Uuid;

use super::*;
use crate::domain::{email::Email, nickname::Nickname, profile::Profile, role::Role, user::User};

const USER: UserId = UserId(Uuid::from_u128(2));

fn session(number: u128) -> Arc<LiveSession> {
    let at = DateTime::UNIX_EPOCH;
    Arc::new(LiveSession {
        id: SessionId(Uuid::from_u128(number)),
        user: User {
            id: USER,
            nickname: Nickname::parse("ada").unwrap(),
            email: Some(Email::parse("ada@example.com").unwrap()),
            email_verified_at: Some(at),
            phone_number: None,
            legacy_name: None,
            profile: Profile::default(),
            role: Role::Admin,
            is_professional: false,
            professional_status_updated_at: None,
            locked_at: None,
            deletion_due_at: None,
            last_login_at: None,
            created_at: at,
            updated_at: at,
            revision: 1,
        },
        expires_at: at,
        last_seen_at: at,
    })
}

fn listening() -> SessionCache {
    let cache = SessionCache::default();
    cache.set_listening(true);
    cache
}

#[test]
fn a_cache_that_hears_no_notifications_keeps_nothing() {
    let (cache, session) = (SessionCache::default(), session(1));
    cache.keep(cache.begin(), &session);
    assert_eq!(cache.get(session.id), None);
    cache.set_listening(true);
    cache.keep(cache.begin(), &session);
    assert_eq!(cache.get(session.id), Some(Arc::clone(&session)));
    cache.set_listening(false);
    assert_eq!(cache.get(session.id), None);
    cache.set_listening(true);
    assert_eq!(cache.get(session.id), None);
}

#[test]
fn a_lookup_that_began_before_a_change_is_not_kept() {
    let (cache, session) = (listening(), session(1));
    let begun = cache.begin();
    cache.forget(USER);
    cache.keep(begun, &session);
    assert_eq!(cache.get(session.id), None);
    cache.keep(cache.begin(), &session);
    assert_eq!(cache.get(session.id), Some(session));
}

#[test]
fn a_lookup_that_began_before_notifications_were_lost_is_not_kept() {
    let (cache, session) = (listening(), session(1));
    let begun = cache.begin();
    cache.set_listening(true);
    cache.keep(begun, &session);
    assert_eq!(cache.get(session.id), None);
}

#[test]
fn only_the_sessions_of_that_user_are_forgotten() {
    let (cache, first, second) = (listening(), session(1), session(2));
    cache.keep(cache.begin(), &first);
    cache.keep(cache.begin(), &second);
    cache.forget(UserId(Uuid::from_u128(3)));
    assert!(cache.get(first.id).is_some() && cache.get(second.id).is_some());
    cache.forget(USER);
    assert!(cache.get(first.id).is_none() && cache.get(second.id).is_none());
}

#[test]
fn however_many_sessions_there_are_few_are_kept() {
    let cache = listening();
    for number in 0..5 * CAPACITY as u128 {
        cache.keep(cache.begin(), &session(number));
    }
    let state = cache.state();
    assert!(state.sessions.young.len() + state.sessions.old.len() <= 2 * CAPACITY);
}
