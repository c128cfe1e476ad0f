//! Tests of hashing.

use tokio::time::Instant;

use super::*;
use crate::infra::random::{SeededRandom, SystemRandom};

fn hasher(cost: HashCost) -> PasswordHasher {
    PasswordHasher::start(cost, NonZeroUsize::new(2), Arc::new(SeededRandom::new(1))).unwrap()
}

fn typed(text: &str) -> TypedPassword {
    TypedPassword::new(text.to_owned())
}

async fn is_right(hasher: &PasswordHasher, text: &str, hash: &str) -> Option<bool> {
    match hasher
        .verify(&typed(text), Some(&PasswordHash::new(hash.to_owned())))
        .await
        .unwrap()
    {
        Verdict::Wrong => None,
        Verdict::Right { renewed } => Some(renewed.is_some()),
    }
}

#[tokio::test]
async fn a_hash_is_of_its_password_only_and_in_every_spelling_of_it() {
    let hasher = hasher(HashCost::CHEAPEST);
    let password = Password::parse(&typed("ﬁne pässword")).unwrap();
    let hash = hasher.hash(&password).await.unwrap();
    assert!(hash.expose().starts_with("$argon2id$v=19$m=8,t=1,p=1$"));
    for spelling in ["ﬁne pässword", "fine pässword", "fine pa\u{308}ssword"] {
        assert_eq!(
            is_right(&hasher, spelling, hash.expose()).await,
            Some(false),
            "{spelling}"
        );
    }
    for other in ["", "fine password", "fine pässword ", "FINE PÄSSWORD"] {
        assert_eq!(
            is_right(&hasher, other, hash.expose()).await,
            None,
            "{other}"
        );
    }
}

#[tokio::test]
async fn hashes_of_other_software_are_right_and_renewed() {
    // Made by Python's hashlib, libxcrypt, and the reference implementation of Argon2 before it told
    // its version. The forms of the usual software are tested with logins.
    let long = "0123456789".repeat(12);
    let hasher = hasher(HashCost::CHEAPEST);
    for (password, hash) in [
        (
            "password",
            "$argon2i$m=65536,t=2,p=1$c29tZXNhbHQ$9sTbSlTio3Biev89thdrlKKiCaYsjjYVJxGAL3swxpQ",
        ),
        (
            &*long,
            "$5$rounds=1000$saltstring$/ZKPt.RiavatxwJ1FwFTU2a.eeRicu0L/V4WsbrHXZ1",
        ),
        (
            &*long,
            "$6$rounds=12345$exactly16chars..$QkDKsU8.Vrp/vofvU4DN6e6gpM5wUQ.3TJtlQKrnebGD0JMNjIVWEU8szbOa.Ff5PXDSU3dxo6V.GE.jechSt0",
        ),
        (
            "Secure*1234",
            "$2a$04$abcdefghijklmnopqrstuu0EBnvwTetzeyNFjxnSjIj0ryBE2nOW.",
        ),
        (
            "Secure*1234",
            "$pbkdf2$1000$8PHy8/T19vf4.fr7/P3./w$gmz6esHHKkHBlxq.d.aA9xSQ4dU",
        ),
        (
            "Secure*1234",
            "$pbkdf2-sha1$i=1000,l=20$8PHy8/T19vf4+fr7/P3+/w$gmz6esHHKkHBlxq+d+aA9xSQ4dU",
        ),
        (
            "Secure*1234",
            "$pbkdf2-sha256$i=1000$8PHy8/T19vf4+fr7/P3+/w$RVdtwiKhkFh4IQIAWFNCduNEXx9rnWGMVBvkMajmT40",
        ),
        (
            "Secure*1234",
            "pbkdf2:sha1:1000$salt$2763e03bc9ce7983267f90043a72cd64319ad151",
        ),
        (
            "Secure*1234",
            "pbkdf2:sha512:1000$salt$f0903e10935d5ec377d3cdf1a3796aa5c126dfaa55ea5be766c5fd4dd3f738a76fcf4525395fb5eb4f4046c2f8537f0fb3e6855e3a10d50c236b255de895739f",
        ),
        (
            "Secure*1234",
            "$scrypt$ln=1,r=1,p=1$8PHy8/T19vf4+fr7/P3+/w$NPFffwZ9qtJ7hhE+4iYP4B+8n+7CtWtVnfovYMA4Dtw",
        ),
    ] {
        assert_eq!(
            is_right(&hasher, password, hash).await,
            Some(true),
            "{hash}"
        );
        let other = format!("x{password}");
        assert_eq!(is_right(&hasher, &other, hash).await, None, "{hash}");
    }
}

