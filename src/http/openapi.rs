//! The OpenAPI document: what isn't said beside the handlers.

use std::{collections::BTreeMap, marker::PhantomData, time::Duration};

use axum::http::StatusCode;
use utoipa::{
    IntoResponses, Modify, OpenApi,
    openapi::{
        self, ContentBuilder, Header, Object, RefOr, Response, ResponseBuilder, Type,
        example::ExampleBuilder,
        security::{
            ApiKey, ApiKeyValue, Flow, Http, HttpAuthScheme, OAuth2, Password, Scopes,
            SecurityRequirement, SecurityScheme,
        },
        server::Server,
    },
};
use uuid::Uuid;

use super::error::{Problem, ProblemBody};
use crate::{
    domain::id::RequestId,
    error::{Error, ErrorCode, FieldError, Rule},
};

/// The frame of the document; paths come from the routers.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "User Management",
        description = "Everything that an application needs around its users.\n\n\
            Log in with **Authorize** (username is the e-mail address or phone number), then try the endpoints out. \
            Errors are `application/problem+json` (RFC 9457); programs branch on `code`. \
            Every path works with and without its trailing slash.",
        license(name = "MIT", identifier = "MIT"),
    ),
    tags(
        (name = "welcome", description = "Where to start"),
        (name = "accounts", description = "Registering and verifying an address"),
        (name = "login", description = "Getting an access token"),
        (name = "sessions", description = "Logging in by cookie, and one's own sessions"),
        (name = "me", description = "One's own account"),
        (name = "profiles", description = "What anybody may see of a user"),
        (name = "keys", description = "Verifying access tokens elsewhere"),
        (name = "users", description = "Managing users, for managers and administrators"),
        (name = "audit", description = "Who did what, for administrators"),
        (name = "health", description = "Whether the service lives and is ready"),
    ),
    components(schemas(ProblemBody<'static>)),
    modifiers(&PasswordFlow)
)]
struct Frame;

struct PasswordFlow;

/// The names of the security schemes: an access token, the cookie of a session, and a service's
/// credentials.
const SECURITY: &str = "password";
const COOKIE: &str = "session";
const SERVICE: &str = "service";

impl Modify for PasswordFlow {
    fn modify(&self, document: &mut openapi::OpenApi) {
        secure(document, "/");
    }
}

/// Declares OAuth2's password flow, with the token endpoint below `base_path`.
fn secure(document: &mut openapi::OpenApi, base_path: &str) {
    let flow = Flow::Password(Password::new(format!("{base_path}login/"), Scopes::new()));
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(SECURITY, SecurityScheme::OAuth2(OAuth2::new([flow])));
    let cookie = "The cookie of `POST /sessions`; in development its name is `um_session`";
    let cookie = ApiKeyValue::with_description("__Host-um_session", cookie);
    components.add_security_scheme(COOKIE, SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    let service = Http::new(HttpAuthScheme::Basic);
    components.add_security_scheme(SERVICE, SecurityScheme::Http(service));
}

/// Wherever an access token is taken, the cookie of a session is too.
fn offer_cookie(document: &mut openapi::OpenApi) {
    for item in document.paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.delete,
            &mut item.patch,
        ];
        for operation in operations.into_iter().flatten() {
            let token = SecurityRequirement::new::<_, _, String>(SECURITY, []);
            let Some(security) = &mut operation.security else {
                continue;
            };
            let cookie = SecurityRequirement::new::<_, _, String>(COOKIE, []);
            if security.contains(&token) && !security.contains(&cookie) {
                security.push(cookie);
            }
        }
    }
}

/// The frame of the document.
#[must_use]
pub fn frame() -> openapi::OpenApi {
    Frame::openapi()
}

/// The document as served below `base_path`, which ends in a slash.
#[must_use]
pub fn serve_below(mut document: openapi::OpenApi, base_path: &str) -> openapi::OpenApi {
    document.servers = Some(vec![Server::new(match base_path.trim_end_matches('/') {
        "" => "/",
        path => path,
    })]);
    secure(&mut document, base_path);
    offer_cookie(&mut document);
    document
}

/// The responses of errors, to be named beside a handler's own: each with the codes that it may have.
macro_rules! problems {
    ($($(#[doc = $doc:literal])+ $name:ident = $status:ident [$($problem:expr),+];)+) => { $(
        $(#[doc = $doc])+
        #[derive(Debug)]
        pub struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                let description: &str = concat!($($doc),+);
                let problems: &[Problem] = &[$($problem.into()),+];
                let response = response(StatusCode::$status, description.trim(), problems);
                [(StatusCode::$status.as_str().to_owned(), response.into())].into()
            }
        }
    )+ };
}

