//! `POST /register/`, and the body by which accounts are made.

use std::borrow::Cow;

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    profile_body::{ProfileTexts, optional},
    text_schemas::{BioText, LocationText, PersonNameText, WebUrlText},
    user_body::{RoleName, UserBody},
};
use crate::{
    domain::{
        email::Email,
        nickname::Nickname,
        password::{Password, TypedPassword},
        role::Role,
    },
    error::{FieldErrors, Result, Rule},
    http::{
        error::Answer,
        extract::{Anyone, Json},
        mount,
        openapi::{
            Internal, Invalid, MalformedOrEmailExists, NicknameTaken, TooLarge, TooManyRequests,
            Unavailable, UnsupportedMediaType,
        },
        state::AppState,
    },
    services::registration::{NewAccount, Registered},
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    mount(OpenApiRouter::new(), routes!(register))
}

/// A new account.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewUser, example = json!({
    "email": "ada@example.com", "password": "Secure*1234", "nickname": "countess_ada",
    "first_name": "Ada", "last_name": "Lovelace", "bio": "Writes programs.",
    "github_profile_url": "https://github.com/ada",
}))]
pub struct NewUserBody {
    /// The address, to which a mail goes that verifies it.
    #[schema(value_type = String, format = Email, required, max_length = 254)]
    email: Option<String>,
    /// The password: 8 to 128 characters, none of the commonest, not the own address or nickname.
    #[serde(default, deserialize_with = "typed_password")]
    #[schema(value_type = String, format = Password, required, min_length = 8, max_length = 128)]
    password: Option<TypedPassword>,
    /// The public name; one is generated where none is chosen.
    #[schema(min_length = 3, max_length = 50, pattern = "^[A-Za-z0-9_-]+$")]
    nickname: Option<String>,
    /// Given name.
    #[schema(value_type = Option<PersonNameText>)]
    first_name: Option<String>,
    /// Names between.
    #[schema(value_type = Option<PersonNameText>)]
    middle_name: Option<String>,
    /// Family name.
    #[schema(value_type = Option<PersonNameText>)]
    last_name: Option<String>,
    /// About oneself.
    #[schema(value_type = Option<BioText>)]
    bio: Option<String>,
    /// Where the user says that he is.
    #[schema(value_type = Option<LocationText>)]
    location: Option<String>,
    /// A picture.
    #[schema(value_type = Option<WebUrlText>)]
    profile_picture_url: Option<String>,
    /// A page at LinkedIn.
    #[schema(value_type = Option<WebUrlText>)]
    linkedin_profile_url: Option<String>,
    /// A page at GitHub.
    #[schema(value_type = Option<WebUrlText>)]
    github_profile_url: Option<String>,
    /// The role, as far as the caller may give it.
    #[schema(value_type = Option<RoleName>)]
    role: Option<serde_json::Value>,
}

/// [`NewUserBody`] at registration: a role is accepted and ignored there, whatever it is, so the document
/// doesn't offer it.
struct RegistrationBody;

impl PartialSchema for RegistrationBody {
    fn schema() -> RefOr<Schema> {
        let mut schema = NewUserBody::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            object.properties.remove("role");
        }
        schema
    }
}

impl ToSchema for RegistrationBody {
    fn name() -> Cow<'static, str> {
        "Registration".into()
    }
}

/// A password as it was typed, if there is one.
pub(super) fn typed_password<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<TypedPassword>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(TypedPassword::new))
}

/// What a missing field is told.
pub(super) const MISSING: Rule = Rule::new("missing", "is required");

impl NewUserBody {
    /// The account that it asks for.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::error::Error::Invalid) with every invalid field.
    pub(super) fn parse(self) -> Result<NewAccount> {
        let mut errors = FieldErrors::default();
        let account = self.read(&mut errors);
        errors.finish(account)
    }

    /// The same with the role that it asks for, if any.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::error::Error::Invalid) with every invalid field.
    pub(super) fn parse_with_role(self) -> Result<(NewAccount, Option<Role>)> {
        let mut errors = FieldErrors::default();
        let role = self.role.as_ref();
        let role = role.map(|name| parse_role(name.as_str().unwrap_or_default()));
        let role = role.transpose();
        let account = self.read(&mut errors);
        let role = errors.take("role", role);
        errors.finish(account.zip(role))
    }

    fn read(self, errors: &mut FieldErrors) -> Option<NewAccount> {
        let email = errors.take(
            "email",
            self.email.as_deref().ok_or(MISSING).and_then(Email::parse),
        );
        let password = self
            .password
            .as_ref()
            .ok_or(MISSING)
            .and_then(Password::parse);
        let password = errors.take("password", password);
        let nickname = optional(
            errors,
            "nickname",
            self.nickname.as_deref(),
            Nickname::parse,
        );
        let profile = ProfileTexts {
            first_name: self.first_name.as_deref(),
            middle_name: self.middle_name.as_deref(),
            last_name: self.last_name.as_deref(),
            bio: self.bio.as_deref(),
            location: self.location.as_deref(),
            profile_picture_url: self.profile_picture_url.as_deref(),
            linkedin_profile_url: self.linkedin_profile_url.as_deref(),
            github_profile_url: self.github_profile_url.as_deref(),
        }
        .parse(errors);
        Some(NewAccount {
            email: email?,
            password: password?,
            nickname,
            profile,
        })
    }
}

/// The role of this name.
pub(super) fn parse_role(name: &str) -> std::result::Result<Role, Rule> {
    name.parse().map_err(|_| {
        Rule::new(
            "unknown_role",
            "must be one of ANONYMOUS, AUTHENTICATED, MANAGER, ADMIN",
        )
    })
}

/// A message for people.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Message, example = json!({"message": "Email verified successfully"}))]
pub struct MessageBody {
    /// The message.
    #[schema(value_type = String)]
    pub message: &'static str,
}

/// Register
///
/// Makes an account of role ANONYMOUS and mails a link that verifies the address. The first account
/// of all becomes ADMIN. `role` is ignored.
#[utoipa::path(
    post, path = "/register/", operation_id = "register", tag = "accounts",
    request_body = RegistrationBody,
    responses(
        (status = 200, description = "The new user", body = UserBody),
        (status = 202, description = "With HIDE_ACCOUNT_EXISTENCE: the same for each address", body = MessageBody,
         example = json!({"message": "Check your mail"})),
        MalformedOrEmailExists, NicknameTaken, TooLarge, UnsupportedMediaType, Invalid, TooManyRequests, Internal, Unavailable
    ),
)]
async fn register(
    State(state): State<AppState>,
    Anyone(ctx): Anyone,
    Json(body): Json<NewUserBody>,
) -> Answer<Response> {
    let registered = state
        .services
        .registration
        .register(&ctx, body.parse()?)
        .await?;
    Ok(match registered {
        Registered::User(user) => axum::Json(UserBody::new(&state, *user)).into_response(),
        Registered::Undisclosed => {
            let message = MessageBody {
                message: "Check your mail",
            };
            (StatusCode::ACCEPTED, axum::Json(message)).into_response()
        }
    })
}
