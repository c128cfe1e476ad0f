//! Tests of the forms of hashes; that they are compared right is tested with the hasher.

use proptest::prelude::*;

use super::*;

/// Made by other software: format, password, hash.
const VECTORS: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/it/data/password_hashes.csv"
));

const SALT: &str = "c29tZXNhbHRzb21lc2FsdA";
const OUTPUT: &str = "9sTbSlTio3Biev89thdrlKKiCaYsjjYVJxGAL3swxpQ";

fn vectors() -> impl Iterator<Item = (&'static str, &'static str)> {
    VECTORS.lines().skip(1).map(|line| {
        let (format, rest) = line.split_once(',').unwrap();
        let (_, hash) = rest.split_once(',').unwrap();
        (format, hash.trim_matches('"'))
    })
}

fn kind(text: &str) -> &'static str {
    ImportedHash::parse(text)
        .err()
        .map_or("ok", |rule| rule.kind)
}

#[test]
fn every_form_of_other_software_is_known() {
    for (format, text) in vectors() {
        let hash = ImportedHash::parse(text).unwrap_or_else(|rule| panic!("{format}: {rule}"));
        assert_eq!(hash.stored().expose(), text);
        let is_its_scheme = match hash.scheme() {
            Scheme::Argon2 { .. } => format.starts_with("argon2"),
            Scheme::Bcrypt { of_sha256, .. } => {
                format.starts_with("bcrypt") && *of_sha256 == format.contains("sha256")
            }
            Scheme::Pbkdf2 { .. } => format.starts_with("pbkdf2"),
            Scheme::Scrypt { .. } => format.starts_with("scrypt"),
            Scheme::ShaCrypt => format.starts_with("sha"),
        };
        assert!(is_its_scheme, "{format}");
        assert!(!format!("{hash:?}").contains('$'));
    }
}

#[test]
fn what_is_cut_short_is_refused() {
    for (format, text) in vectors() {
        for end in 0..text.len() {
            let cut = &text[..end];
            // Argon2's output may have other lengths, of which none is the beginning of another.
            let is_another = format.starts_with("argon2");
            assert!(is_another || kind(cut) != "ok", "{format}: {cut}");
        }
        for longer in [format!("{text}$"), format!("{text} "), format!(" {text}")] {
            assert_ne!(kind(&longer), "ok", "{longer}");
        }
    }
}

#[test]
fn what_is_malformed_is_refused() {
    let bcrypt = "dCbeprZWBccQjPijz/aMBeBxvSkN1byfkKGgO9mu4ZR0ji0zdGdBq";
    for text in [
        format!("$argon2id$v=18$m=8,t=1,p=1${SALT}${OUTPUT}"),
        format!("$argon2id$v=19$m=8,t=1${SALT}${OUTPUT}"),
        format!("$argon2id$v=19$m=8,t=0,p=1${SALT}${OUTPUT}"),
        format!("$argon2id$v=19$m=8,t=1,p=2${SALT}${OUTPUT}"),
        format!("$argon2id$v=19$m=8,t=1,p=4294967295${SALT}${OUTPUT}"),
        format!("$argon2id$v=19$m=8,t=1,p=1,data=AAAA${SALT}${OUTPUT}"),
        format!("$argon2id$v=19$m=8,t=1,p=1${SALT}"),
        format!("$2b$12{bcrypt}"),
        format!("$2b$03${bcrypt}"),
        format!("$2b$4${bcrypt}"),
        format!("$2b$+4${bcrypt}"),
        format!("$2b$12${bcrypt}x"),
        format!("$2b$12$é{}", &bcrypt[2..]),
        format!("bcrypt$2b$12${bcrypt}"),
        format!("bcrypt$$2x$12${bcrypt}"),
        format!("$scrypt$v=1$ln=14,r=8,p=1${SALT}${OUTPUT}"),
        format!("$scrypt$ln=14,r=0,p=1${SALT}${OUTPUT}"),
        format!("$scrypt$ln=0,r=8,p=1${SALT}${OUTPUT}"),
        format!("scrypt:32767:8:1$salt${}", "0123456789abcdef".repeat(8)),
        format!("scrypt:32768:8:1$salt${}", "0123456789ABCDEF".repeat(8)),
        format!("scrypt:32768:8:1$salt${}", "0123456789abcdef".repeat(4)),
        format!("scrypt:32768:8:1$salt${}0", "0123456789abcdef".repeat(8)),
        format!("scrypt:32768:8:1$${}", "0123456789abcdef".repeat(8)),
        format!("$pbkdf2-sha256$0${SALT}${OUTPUT}"),
        format!("$pbkdf2-sha256$01${SALT}${OUTPUT}"),
        format!("$pbkdf2-sha256$+1${SALT}${OUTPUT}"),
        format!("$pbkdf2-sha256$i=1,l=20${SALT}${OUTPUT}"),
        format!("$pbkdf2-sha512$1${SALT}${OUTPUT}"),
        format!("$pbkdf2-sha256$1$${OUTPUT}"),
        format!("pbkdf2_sha256$1$salt${OUTPUT}"),
        format!("$5${}${}", "s".repeat(17), "1".repeat(43)),
        format!("$5$${}", "1".repeat(43)),
        format!("$5$salt${}", "1".repeat(42)),
        format!("$5$salt${}=", "1".repeat(42)),
        format!("$5$rounds=999$salt${}", "1".repeat(43)),
        format!("$5$rounds=$salt${}", "1".repeat(43)),
        format!("$5$salt${}", "x".repeat(43)),
        format!("$6$salt${}", "1".repeat(43)),
        format!("$6$salt${}", "2".repeat(86)),
        format!("$6$salt${}", "x".repeat(600)),
        "pässword".to_owned(),
    ] {
        assert_eq!(kind(&text), "malformed_password_hash", "{text}");
    }
}

