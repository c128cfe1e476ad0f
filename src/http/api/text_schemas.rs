//! What the document says of texts that people write: the rules of [`crate::domain::profile`],
//! [`crate::domain::locale`] and [`crate::domain::phone`] as JSON Schema, whose patterns are those of ECMA-262.

use utoipa::ToSchema;

/// A name: no control characters, nor those that turn the direction of text; blanks around it are
/// left out.
#[derive(ToSchema)]
#[schema(
    as = PersonName, min_length = 1, max_length = 100, example = "Ada",
    pattern = r"^\s*[^\s\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\ufeff]([^\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\ufeff]*[^\s\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\ufeff])?\s*$",
)]
#[expect(dead_code, reason = "only documents the text")]
pub struct PersonNameText(String);

/// A place: no control characters, nor those that turn the direction of text; blanks around it are
/// left out.
#[derive(ToSchema)]
#[schema(
    as = Location, min_length = 1, max_length = 100, example = "London",
    pattern = r"^\s*[^\s\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\ufeff]([^\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\ufeff]*[^\s\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\ufeff])?\s*$",
)]
#[expect(dead_code, reason = "only documents the text")]
pub struct LocationText(String);

/// A text of several lines: no other control characters, nor those that turn the direction of text;
/// blanks around it are left out.
#[derive(ToSchema)]
#[schema(
    as = Bio, min_length = 1, max_length = 500, example = "Writes programs.",
    pattern = r"^\s*[^\s\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\ufeff]([^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\ufeff]*[^\s\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\ufeff])?\s*$",
)]
#[expect(dead_code, reason = "only documents the text")]
pub struct BioText(String);

/// Why something was done, in several lines: no other control characters, nor those that turn the
/// direction of text; blanks around it are left out.
#[derive(ToSchema)]
#[schema(
    as = Reason, min_length = 1, max_length = 500, example = "Runs the office from now on.",
    pattern = r"^\s*[^\s\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\ufeff]([^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\ufeff]*[^\s\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\ufeff])?\s*$",
)]
#[expect(dead_code, reason = "only documents the text")]
pub struct ReasonText(String);

/// A phone number as people write it: digits, blanks, `+`, `-`, `.`, `/` and brackets.
#[derive(ToSchema)]
#[schema(as = PhoneNumber, format = "phone-number", max_length = 64, example = "+1 415 555 2671")]
#[expect(dead_code, reason = "only documents the text")]
pub struct PhoneNumberText(String);

/// The address of a web page, by http or https and without credentials.
#[derive(ToSchema)]
#[schema(
    as = WebUrl, format = "uri", max_length = 255, example = "https://example.com/ada",
    pattern = r"^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@]+([/?#].*)?$",
)]
#[expect(dead_code, reason = "only documents the text")]
pub struct WebUrlText(String);

/// A language as BCP 47 writes it, with script and region where they matter; in whatever case.
#[derive(ToSchema)]
#[schema(
    as = Locale, min_length = 2, max_length = 12, example = "pt-BR",
    pattern = r"^[a-zA-Z]{2,3}(-[a-zA-Z]{4})?(-([a-zA-Z]{2}|[0-9]{3}))?$",
)]
#[expect(dead_code, reason = "only documents the text")]
pub struct LocaleText(String);
