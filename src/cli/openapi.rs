//! `user-management openapi`.

use std::io::Write as _;

use anyhow::Context as _;

use crate::http;

pub(super) fn run() -> anyhow::Result<()> {
    let document = http::document("/").to_pretty_json().context("can't write the document")?;
    writeln!(std::io::stdout(), "{document}").context("can't print the document")
}
