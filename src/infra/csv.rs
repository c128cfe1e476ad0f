//! Tables as CSV (RFC 4180), which spreadsheets may open.
//!
//! A spreadsheet takes a cell that begins with one of `= + - @`, a tab or a carriage return for a
//! formula, and may be made to run a program by it: such a cell gets an apostrophe before it. So that
//! every cell can be [read back](unharmed) as it was, one that has nothing but apostrophes before such a
//! character gets one more.

/// Lines of a table, in one buffer.
#[derive(Debug)]
pub struct Lines {
    writer: csv::Writer<Vec<u8>>,
    /// What is made of a cell; kept for the next one.
    cell: String,
}

impl Default for Lines {
    fn default() -> Self {
        let writer = csv::WriterBuilder::new()
            .terminator(csv::Terminator::CRLF)
            .from_writer(Vec::new());
        Self {
            writer,
            cell: String::new(),
        }
    }
}

impl Lines {
    /// Adds a cell to the last line.
    ///
    /// # Panics
    ///
    /// Never: nothing is written but to memory.
    pub fn cell(&mut self, text: &str) {
        let cell = if is_formula(text) {
            self.cell.clear();
            self.cell.push('\'');
            self.cell.push_str(text);
            self.cell.as_str()
        } else {
            text
        };
        self.writer
            .write_field(cell)
            .expect("memory takes whatever is written to it");
    }

    /// Ends a line, which has cells.
    ///
    /// # Panics
    ///
    /// Never: nothing is written but to memory, and lines may be of any length.
    pub fn end(&mut self) {
        self.writer
            .write_record(None::<&[u8]>)
            .expect("memory takes whatever is written to it");
    }

    /// All lines.
    ///
    /// # Panics
    ///
    /// Never: nothing is written but to memory.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.writer
            .into_inner()
            .expect("memory takes whatever is written to it")
    }
}

/// A line of these cells, with its end.
#[must_use]
pub fn line<'a>(cells: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let mut lines = Lines::default();
    for cell in cells {
        lines.cell(cell);
    }
    lines.end();
    lines.into_bytes()
}

/// What was written as this cell: without the apostrophe that made it harmless.
#[must_use]
pub fn unharmed(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if is_formula(rest) => rest,
        _ => cell,
    }
}

/// Whether a spreadsheet may take it for a formula, or a reader for one that was made harmless.
fn is_formula(cell: &str) -> bool {
    cell.trim_start_matches('\'')
        .starts_with(['=', '+', '-', '@', '\t', '\r'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
            "'so'",
            "'=1",
        ];
        let text = String::from_utf8(line(cells)).unwrap();
        let expected = "plain,,\"a,b\",\"say \"\"so\"\"\",\"two\nlines\",'=1+1,'+1,'-1,'@x,'\tx,\"'\rx\",a=b,'so',''=1\r\n";
        assert_eq!(text, expected);
    }

    proptest! {
        #[test]
        fn every_cell_is_read_back_as_it_was(
            cells in prop::collection::vec("['=+@\\-\t\r\n\",a🦊 ]{0,6}", 1..5)
        ) {
            let line = line(cells.iter().map(String::as_str));
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&*line);
            let record = reader.records().next().unwrap().unwrap();
            let read: Vec<_> = record.iter().map(unharmed).collect();
            prop_assert_eq!(read, cells);
            prop_assert!(record.iter().all(|cell| !cell.starts_with(['=', '+', '-', '@', '\t', '\r'])));
        }
    }
}
