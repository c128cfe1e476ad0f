//! `/users/import` and `/users/imports/…`: users from a file.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use chrono::{DateTime, Utc};
use futures::{StreamExt as _, stream};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{links::Link, user_body::time};
use crate::{
    domain::{
        id::ImportId,
        user_import::{Format, ImportOptions, OnConflict, UserImport},
    },
    error::{Error, FieldError, Rule},
    http::{
        error::Answer,
        extract::{Authenticated, ImportIdInPath, Multipart, Part, too_large},
        mount,
        openapi::{
            FileTooLarge, Forbidden, ImportNotFound, ImportRunning, Internal, Invalid, Malformed,
            Unauthenticated, Unavailable, UnsupportedMediaType,
        },
        state::AppState,
    },
    infra::csv,
    services::{
        Ctx,
        user_imports::{Upload, UserImports},
    },
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    let router = mount(OpenApiRouter::new(), routes!(import));
    let router = mount(router, routes!(read));
    mount(router, routes!(errors))
}

/// The members of [`ImportForm`], each of which may be there once.
const FIELDS: [&str; 6] = [
    "file",
    "format",
    "on_conflict",
    "dry_run",
    "atomic",
    "invite",
];

/// A file of users, and how to import it.
#[derive(ToSchema)]
#[schema(as = UserImportForm, example = json!({
    "file": "email,first_name,role\r\ngrace@example.com,Grace,AUTHENTICATED\r\n", "format": "csv",
    "on_conflict": "skip", "dry_run": "false", "atomic": "false", "invite": "true",
}))]
#[expect(
    dead_code,
    reason = "only documents the body, which is read part by part"
)]
struct ImportForm {
    /// The file, in UTF-8: a table whose first row names the columns, or a JSON object a line.
    #[schema(value_type = String, format = Binary)]
    file: String,
    /// How it is written: `csv` or `ndjson`; if nothing is said, as the file's name ends, else `csv`.
    #[schema(pattern = "^(csv|ndjson)$")]
    format: Option<String>,
    /// What becomes of a row whose account is there: `fail` (it is an error, if nothing is said), `skip`
    /// or `update`.
    #[schema(pattern = "^(fail|skip|update)$")]
    on_conflict: Option<String>,
    /// Whether to find out what would happen, and change nothing: `true` or `false`.
    #[schema(pattern = "^(true|false)$")]
    dry_run: Option<String>,
    /// Whether one bad row keeps all others out: `true` or `false`.
    #[schema(pattern = "^(true|false)$")]
    atomic: Option<String>,
    /// Whether new users with an address and no password get a link to set one: `true` or `false`.
    #[schema(pattern = "^(true|false)$")]
    invite: Option<String>,
}

/// What became of the rows of a file.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UserImportRows)]
struct RowsBody {
    /// All that were read so far.
    read: u64,
    /// Those that made an account.
    created: u64,
    /// Those that changed one.
    updated: u64,
    /// Those whose account was there, and was left as it is or is so already.
    skipped: u64,
    /// Those with errors.
    rejected: u64,
}

/// An import of users, as far as it has got.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UserImport, example = json!({
    "id": "0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b", "state": "running", "failure": null, "format": "csv",
    "on_conflict": "skip", "dry_run": false, "atomic": false, "invite": true,
    "bytes_done": 65536, "bytes_total": 1048576,
    "rows": {"read": 1000, "created": 990, "updated": 0, "skipped": 8, "rejected": 2},
    "created_at": "2026-11-21T12:00:00.000000Z", "updated_at": "2026-11-21T12:00:01.000000Z",
    "links": [{"rel": "self", "href": "https://users.example.com/users/imports/0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b",
               "method": "GET", "action": "view", "type": "application/json"}],
}))]
struct ImportBody {
    /// Its id.
    id: Uuid,
    /// `uploading`, `running` (also while it waits for its turn), `done` or `failed`.
    #[schema(value_type = String)]
    state: &'static str,
    /// Why it failed as a whole.
    failure: Option<String>,
    /// How the file is written.
    #[schema(value_type = String)]
    format: &'static str,
    /// What becomes of a row whose account is there.
    #[schema(value_type = String)]
    on_conflict: &'static str,
    /// Whether it changes nothing.
    dry_run: bool,
    /// Whether one bad row keeps all others out.
    atomic: bool,
    /// Whether new users are invited.
    invite: bool,
    /// How much of the file is done.
    bytes_done: u64,
    /// How large the file is.
    bytes_total: u64,
    /// What became of the rows so far.
    rows: RowsBody,
    /// When it began.
    #[serde(serialize_with = "time")]
    created_at: DateTime<Utc>,
    /// When it last got on.
    #[serde(serialize_with = "time")]
    updated_at: DateTime<Utc>,
    /// Where to look again, and what was wrong with rows.
    links: Vec<Link>,
}

