//! Whether the audit log is as it was written.

use std::fmt;

use sqlx::PgConnection;
use tracing::instrument;

use super::{AuditLog, chain::hex};
use crate::{
    domain::{audit::GENESIS, permission::Permission},
    error::Result,
    repository::audit_chain::{self, Anchor, Chained, Link},
    services::Ctx,
};

/// Rows that are read at a time.
const BATCH: i64 = 5000;
/// Rows that are counted at a time.
const COUNTED: i64 = 100_000;

/// What a verification found.
#[derive(Debug, Clone)]
pub struct Verification {
    /// How many entries of the chain are as they were written: those before the finding.
    pub entries: u64,
    /// What was removed by retention before them.
    pub anchor: Option<Anchor>,
    /// Where the chain ends, or the last place before the finding; none: it is empty.
    pub head: Option<Link>,
    /// How many entries wait for their places.
    pub waiting: i64,
    /// The first thing that isn't as it was written.
    pub finding: Option<Finding>,
    /// Whether the hash that was asked about is one that the chain had.
    pub is_head_known: Option<bool>,
}

impl Verification {
    /// Whether all is as it was written.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.finding.is_none() && self.is_head_known != Some(false)
    }
}

/// Something that isn't as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// An entry isn't what its hash was made of: it was altered, or stands where another one stood.
    Altered {
        /// Its place.
        sequence: i64,
        /// Which one it is.
        entry_id: i64,
    },
    /// An entry that has a place, or waits for one, is missing.
    Missing {
        /// Its place, if it has one.
        sequence: Option<i64>,
        /// Which one it is.
        entry_id: i64,
    },
    /// The chain has no such place.
    Gap {
        /// The place that is missing.
        sequence: i64,
    },
    /// The chain has a place that was removed.
    Removed {
        /// The place.
        sequence: i64,
    },
    /// The chain begins behind a place up to which the log doesn't tell that retention has removed it.
    Untold {
        /// The place.
        sequence: i64,
    },
    /// An entry has no place in the chain and waits for none.
    Stray {
        /// Which one it is.
        entry_id: i64,
    },
}

impl Finding {
    /// What it is, in a word.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Altered { .. } => "altered",
            Self::Missing { .. } => "missing",
            Self::Gap { .. } => "gap",
            Self::Removed { .. } => "removed",
            Self::Untold { .. } => "untold",
            Self::Stray { .. } => "stray",
        }
    }

    /// The place in the chain that it is about.
    #[must_use]
    pub fn sequence(self) -> Option<i64> {
        match self {
            Self::Altered { sequence, .. }
            | Self::Gap { sequence }
            | Self::Removed { sequence }
            | Self::Untold { sequence } => Some(sequence),
            Self::Missing { sequence, .. } => sequence,
            Self::Stray { .. } => None,
        }
    }

    /// The entry that it is about.
    #[must_use]
    pub fn entry_id(self) -> Option<i64> {
        match self {
            Self::Altered { entry_id, .. }
            | Self::Missing { entry_id, .. }
            | Self::Stray { entry_id } => Some(entry_id),
            Self::Gap { .. } | Self::Removed { .. } | Self::Untold { .. } => None,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Altered { sequence, entry_id } => write!(
                f,
                "entry {entry_id}, at place {sequence} of the chain, was altered or stands in another one's place"
            ),
            Self::Missing {
                sequence: Some(sequence),
                entry_id,
            } => write!(
                f,
                "entry {entry_id}, at place {sequence} of the chain, is missing"
            ),
            Self::Missing {
                sequence: None,
                entry_id,
            } => write!(f, "entry {entry_id}, which waits for its place, is missing"),
            Self::Gap { sequence } => write!(f, "the chain has no place {sequence}"),
            Self::Removed { sequence } => write!(
                f,
                "the chain has place {sequence}, which comes before its beginning"
            ),
            Self::Untold { sequence } => write!(
                f,
                "what was up to place {sequence} of the chain is gone, and the log doesn't tell that retention removed it"
            ),
            Self::Stray { entry_id } => write!(
                f,
                "entry {entry_id} has no place in the chain: it was put in afterwards, or the chain was cut off"
            ),
        }
    }
}

