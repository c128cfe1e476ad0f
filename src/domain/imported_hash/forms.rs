//! Reading the forms, each strictly: what reads two ways is refused.

use std::num::NonZeroU32;

use argon2::password_hash::phc;
use base64::{
    Engine as _, alphabet,
    engine::{
        DecodePaddingMode,
        general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD, STANDARD_NO_PAD},
    },
};

use super::{
    Derived, MALFORMED, MAX_ARGON2_WORK, MAX_BCRYPT_COST, MAX_MEMORY, MAX_PBKDF2_ROUNDS,
    MAX_SCRYPT_WORK, MAX_SHA_CRYPT_ROUNDS, Pbkdf2Digest, Scheme, TOO_COSTLY, UNKNOWN,
};
use crate::error::Rule;

/// Some software leaves bits in the last character that belong to no byte.
const BCRYPT_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::BCRYPT,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// Bytes of scrypt's output in PHC strings, and as Django and Werkzeug write it. A shorter output is the
/// beginning of a longer one: none of another length is taken, since it may have been cut short.
const SCRYPT_PHC_OUTPUT: usize = 32;
const SCRYPT_OUTPUT: usize = 64;
/// The fewest rounds of SHA-crypt.
const MIN_SHA_CRYPT_ROUNDS: u32 = 1_000;
/// The greatest block of scrypt, in 128 bytes, and its most parallelism.
const MAX_SCRYPT_FACTOR: u32 = 64;

pub(super) fn read(text: &str) -> Result<Scheme, Rule> {
    let is_modular = text.starts_with('$');
    let (name, rest) = text
        .strip_prefix('$')
        .unwrap_or(text)
        .split_once('$')
        .ok_or(UNKNOWN)?;
    if is_modular {
        return match name {
            "argon2id" => argon2(argon2::Algorithm::Argon2id, text),
            "argon2i" => argon2(argon2::Algorithm::Argon2i, text),
            "2a" | "2b" | "2y" => bcrypt(rest, false),
            "scrypt" => scrypt_phc(text),
            // passlib calls SHA-1 by no name.
            "pbkdf2" | "pbkdf2-sha1" => pbkdf2_modular(Pbkdf2Digest::Sha1, rest),
            "pbkdf2-sha256" => pbkdf2_modular(Pbkdf2Digest::Sha256, rest),
            "pbkdf2-sha512" => pbkdf2_modular(Pbkdf2Digest::Sha512, rest),
            "5" => sha_crypt(rest, 43, b"./0123456789ABCD"),
            "6" => sha_crypt(rest, 86, b"./01"),
            _ => Err(UNKNOWN),
        };
    }
    match name.split(':').collect::<Vec<_>>()[..] {
        ["argon2"] => match &text["argon2".len()..] {
            form if form.starts_with("$argon2") => read(form),
            _ => Err(UNKNOWN),
        },
        ["bcrypt"] => bcrypt_of_django(rest, false),
        ["bcrypt_sha256"] => bcrypt_of_django(rest, true),
        ["pbkdf2_sha1"] => pbkdf2_of_django(Pbkdf2Digest::Sha1, rest),
        ["pbkdf2_sha256"] => pbkdf2_of_django(Pbkdf2Digest::Sha256, rest),
        ["scrypt"] => scrypt_of_django(rest),
        ["pbkdf2", "sha1", rounds] => pbkdf2_of_werkzeug(Pbkdf2Digest::Sha1, rounds, rest),
        ["pbkdf2", "sha256", rounds] => pbkdf2_of_werkzeug(Pbkdf2Digest::Sha256, rounds, rest),
        ["pbkdf2", "sha512", rounds] => pbkdf2_of_werkzeug(Pbkdf2Digest::Sha512, rounds, rest),
        ["scrypt", n, r, p] => scrypt_of_werkzeug(n, r, p, rest),
        _ => Err(UNKNOWN),
    }
}

fn fields<const N: usize>(text: &str, separator: char) -> Result<[&str; N], Rule> {
    let fields: Vec<_> = text.split(separator).collect();
    fields.try_into().map_err(|_| MALFORMED)
}

/// A decimal number without sign or leading zeros.
fn number(text: &str) -> Result<u32, Rule> {
    let is_decimal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_decimal || text.starts_with('0') {
        return Err(MALFORMED);
    }
    // Whatever is counted, nobody wants so many.
    text.parse().map_err(|_| TOO_COSTLY)
}