#[tokio::test]
async fn bcrypt_looks_at_72_bytes_as_those_do_who_made_the_hash() {
    let hasher = hasher(HashCost::CHEAPEST);
    let hash = "$2b$04$abcdefghijklmnopqrstuum2G75IXDN/xsgbNa/hCiPSKyIHQd70S";
    let long = "0123456789".repeat(12);
    for (typed, right) in [
        (&long[..], Some(true)),
        (&long[..72], Some(true)),
        (&long[..71], None),
    ] {
        assert_eq!(is_right(&hasher, typed, hash).await, right, "{typed}");
    }
}

#[tokio::test]
async fn a_hash_of_a_password_that_was_not_normalized_is_right_as_it_was_typed() {
    let hasher = hasher(HashCost::CHEAPEST);
    let hash = "pbkdf2_sha256$1000$salt$TSQCv/UWsy+j8imSMkKVdwaqtiVWGh1wlP4LxdS7Nfk=";
    assert_eq!(
        is_right(&hasher, "pa\u{308}sswo\u{308}rd", hash).await,
        Some(true)
    );
    assert_eq!(is_right(&hasher, "p\u{e4}ssw\u{f6}rd", hash).await, None);
}

#[tokio::test]
async fn what_is_no_hash_is_nobodys() {
    let hasher = hasher(HashCost::CHEAPEST);
    for hash in [
        "",
        "not-a-hash",
        "$2b$",
        "$argon2id$",
        "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ",
        "Secure*1234",
    ] {
        assert_eq!(is_right(&hasher, "Secure*1234", hash).await, None, "{hash}");
    }
    assert!(matches!(
        hasher.verify(&typed("x"), None).await,
        Ok(Verdict::Wrong)
    ));
    assert!(matches!(
        hasher.verify(&typed(&"x".repeat(10_000)), None).await,
        Ok(Verdict::Wrong)
    ));
}

/// How many blocks of memory the hasher's only thread has written to.
async fn blocks_used(hasher: &PasswordHasher) -> usize {
    hasher.run(|memory| memory.len()).await.unwrap()
}

#[tokio::test]
async fn what_no_password_can_have_costs_as_much_as_a_hash_of_ours() {
    for hash in [
        "not-a-hash",
        "$2b$31$dCbeprZWBccQjPijz/aMBeBxvSkN1byfkKGgO9mu4ZR0ji0zdGdBq",
        "$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHQ$9sTbSlTio3Biev89thdrlKKiCaYsjjYVJxGAL3swxpQ",
    ] {
        let one = PasswordHasher::start(
            HashCost::CHEAPEST,
            NonZeroUsize::new(1),
            Arc::new(SeededRandom::new(1)),
        )
        .unwrap();
        assert_eq!(blocks_used(&one).await, 0);
        assert_eq!(is_right(&one, "Secure*1234", hash).await, None);
        assert_eq!(blocks_used(&one).await, 8, "{hash}");
    }
}

#[tokio::test]
async fn memory_beyond_what_ours_needs_is_given_back_at_once() {
    let one = PasswordHasher::start(
        HashCost::CHEAPEST,
        NonZeroUsize::new(1),
        Arc::new(SeededRandom::new(1)),
    )
    .unwrap();
    let hash =
        "$argon2id$v=19$m=65536,t=1,p=1$c29tZXNhbHQ$9sTbSlTio3Biev89thdrlKKiCaYsjjYVJxGAL3swxpQ";
    assert_eq!(is_right(&one, "Secure*1234", hash).await, None);
    assert_eq!(blocks_used(&one).await, 0);
}

#[tokio::test(start_paused = true)]
async fn who_finds_no_thread_free_within_a_second_is_turned_away() {
    let hasher = PasswordHasher::start(
        HashCost::CHEAPEST,
        NonZeroUsize::new(1),
        Arc::new(SystemRandom),
    )
    .unwrap();
    let (open, gate) = crossbeam_channel::bounded(0);
    let wait = move |_: &mut Vec<Block>| gate.recv().unwrap();
    hasher.tasks.send(Box::new(wait)).unwrap();
    let (looked, looks) = crossbeam_channel::bounded(1);
    let begun = Instant::now();
    assert_eq!(hasher.run(move |_| looked.send(())).await, Err(Busy));
    assert_eq!(begun.elapsed(), LONGEST_WAIT);
    // Nor is it looked at later, when the thread is free.
    tokio::time::resume();
    open.send(()).unwrap();
    assert!(hasher.verify(&typed("x"), None).await.is_ok());
    assert!(looks.try_recv().is_err());
}
