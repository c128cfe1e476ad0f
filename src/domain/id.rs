//! Identifiers, one type for each thing that has one.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[doc = $doc:literal])+ $name:ident) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

id! {
    /// A user's id: UUID of version 7, so that ids sort by time of registration.
    UserId
}
id! {
    /// A session's id, the access token's claim `sid`: UUID of version 7.
    SessionId
}
id! {
    /// The id of a change of an address: UUID of version 7.
    EmailChangeId
}
id! {
    /// The id of an import of users: UUID of version 7.
    ImportId
}
id! {
    /// A request's id: it stands in its log lines, its answer and its errors.
    RequestId
}
