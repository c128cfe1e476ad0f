//! The audit log.

use chrono::TimeDelta;

use super::Reader;

/// The audit log.
#[derive(Debug, Clone, Copy)]
pub struct AuditConfig {
    /// For how long entries are kept; none: for ever.
    pub retention: Option<TimeDelta>,
}

impl AuditConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        reader.section("Audit");
        let days: u16 = reader.with_default(
            "AUDIT_RETENTION_DAYS",
            "365",
            "For how many days entries of the audit log are kept; what is left of it still verifies. 0 keeps them for ever.",
        );
        Self {
            retention: (days > 0).then(|| TimeDelta::days(days.into())),
        }
    }
}