/// The same responses for clients that may want a page instead.
#[derive(Debug)]
pub struct OrPage<T>(PhantomData<T>);

impl<T: IntoResponses> IntoResponses for OrPage<T> {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let mut responses = T::responses();
        for response in responses.values_mut() {
            if let RefOr::T(response) = response {
                let page = ContentBuilder::new()
                    .schema(Some(Object::with_type(Type::String)))
                    .example(Some("<!doctype html>…".into()))
                    .build();
                response.content.insert("text/html".to_owned(), page.into());
            }
        }
        responses
    }
}

fn response(status: StatusCode, description: &str, problems: &[Problem]) -> Response {
    let id = RequestId(Uuid::from_u128(0x0199_c5a0_6d54_7c1e_8f6a_3b1f_2d4e_5a6b));
    let examples = problems.iter().map(|problem| {
        let value = serde_json::to_value(problem.body(id)).unwrap_or_default();
        let name = value["code"].as_str().unwrap_or_default().to_owned();
        (name, ExampleBuilder::new().value(Some(value)).build())
    });
    let content = ContentBuilder::new()
        .schema(Some(openapi::Ref::from_schema_name("Problem")))
        .examples_from_iter(examples)
        .build();
    let response = ResponseBuilder::new()
        .description(description)
        .content("application/problem+json", content);
    let header = |description, kind, example: serde_json::Value| {
        let mut header = Header::new(Object::with_type(kind));
        header.description = Some(String::from(description));
        header.example = Some(example);
        header
    };
    let response = match status {
        StatusCode::UNAUTHORIZED => response.header(
            "WWW-Authenticate",
            header("How to authenticate", Type::String, "Bearer".into()),
        ),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => response.header(
            "Retry-After",
            header("When to come back, in seconds", Type::Integer, 1.into()),
        ),
        _ => response,
    };
    response.build()
}

fn invalid() -> Error {
    Error::invalid(FieldError::body(
        "email",
        Rule::new("invalid_email", "must be a valid e-mail address"),
    ))
}

fn wrong_password() -> Error {
    Error::invalid(FieldError::body(
        "password",
        Rule::new("wrong_password", "is not your password"),
    ))
}

fn at_login(problem: impl Into<Problem>) -> Problem {
    problem.into().with_oauth_error()
}

fn malformed() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, ErrorCode::MalformedBody)
}