fn decode(engine: &GeneralPurpose, text: &str) -> Result<Vec<u8>, Rule> {
    engine.decode(text).map_err(|_| MALFORMED)
}

/// Bytes in hexadecimal of lower case.
fn hexadecimal(text: &str) -> Result<Vec<u8>, Rule> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err(MALFORMED),
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return Err(MALFORMED);
    }
    pairs
        .iter()
        .map(|[high, low]| Ok(digit(*high)? << 4 | digit(*low)?))
        .collect()
}

/// A PHC string of a function, without other parameters than these.
fn phc<const N: usize>(
    text: &str,
    names: [&'static str; N],
) -> Result<(Option<u32>, [u32; N], Derived), Rule> {
    let parsed = phc::PasswordHash::new(text).map_err(|_| MALFORMED)?;
    if parsed.params.iter().count() != N {
        return Err(MALFORMED);
    }
    let mut values = [0; N];
    for (value, name) in values.iter_mut().zip(names) {
        *value = parsed.params.get_decimal(name).ok_or(MALFORMED)?;
    }
    let derived = Derived {
        salt: parsed.salt.ok_or(MALFORMED)?.to_vec(),
        output: parsed.hash.ok_or(MALFORMED)?.as_bytes().to_vec(),
    };
    Ok((parsed.version, values, derived))
}

fn argon2(algorithm: argon2::Algorithm, text: &str) -> Result<Scheme, Rule> {
    let (version, [memory, passes, lanes], derived) = phc(text, ["m", "t", "p"])?;
    // The reference implementation names no version where it is the first.
    let version = version.map_or(Ok(argon2::Version::V0x10), argon2::Version::try_from);
    let work = u64::from(memory) * u64::from(passes);
    if u64::from(memory) > MAX_MEMORY || work > MAX_ARGON2_WORK {
        return Err(TOO_COSTLY);
    }
    if u64::from(memory) < 8 * u64::from(lanes) {
        return Err(MALFORMED);
    }
    Ok(Scheme::Argon2 {
        algorithm,
        version: version.map_err(|_| MALFORMED)?,
        params: argon2::Params::new(memory, passes, lanes, None).map_err(|_| MALFORMED)?,
        derived,
    })
}

fn bcrypt(text: &str, of_sha256: bool) -> Result<Scheme, Rule> {
    let [cost, body] = fields(text, '$')?;
    let (salt, output) = body.split_at_checked(22).ok_or(MALFORMED)?;
    let (Ok(salt), Ok(output)) = (
        decode(&BCRYPT_BASE64, salt)?.try_into(),
        decode(&BCRYPT_BASE64, output)?.try_into(),
    ) else {
        return Err(MALFORMED);
    };
    // Two digits, and 2^4 rounds are the fewest.
    let cost = match cost.as_bytes() {
        [b'0', digit @ b'4'..=b'9'] => u32::from(digit - b'0'),
        [b'1'..=b'3', b'0'..=b'9'] => number(cost)?,
        _ => return Err(MALFORMED),
    };
    if cost > MAX_BCRYPT_COST {
        return Err(TOO_COSTLY);
    }
    Ok(Scheme::Bcrypt {
        cost,
        of_sha256,
        salt,
        output,
    })
}

fn bcrypt_of_django(text: &str, of_sha256: bool) -> Result<Scheme, Rule> {
    let [nothing, "2a" | "2b" | "2y", cost, body] = fields(text, '$')? else {
        return Err(MALFORMED);
    };
    if !nothing.is_empty() {
        return Err(MALFORMED);
    }
    bcrypt(&format!("{cost}${body}"), of_sha256)
}

fn pbkdf2(
    digest: Pbkdf2Digest,
    rounds: &str,
    salt: Vec<u8>,
    output: Vec<u8>,
) -> Result<Scheme, Rule> {
    let rounds = NonZeroU32::new(number(rounds)?).ok_or(MALFORMED)?;
    if rounds.get() > MAX_PBKDF2_ROUNDS {
        return Err(TOO_COSTLY);
    }
    if salt.is_empty() || output.len() != digest.output_len() {
        return Err(MALFORMED);
    }
    Ok(Scheme::Pbkdf2 {
        digest,
        rounds,
        derived: Derived { salt, output },
    })
}

fn pbkdf2_modular(digest: Pbkdf2Digest, text: &str) -> Result<Scheme, Rule> {
    let [rounds, salt, output] = fields(text, '$')?;
    let rounds = match rounds.strip_prefix("i=") {
        Some(params) => match params.split_once(",l=") {
            Some((rounds, len)) if number(len)? as usize == digest.output_len() => rounds,
            Some(_) => return Err(MALFORMED),
            None => params,
        },
        None => rounds,
    };
    // passlib has `.` where base64 has `+`.
    let decoded = |text: &str| decode(&STANDARD_NO_PAD, &text.replace('.', "+"));
    pbkdf2(digest, rounds, decoded(salt)?, decoded(output)?)
}

fn pbkdf2_of_django(digest: Pbkdf2Digest, text: &str) -> Result<Scheme, Rule> {
    let [rounds, salt, output] = fields(text, '$')?;
    pbkdf2(digest, rounds, salt.into(), decode(&STANDARD, output)?)
}

fn pbkdf2_of_werkzeug(digest: Pbkdf2Digest, rounds: &str, text: &str) -> Result<Scheme, Rule> {
    let [salt, output] = fields(text, '$')?;
    pbkdf2(digest, rounds, salt.into(), hexadecimal(output)?)
}

fn scrypt(log_n: u32, r: u32, p: u32, derived: Derived) -> Result<Scheme, Rule> {
    if log_n > 24 || r > MAX_SCRYPT_FACTOR || p > MAX_SCRYPT_FACTOR {
        return Err(TOO_COSTLY);
    }
    // Blocks of 128 bytes.
    let memory = (u64::from(r) << log_n) / 8;
    if memory > MAX_MEMORY || memory * u64::from(p) > MAX_SCRYPT_WORK {
        return Err(TOO_COSTLY);
    }
    if log_n == 0 || derived.salt.is_empty() {
        return Err(MALFORMED);
    }
    let log_n = u8::try_from(log_n).map_err(|_| TOO_COSTLY)?;
    Ok(Scheme::Scrypt {
        params: scrypt::Params::new(log_n, r, p).map_err(|_| MALFORMED)?,
        derived,
    })
}

fn scrypt_phc(text: &str) -> Result<Scheme, Rule> {
    let (version, [log_n, r, p], derived) = phc(text, ["ln", "r", "p"])?;
    if version.is_some() || derived.output.len() != SCRYPT_PHC_OUTPUT {
        return Err(MALFORMED);
    }
    scrypt(log_n, r, p, derived)
}

fn scrypt_of(n: &str, r: &str, p: &str, salt: &str, output: Vec<u8>) -> Result<Scheme, Rule> {
    let n = number(n)?;
    if !n.is_power_of_two() || output.len() != SCRYPT_OUTPUT {
        return Err(MALFORMED);
    }
    let salt = salt.into();
    scrypt(n.ilog2(), number(r)?, number(p)?, Derived { salt, output })
}

fn scrypt_of_django(text: &str) -> Result<Scheme, Rule> {
    let [n, salt, r, p, output] = fields(text, '$')?;
    scrypt_of(n, r, p, salt, decode(&STANDARD, output)?)
}

fn scrypt_of_werkzeug(n: &str, r: &str, p: &str, text: &str) -> Result<Scheme, Rule> {
    let [salt, output] = fields(text, '$')?;
    scrypt_of(n, r, p, salt, hexadecimal(output)?)
}

/// `last` has the characters that the output may end with: the others have bits that belong to no byte.
fn sha_crypt(text: &str, output_characters: usize, last: &[u8]) -> Result<Scheme, Rule> {
    let is_text = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"./".contains(&byte))
    };
    let text = match text.strip_prefix("rounds=") {
        Some(text) => {
            let (rounds, rest) = text.split_once('$').ok_or(MALFORMED)?;
            let rounds = number(rounds)?;
            if rounds > MAX_SHA_CRYPT_ROUNDS {
                return Err(TOO_COSTLY);
            }
            if rounds < MIN_SHA_CRYPT_ROUNDS {
                return Err(MALFORMED);
            }
            rest
        }
        None => text,
    };
    let [salt, output] = fields(text, '$')?;
    let is_whole = (1..=16).contains(&salt.len())
        && output.len() == output_characters
        && output.ends_with(|end: char| last.contains(&(end as u8)));
    if !is_whole || !is_text(salt) || !is_text(output) {
        return Err(MALFORMED);
    }
    Ok(Scheme::ShaCrypt)
}
