//! The keys here were made for these tests by `openssl genpkey` and `openssl ecparam`.

use std::fs;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use secrecy::ExposeSecret as _;

use super::*;

/// Ed25519.
const ED25519_PEM: &str = "\
-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJYQL9u34GgiqbRiHMvn671cQqTmofcA5Mhul/k8JK+w
-----END PRIVATE KEY-----
";

/// P-256.
const P256_PEM: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgk1NoEih89yOev5L2
voGyxj4smrwGDvBDYtqIG7Ao3RehRANCAAReGI+wLMMizcX1EMDfdB2EZaHS4rz8
OVRv444KbwUHtE+q8hMaDndPjd2DOQ24VR0bwZ2BjxekzBFiNF64O3c4
-----END PRIVATE KEY-----
";

/// Of an algorithm that we don't have.
const P384_PEM: &str = "\
-----BEGIN PRIVATE KEY-----
MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDBOVLqq/4x+RULk4dwM
aRdv5YI92wKGecdqbBbSjh+/Ycr0wl3sJcXaTzdVGhAviNmhZANiAAR5siu58+XO
bkHxjolg+gYvYqAErYpJ7PG1b8t4EVGM2bKnmexyMy8ZfDSQhL0tbGPoUO0bcVhu
LdC0xouyyXGIGmIUSv4TwLps+iul7l9ZBtiz3DYrRJqI/qkw0MWziUk=
-----END PRIVATE KEY-----
";

/// P-256 in the form of SEC 1, after its parameters.
const SEC1_PEM: &str = "\
-----BEGIN EC PARAMETERS-----
BggqhkjOPQMBBw==
-----END EC PARAMETERS-----
-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIB32r/HvkPykoCOozvt/pQ09nIc02e46FaLEj240ApffoAoGCCqGSM49
AwEHoUQDQgAEuOYF4xFTOXUjquetqaPlZDBCBNlRbeaYLbjhLk9VsTzMAlaMJlQp
fWRUEWm/p5yqg4AMw5oFQgQ/WqPakC07hQ==
-----END EC PRIVATE KEY-----
";

/// Ed25519, encrypted.
const ENCRYPTED_PEM: &str = "\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAiRbPg3P8SluwICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEMl6lGOPObXpqVn795odyEcEQDk3
Fne+L+NBpfWt047RB1QXWpZNJP2ScHhCHt1o7hbxGt4UnQp4ViYIPkCQ2GnTz/ik
p4TW3jk+DV8uVv1CeLA=
-----END ENCRYPTED PRIVATE KEY-----
";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn keys_that_openssl_made_are_read_with_their_public_keys() {
    let pair = KeyPair::from_pem(KeyAlgorithm::EdDsa, ED25519_PEM.as_bytes()).unwrap();
    let PublicKey::Ed25519(point) = pair.public else {
        panic!("{pair:?}")
    };
    assert_eq!(
        hex(&point),
        "d471fc109fe8de5665529d6a2f659cf1f499381a56ecbab23edfe8827ae7ece6"
    );
    let pair = KeyPair::from_pem(KeyAlgorithm::Es256, P256_PEM.as_bytes()).unwrap();
    let PublicKey::P256 { x, y } = pair.public else {
        panic!("{pair:?}")
    };
    assert_eq!(
        (&*hex(&x), &*hex(&y)),
        (
            "5e188fb02cc322cdc5f510c0df741d8465a1d2e2bcfc39546fe38e0a6f0507b4",
            "4faaf2131a0e774f8ddd83390db8551d1bc19d818f17a4cc1162345eb83b7738"
        )
    );
}

#[test]
fn a_file_may_have_other_things_before_the_key() {
    let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let pem = format!("My key\n{certificate}{P256_PEM}");
    assert!(KeyPair::from_pem(KeyAlgorithm::Es256, pem.as_bytes()).is_ok());
}