impl AuditLog {
    /// Computes the chain again from its beginning, and looks for entries that it lacks; tells the first
    /// thing that isn't as it was written. `noted` is a hash that somebody has noted as the head of the
    /// chain earlier: whether the chain had it shows whether its end was cut off or written anew since.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`](crate::error::Error::Forbidden) but for administrators; if the database fails.
    ///
    /// # Concurrency
    ///
    /// It sees the database as it was at one moment, and keeps nobody waiting.
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn verify(&self, ctx: &Ctx, noted: Option<&[u8; 32]>) -> Result<Verification> {
        ctx.require(Permission::ReadAuditLog)?;
        let snapshot = "begin isolation level repeatable read read only";
        let mut transaction = self.platform.pool.begin_with(snapshot).await?;
        let connection: &mut PgConnection = &mut transaction;
        let anchor = audit_chain::find_anchor(connection).await?;
        let beginning = anchor.map_or(
            Link {
                sequence: 0,
                hash: GENESIS,
            },
            |anchor| anchor.link,
        );
        let mut walk = Walk {
            head: beginning,
            entries: 0,
            noted,
            is_noted_seen: false,
        };
        let mut finding = audit_chain::find_first(connection)
            .await?
            .filter(|first| *first <= beginning.sequence)
            .map(|sequence| Finding::Removed { sequence });
        if let (None, Some(Anchor { link, .. })) = (finding, anchor) {
            let told = audit_chain::is_told_of(connection, link.sequence, &hex(&link.hash)).await?;
            let sequence = link.sequence;
            finding = (!told).then_some(Finding::Untold { sequence });
        }
        while finding.is_none() {
            let rows = audit_chain::list_chained(connection, walk.head.sequence, BATCH).await?;
            if rows.is_empty() {
                break;
            }
            finding = rows.iter().find_map(|row| walk.step(row));
        }
        if finding.is_none() {
            finding = find_stray(connection, walk.entries).await?;
        }
        if finding.is_none() {
            finding = audit_chain::find_lost(connection)
                .await?
                .map(|entry_id| Finding::Missing {
                    sequence: None,
                    entry_id,
                });
        }
        let is_head_known = match noted {
            Some(noted) => {
                Some(walk.is_noted_seen || audit_chain::is_anchored(connection, noted).await?)
            }
            None => None,
        };
        let waiting = audit_chain::waiting(connection).await?.entries;
        transaction.rollback().await?;
        Ok(Verification {
            entries: walk.entries,
            anchor,
            head: Some(walk.head).filter(|head| head.sequence > 0),
            waiting,
            finding,
            is_head_known,
        })
    }
}

/// How far the chain was computed again.
struct Walk<'a> {
    head: Link,
    entries: u64,
    noted: Option<&'a [u8; 32]>,
    is_noted_seen: bool,
}

impl Walk<'_> {
    /// Goes on to the next place; answers what is wrong with it.
    fn step(&mut self, row: &Chained) -> Option<Finding> {
        let expected = self.head.sequence + 1;
        if row.link.sequence != expected {
            return Some(Finding::Gap { sequence: expected });
        }
        let (sequence, entry_id) = (row.link.sequence, row.entry_id);
        let Some(entry) = &row.entry else {
            return Some(Finding::Missing {
                sequence: Some(sequence),
                entry_id,
            });
        };
        if entry.hash(&self.head.hash) != row.link.hash {
            return Some(Finding::Altered { sequence, entry_id });
        }
        self.head = row.link;
        self.entries += 1;
        self.is_noted_seen |= self.noted == Some(&row.link.hash);
        None
    }
}

/// The first entry that has no place and waits for none; so many have places.
async fn find_stray(connection: &mut PgConnection, chained: u64) -> Result<Option<Finding>> {
    // Ids are from 1, unless somebody gave them by hand.
    let first = i64::MIN;
    // To count is faster than to look for the place of each.
    let mut entries = 0;
    let mut after = first;
    loop {
        let part = audit_chain::count_entries(connection, after, COUNTED).await?;
        entries += part.entries;
        match part.last {
            Some(last) => after = last,
            None => break,
        }
    }
    let waiting = audit_chain::count_unchained(connection).await?;
    if u64::try_from(entries - waiting).is_ok_and(|entries| entries == chained) {
        return Ok(None);
    }
    let mut after = first;
    loop {
        let part = audit_chain::find_stray(connection, after, BATCH).await?;
        if let Some(entry_id) = part.stray {
            return Ok(Some(Finding::Stray { entry_id }));
        }
        match part.last {
            Some(last) => after = last,
            None => return Ok(None),
        }
    }
}
