//! Times as people write them in filters: a moment (RFC 3339), or a day in UTC.

use chrono::{DateTime, Datelike as _, Days, NaiveDate, NaiveTime, TimeDelta, Utc};

use crate::error::Rule;

const INVALID: Rule = Rule::new(
    "invalid_time",
    "must be a time such as 2026-11-21T08:15:00Z, or a day such as 2026-11-21",
);

/// A time at which something begins: of a day its first moment.
///
/// # Errors
///
/// For what is no time of the years 1 to 9999.
pub fn first(text: &str) -> Result<DateTime<Utc>, Rule> {
    let (time, _) = parse(text)?;
    in_range(time)
}

/// A time up to which something is, and which belongs to it: of a day its last moment.
///
/// # Errors
///
/// As of [`first`].
pub fn last(text: &str) -> Result<DateTime<Utc>, Rule> {
    let time = match parse(text)? {
        (start, true) => next_day(start)? - TimeDelta::microseconds(1),
        (time, false) => time,
    };
    in_range(time)
}

/// A time before which something is: a day belongs to it as a whole, as it does to [`last`].
///
/// # Errors
///
/// As of [`first`].
pub fn end(text: &str) -> Result<DateTime<Utc>, Rule> {
    let time = match parse(text)? {
        (start, true) => {
            in_range(start)?;
            return next_day(start);
        }
        (time, false) => time,
    };
    in_range(time)
}

/// A moment, or the first one of a day and whether it is one.
fn parse(text: &str) -> Result<(DateTime<Utc>, bool), Rule> {
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok((day.and_time(NaiveTime::MIN).and_utc(), true));
    }
    // A plus that nobody escaped in a query has become a blank.
    let text = text.replace(' ', "+");
    let time = DateTime::parse_from_rfc3339(&text).map_err(|_| INVALID)?;
    Ok((time.to_utc(), false))
}

fn next_day(start: DateTime<Utc>) -> Result<DateTime<Utc>, Rule> {
    start.checked_add_days(Days::new(1)).ok_or(INVALID)
}

/// What PostgreSQL can tell.
fn in_range(time: DateTime<Utc>) -> Result<DateTime<Utc>, Rule> {
    match (1..=9999).contains(&time.year()) {
        true => Ok(time),
        false => Err(INVALID),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_counts_from_its_first_to_its_last_moment() {
        let day = "2026-11-21";
        for (read, expected) in [
            (first(day), "2026-11-21T00:00:00Z"),
            (last(day), "2026-11-21T23:59:59.999999Z"),
            (end(day), "2026-11-22T00:00:00Z"),
        ] {
            assert_eq!(read.unwrap(), expected.parse::<DateTime<Utc>>().unwrap());
        }
    }

    #[test]
    fn a_moment_is_itself_however_it_is_written() {
        let expected: DateTime<Utc> = "2026-11-21T07:15:00Z".parse().unwrap();
        for text in [
            "2026-11-21T07:15:00Z",
            "2026-11-21T08:15:00+01:00",
            "2026-11-21T08:15:00 01:00",
        ] {
            for read in [first(text), last(text), end(text)] {
                assert_eq!(read.unwrap(), expected, "{text}");
            }
        }
    }

    #[test]
    fn what_is_no_time_or_of_no_year_that_the_database_knows_is_refused() {
        for text in [
            "",
            "x",
            "2026-13-01",
            "today",
            "2026-11-21 08:15",
            "0000-01-01",
            "262000-01-01",
            "+262142-12-31",
            "-9999-01-01T00:00:00Z",
        ] {
            for read in [first(text), last(text), end(text)] {
                assert!(read.is_err(), "{text}");
            }
        }
        assert!(
            end("9999-12-31").is_ok(),
            "PostgreSQL knows the day behind it"
        );
    }
}
