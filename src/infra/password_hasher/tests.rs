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
    let hasher = hasher(HashCost::CHEAPEST);
    for hash in [
        "$2b$12$FRiU.AQNJiOdVBmTOUMnkOAKiMYKlzcfvHbXXp3k0w2xtN0Df3bd.",
        "$2y$10$w/wl6SBtozPKVFlRPI7NXuP9yYQR3jY48S/ZRdGIJTYr6LgsC/gNe",
        "$argon2id$v=19$m=65536,t=3,p=4$1NcQB7mOYh91xw+IZfWjiw$SM1ufVfR2CIPoOLk+6rsNfqqcdj+4gZiYjWMNW0/ixY",
    ] {
        assert_eq!(
            is_right(&hasher, "Secure*1234", hash).await,
            Some(true),
            "{hash}"
        );
        assert_eq!(is_right(&hasher, "Secure*1235", hash).await, None, "{hash}");
    }
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
