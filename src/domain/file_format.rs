//! Formats of files with many records.

use crate::error::Rule;

/// A format of a file with many records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// A JSON object a line.
    Ndjson,
    /// A table with a head (RFC 4180).
    Csv,
}

impl FileFormat {
    /// Every format.
    pub const ALL: [Self; 2] = [Self::Ndjson, Self::Csv];

    /// Its name, which files end in too.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
        }
    }

    /// The format of this name.
    ///
    /// # Errors
    ///
    /// Where there is none.
    pub fn parse(text: &str) -> Result<Self, Rule> {
        let found = Self::ALL.into_iter().find(|format| format.as_str() == text);
        found.ok_or_else(|| Rule::one_of(&Self::ALL.map(Self::as_str)))
    }

    /// The format that the name of a file tells by its end, if it does.
    #[must_use]
    pub fn of_file(name: &str) -> Option<Self> {
        let (_, end) = name.rsplit_once('.')?;
        match &*end.to_ascii_lowercase() {
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_told_by_its_name_and_by_the_end_of_a_files_name() {
        for format in FileFormat::ALL {
            assert_eq!(FileFormat::parse(format.as_str()), Ok(format));
            let name = format!("users.{}", format.as_str());
            assert_eq!(FileFormat::of_file(&name), Some(format));
        }
        assert_eq!(
            FileFormat::parse("xlsx").unwrap_err().message,
            "must be one of: ndjson, csv"
        );
        assert_eq!(FileFormat::of_file("a.JSONL"), Some(FileFormat::Ndjson));
        for other in ["csv", "users.csv.gz", "-", ""] {
            assert_eq!(FileFormat::of_file(other), None, "{other}");
        }
    }
}
