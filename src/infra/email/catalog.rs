//! The templates: compiled in, replaced file by file from a directory, and checked when loaded.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs, io,
    path::{Path, PathBuf},
};

use css_inline::CSSInliner;
use minijinja::Environment;
use thiserror::Error;

use super::{
    Mail,
    render::{self, Parts, RenderError, Rendered},
    values::{SiteUrl, Values},
};

const HEADER: &str = "header.md";
const FOOTER: &str = "footer.md";
const LAYOUT: &str = "layout.html";

/// The language of the files at the top.
const DEFAULT_LANGUAGE: &str = "en";

/// Files of the folder of templates, by name.
macro_rules! built_in {
    ($($file:literal)+) => {
        &[$(($file, include_str!(concat!("../../../email_templates/", $file)))),+]
    };
}

/// The templates that are compiled in. A translation is listed as `de/footer.md`.
const BUILT_IN: &[(&str, &str)] = built_in! {
    "account_deletion.md"
    "account_exists.md"
    "account_locked.md"
    "account_restored.md"
    "account_unlocked.md"
    "email_change.md"
    "email_changed.md"
    "email_verification.md"
    "footer.md"
    "header.md"
    "invitation.md"
    "layout.html"
    "password_changed.md"
    "password_reset.md"
    "role_changed.md"
    "session_reuse.md"
};

/// What a [`Catalog`] is made from.
#[derive(Debug, Clone)]
pub struct CatalogOptions {
    /// The name of the service, as people know it: `{{ service }}` in every template.
    pub service: String,
    /// A directory whose files replace built-in templates of the same name, and whose folders
    /// hold translations, if any. Files whose names begin with a period are passed over.
    pub overrides: Option<PathBuf>,
}

/// Every template, ready to be rendered.
#[derive(Debug)]
pub struct Catalog {
    markdown: Environment<'static>,
    layout: Environment<'static>,
    inliner: CSSInliner<'static>,
    service: String,
    /// The files that there are.
    files: BTreeSet<String>,
}

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TemplateProblem {
    /// The file, below the folder of templates.
    pub file: String,
    /// What is wrong with it.
    pub reason: String,
}

impl TemplateProblem {
    fn new(file: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            reason: reason.into(),
        }
    }
}

/// Everything that is wrong with the templates: never empty.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct TemplateProblems(pub Vec<TemplateProblem>);

impl fmt::Display for TemplateProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the e-mail templates cannot be used:")?;
        for TemplateProblem { file, reason } in &self.0 {
            write!(f, "\n  {file}: {reason}")?;
        }
        Ok(())
    }
}

impl Catalog {
    /// Reads and parses the templates, and renders each of them once with sample values, so that
    /// a broken one is found now and not with the first mail. It reads files: call it at start.
    ///
    /// # Errors
    ///
    /// [`TemplateProblems`] with everything that is wrong.
    pub fn load(options: &CatalogOptions) -> Result<Self, TemplateProblems> {
        let mut catalog = Self {
            markdown: render::markdown_environment(),
            layout: render::layout_environment(),
            inliner: render::inliner(),
            service: options.service.clone(),
            files: BTreeSet::new(),
        };
        let mut problems = BTreeSet::new();
        for (file, source) in BUILT_IN {
            if let Err(reason) = catalog.add(file, source) {
                problems.insert(TemplateProblem::new(*file, reason));
            }
        }
        if let Some(directory) = &options.overrides {
            for (file, source) in read_overrides(directory, &mut problems) {
                // A broken file leaves the built-in one in place, so that the check goes on.
                if let Err(reason) = catalog.add(&file, &source) {
                    problems.insert(TemplateProblem::new(file, reason));
                }
            }
        }
        catalog.check(&mut problems);
        if problems.is_empty() {
            Ok(catalog)
        } else {
            Err(TemplateProblems(problems.into_iter().collect()))
        }
    }

    /// Renders `mail` in `language` (a tag such as `de-AT`), or in the nearest language that
    /// there is: `de`, else English, as without one.
    ///
    /// # Errors
    ///
    /// [`RenderError`] if a value is missing or of the wrong kind, which a test ought to find.
    pub fn render(
        &self,
        mail: Mail,
        language: Option<&str>,
        values: &Values,
    ) -> Result<Rendered, RenderError> {
        let name = file_of(mail);
        // Header and footer follow the body's language, so that a mail is all of one.
        let language = language.unwrap_or_default().to_ascii_lowercase();
        let (language, body) = self.find(&language, &name);
        let (_, header) = self.find(language, HEADER);
        let (_, footer) = self.find(language, FOOTER);
        let parts = Parts {
            header: &header,
            body: &body,
            footer: &footer,
            layout: LAYOUT,
            language: if language.is_empty() {
                DEFAULT_LANGUAGE
            } else {
                language
            },
        };
        let values = values.clone().trusted("service", &self.service);
        render::render(&self.markdown, &self.layout, &self.inliner, &parts, &values)
    }

