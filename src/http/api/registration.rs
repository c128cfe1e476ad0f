//! `POST /register/`, and the body by which accounts are made.

use std::borrow::Cow;

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    profile_body::{ProfileTexts, optional},
    text_schemas::{
        BioText, LocaleText, LocationText, PersonNameText, PhoneNumberText, WebUrlText,
    },
    user_body::{RoleName, UserBody},
};
use crate::{
    domain::{
        email::Email,
        nickname::Nickname,
        password::{Password, TypedPassword},
        phone::{PhoneNumber, Region},
        role::Role,
    },
    error::{FieldErrors, Result, Rule},
    http::{
        error::Answer,
        extract::{Anyone, IdempotencyParam, Idempotent, answer},
        mount,
        openapi::{
            Internal, Invalid, MalformedOrEmailExists, NotMadeNow, TooLarge, TooManyRequests,
            Unavailable, UnsupportedMediaType,
        },
        state::AppState,
    },
    services::registration::{NAMELESS, NewAccount, Registered},
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    mount(OpenApiRouter::new(), routes!(register))
}

/// A new account: with an address, a phone number or both.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({
    "email": "ada@example.com", "phone_number": "+442079460958", "password": "Secure*1234",
    "nickname": "countess_ada", "first_name": "Ada", "last_name": "Lovelace", "bio": "Writes programs.",
    "github_profile_url": "https://github.com/ada",
}))]
pub struct NewUserBody {
    /// The address, to which a mail goes that verifies it; required where there is no phone number.
    #[schema(format = Email, max_length = 254)]
    email: Option<String>,
    /// The phone number, however written; without a country's code it is of the country of
    /// PHONE_DEFAULT_REGION.
    #[schema(value_type = Option<PhoneNumberText>)]
    phone_number: Option<String>,
    /// The password: 8 to 128 characters, none of the commonest, not the own address, phone number
    /// or nickname.
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
    /// The language that the user wants, as a BCP 47 tag.
    #[schema(value_type = Option<LocaleText>)]
    locale: Option<String>,
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

/// [`NewUserBody`] in the document, which says that it has one of two members.
pub(super) struct AddedUserBody;

impl PartialSchema for AddedUserBody {
    fn schema() -> RefOr<Schema> {
        let mut schema = NewUserBody::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            let with = |member: &str| json!({"required": [member], "properties": {member: {"type": "string"}}});
            let either = json!([with("email"), with("phone_number")]);
            // An object of the library has no field for it, but keeps what it doesn't know.
            object.extensions = Some([("anyOf", either)].into_iter().collect());
        }
        schema
    }
}

impl ToSchema for AddedUserBody {
    fn name() -> Cow<'static, str> {
        "NewUser".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        NewUserBody::schemas(schemas);
    }
}

/// The same at registration: a role is accepted and ignored there, whatever it is, so the document
/// doesn't offer it.
struct RegistrationBody;

impl PartialSchema for RegistrationBody {
    fn schema() -> RefOr<Schema> {
        let mut schema = AddedUserBody::schema();
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
pub(in crate::http) const MISSING: Rule = Rule::new("missing", "is required");

impl NewUserBody {
    /// The account that it asks for; a phone number without a country's code is of `region`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::error::Error::Invalid) with every invalid field.
    pub(super) fn parse(self, region: Region) -> Result<NewAccount> {
        let mut errors = FieldErrors::default();
        let account = self.read(region, &mut errors);
        errors.finish(account)
    }

    /// The same with the role that it asks for, if any.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::error::Error::Invalid) with every invalid field.
    pub(super) fn parse_with_role(self, region: Region) -> Result<(NewAccount, Option<Role>)> {
        let mut errors = FieldErrors::default();
        let role = self.role.as_ref();
        let role = role.map(|name| parse_role(name.as_str().unwrap_or_default()));
        let role = role.transpose();
        let account = self.read(region, &mut errors);
        let role = errors.take("role", role);
        errors.finish(account.zip(role))
    }

    fn read(self, region: Region, errors: &mut FieldErrors) -> Option<NewAccount> {
        if self.email.is_none() && self.phone_number.is_none() {
            errors.add("email", NAMELESS);
        }
        let email = optional(errors, "email", self.email.as_deref(), Email::parse);
        let phone_number = self.phone_number.as_deref();
        let phone_number = optional(errors, "phone_number", phone_number, |text| {
            PhoneNumber::parse(text, region)
        });
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
            locale: self.locale.as_deref(),
            profile_picture_url: self.profile_picture_url.as_deref(),
            linkedin_profile_url: self.linkedin_profile_url.as_deref(),
            github_profile_url: self.github_profile_url.as_deref(),
        }
        .parse(errors);
        Some(NewAccount {
            email,
            phone_number,
            legacy_name: None,
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
/// Makes an account of role ANONYMOUS and mails a link that verifies the address; one without an
/// address logs in by its phone number at once. The first account of all becomes ADMIN. `role` is
/// ignored.
#[utoipa::path(
    post, path = "/register/", operation_id = "register", tag = "accounts",
    params(IdempotencyParam), request_body = RegistrationBody,
    responses(
        (status = 200, description = "The new user", body = UserBody, headers(
            ("Idempotency-Replayed" = bool, description = "On the answer of an earlier request with this idempotency key"),
        )),
        (status = 202, description = "With HIDE_ACCOUNT_EXISTENCE: the same for each address and each phone number", body = MessageBody,
         headers(("Idempotency-Replayed" = bool, description = "On the answer of an earlier request with this idempotency key")),
         example = json!({"message": "Check your mail"})),
        MalformedOrEmailExists, NotMadeNow, TooLarge, UnsupportedMediaType, Invalid, TooManyRequests, Internal, Unavailable
    ),
)]
async fn register(
    State(state): State<AppState>,
    Anyone(ctx): Anyone,
    Idempotent { body, request }: Idempotent<NewUserBody>,
) -> Answer<Response> {
    let account = body.parse(state.phone_default_region)?;
    let registration = &state.services.registration;
    let registered = registration.register_once(&ctx, account, request).await;
    Ok(answer(registered, |registered| match registered {
        Registered::User(user) => axum::Json(UserBody::new(&state, *user)).into_response(),
        Registered::Undisclosed => {
            let message = MessageBody {
                message: "Check your mail",
            };
            (StatusCode::ACCEPTED, axum::Json(message)).into_response()
        }
    }))
}
