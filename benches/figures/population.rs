//! Users as they may be: names that many have beside names that few have, nicknames and addresses made of
//! them, most of them verified, some locked, some who never came back.

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use uuid::Uuid;

const CONSONANTS: [&str; 24] = [
    "b", "c", "d", "f", "g", "h", "j", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w", "ch",
    "sh", "th", "st", "tr", "br", "gr",
];
const VOWELS: [&str; 7] = ["a", "e", "i", "o", "u", "ai", "ou"];
const ENDS: [&str; 11] = ["n", "r", "s", "th", "son", "ley", "", "", "ck", "ng", "man"];
/// Names that many have come first.
const FIRST_NAMES: [&str; 12] = [
    "james", "mary", "john", "anna", "robert", "jennifer", "michael", "linda", "hannah", "joanna",
    "annabel", "thomas",
];
const LAST_NAMES: [&str; 10] = [
    "smith", "johnson", "williams", "brown", "jones", "garcia", "miller", "davis", "wilson",
    "moore",
];
const LOCALES: [&str; 10] = [
    "en", "en", "en", "en", "en", "de", "fr", "es", "pt-BR", "ja",
];

/// What users are called.
pub struct Names {
    first: Vec<String>,
    last: Vec<String>,
    parts: Vec<String>,
}

impl Names {
    /// The same names each time.
    pub fn new() -> Self {
        let mut random = StdRng::seed_from_u64(7);
        let mut more = |known: &[&str], count: usize| {
            let mut names: Vec<String> = known.iter().map(|name| (*name).to_owned()).collect();
            names.extend((0..count).map(|_| invent(&mut random)));
            names
        };
        Self {
            first: more(&FIRST_NAMES, 3_000),
            last: more(&LAST_NAMES, 20_000),
            parts: more(&[], 120),
        }
    }

    /// A name that many have more often than one that few have.
    pub fn first(&self, random: &mut StdRng) -> &str {
        often(&self.first, random)
    }

    /// The same of family names.
    pub fn last(&self, random: &mut StdRng) -> &str {
        often(&self.last, random)
    }
}

fn invent(random: &mut StdRng) -> String {
    let mut name = String::new();
    for _ in 0..[1, 2, 2, 2, 3][random.random_range(0..5)] {
        name += CONSONANTS[random.random_range(0..CONSONANTS.len())];
        name += VOWELS[random.random_range(0..VOWELS.len())];
    }
    name + ENDS[random.random_range(0..ENDS.len())]
}

/// The nth name about as often as 1/(n + 10).
fn often<'a>(names: &'a [String], random: &mut StdRng) -> &'a str {
    let most = (names.len() as f64 / 10.0 + 1.0).ln();
    let at = ((random.random::<f64>() * most).exp() - 1.0) * 10.0;
    &names[(at as usize).min(names.len() - 1)]
}

/// Adds the users of these numbers, straight in the database, and brings its statistics up to date.
pub async fn populate(
    database: &PgConnectOptions,
    names: &Names,
    numbers: std::ops::Range<usize>,
) -> Result<()> {
    const LINES: usize = 5_000;
    let mut random = StdRng::seed_from_u64(numbers.start as u64);
    let mut connection = PgConnection::connect_with(database).await?;
    let now = Utc::now();
    let mut copy = connection
        .copy_in_raw(
            "copy users (id, nickname, email, email_verified_at, password_hash, first_name, last_name, \
             role, is_professional, locked_at, deletion_due_at, last_login_at, created_at, updated_at, \
             phone_number, locale) from stdin",
        )
        .await?;
    let last = numbers.end;
    let mut lines = String::new();
    for number in numbers {
        lines += &line(names, &mut random, number, now);
        if number % LINES == 0 || number + 1 == last {
            copy.send(std::mem::take(&mut lines).into_bytes()).await?;
        }
    }
    copy.finish().await?;
    sqlx::query("vacuum analyze users")
        .execute(&mut connection)
        .await?;
    connection.close().await?;
    Ok(())
}

fn line(names: &Names, random: &mut StdRng, number: usize, now: DateTime<Utc>) -> String {
    const NULL: &str = "\\N";
    let (first, last) = (
        names.first(random).to_owned(),
        names.last(random).to_owned(),
    );
    let part = |random: &mut StdRng| names.parts[random.random_range(0..names.parts.len())].clone();
    let nickname = format!("{}_{}_{number}", part(random), part(random));
    let name = match random.random_range(0..3) {
        0 => format!("{first}.{last}{number}"),
        1 => format!("{}{last}{number}", &first[..1]),
        _ => nickname.clone(),
    };
    let host = match random.random_range(0..10) {
        0..5 => "gmail.com".to_owned(),
        5..8 => "example.com".to_owned(),
        _ => format!("{}.org", part(random)),
    };
    let created = now - TimeDelta::days(1_000) + TimeDelta::seconds(number as i64 * 80);
    let moment = created.to_rfc3339();
    // Nobody is erased while searches are measured.
    let due = (now + TimeDelta::days(20)).to_rfc3339();
    let maybe = |is: bool, text: &str| if is { text.to_owned() } else { NULL.to_owned() };
    let verified = random.random_range(0..100) < 93;
    let role = match random.random_range(0..1000) {
        0 => "ADMIN",
        1..6 => "MANAGER",
        _ if verified => "AUTHENTICATED",
        _ => "ANONYMOUS",
    };
    let login = created + TimeDelta::days(random.random_range(0..400));
    let random_bits: u128 = random.random();
    let millis = u128::try_from(created.timestamp_millis()).unwrap_or_default();
    let id = Uuid::from_u128((millis << 80) | (7 << 76) | (random_bits >> 52));
    let has_name = random.random_range(0..10) > 0;
    let mut with_capital = first.clone();
    if let Some(letter) = with_capital.get_mut(..1) {
        letter.make_ascii_uppercase();
    }
    [
        id.to_string(),
        nickname,
        format!("{name}@{host}"),
        maybe(verified, &moment),
        "$argon2id$v=19$m=19456,t=2,p=1$c29tZSBzYWx0IG9yIG90aGVy$c29tZSBkaWdlc3Qgb3Igb3RoZXIgaXMgaGVyZSE".to_owned(),
        maybe(has_name, &with_capital),
        maybe(has_name, &last),
        role.to_owned(),
        (random.random_range(0..10) == 0).to_string(),
        maybe(random.random_range(0..100) == 0, &moment),
        maybe(random.random_range(0..200) == 0, &due),
        maybe(random.random_range(0..5) > 0, &login.to_rfc3339()),
        moment.clone(),
        moment,
        maybe(random.random_range(0..3) == 0, &format!("+1{}", 2_000_000_000 + number * 7)),
        LOCALES[random.random_range(0..LOCALES.len())].to_owned(),
    ]
    .join("\t")
        + "\n"
}

/// A user as a row of a file: nickname, address, when that was verified, hash, names and phone number.
pub fn record(names: &Names, random: &mut StdRng, number: usize) -> String {
    let (first, last) = (names.first(random), names.last(random));
    let part = &names.parts[random.random_range(0..names.parts.len())];
    let hash = "$argon2id$v=19$m=19456,t=2,p=1$c29tZSBzYWx0IG9yIG90aGVy$c29tZSBkaWdlc3Qgb3Igb3RoZXIgaXMgaGVyZSE";
    format!(
        "{part}_{number},{first}.{last}{number}@example.com,2026-01-01T00:00:00Z,\"{hash}\",{first},{last},"
    )
}
