//! Rows that want what an account has already.

use std::{collections::HashSet, mem};

use super::step::Step;
use crate::{
    domain::{id::UserId, user_record::Column},
    error::Result,
    repository::users,
};

/// A row that wants what somebody has.
pub(super) struct Clash {
    line: u64,
    column: Column,
    holder: UserId,
}

impl Step<'_> {
    /// Rejects a row since `holder` has what it gives in a column.
    pub(super) fn clash(&mut self, line: u64, column: Column, holder: UserId) {
        self.clashes.push(Clash {
            line,
            column,
            holder,
        });
    }

    /// Tells of all of them in whose way they came.
    pub(super) async fn tell_clashes(&mut self) -> Result<()> {
        let clashes = mem::take(&mut self.clashes);
        let passing = self.passing(&clashes).await?;
        for clash in clashes {
            let Clash {
                line,
                column,
                holder,
            } = clash;
            let who = match self.made.get(&holder) {
                Some(line) => format!("line {line} of the file"),
                None if passing.contains(&holder) => "an earlier line of the file".to_owned(),
                None => format!("the account {holder}"),
            };
            self.reject(line, Some(column), format!("{who} has it already"));
        }
        Ok(())
    }

    /// Those accounts of earlier batches that are there in this import's transaction only: where that is the whole
    /// file's it may come to nothing, and nobody would find the account of an id.
    async fn passing(&self, clashes: &[Clash]) -> Result<HashSet<UserId>> {
        if !self.import.options.is_whole() {
            return Ok(HashSet::new());
        }
        let holders = clashes.iter().map(|clash| clash.holder);
        let mut passing: HashSet<_> = holders.filter(|id| !self.made.contains_key(id)).collect();
        if !passing.is_empty() {
            let ids: Vec<_> = passing.iter().copied().collect();
            // Which sees what everybody sees.
            let mut other = self.imports.platform.pool.acquire().await?;
            for id in users::find_ids(&mut other, &ids).await? {
                passing.remove(&id);
            }
        }
        Ok(passing)
    }
}