#[test]
fn what_is_no_key_of_the_algorithm_is_refused_with_a_reason() {
    use KeyAlgorithm::{EdDsa, Es256};
    for (wanted, pem, refusal) in [
        (
            EdDsa,
            P256_PEM,
            KeyPairError::OtherAlgorithm {
                is: Es256,
                wanted: EdDsa,
            },
        ),
        (
            Es256,
            ED25519_PEM,
            KeyPairError::OtherAlgorithm {
                is: EdDsa,
                wanted: Es256,
            },
        ),
        (Es256, P384_PEM, KeyPairError::OtherKind { wanted: Es256 }),
        (EdDsa, P384_PEM, KeyPairError::OtherKind { wanted: EdDsa }),
        (Es256, SEC1_PEM, KeyPairError::NoKey),
        (EdDsa, ENCRYPTED_PEM, KeyPairError::NoKey),
        (EdDsa, "", KeyPairError::NoKey),
        (EdDsa, &ED25519_PEM[..80], KeyPairError::NoKey),
    ] {
        let refused = KeyPair::from_pem(wanted, pem.as_bytes()).err();
        assert_eq!(refused, Some(refusal), "{pem}");
    }
}

#[test]
fn files_are_read_in_their_order_and_all_problems_told() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let (first, second) = (file("first.pem", ED25519_PEM), file("p256.pem", P256_PEM));
    let copy = file("copy.pem", ED25519_PEM);
    let missing = directory.path().join("missing.pem");
    let read = |files: &[&PathBuf]| {
        let files: Vec<_> = files.iter().copied().cloned().collect();
        KeyPair::read_files(KeyAlgorithm::EdDsa, &files)
    };
    assert_eq!(read(&[&first]).unwrap().len(), 1);
    let problems = read(&[&first, &second, &missing, &copy]).unwrap_err();
    for (problem, said) in problems.iter().zip([
        "p256.pem has a key for ES256 and not for EdDSA",
        "missing.pem: No such file",
        "copy.pem has a key for the second time",
    ]) {
        assert!(problem.contains(said), "{problem}");
    }
    assert_eq!(problems.len(), 3);
}

#[test]
fn a_new_key_is_another_one_and_can_be_kept() {
    for algorithm in KeyAlgorithm::ALL {
        let pair = KeyPair::generate(algorithm).unwrap();
        assert_eq!(pair.public.algorithm(), algorithm);
        assert_ne!(pair.id(), KeyPair::generate(algorithm).unwrap().id());
        let private = pair.private.expose_secret();
        let kept = KeyPair::from_pkcs8(algorithm, private).unwrap();
        assert_eq!(kept.public, pair.public);
        assert_eq!(kept.private.expose_secret(), private);
        let shown = format!("{pair:?}");
        assert!(!shown.contains(&format!("{private:?}")[1..40]), "{shown}");
    }
}

/// RFC 8037, A.1 to A.4: the example key makes the example's signature.
#[test]
fn ed25519_signs_as_the_rfc_says() {
    // PKCS#8 (RFC 8410, 7) around the example's `d`.
    let mut pkcs8 = vec![
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04,
        0x20,
    ];
    let seed = BASE64_URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
    pkcs8.extend(seed.unwrap());
    let pair = KeyPair::from_pkcs8(KeyAlgorithm::EdDsa, &pkcs8).unwrap();
    assert_eq!(
        pair.id().as_str(),
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    );
    let message = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signer = Ed25519KeyPair::from_pkcs8(pair.private.expose_secret()).unwrap();
    let signature = signer.sign(message.as_bytes());
    assert_eq!(
        BASE64_URL_SAFE_NO_PAD.encode(signature.as_ref()),
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    );
    let PublicKey::Ed25519(point) = pair.public else {
        panic!("{pair:?}")
    };
    let verifier = UnparsedPublicKey::new(&ED25519, point);
    verifier
        .verify(message.as_bytes(), signature.as_ref())
        .unwrap();
}
