//! Tables as CSV (RFC 4180), which spreadsheets may open.

/// A line of these cells, with its end.
///
/// A spreadsheet takes a cell that begins with one of `= + - @`, a tab or a carriage return for a
/// formula, and may be made to run a program by it: such a cell gets an apostrophe before it.
///
/// # Panics
///
/// Never: nothing is written but to memory.
#[must_use]
pub fn line<'a>(cells: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    let harmless: Vec<_> = cells.into_iter().map(harmless).collect();
    writer
        .write_record(&harmless)
        .expect("memory takes whatever is written to it");
    writer
        .into_inner()
        .expect("memory takes whatever is written to it")
}

/// What begins a formula.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// Whether it is a formula, or would be without the apostrophes before it: of those, too, one more is
/// written, so that each cell can be told from what it was made of.
fn is_formula(cell: &str) -> bool {
    cell.trim_start_matches('\'').starts_with(FORMULA)
}

fn harmless(cell: &str) -> String {
    match is_formula(cell) {
        true => format!("'{cell}"),
        false => cell.to_owned(),
    }
}

/// What a cell was before [`line()`] wrote it: without the apostrophe before what looks like a formula.
#[must_use]
pub fn unharmed(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(formula) if is_formula(formula) => formula,
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_formulas_neutralised() {
        let cells = [
            "plain",
            "",
            "a,b",
            "say \"so\"",
            "two\nlines",
            "=1+1",
            "+1",
            "-1",
            "@x",
            "\tx",
            "\rx",
            "a=b",
        ];
        let text = String::from_utf8(line(cells)).unwrap();
        let expected = "plain,,\"a,b\",\"say \"\"so\"\"\",\"two\nlines\",'=1+1,'+1,'-1,'@x,'\tx,\"'\rx\",a=b\r\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn what_was_neutralised_comes_back() {
        for cell in [
            "=1+1", "+49 30 1", "-", "@x", "\tx", "\rx", "plain", "", "'quoted'", "'", "'=1",
            "''-1",
        ] {
            assert_eq!(unharmed(&harmless(cell)), cell);
        }
    }
}
