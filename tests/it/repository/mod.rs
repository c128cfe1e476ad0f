//! The repository's functions, on PostgreSQL.

mod account_ends;
mod adoption;
mod audit_chain;
mod audit_log;
mod coverage;
mod databases;
mod email_changes;
mod errors;
mod export;
mod idempotency_keys;
mod jobs;
mod login_names;
mod login_throttle;
mod notices;
mod one_time_tokens;
mod outbox;
mod role_changes;
mod schema;
mod sessions;
mod signing_keys;
mod user_counts;
mod user_export;
mod user_imports;
mod user_preferences;
mod user_search;
mod users;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use user_management::{
    domain::{
        audit::{Action, ActorKind, NewEntry, Outcome},
        email::Email,
        id::{RequestId, SessionId, UserId},
        locale::Locale,
        login_name::LoginName,
        nickname::Nickname,
        password::PasswordHash,
        phone::PhoneNumber,
        profile::{Bio, Location, PersonName, Profile, WebUrl},
        role::Role,
        user::User,
    },
    repository::{
        login_throttle::Bucket,
        sessions::{NewSession, SecretDigest, open as open_session},
        users as repository,
    },
};
use uuid::Uuid;

fn noon() -> DateTime<Utc> {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn after(delta: TimeDelta) -> DateTime<Utc> {
    noon() + delta
}

/// What somebody types at a login.
fn named(typed: &str) -> LoginName {
    LoginName::read(typed, "US".parse().unwrap())
}

/// An attempt to log in from a device that nobody knows.
const EVERYBODY: Bucket<'static> = Bucket {
    key: &[7; 32],
    device: &[],
};

/// Opens a session, for an hour, of the user of this number, by the password of `known`.
async fn log_in(
    conn: &mut PgConnection,
    number: u32,
    known: &PasswordHash,
    renewed: Option<&PasswordHash>,
    at: DateTime<Utc>,
) -> Option<Role> {
    let session = NewSession {
        id: SessionId(Uuid::from_u128(rand::random())),
        user_id: user(number).id,
        secret: SecretDigest::Refresh([1; 32]),
        user_agent: Some("a browser"),
        client_address: None,
        created_at: at,
        expires_at: at + TimeDelta::hours(1),
        for_verified: true,
    };
    open_session(conn, &session, known, renewed, EVERYBODY, &told())
        .await
        .unwrap()
}

/// A verified user; users of higher numbers registered later.
fn user(number: u32) -> User {
    let at = after(TimeDelta::seconds(number.into()));
    User {
        id: UserId(Uuid::from_u128(number.into())),
        nickname: Nickname::parse(&format!("user_{number}")).unwrap(),
        email: Some(Email::parse(&format!("User{number}@example.com")).unwrap()),
        email_verified_at: Some(at),
        phone_number: Some(PhoneNumber::from_database(format!("+1415555{number:04}"))),
        legacy_name: None,
        profile: Profile {
            first_name: Some(PersonName::parse("Ada").unwrap()),
            middle_name: Some(PersonName::parse("Augusta").unwrap()),
            last_name: None,
            is_name_public: true,
            bio: Some(Bio::parse("Line one\nline two").unwrap()),
            location: Some(Location::parse("London").unwrap()),
            locale: Some(Locale::parse("en-GB").unwrap()),
            profile_picture_url: Some(WebUrl::parse("https://example.com/a.png").unwrap()),
            linkedin_profile_url: None,
            github_profile_url: Some(WebUrl::parse("https://github.com/ada").unwrap()),
        },
        role: Role::Authenticated,
        is_professional: false,
        professional_status_updated_at: None,
        locked_at: None,
        deletion_due_at: None,
        last_login_at: None,
        created_at: at,
        updated_at: at,
        revision: 1,
    }
}

fn hash(number: u32) -> PasswordHash {
    PasswordHash::new(format!("$hash${number}"))
}

/// What stands in the audit log of whatever tests do.
fn told() -> NewEntry {
    NewEntry {
        at: noon(),
        actor_kind: ActorKind::Nobody,
        actor_id: None,
        actor_name: None,
        action: Action::UserRegistered,
        subject: None,
        request_id: RequestId(Uuid::from_u128(1)),
        client_address: None,
        device: None,
        before: None,
        after: None,
        outcome: Outcome::Success,
    }
}

/// Stores the user of this number.
async fn put(conn: &mut PgConnection, number: u32) -> User {
    let user = user(number);
    assert!(
        repository::insert(conn, &user, &hash(number), &told())
            .await
            .unwrap()
    );
    user
}