#[test]
fn what_is_of_another_form_is_refused() {
    for text in [
        "",
        "not-a-hash",
        "Secure*1234",
        "!",
        "$",
        "$$",
        "$argon2d$v=19$m=8,t=1,p=1$c29tZXNhbHQ$9sTbSlTio3Biev89thdrlKKiCaYsjjYVJxGAL3swxpQ",
        "argon2$2b$12$dCbeprZWBccQjPijz/aMBeBxvSkN1byfkKGgO9mu4ZR0ji0zdGdBq",
        "$2x$12$dCbeprZWBccQjPijz/aMBeBxvSkN1byfkKGgO9mu4ZR0ji0zdGdBq",
        "$1$salt$qJH7.N4xYta3aEG/dfqo/0",
        "5f4dcc3b5aa765d61d8327deb882cf99",
        "{SSHA}xLwMy1rD1ZuBe0uVUiMfr1B1bQ==",
        "md5$salt$67a1e09bb1f83f5007dc119c14d663aa",
        "pbkdf2:md5:1000$salt$67a1e09bb1f83f5007dc119c14d663aa",
        "pbkdf2:sha256$salt$67a1e09bb1f83f5007dc119c14d663aa",
    ] {
        assert_eq!(kind(text), "unknown_password_hash", "{text}");
    }
}

#[test]
fn what_costs_too_much_is_refused_and_what_is_usual_is_not() {
    let bcrypt = "dCbeprZWBccQjPijz/aMBeBxvSkN1byfkKGgO9mu4ZR0ji0zdGdBq";
    let output = "0123456789abcdef".repeat(4);
    let double = output.repeat(2);
    let crypt = "1".repeat(86);
    for (good, costly) in [
        (
            format!("$argon2id$v=19$m=262144,t=8,p=4${SALT}${OUTPUT}"),
            format!("$argon2id$v=19$m=262145,t=1,p=4${SALT}${OUTPUT}"),
        ),
        (
            format!("$argon2i$v=19$m=8,t=262144,p=1${SALT}${OUTPUT}"),
            format!("$argon2i$v=19$m=8,t=262145,p=1${SALT}${OUTPUT}"),
        ),
        (
            format!("$argon2id$v=19$m=65536,t=4,p=1${SALT}${OUTPUT}"),
            format!("$argon2id$v=19$m=4294967295,t=4294967295,p=1${SALT}${OUTPUT}"),
        ),
        (format!("$2b$15${bcrypt}"), format!("$2b$16${bcrypt}")),
        (
            format!("bcrypt_sha256$$2b$15${bcrypt}"),
            format!("bcrypt_sha256$$2b$31${bcrypt}"),
        ),
        (
            format!("$scrypt$ln=17,r=8,p=4${SALT}${OUTPUT}"),
            format!("$scrypt$ln=17,r=8,p=5${SALT}${OUTPUT}"),
        ),
        (
            format!("scrypt:262144:8:1$salt${double}"),
            format!("scrypt:524288:8:1$salt${double}"),
        ),
        (
            format!("scrypt:2:1:64$salt${double}"),
            format!("scrypt:2:1:4294967295$salt${double}"),
        ),
        (
            format!("scrypt:2:64:1$salt${double}"),
            format!("scrypt:2147483648:4294967295:4294967295$salt${double}"),
        ),
        (
            format!("pbkdf2:sha256:3000000$salt${output}"),
            format!("pbkdf2:sha256:3000001$salt${output}"),
        ),
        (
            format!("pbkdf2:sha256:1$salt${output}"),
            format!("pbkdf2:sha256:99999999999$salt${output}"),
        ),
        (
            format!("$6$rounds=1000000$salt${crypt}"),
            format!("$6$rounds=1000001$salt${crypt}"),
        ),
    ] {
        assert_eq!(kind(&good), "ok", "{good}");
        assert_eq!(kind(&costly), "password_hash_too_costly", "{costly}");
    }
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(text in any::<String>(), printable in "[$,:=./0-9a-z]{0,80}") {
        // Whatever it is, and after each beginning of a form.
        drop(ImportedHash::parse(&text));
        drop(ImportedHash::parse(&printable));
        for (_, vector) in vectors() {
            let beginning = vector.split_inclusive(['$', ':']).take(3).collect::<String>();
            drop(ImportedHash::parse(&format!("{beginning}{printable}")));
        }
    }

    #[test]
    fn a_changed_hash_makes_it_panic_no_more(
        index in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        change in "[$,:=./0-9a-zé]{0,6}",
        cut in 0..6usize,
    ) {
        let all: Vec<_> = vectors().collect();
        let (_, vector) = all[index.index(all.len())];
        let at = at.index(vector.len());
        let rest = vector.get(at + cut..).unwrap_or_default();
        let changed = format!("{}{change}{rest}", &vector[..at]);
        if let Ok(hash) = ImportedHash::parse(&changed) {
            prop_assert_eq!(hash.stored().expose(), changed);
        }
    }
}
