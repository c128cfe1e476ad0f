use super::*;

/// A record, as tests look at it.
type Seen = (u64, Result<Vec<(&'static str, String)>, Vec<String>>);

fn seen(records: Vec<Record>) -> Vec<Seen> {
    let row = |record: Record| {
        let fields = record.fields.map(|fields| {
            let fields = fields.into_iter();
            fields.map(|(column, text)| (column.name(), text)).collect()
        });
        let fields = fields.map_err(|faults| {
            let shown = faults.into_iter().map(|(column, rule)| match column {
                Some(column) => format!("{}: {rule}", column.name()),
                None => rule.to_string(),
            });
            shown.collect()
        });
        (record.line, fields)
    };
    records.into_iter().map(row).collect()
}

fn read_in(format: Format, bytes: &[u8], piece: usize) -> Result<Vec<Record>, Unreadable> {
    let (mut file, mut records) = (UserFile::new(format), Vec::new());
    for piece in bytes.chunks(piece) {
        file.feed(piece, &mut records)?;
    }
    file.finish(&mut records)?;
    Ok(records)
}

/// Reads it in pieces of many sizes, which must make no difference.
fn read(format: Format, bytes: impl AsRef<[u8]>) -> Result<Vec<Seen>, Unreadable> {
    let bytes = bytes.as_ref();
    let whole = read_in(format, bytes, usize::MAX).map(seen);
    if bytes.len() < 4096 {
        for piece in 1..16 {
            assert_eq!(read_in(format, bytes, piece).map(seen), whole, "{piece}");
        }
    }
    whole
}

fn csv(text: impl AsRef<[u8]>) -> Vec<Seen> {
    read(Format::Csv, text).unwrap()
}

fn no_csv(text: impl AsRef<[u8]>) -> String {
    read(Format::Csv, text).unwrap_err().to_string()
}

fn good(line: u64, fields: &[(&'static str, &str)]) -> Seen {
    let fields = fields
        .iter()
        .map(|(name, text)| (*name, (*text).to_owned()));
    (line, Ok(fields.collect()))
}

fn bad(line: u64, reason: &str) -> Seen {
    (line, Err(vec![reason.to_owned()]))
}

#[test]
fn a_table_has_a_record_a_row() {
    let expected = [
        good(2, &[("email", "ada@example.com"), ("bio", "Writes.")]),
        good(3, &[("email", "bob@example.com")]),
    ];
    for text in [
        "email,bio\nada@example.com,Writes.\nbob@example.com,\n",
        "email,bio\nada@example.com,Writes.\nbob@example.com,",
        "email,bio\r\nada@example.com,Writes.\r\nbob@example.com,\r\n",
        "\u{feff}email,bio\r\nada@example.com,Writes.\r\nbob@example.com,\r\n",
        "\"email\", bio \n\"ada@example.com\",Writes.\n\"bob@example.com\",\"\"",
    ] {
        assert_eq!(csv(text), expected, "{text:?}");
    }
}

#[test]
fn cells_hold_line_ends_quotes_and_commas_and_lines_are_counted_on() {
    let text = "email,bio\na@example.com,\"one,\r\ntwo \"\"so\"\"\n\nfive\"\n\n\nb@example.com,x\n";
    let expected = [
        good(
            2,
            &[
                ("email", "a@example.com"),
                ("bio", "one,\r\ntwo \"so\"\n\nfive"),
            ],
        ),
        good(8, &[("email", "b@example.com"), ("bio", "x")]),
    ];
    assert_eq!(csv(text), expected);
}

#[test]
fn lines_that_end_with_carriage_returns_alone_are_counted_too() {
    let text = "email,bio\ra@example.com,\"one\rtwo\"\r\rx\rb@example.com,\r\r\nc@example.com,\n\rd@example.com,";
    let lines: Vec<_> = csv(text)
        .into_iter()
        .map(|(line, fields)| (line, fields.is_ok()))
        .collect();
    assert_eq!(
        lines,
        [(2, true), (5, false), (6, true), (8, true), (10, true)]
    );
}

#[test]
fn the_apostrophe_before_what_looks_like_a_formula_is_taken_away_and_nothing_else() {
    let text = "phone_number,bio\n'+4930123456,'quoted'\n+4930123457,''=1\n";
    let expected = [
        good(2, &[("phone_number", "+4930123456"), ("bio", "'quoted'")]),
        good(3, &[("phone_number", "+4930123457"), ("bio", "'=1")]),
    ];
    assert_eq!(csv(text), expected);
}

#[test]
fn a_head_that_cannot_be_taken_is_told_at_once() {
    for (text, reason) in [
        ("", "line 1: is empty: its first row must name the columns"),
        (
            "\n\n",
            "line 1: is empty: its first row must name the columns",
        ),
        ("email,bio,email\n", "line 1: the column email stands twice"),
        (
            "nickname,bio\nada,x\n",
            "line 1: a column is missing: one of email, phone_number, legacy_name",
        ),
    ] {
        assert_eq!(no_csv(text), reason);
    }
    let unknown = no_csv("email;bio\nada@example.com;x\n");
    assert!(unknown.starts_with("line 1: the first row must name columns, separated by commas, and \"email;bio\" is none; there are: id, nickname, email,"), "{unknown}");
    assert!(unknown.ends_with("password_hash, password"), "{unknown}");
    let endless = format!("email,\"{}\n", "x".repeat(100_000));
    assert!(no_csv(endless).starts_with("line 1: the first row"));
}

#[test]
fn what_is_no_utf8_is_told_as_such() {
    let wide: Vec<u8> = "email\nada@example.com\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for bytes in [&wide[..], &[&[0xff, 0xfe][..], &wide].concat()] {
        assert_eq!(
            no_csv(bytes),
            "line 1: is UTF-16 or binary: save it as UTF-8"
        );
    }
    let text = b"email,bio\nada@example.com,caf\xe9\nbob@example.com,caf\xc3\xa9\n";
    let expected = [
        bad(2, "bio: is not UTF-8"),
        good(3, &[("email", "bob@example.com"), ("bio", "café")]),
    ];
    assert_eq!(csv(text), expected);
    assert!(no_csv(b"PK\x03\x04 and so on").contains("spreadsheet"));
}

#[test]
fn a_cell_of_any_size_costs_its_row_and_little_memory() {
    let huge = "x".repeat(10_000_000);
    let text =
        format!("email,bio\na@example.com,{huge}\nb@example.com,\"{huge}\"\nc@example.com,\n");
    let expected = [
        bad(2, "is longer than 64 KiB"),
        bad(3, "is longer than 64 KiB"),
        good(4, &[("email", "c@example.com")]),
    ];
    assert_eq!(csv(text), expected);
    let commas = format!("email,bio\n{}\nc@example.com,\n", ",".repeat(500));
    let expected = [
        bad(2, "has far more cells than columns"),
        good(3, &[("email", "c@example.com")]),
    ];
    assert_eq!(csv(commas), expected);
}

#[test]
fn a_file_that_is_cut_off_is_told_with_its_line() {
    let expected = bad(
        3,
        "has 1 cells and not 2, as the first row has: is it cut off, or a cell with a comma not quoted?",
    );
    assert_eq!(csv("email,bio\na@example.com,x\nb@exam")[1], expected);
    let expected = bad(
        3,
        "the file ends within quotes: it is cut off, or a quote isn't closed",
    );
    assert_eq!(
        csv("email,bio\na@example.com,x\nb@example.com,\"so")[1],
        expected
    );
    // A quote that is closed by the end itself is none.
    let whole = csv("email,bio\na@example.com,\"x\"");
    assert_eq!(
        whole,
        [good(2, &[("email", "a@example.com"), ("bio", "x")])]
    );
    let swallowed = format!(
        "email,bio\na@example.com,\"x\n{}",
        "b@example.com,y\n".repeat(9000)
    );
    let expected = bad(
        2,
        "is longer than 64 KiB and has no end: it is cut off, or a quote isn't closed",
    );
    assert_eq!(csv(swallowed), [expected]);
    let objects = read(
        Format::Ndjson,
        "{\"email\":\"a@example.com\"}\n{\"email\":\"b@ex",
    )
    .unwrap();
    assert_eq!(objects[0], good(1, &[("email", "a@example.com")]));
    let expected = bad(2, "is no JSON: cut off or malformed at character 14");
    assert_eq!(objects[1], expected);
}

#[test]
fn an_object_a_line_is_a_record() {
    let text = "\u{feff}{\"email\":\"a@example.com\",\"is_professional\":true,\"bio\":null,\"nickname\":\"\"}\r\n\n\
        {\"email\":\"b@example.com\",\"is_name_public\":\"false\",\"revision\":7}";
    let expected = [
        good(
            1,
            &[("email", "a@example.com"), ("is_professional", "true")],
        ),
        good(
            3,
            &[
                ("email", "b@example.com"),
                ("is_name_public", "false"),
                ("revision", "7"),
            ],
        ),
    ];
    assert_eq!(read(Format::Ndjson, text).unwrap(), expected);
}

#[test]
fn an_object_that_cannot_be_taken_costs_its_line() {
    let huge = "x".repeat(100_000);
    let text = format!(
        "[1]\n\"secret\"\n{{\"email\":\"a@example.com\",\"email\":\"b@example.com\"}}\n{{\"email\":7}}\n\
         {{\"is_professional\":1}}\n{{\"Email\":\"secret\"}}\n{{\"bio\":\"{huge}\"}}\n{{}}\n{{\"email\":\"c@example.com\"}}\n"
    );
    let read = read(Format::Ndjson, text).unwrap();
    let reasons: Vec<_> = read
        .iter()
        .map(|(line, fields)| match fields {
            Ok(fields) => format!("{line}: {} good", fields.len()),
            Err(reasons) => format!("{line}: {}", reasons.join("; ")),
        })
        .collect();
    assert!(reasons[5].starts_with("6: \"Email\" is no member of a user; there are: id,"));
    assert!(!reasons.concat().contains("secret"));
    assert_eq!(
        (&reasons[..5], &reasons[6..]),
        (
            &[
                "1: is no JSON object".to_owned(),
                "2: is no JSON object".to_owned(),
                "3: email: stands twice".to_owned(),
                "4: email: must be a string".to_owned(),
                "5: is_professional: must be true or false".to_owned(),
            ][..],
            &[
                "7: is longer than 64 KiB".to_owned(),
                "8: 0 good".to_owned(),
                "9: 1 good".to_owned(),
            ][..]
        )
    );
}

#[test]
fn a_line_full_of_faults_costs_little() {
    let unknown = "\"x\":0,".repeat(10_000);
    let repeated = "\"email\":\"\",".repeat(4000);
    let text = format!("{{{unknown}\"bio\":\"\"}}\n{{{repeated}\"bio\":\"\"}}\n");
    for (_, fields) in read(Format::Ndjson, text).unwrap() {
        let reasons = fields.unwrap_err();
        assert_eq!(reasons.len(), 20);
        assert!(reasons.concat().len() < 2000, "{reasons:?}");
    }
}

#[test]
fn wherever_a_file_is_gone_on_with_the_rest_is_the_same() {
    let table = "\u{feff}email,bio\r\na@example.com,\"x\r\ny\"\r\nbroken\r\n\r\nb@example.com,z\r\nc@example.com,\"\n";
    let objects = "{\"email\":\"a@example.com\"}\n\nbroken\n{\"email\":\"b@example.com\"}";
    let old = table.replace("\r\n", "\r");
    for (format, text) in [
        (Format::Csv, table),
        (Format::Csv, &*old),
        (Format::Ndjson, objects),
    ] {
        let all = read_in(format, text.as_bytes(), usize::MAX).unwrap();
        assert!(all.len() >= 3);
        let places: Vec<_> = all.iter().map(|record| record.end).collect();
        let all = seen(all);
        for (at, place) in places.into_iter().enumerate() {
            let (mut file, mut records) = (UserFile::new(format), Vec::new());
            file.feed(&text.as_bytes()[..32], &mut records).unwrap();
            assert!(file.has_head());
            file.go_to(place);
            records.clear();
            let offset = usize::try_from(place.offset).unwrap();
            file.feed(&text.as_bytes()[offset..], &mut records).unwrap();
            file.finish(&mut records).unwrap();
            assert_eq!(seen(records), all[at + 1..], "after {at}");
        }
    }
}
