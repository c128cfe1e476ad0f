//! CSV (RFC 4180): cells separated by commas, quoted where they hold commas, quotes or line ends.

use csv_core::ReadRecordResult;

use super::{Fault, MAX_RECORD, NO_UTF8, Record, TOO_LONG, Unreadable, shown};
use crate::{
    domain::{
        user_import::FilePlace,
        user_record::{Column, Field},
    },
    error::Rule,
    infra::csv::unharmed,
};

/// Most cells of a row: more than there are columns.
const MAX_CELLS: usize = 64;

/// A table on its way.
pub(super) struct Table {
    parser: csv_core::Reader,
    columns: Option<Vec<Column>>,
    /// The cells of the row so far, one behind the other, and how many bytes they are.
    cells: Box<[u8]>,
    used: usize,
    /// Where cells end, and how many do.
    ends: [usize; MAX_CELLS],
    ended: usize,
    /// Where the row begins, if one has begun.
    begun: Option<u64>,
    /// What was given up of the row: it is too long, or has too many cells.
    given_up: Option<Rule>,
    /// The last byte that was passed.
    before: u8,
    /// A row that ended with a carriage return: what comes next tells whether that was all of its line end.
    waiting: Option<Record>,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            parser: csv_core::Reader::new(),
            columns: None,
            cells: vec![0; MAX_RECORD].into(),
            used: 0,
            ends: [0; MAX_CELLS],
            ended: 0,
            begun: None,
            given_up: None,
            before: 0,
            waiting: None,
        }
    }
}

impl Table {
    pub(super) fn has_head(&self) -> bool {
        self.columns.is_some()
    }

    /// Forgets the row that has begun.
    pub(super) fn forget(&mut self) {
        self.parser.reset();
        self.clear();
        // Places are behind whole line ends.
        (self.before, self.waiting) = (0, None);
    }

    fn clear(&mut self) {
        (self.used, self.ended) = (0, 0);
        (self.begun, self.given_up) = (None, None);
    }

    pub(super) fn take(
        &mut self,
        mut piece: &[u8],
        at: &mut FilePlace,
        records: &mut Vec<Record>,
    ) -> Result<(), Unreadable> {
        while let Some((first, behind)) = piece.split_first() {
            if let Some(record) = self.waiting.take() {
                if *first == b'\n' {
                    self.pass(b"\n", at);
                    piece = behind;
                }
                records.push(Record { end: *at, ..record });
                continue;
            }
            if self.begun.is_none() {
                let is_end = |byte: &&u8| matches!(**byte, b'\r' | b'\n');
                let (blank, rest) = piece.split_at(piece.iter().take_while(is_end).count());
                self.pass(blank, at);
                piece = rest;
                if piece.is_empty() {
                    break;
                }
                self.begun = Some(at.line + 1);
            }
            let (is_row, read) = self.parse(piece);
            let (done, rest) = piece.split_at(read);
            self.pass(done, at);
            piece = rest;
            if is_row {
                let record = self.end_row(*at)?;
                match self.before {
                    b'\r' => self.waiting = record,
                    _ => records.extend(record),
                }
            }
        }
        Ok(())
    }

    /// Goes behind these bytes. Lines end with a line feed, a carriage return (as old spreadsheets write
    /// them), or both.
    fn pass(&mut self, bytes: &[u8], at: &mut FilePlace) {
        let mut before = self.before;
        for byte in bytes {
            let is_end = *byte == b'\r' || (*byte == b'\n' && before != b'\r');
            at.line += u64::from(is_end);
            before = *byte;
        }
        at.offset += bytes.len() as u64;
        self.before = before;
    }

    /// Reads on; answers whether that was the end of a row, and how many bytes it was.
    fn parse(&mut self, piece: &[u8]) -> (bool, usize) {
        let cells = &mut self.cells[self.used..];
        let ends = &mut self.ends[self.ended..];
        let (result, read, written, ended) = self.parser.read_record(piece, cells, ends);
        self.used += written;
        self.ended += ended;
        match result {
            ReadRecordResult::Record => return (true, read),
            // What is too long is read to its end, so that the next row is found.
            ReadRecordResult::OutputFull => self.give_up(TOO_LONG),
            ReadRecordResult::OutputEndsFull => {
                self.give_up(Rule::new(
                    "too_many_cells",
                    "has far more cells than columns",
                ));
            }
            ReadRecordResult::InputEmpty | ReadRecordResult::End => {}
        }
        (false, read)
    }

