//! `GET /openapi.json` and `GET /docs`: the document, and Swagger UI to try it out, both from the
//! binary.

use std::{borrow::Cow, sync::Arc};

use anyhow::anyhow;
use axum::{
    Extension, Router,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use bytes::Bytes;
use utoipa_swagger_ui::{Config, SwaggerFile};

use crate::{
    error::{Error, ErrorCode},
    http::{
        self,
        error::{Answer, Problem},
        extract::Name,
        middleware::ContentPolicy,
        state::AppState,
    },
};

/// Swagger UI has its scripts in files; its styles stand in elements too.
const POLICY: ContentPolicy = ContentPolicy(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

#[derive(Clone)]
struct Docs {
    config: Arc<Config<'static>>,
    document: Bytes,
}

pub(super) fn router(state: &AppState) -> Router<AppState> {
    let config = Config::from(format!("{}openapi.json", state.base_path()))
        .display_operation_id(true)
        .try_it_out_enabled(true)
        // The validator is somebody else's server.
        .validator_url("none");
    let document = serde_json::to_vec(&http::document(state.base_path()))
        .expect("the document is made of strings, numbers, lists and maps");
    let docs = Docs {
        config: Arc::new(config),
        document: document.into(),
    };
    Router::new()
        .route("/openapi.json", get(document_json))
        .route("/openapi.json/", get(document_json))
        .route("/docs", get(index))
        .route("/docs/", get(index))
        .route("/docs/{*path}", get(file))
        .layer(Extension(docs))
}

async fn document_json(Extension(docs): Extension<Docs>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, docs.document).into_response()
}

async fn index(
    State(state): State<AppState>,
    Extension(docs): Extension<Docs>,
) -> Answer<Response> {
    let file = find("index.html", &docs)?;
    // Its links are relative, some with a dot and some without, which leads astray where the address
    // has no slash at its end.
    let place = format!("{}docs/", state.base_path());
    let page = String::from_utf8_lossy(&file.bytes)
        .replace("=\"./", "=\"")
        .replace("href=\"", &format!("href=\"{place}"))
        .replace("src=\"", &format!("src=\"{place}"));
    Ok(answer(&file, page.into_bytes().into()))
}

async fn file(Name(path): Name, Extension(docs): Extension<Docs>) -> Answer<Response> {
    let file = find(&path, &docs)?;
    // The files are part of the program: a client that reads slowly holds no copy of one.
    let bytes = match file.bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(ref bytes) => Bytes::copy_from_slice(bytes),
    };
    Ok(answer(&file, bytes))
}

fn find(path: &str, docs: &Docs) -> Answer<SwaggerFile<'static>> {
    utoipa_swagger_ui::serve(path, Arc::clone(&docs.config))
        .map_err(|error| Error::Internal(anyhow!("can't read a file of Swagger UI: {error}")))?
        .ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, ErrorCode::NotFound))
}

fn answer(file: &SwaggerFile<'_>, bytes: Bytes) -> Response {
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    if let Ok(kind) = HeaderValue::from_str(&file.content_type) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=3600"),
    );
    response.extensions_mut().insert(POLICY);
    response
}