problems! {
    /// The body is malformed
    Malformed = BAD_REQUEST [malformed()];
    /// The body is malformed, or the address belongs to an account
    MalformedOrEmailExists = BAD_REQUEST [malformed(), Error::Conflict(ErrorCode::EmailAlreadyExists)];
    /// The body is malformed, or the account is locked
    MalformedOrLocked = BAD_REQUEST [malformed(), Problem::from(Error::Locked { retry_after: None })];
    /// The body is malformed, or too many guesses were wrong: `Retry-After` tells when to come back
    MalformedOrTooManyGuesses = BAD_REQUEST [malformed(), Problem::from(Error::Locked { retry_after: None })];
    /// The body is malformed, or the token is unknown, used, replaced or expired
    MalformedOrInvalidReset = BAD_REQUEST [
        malformed(), Problem::from(Error::InvalidToken(ErrorCode::InvalidPasswordResetToken))
    ];
    /// The body is malformed, the account is locked, or the refresh token isn't good
    LoginRefused = BAD_REQUEST [
        at_login(malformed()),
        at_login(Error::Locked { retry_after: None }),
        at_login(Error::InvalidToken(ErrorCode::InvalidRefreshToken))
    ];
    /// The token is unknown, used, replaced or expired
    InvalidVerification = BAD_REQUEST [Error::InvalidToken(ErrorCode::InvalidVerificationToken)];
    /// The token is unknown, used, replaced or expired
    InvalidUnlock = BAD_REQUEST [Error::InvalidToken(ErrorCode::InvalidUnlockToken)];
    /// The token is unknown, used, replaced or expired
    InvalidEmailChange = BAD_REQUEST [Error::InvalidToken(ErrorCode::InvalidEmailChangeToken)];
    /// The token is unknown, used, overtaken or expired
    InvalidEmailUndo = BAD_REQUEST [Error::InvalidToken(ErrorCode::InvalidEmailUndoToken)];
    /// The token is unknown, used, overtaken or expired
    InvalidRestore = BAD_REQUEST [Error::InvalidToken(ErrorCode::InvalidRestoreToken)];
    /// There is no valid access token
    Unauthenticated = UNAUTHORIZED [Error::Unauthenticated(ErrorCode::NotAuthenticated)];
    /// There is no valid access token, nor the credentials of a service
    ClientUnauthenticated = UNAUTHORIZED [
        Error::Unauthenticated(ErrorCode::NotAuthenticated),
        Error::Unauthenticated(ErrorCode::InvalidClient)
    ];
    /// Unknown user or wrong password, or with the right password: address not verified
    SessionRefused = UNAUTHORIZED [
        Error::Unauthenticated(ErrorCode::InvalidCredentials),
        Error::Unauthenticated(ErrorCode::EmailNotVerified)
    ];
    /// Unknown user or wrong password, or with the right password: address not verified
    LoginFailed = UNAUTHORIZED [
        at_login(Error::Unauthenticated(ErrorCode::InvalidCredentials)),
        at_login(Error::Unauthenticated(ErrorCode::EmailNotVerified))
    ];
    /// The caller's role doesn't allow it
    Forbidden = FORBIDDEN [
        Error::Forbidden(ErrorCode::OperationNotPermitted),
        Error::Forbidden(ErrorCode::LastAdministrator),
        Error::Forbidden(ErrorCode::CrossSiteRequest)
    ];
    /// A change by cookie that doesn't come from the same origin
    CrossSite = FORBIDDEN [Error::Forbidden(ErrorCode::CrossSiteRequest)];
    /// The caller has no such session
    SessionNotFound = NOT_FOUND [Error::NotFound(ErrorCode::SessionNotFound)];
    /// It has changed since
    Stale = PRECONDITION_FAILED [Error::Stale];
    /// This is the last administrator, or a change by cookie that doesn't come from the same origin
    LastAdministrator = FORBIDDEN [
        Error::Forbidden(ErrorCode::LastAdministrator),
        Error::Forbidden(ErrorCode::CrossSiteRequest)
    ];
    /// There is no such import
    ImportNotFound = NOT_FOUND [Error::NotFound(ErrorCode::ImportNotFound)];
    /// An import of this file by these options hasn't ended
    ImportRunning = CONFLICT [Error::Conflict(ErrorCode::ImportRunning)];
    /// There is no such user
    UserNotFound = NOT_FOUND [Error::NotFound(ErrorCode::UserNotFound)];
    /// Somebody else has this phone number or nickname; or the idempotency key was used with another
    /// body, or its first request is still running: `Retry-After` tells when to come back
    NotMadeNow = CONFLICT [
        Error::Conflict(ErrorCode::PhoneNumberAlreadyExists),
        Error::Conflict(ErrorCode::NicknameAlreadyExists),
        Error::Conflict(ErrorCode::IdempotencyKeyReused),
        Error::Conflict(ErrorCode::IdempotencyKeyInUse)
    ];
    /// Somebody else has this nickname
    NicknameTaken = CONFLICT [Error::Conflict(ErrorCode::NicknameAlreadyExists)];
    /// Somebody else has this address
    EmailTaken = CONFLICT [Error::Conflict(ErrorCode::EmailTaken)];
    /// Somebody else has this address, phone number or nickname
    Taken = CONFLICT [
        Error::Conflict(ErrorCode::EmailTaken),
        Error::Conflict(ErrorCode::PhoneNumberAlreadyExists),
        Error::Conflict(ErrorCode::NicknameAlreadyExists)
    ];
    /// The body is larger than 64 KiB
    TooLarge = PAYLOAD_TOO_LARGE [Problem::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::BodyTooLarge)];
    /// The file is larger than `IMPORT_MAX_BYTES`
    FileTooLarge = PAYLOAD_TOO_LARGE [Problem::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::BodyTooLarge)];
    /// The body is of another media type
    UnsupportedMediaType = UNSUPPORTED_MEDIA_TYPE [
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, ErrorCode::UnsupportedMediaType)
    ];
    /// Fields are invalid: `errors` names them
    Invalid = UNPROCESSABLE_ENTITY [invalid()];
    /// Fields are invalid, among them a password that is not the caller's: `errors` names them
    InvalidOrWrongPassword = UNPROCESSABLE_ENTITY [wrong_password()];
    /// Too many requests: `Retry-After` tells when to come back
    TooManyRequests = TOO_MANY_REQUESTS [Error::RateLimited { retry_after: Duration::from_secs(1) }];
    /// The service has a fault
    Internal = INTERNAL_SERVER_ERROR [Problem::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Internal)];
    /// The service is overloaded or a part of it is away: `Retry-After` tells when to come back
    Unavailable = SERVICE_UNAVAILABLE [Problem::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable)];
}