    fn give_up(&mut self, rule: Rule) {
        (self.used, self.ended) = (0, 0);
        self.given_up.get_or_insert(rule);
    }

    /// Ends the file.
    pub(super) fn finish(
        &mut self,
        at: FilePlace,
        records: &mut Vec<Record>,
    ) -> Result<(), Unreadable> {
        records.extend(self.waiting.take());
        if self.begun.is_some() {
            // Within quotes a line end would be one more character of the cell.
            let (mut ending, mut is_row): (&[u8], bool) = (b"\n", false);
            while !ending.is_empty() && !is_row {
                let (row, read) = self.parse(ending);
                is_row = row;
                ending = &ending[read..];
            }
            if !is_row {
                self.given_up = Some(match self.given_up {
                    None => Rule::new(
                        "cut_off",
                        "the file ends within quotes: it is cut off, or a quote isn't closed",
                    ),
                    Some(_) => Rule::new(
                        "cut_off",
                        "is longer than 64 KiB and has no end: it is cut off, or a quote isn't closed",
                    ),
                });
            }
            records.extend(self.end_row(at)?);
        }
        match self.columns {
            Some(_) => Ok(()),
            None => Err(Unreadable {
                line: 1,
                reason: "is empty: its first row must name the columns".to_owned(),
            }),
        }
    }

    /// Ends a row: answers it, unless it is the first, which names the columns.
    fn end_row(&mut self, end: FilePlace) -> Result<Option<Record>, Unreadable> {
        let line = self.begun.unwrap_or(end.line);
        let record = match &self.columns {
            None => {
                let head = self.head();
                self.columns = Some(head.map_err(|reason| Unreadable { line, reason })?);
                None
            }
            Some(columns) => Some(Record {
                line,
                end,
                fields: self.row(columns),
            }),
        };
        self.clear();
        Ok(record)
    }

    fn cells(&self) -> impl Iterator<Item = &[u8]> {
        let ends = &self.ends[..self.ended];
        let starts = std::iter::once(&0).chain(ends);
        starts
            .zip(ends)
            .map(|(start, end)| &self.cells[*start..*end])
    }

    fn row(&self, columns: &[Column]) -> Result<Vec<Field>, Vec<Fault>> {
        if let Some(rule) = &self.given_up {
            return Err(vec![(None, rule.clone())]);
        }
        if self.ended != columns.len() {
            let message = format!(
                "has {} cells and not {}, as the first row has: is it cut off, or a cell with a comma not \
                 quoted?",
                self.ended,
                columns.len()
            );
            let rule = Rule {
                kind: "wrong_number_of_cells",
                message: message.into(),
            };
            return Err(vec![(None, rule)]);
        }
        let (mut fields, mut faults) = (Vec::new(), Vec::new());
        for (column, cell) in columns.iter().zip(self.cells()) {
            match str::from_utf8(cell) {
                Ok("") => {}
                Ok(text) => fields.push((*column, unharmed(text).to_owned())),
                Err(_) => faults.push((Some(*column), NO_UTF8)),
            }
        }
        match faults.is_empty() {
            true => Ok(fields),
            false => Err(faults),
        }
    }

    /// The columns that the first row names.
    fn head(&self) -> Result<Vec<Column>, String> {
        if let Some(rule) = &self.given_up {
            return Err(format!("the first row, which names the columns, {rule}"));
        }
        let (mut columns, mut unknown) = (Vec::new(), Vec::new());
        for cell in self.cells() {
            let name = str::from_utf8(cell).map_err(|_| NO_UTF8.message.to_string())?;
            match Column::named(name.trim()) {
                Some(column) if columns.contains(&column) => {
                    return Err(format!("the column {} stands twice", column.name()));
                }
                Some(column) => columns.push(column),
                None => unknown.push(shown(name)),
            }
        }
        if !unknown.is_empty() {
            let known: Vec<_> = Column::imported().map(Column::name).collect();
            return Err(format!(
                "the first row must name columns, separated by commas, and {} is none; there are: {}",
                unknown.join(", "),
                known.join(", ")
            ));
        }
        if !Column::IDENTIFYING
            .iter()
            .any(|column| columns.contains(column))
        {
            let names = Column::IDENTIFYING.map(Column::name).join(", ");
            return Err(format!("a column is missing: one of {names}"));
        }
        Ok(columns)
    }
}