    /// The file `name` in `language`, or in the nearest language that has it; empty is English.
    fn find<'a>(&self, language: &'a str, name: &str) -> (&'a str, String) {
        let mut language = language;
        while !language.is_empty() {
            let file = format!("{language}/{name}");
            if self.files.contains(&file) {
                return (language, file);
            }
            language = language.rsplit_once('-').map_or("", |(shorter, _)| shorter);
        }
        ("", name.to_owned())
    }

    /// Compiles a file and takes it in, in place of one of that name.
    fn add(&mut self, file: &str, source: &str) -> Result<(), String> {
        let name = || file.to_owned();
        let reason = |error| RenderError::template(file, &error).reason;
        if file == LAYOUT {
            self.layout
                .add_template_owned(name(), source.to_owned())
                .map_err(reason)?;
            self.files.insert(name());
            return Ok(());
        }
        let (subject, body) = split_front_matter(source)?;
        match (subject, is_mail_file(file)) {
            (Some(subject), true) => self
                .markdown
                .add_template_owned(render::subject_of(file), subject.to_owned())
                .map_err(reason)?,
            (None, true) => {
                return Err("it must begin with front matter: ---, subject: …, ---".to_owned());
            }
            (Some(_), false) => return Err("it must have no front matter".to_owned()),
            (None, false) => {}
        }
        self.markdown
            .add_template_owned(name(), body)
            .map_err(reason)?;
        self.files.insert(name());
        Ok(())
    }

    /// Renders every mail in every language that there is, with every set of sample values.
    fn check(&self, problems: &mut BTreeSet<TemplateProblem>) {
        let site =
            SiteUrl::parse("https://accounts.example.com").expect("a constant that is a URL");
        let languages: BTreeSet<&str> = self
            .files
            .iter()
            .map(|file| file.split_once('/').map_or("", |(language, _)| language))
            .collect();
        for language in languages {
            for mail in Mail::ALL {
                for (_, values) in mail.samples(&site) {
                    match self.render(mail, Some(language), &values) {
                        Ok(rendered) if !shows_links(&rendered, &values) => {
                            let (_, file) = self.find(language, &file_of(mail));
                            let reason = "it does not show its link";
                            problems.insert(TemplateProblem::new(file, reason));
                        }
                        Ok(_) => {}
                        Err(RenderError { file, reason }) => {
                            problems.insert(TemplateProblem::new(file, reason));
                        }
                    }
                }
            }
        }
    }
}

fn shows_links(rendered: &Rendered, values: &Values) -> bool {
    values
        .links()
        .all(|link| rendered.text.contains(&link) && rendered.html.contains(&link))
}

fn file_of(mail: Mail) -> String {
    format!("{}.md", mail.name())
}

/// Whether `file` is a mail's template, in any language.
fn is_mail_file(file: &str) -> bool {
    file.rsplit('/')
        .next()
        .and_then(|name| name.strip_suffix(".md"))
        .is_some_and(|name| Mail::from_name(name).is_some())
}

/// The subject, if there is front matter, and the file with empty lines in place of it, so that
/// the lines keep their numbers.
fn split_front_matter(source: &str) -> Result<(Option<&str>, String), String> {
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    let mut rest = source;
    let mut next_line = || {
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let found = !rest.is_empty();
        rest = after;
        found.then(|| line.trim_end())
    };
    if next_line() != Some("---") {
        return Ok((None, source.to_owned()));
    }
    let mut subject = None;
    loop {
        match next_line() {
            Some("---") => break,
            Some("") => {}
            Some(line) => match line.split_once(':') {
                Some(("subject", value)) if subject.is_none() => subject = Some(unquoted(value)),
                _ => return Err(format!("front matter has an unknown line: {line:?}")),
            },
            None => return Err("front matter has no end: a line of ---".to_owned()),
        }
    }
    match subject {
        Some(subject) if !subject.is_empty() => {
            let lines = source.lines().count() - rest.lines().count();
            Ok((Some(subject), "\n".repeat(lines) + rest))
        }
        _ => Err("front matter has no subject".to_owned()),
    }
}

/// `value` without the quotation marks that YAML may need around it.
fn unquoted(value: &str) -> &str {
    let value = value.trim();
    ['"', '\'']
        .into_iter()
        .find_map(|mark| value.strip_prefix(mark)?.strip_suffix(mark))
        .unwrap_or(value)
}

/// The files of `directory`, by name, and those of its folders, by `language/name`.
fn read_overrides(
    directory: &Path,
    problems: &mut BTreeSet<TemplateProblem>,
) -> BTreeMap<String, String> {
    let mut sources = BTreeMap::new();
    let mut folders = vec![(String::new(), directory.to_owned())];
    while let Some((prefix, folder)) = folders.pop() {
        let entries = match entries(&folder) {
            Ok(entries) => entries,
            Err(error) => {
                let reason = error.to_string();
                problems.insert(TemplateProblem::new(folder.display().to_string(), reason));
                continue;
            }
        };
        for (name, path) in entries {
            let read = if path.is_dir() {
                if prefix.is_empty() && is_language(&name) {
                    folders.push((format!("{}/", name.to_ascii_lowercase()), path));
                    continue;
                }
                Err("a folder here must be named by a language".to_owned())
            } else if is_template(&prefix, &name) {
                fs::read_to_string(&path).map_err(|error| error.to_string())
            } else {
                Err("there is no such template".to_owned())
            };
            let file = format!("{prefix}{name}");
            match read {
                Ok(source) => {
                    sources.insert(file, source);
                }
                Err(reason) => {
                    problems.insert(TemplateProblem::new(file, reason));
                }
            }
        }
    }
    sources
}

/// Whether there can be a template `name` in the folder of `prefix`.
fn is_template(prefix: &str, name: &str) -> bool {
    matches!(name, HEADER | FOOTER) || (prefix.is_empty() && name == LAYOUT) || is_mail_file(name)
}

/// What is in `directory` and is not hidden. A directory that Kubernetes mounts holds hidden links.
fn entries(directory: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            entries.push((name, entry.path()));
        }
    }
    Ok(entries)
}

/// Whether `name` looks like a language tag of BCP 47.
fn is_language(name: &str) -> bool {
    let mut subtags = name.split('-');
    subtags.next().is_some_and(|tag| {
        (2..=3).contains(&tag.len()) && tag.chars().all(|c| c.is_ascii_alphabetic())
    }) && subtags
        .all(|tag| (1..=8).contains(&tag.len()) && tag.chars().all(|c| c.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests;
