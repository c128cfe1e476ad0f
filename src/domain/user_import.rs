//! Imports of users from files: what is asked for, and how far one has got.

use std::net::IpAddr;

use chrono::{DateTime, Utc};

use super::{
    audit::ActorKind,
    id::{ImportId, RequestId, SessionId, UserId},
};

macro_rules! choices {
    ($(#[doc = $type_doc:literal])+ $type:ident or $default:ident { $($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+ }) => {
        $(#[doc = $type_doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $type { $($(#[doc = $doc])+ $variant,)+ }

        impl Default for $type {
            fn default() -> Self {
                Self::$default
            }
        }

        impl $type {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its name, on the command line, in requests and in the database.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The one of this name.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

impl Format {
    /// What the ending of a file's name tells.
    #[must_use]
    pub fn of_file(name: &str) -> Option<Self> {
        let (_, ending) = name.rsplit_once('.')?;
        match &*ending.to_ascii_lowercase() {
            "csv" => Some(Self::Csv),
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            _ => None,
        }
    }
}

choices! {
    /// How a file of users is written.
    Format or Csv {
        /// A table whose first row names the columns (RFC 4180).
        Csv = "csv",
        /// A JSON object a line.
        Ndjson = "ndjson",
    }
}

choices! {
    /// What becomes of a row whose account is there already.
    OnConflict or Fail {
        /// It is an error.
        Fail = "fail",
        /// The account stays as it is.
        Skip = "skip",
        /// What the row gives takes the place of what the account has.
        Update = "update",
    }
}

choices! {
    /// Where an import stands.
    ImportState or Uploading {
        /// Its file is still coming.
        Uploading = "uploading",
        /// It is worked on, or waits for somebody to go on with it.
        Running = "running",
        /// It has come to its end; some rows may have been rejected.
        Done = "done",
        /// It came to nothing, or broke off for good.
        Failed = "failed",
    }
}

/// How to import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImportOptions {
    /// How the file is written.
    pub format: Format,
    /// What becomes of a row whose account is there already.
    pub on_conflict: OnConflict,
    /// Finds out what would happen, and changes nothing.
    pub dry_run: bool,
    /// One bad row keeps all others out.
    pub atomic: bool,
    /// New users with an address and without a password get a link to set one.
    pub invite: bool,
}

impl ImportOptions {
    /// Whether all of the file is one transaction.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.dry_run || self.atomic
    }
}

/// What became of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImportCounts {
    /// Rows that made an account.
    pub created: u64,
    /// Rows that changed one.
    pub updated: u64,
    /// Rows whose account was there, and was left as it is or is so already.
    pub skipped: u64,
    /// Rows with errors.
    pub rejected: u64,
    /// Good rows of which nothing stands, since others had errors or the import was broken off for good.
    pub undone: u64,
}

impl ImportCounts {
    /// All rows.
    #[must_use]
    pub const fn read(&self) -> u64 {
        self.created + self.updated + self.skipped + self.rejected + self.undone
    }

    /// The sum of both.
    #[must_use]
    pub const fn and(self, more: Self) -> Self {
        Self {
            created: self.created + more.created,
            updated: self.updated + more.updated,
            skipped: self.skipped + more.skipped,
            rejected: self.rejected + more.rejected,
            undone: self.undone + more.undone,
        }
    }

    /// The same rows where nothing stands that they made and changed.
    #[must_use]
    pub const fn undone(self) -> Self {
        Self {
            created: 0,
            updated: 0,
            skipped: 0,
            rejected: self.rejected,
            undone: self.read() - self.rejected,
        }
    }
}

/// A place between two rows of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FilePlace {
    /// Bytes before it.
    pub offset: u64,
    /// Lines before it.
    pub line: u64,
}

/// An import, as far as it has got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserImport {
    /// Its id.
    pub id: ImportId,
    /// How it imports.
    pub options: ImportOptions,
    /// Whether the file was uploaded, and is in the database.
    pub is_upload: bool,
    /// SHA-256 of the file; none while it is uploaded.
    pub file_digest: Option<[u8; 32]>,
    /// Bytes of the file.
    pub file_size: u64,
    /// Where it stands.
    pub state: ImportState,
    /// Why it failed as a whole.
    pub failure: Option<String>,
    /// How far it has got.
    pub place: FilePlace,
    /// What became of the rows up to there.
    pub counts: ImportCounts,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When it last got on.
    pub updated_at: DateTime<Utc>,
}

/// Who asked for an import, as its audit entries tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedBy {
    /// What acts: a user, an operator, the service.
    pub actor: ActorKind,
    /// Which user, by which session.
    pub user: Option<(UserId, SessionId)>,
    /// Which account of the operating system, of an operator.
    pub account: Option<String>,
    /// In which request.
    pub request_id: RequestId,
    /// From where.
    pub client_address: Option<IpAddr>,
    /// By what program.
    pub device: Option<String>,
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// Where the row begins in the file, from 1.
    pub line: u64,
    /// In which column; none: with the row as a whole.
    pub column: Option<&'static str>,
    /// What is wrong, without the value, which may be a secret.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_what_they_name() {
        for format in Format::ALL {
            assert_eq!(Format::named(format.as_str()), Some(*format));
        }
        for choice in OnConflict::ALL {
            assert_eq!(OnConflict::named(choice.as_str()), Some(*choice));
        }
        for state in ImportState::ALL {
            assert_eq!(ImportState::named(state.as_str()), Some(*state));
        }
        assert_eq!(OnConflict::named("Fail"), None);
    }
}
