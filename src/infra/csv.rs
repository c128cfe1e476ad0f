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

fn harmless(cell: &str) -> String {
    match cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{cell}"),
        false => cell.to_owned(),
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
}
