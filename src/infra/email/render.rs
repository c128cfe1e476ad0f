//! From a template and values to a subject, plain text and styled HTML.

use css_inline::CSSInliner;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};
use thiserror::Error;

use super::{
    markdown::{self, Document},
    values::{Values, as_plain_text},
};

/// How the names of subjects end.
const SUBJECT: &str = "#subject";

/// A mail's content, rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The subject: one line, without control characters.
    pub subject: String,
    /// The plain text.
    pub text: String,
    /// The HTML document, with its styles inlined.
    pub html: String,
}

/// A template could not be rendered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{file}: {reason}")]
pub struct RenderError {
    /// The template's file, below the folder of templates.
    pub file: String,
    /// What is wrong with it.
    pub reason: String,
}

impl RenderError {
    pub(super) fn new(file: &str, reason: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            reason: reason.into(),
        }
    }

    pub(super) fn template(file: &str, error: &minijinja::Error) -> Self {
        let mut reason = error.kind().to_string();
        if let Some(detail) = error.detail() {
            reason = format!("{reason}: {detail}");
        }
        if error.name().is_some_and(|name| name != file) {
            reason = format!("subject: {reason}");
        } else if let Some(line) = error.line() {
            reason = format!("line {line}: {reason}");
        }
        Self::new(file, reason)
    }
}

/// The parts of a mail by the files that hold them.
pub(super) struct Parts<'a> {
    pub header: &'a str,
    pub body: &'a str,
    pub footer: &'a str,
    pub layout: &'a str,
    /// For the `lang` attribute.
    pub language: &'a str,
}

/// The name under which the subject of a mail's file is compiled.
pub(super) fn subject_of(file: &str) -> String {
    format!("{file}{SUBJECT}")
}

/// An environment for the templates in Markdown and their subjects: no filters, no functions,
/// no missing values. Values are escaped for Markdown and HTML, in a subject only made one
/// harmless line; a template cannot switch that off.
pub(super) fn markdown_environment() -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_formatter(|out, state, value| {
        let text = as_plain_text(value);
        if state.name().ends_with(SUBJECT) {
            out.write_str(&text)?;
        } else {
            out.write_str(&markdown::escape(&text))?;
        }
        Ok(())
    });
    environment
}

/// An environment for the layout, in which values are escaped for HTML.
pub(super) fn layout_environment() -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment
}

/// Moves the layout's style rules into the elements. It fetches nothing.
pub(super) fn inliner() -> CSSInliner<'static> {
    CSSInliner::options()
        .load_remote_stylesheets(false)
        .keep_style_tags(false)
        .minify_css(true)
        .build()
}

/// Renders one mail.
pub(super) fn render(
    markdown: &Environment<'_>,
    layout: &Environment<'_>,
    inliner: &CSSInliner<'_>,
    parts: &Parts<'_>,
    values: &Values,
) -> Result<Rendered, RenderError> {
    let context = values.context();
    // A subject belongs to the body's file.
    let fill = |template: &str, file: &str| {
        let failed = |error| RenderError::template(file, &error);
        let template = markdown.get_template(template).map_err(failed)?;
        template.render(&context).map_err(|error| {
            let mut missing: Vec<_> = template
                .undeclared_variables(false)
                .into_iter()
                .filter(|name| !values.has(name))
                .collect();
            let mut failed = failed(error);
            if !missing.is_empty() {
                missing.sort_unstable();
                failed.reason = format!("{}; no value: {}", failed.reason, missing.join(", "));
            }
            failed
        })
    };
    let subject = super::values::one_line(&fill(&subject_of(parts.body), parts.body)?);
    if subject.is_empty() {
        return Err(RenderError::new(parts.body, "the subject is empty"));
    }
    let [header, body, footer] = [parts.header, parts.body, parts.footer]
        .map(|file| fill(file, file).map(|source| (file, source)));
    let (header, body, footer) = (header?, body?, footer?);
    let (header, body, footer) = (parse(&header)?, parse(&body)?, parse(&footer)?);

    let html = layout
        .get_template(parts.layout)
        .and_then(|template| {
            template.render(context! {
                language => parts.language,
                subject => &subject,
                header => Value::from_safe_string(header.to_html()),
                body => Value::from_safe_string(body.to_html()),
                footer => Value::from_safe_string(footer.to_html()),
            })
        })
        .map_err(|error| RenderError::template(parts.layout, &error))?;
    let html = inliner
        .inline(&html)
        .map_err(|error| RenderError::new(parts.layout, error.to_string()))?;

    // `-- ` marks what follows as a signature, which mail programs show apart.
    let text = [header.to_text(), body.to_text(), footer.to_text()];
    let [header, body, footer] = text.each_ref().map(|part| part.trim_end());
    let text = format!("{header}\n\n{body}\n\n-- \n{footer}\n");
    Ok(Rendered {
        subject,
        text,
        html,
    })
}

fn parse<'a>((file, source): &'a (&str, String)) -> Result<Document<'a>, RenderError> {
    Document::parse(source).map_err(|reason| RenderError::new(file, reason))
}
