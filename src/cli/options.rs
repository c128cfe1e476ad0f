//! What is wrong with a command line, and clap doesn't see.

use std::borrow::Cow;

use clap::ValueEnum;

use crate::{
    domain::file_format,
    error::{Error, FieldError, Result, Rule},
};

/// Collects what is wrong with a command line, so that one complaint names it all.
#[derive(Debug, Default)]
pub(super) struct Wrong(Vec<FieldError>);

impl Wrong {
    /// The parsed value, or none and a note about where it stands: `--email`, `password`.
    pub(super) fn take<T>(
        &mut self,
        place: impl Into<Cow<'static, str>>,
        parsed: Result<T, Rule>,
    ) -> Option<T> {
        match parsed {
            Ok(value) => Some(value),
            Err(rule) => {
                self.0.push(FieldError {
                    location: vec![place.into()],
                    message: rule.message,
                    kind: rule.kind,
                });
                None
            }
        }
    }

    /// The same for what may be missing.
    pub(super) fn read<T>(
        &mut self,
        place: impl Into<Cow<'static, str>>,
        text: Option<&str>,
        parse: impl FnOnce(&str) -> Result<T, Rule>,
    ) -> Option<T> {
        text.and_then(|text| self.take(place, parse(text)))
    }

    /// `value`, if nothing was wrong.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with all that was noted.
    pub(super) fn finish<T>(self, value: T) -> Result<T> {
        match self.0.is_empty() {
            true => Ok(value),
            false => Err(Error::Invalid(self.0)),
        }
    }
}

/// A single thing that is wrong with a command line.
pub(super) fn wrong(place: &'static str, kind: &'static str, message: &'static str) -> Error {
    Error::invalid(FieldError {
        location: vec![place.into()],
        message: message.into(),
        kind,
    })
}

/// The option that stands for this name of a filter: `--created-from`.
pub(super) fn option_of(name: &str) -> String {
    format!("--{}", name.replace('_', "-"))
}

/// A format of many records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FileFormat {
    /// A JSON object a line.
    Ndjson,
    /// A table; cells that a spreadsheet would take for formulas begin with an apostrophe.
    Csv,
}

impl From<FileFormat> for file_format::FileFormat {
    fn from(format: FileFormat) -> Self {
        match format {
            FileFormat::Ndjson => Self::Ndjson,
            FileFormat::Csv => Self::Csv,
        }
    }
}
