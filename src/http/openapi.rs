//! The OpenAPI document: what isn't said beside the handlers.

use utoipa::{
    IntoResponses, Modify, OpenApi,
    openapi::{
        self,
        security::{Flow, OAuth2, Password, Scopes, SecurityScheme},
        server::Server,
    },
};

use super::error::ProblemBody;

/// The frame of the document; paths come from the routers.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "User Management",
        description = "Everything that an application needs around its users.\n\n\
            Log in with **Authorize** (username is the e-mail address), then try the endpoints out. \
            Errors are `application/problem+json` (RFC 9457); programs branch on `code`. \
            Every path works with and without its trailing slash.",
        license(name = "MIT", identifier = "MIT"),
    ),
    tags(
        (name = "welcome", description = "Where to start"),
        (name = "accounts", description = "Registering and verifying an address"),
        (name = "login", description = "Getting an access token"),
        (name = "users", description = "Managing users, for managers and administrators"),
        (name = "health", description = "Whether the service lives and is ready"),
    ),
    components(schemas(ProblemBody<'static>)),
    modifiers(&PasswordFlow)
)]
struct Frame;

struct PasswordFlow;

/// The name of the security scheme.
const SECURITY: &str = "password";

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
    document
}

/// The responses of errors, to be named beside a handler's own.
macro_rules! problems {
    ($($(#[doc = $doc:literal])+ $name:ident = $status:literal;)+) => { $(
        $(#[doc = $doc])+
        #[derive(Debug)]
        pub struct $name;

        impl IntoResponses for $name {
            fn responses() -> std::collections::BTreeMap<String, openapi::RefOr<openapi::Response>> {
                let description: &str = concat!($($doc),+);
                let content = openapi::ContentBuilder::new()
                    .schema(Some(openapi::Ref::from_schema_name("Problem")))
                    .build();
                let response = openapi::ResponseBuilder::new()
                    .description(description.trim())
                    .content("application/problem+json", content)
                    .build();
                [($status.to_owned(), response.into())].into()
            }
        }
    )+ };
}

problems! {
    /// The body is malformed
    Malformed = "400";
    /// The body is malformed, or the address belongs to an account
    MalformedOrEmailExists = "400";
    /// The body is malformed, or the account is locked
    MalformedOrLocked = "400";
    /// The token is unknown, used, replaced or expired
    InvalidLink = "400";
    /// There is no valid access token
    Unauthenticated = "401";
    /// Unknown user or wrong password, or with the right password: address not verified
    LoginFailed = "401";
    /// The caller's role doesn't allow it
    Forbidden = "403";
    /// There is no such user
    UserNotFound = "404";
    /// Somebody else has this nickname
    NicknameTaken = "409";
    /// Somebody else has this address or nickname
    Taken = "409";
    /// The body is larger than 64 KiB
    TooLarge = "413";
    /// The body is of another media type
    UnsupportedMediaType = "415";
    /// Fields are invalid: `errors` names them
    Invalid = "422";
    /// Too many requests: `Retry-After` tells when to come back
    TooManyRequests = "429";
    /// The service has a fault
    Internal = "500";
    /// The service is overloaded or a part of it is away: `Retry-After` tells when to come back
    Unavailable = "503";
}
