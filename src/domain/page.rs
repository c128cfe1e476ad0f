//! A part of a list.

/// Which part: `limit` rows after the first `skip`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Rows to pass over.
    pub skip: u32,
    /// Rows at most: 1 to [`Page::MAX_LIMIT`].
    pub limit: u32,
}

impl Page {
    /// The most rows in one answer.
    pub const MAX_LIMIT: u32 = 100;

    /// The number of this page, from 1.
    #[must_use]
    pub fn number(self) -> u32 {
        self.skip / self.limit + 1
    }
}

/// What a page holds, and how many there are in all.
#[derive(Debug, Clone)]
pub struct Listed<T> {
    /// The rows of the page.
    pub items: Vec<T>,
    /// How many rows the whole list has.
    pub total: u64,
}