impl ImportBody {
    fn new(state: &AppState, import: UserImport) -> Self {
        let (href, options, counts) = (url(state, import.id), import.options, import.counts);
        let errors = format!("{href}/errors");
        Self {
            id: import.id.0,
            state: import.state.as_str(),
            failure: import.failure,
            format: options.format.as_str(),
            on_conflict: options.on_conflict.as_str(),
            dry_run: options.dry_run,
            atomic: options.atomic,
            invite: options.invite,
            bytes_done: import.place.offset,
            bytes_total: import.file_size,
            rows: RowsBody {
                read: counts.read(),
                created: counts.created,
                updated: counts.updated,
                skipped: counts.skipped,
                rejected: counts.rejected,
            },
            created_at: import.created_at,
            updated_at: import.updated_at,
            links: vec![
                Link::new("self", href, "GET", "view"),
                Link::new("errors", errors, "GET", "view").of_type("text/csv"),
            ],
        }
    }
}

fn url(state: &AppState, id: ImportId) -> String {
    state.url(&format!("users/imports/{id}"))
}

/// The id of an import in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only documents the parameter")]
struct ImportIdParam {
    /// The import's id
    #[param(example = "0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b")]
    import_id: Uuid,
}

/// Import users from a file
///
/// For administrators. Columns or members are `id`, `nickname`, `email`, `email_verified_at`, `phone_number`,
/// `legacy_name`, `first_name`, `middle_name`, `last_name`, `is_name_public`, `bio`, `location`, `locale`,
/// `profile_picture_url`, `linkedin_profile_url`, `github_profile_url`, `role`, `is_professional`,
/// `professional_status_updated_at`, `locked_at`, `deletion_due_at`, `last_login_at`, `created_at`,
/// `updated_at`, `password_hash` and `password`; of `email`, `phone_number` and `legacy_name` one is needed.
/// The file is kept, and imported by a job: look at the answer's `location` for how far that has got. Good
/// rows go in and bad ones don't, unless it is `atomic`. Where `on_conflict` is `update`, a row that would
/// give an account that is there another password or another `email_verified_at` is a bad one: only operators
/// do that, at the command line.
#[utoipa::path(
    post, path = "/users/import", operation_id = "import_users", tag = "users", security(("password" = [])),
    request_body(content = ImportForm, content_type = "multipart/form-data"),
    responses(
        (status = 202, description = "The file is kept and will be imported", body = ImportBody, headers(
            ("location" = String, description = "Where its progress is"),
        )),
        Malformed, Unauthenticated, Forbidden, ImportRunning, FileTooLarge, UnsupportedMediaType, Invalid, Internal, Unavailable
    ),
)]
async fn import(
    State(state): State<AppState>,
    Authenticated(ctx): Authenticated,
    form: Multipart,
) -> Answer<Response> {
    let imports = &state.services.user_imports;
    let upload = imports.begin_upload(&ctx).await?;
    let id = upload.id();
    let import = match take(imports, &ctx, upload, form).await {
        Ok(import) => import,
        Err(problem) => {
            imports.abandon_upload(id).await;
            return Err(problem);
        }
    };
    let location = [(header::LOCATION, url(&state, import.id))];
    let body = axum::Json(ImportBody::new(&state, import));
    Ok((StatusCode::ACCEPTED, location, body).into_response())
}

/// Takes the file and how to import it, and has it imported.
async fn take(
    imports: &UserImports,
    ctx: &Ctx,
    mut upload: Upload,
    mut form: Multipart,
) -> Answer<UserImport> {
    let mut options = ImportOptions::default();
    let (mut format, mut of_name) = (None, None);
    let mut given: Vec<&str> = Vec::new();
    while let Some(mut part) = form.next().await? {
        let Some(field) = FIELDS.into_iter().find(|field| *field == part.name()) else {
            // As in every form, what nobody knows is passed over.
            part.text().await?;
            continue;
        };
        if given.contains(&field) {
            return Err(invalid(field, Rule::new("duplicate", "must not occur twice")).into());
        }
        given.push(field);
        if field != "file" {
            set(&mut options, &mut format, field, part).await?;
            continue;
        }
        of_name = part.file_name().and_then(Format::of_file);
        let mut size = 0;
        while let Some(bytes) = part.next().await? {
            size += bytes.len() as u64;
            if size > imports.max_bytes() {
                return Err(too_large());
            }
            imports.add_to_upload(&mut upload, &bytes).await?;
        }
    }
    if !given.contains(&"file") {
        return Err(invalid("file", Rule::new("missing", "is required")).into());
    }
    options.format = format.or(of_name).unwrap_or_default();
    Ok(imports.end_upload(ctx, upload, options).await?)
}

