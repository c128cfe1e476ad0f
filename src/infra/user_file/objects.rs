//! NDJSON: a JSON object a line, a member a column.

use std::{collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Value, error::Category};

use super::{Fault, MAX_RECORD, NO_UTF8, Record, TOO_LONG, shown};
use crate::{
    domain::{
        user_import::FilePlace,
        user_record::{Column, Field},
    },
    error::Rule,
};

/// Most faults of a line that are told: a line has room for thousands of them.
const MOST_FAULTS: usize = 20;

/// Lines on their way.
#[derive(Default)]
pub(super) struct Objects {
    /// The line so far.
    line: Vec<u8>,
    is_too_long: bool,
}

impl Objects {
    /// Forgets the line that has begun.
    pub(super) fn forget(&mut self) {
        self.line.clear();
        self.is_too_long = false;
    }

    pub(super) fn take(&mut self, piece: &[u8], at: &mut FilePlace, records: &mut Vec<Record>) {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            at.offset += part.len() as u64;
            at.line += u64::from(part.ends_with(b"\n"));
            // What is too long is passed over to its end.
            self.is_too_long |= self.line.len() + part.len() > MAX_RECORD;
            match self.is_too_long {
                true => self.line.clear(),
                false => self.line.extend_from_slice(part),
            }
            if part.ends_with(b"\n") {
                self.end_line(at.line, *at, records);
            }
        }
    }

    /// Ends the file.
    pub(super) fn finish(&mut self, at: FilePlace, records: &mut Vec<Record>) {
        self.end_line(at.line + 1, at, records);
    }

    fn end_line(&mut self, line: u64, end: FilePlace, records: &mut Vec<Record>) {
        let fields = match self.is_too_long {
            true => Err(vec![(None, TOO_LONG)]),
            false if self.line.trim_ascii().is_empty() => {
                self.forget();
                return;
            }
            false => object(&self.line),
        };
        records.push(Record { line, end, fields });
        self.forget();
    }
}

fn object(line: &[u8]) -> Result<Vec<Field>, Vec<Fault>> {
    let text = str::from_utf8(line).map_err(|_| vec![(None, NO_UTF8)])?;
    let Members(members) = serde_json::from_str(text).map_err(|error| {
        let rule = match error.classify() {
            Category::Data => Rule::new("no_object", "is no JSON object"),
            Category::Syntax | Category::Eof | Category::Io => Rule {
                kind: "no_json",
                message: format!(
                    "is no JSON: cut off or malformed at character {}",
                    error.column()
                )
                .into(),
            },
        };
        vec![(None, rule)]
    })?;
    let (mut fields, mut faults, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    let mut has_unknown = false;
    for (name, value) in members {
        if faults.len() == MOST_FAULTS {
            break;
        }
        let Some(column) = Column::named(&name) else {
            let is_first = !std::mem::replace(&mut has_unknown, true);
            faults.push((None, unknown(&name, is_first)));
            continue;
        };
        if !seen.insert(column) {
            let rule = Rule::new("duplicate", "stands twice");
            faults.push((Some(column), rule));
            continue;
        }
        match (value, column) {
            (Value::Null, _) => {}
            (Value::String(text), _) if text.is_empty() => {}
            (Value::String(text), _) => fields.push((column, text)),
            (Value::Bool(yes), Column::IsNamePublic | Column::IsProfessional) => {
                fields.push((column, yes.to_string()));
            }
            (Value::Number(number), Column::Revision) => {
                fields.push((column, number.to_string()));
            }
            (_, Column::IsNamePublic | Column::IsProfessional) => {
                let rule = Rule::new("invalid_boolean", "must be true or false");
                faults.push((Some(column), rule));
            }
            (_, _) => {
                let rule = Rule::new("no_string", "must be a string");
                faults.push((Some(column), rule));
            }
        }
    }
    match faults.is_empty() {
        true => Ok(fields),
        false => Err(faults),
    }
}

/// What is wrong with a member that nobody knows; the first one of a line tells which there are.
fn unknown(name: &str, is_first: bool) -> Rule {
    let mut message = format!("{} is no member of a user", shown(name));
    if is_first {
        let known: Vec<_> = Column::imported().map(Column::name).collect();
        message += "; there are: ";
        message += &known.join(", ");
    }
    Rule {
        kind: "unknown_member",
        message: message.into(),
    }
}

/// The members of an object, also those that stand twice.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnObject;

        impl<'de> Visitor<'de> for AnObject {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Members, M::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(AnObject)
    }
}