/// Takes a part that says how to import.
async fn set(
    options: &mut ImportOptions,
    format: &mut Option<Format>,
    field: &'static str,
    part: Part,
) -> Answer<()> {
    let text = part.text().await?;
    let boolean = || match &*text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(invalid(
            field,
            Rule::new("invalid_boolean", "must be true or false"),
        )),
    };
    match field {
        "format" => {
            let rule = Rule::new("unknown_format", "must be csv or ndjson");
            *format = Some(Format::named(&text).ok_or_else(|| invalid(field, rule))?);
        }
        "on_conflict" => {
            let rule = Rule::new("unknown_choice", "must be fail, skip or update");
            let choice = OnConflict::named(&text);
            options.on_conflict = choice.ok_or_else(|| invalid(field, rule))?;
        }
        "dry_run" => options.dry_run = boolean()?,
        "atomic" => options.atomic = boolean()?,
        "invite" => options.invite = boolean()?,
        _ => {}
    }
    Ok(())
}

fn invalid(field: &'static str, rule: Rule) -> Error {
    Error::invalid(FieldError::body(field, rule))
}

/// See how far an import of users has got
#[utoipa::path(
    get, path = "/users/imports/{import_id}", operation_id = "get_user_import", tag = "users", security(("password" = [])),
    params(ImportIdParam),
    responses(
        (status = 200, description = "The import", body = ImportBody),
        Unauthenticated, Forbidden, ImportNotFound, Invalid, Internal, Unavailable
    ),
)]
async fn read(
    State(state): State<AppState>,
    Authenticated(ctx): Authenticated,
    ImportIdInPath(id): ImportIdInPath,
) -> Answer<axum::Json<ImportBody>> {
    let import = state.services.user_imports.read(&ctx, id).await?;
    Ok(axum::Json(ImportBody::new(&state, import)))
}

/// Read what was wrong with the rows of an import
///
/// A table of line, column and reason, in the order of the file; without values, which may be secrets.
#[utoipa::path(
    get, path = "/users/imports/{import_id}/errors", operation_id = "list_user_import_errors", tag = "users",
    security(("password" = [])),
    params(ImportIdParam),
    responses(
        (status = 200, description = "What was wrong so far", content(
            (String = "text/csv", example = "line,column,reason\r\n7,email,must be a valid e-mail address\r\n"),
        )),
        Unauthenticated, Forbidden, ImportNotFound, Invalid, Internal, Unavailable
    ),
)]
async fn errors(
    State(state): State<AppState>,
    Authenticated(ctx): Authenticated,
    ImportIdInPath(id): ImportIdInPath,
) -> Answer<Response> {
    let imports = Arc::clone(&state.services.user_imports);
    imports.read(&ctx, id).await?;
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"errors.csv\"",
        ),
    ];
    let head = stream::once(async { Ok(Bytes::from(csv::line(["line", "column", "reason"]))) });
    let body = Body::from_stream(head.chain(lines(imports, ctx, id)));
    Ok((headers, body).into_response())
}

/// The errors of an import as lines of a table, a page at a time.
fn lines(
    imports: Arc<UserImports>,
    ctx: Ctx,
    id: ImportId,
) -> impl stream::Stream<Item = Result<Bytes, Error>> + Send {
    stream::try_unfold(
        (imports, ctx, None),
        move |(imports, ctx, after)| async move {
            let page = imports.list_errors(&ctx, id, after.as_ref()).await?;
            let mut lines = Vec::new();
            for error in &page {
                let line = error.line.to_string();
                let column = error.column_name.as_deref().unwrap_or_default();
                lines.extend(csv::line([&*line, column, &error.reason]));
            }
            let last = page.into_iter().next_back();
            Ok(last.map(|last| (Bytes::from(lines), (imports, ctx, Some(last)))))
        },
    )
}
