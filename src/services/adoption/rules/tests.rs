use uuid::Uuid;

use super::*;

fn old() -> OldUser {
    OldUser {
        id: UserId(Uuid::from_u128(7)),
        nickname: "clever_lion_1".to_owned(),
        email: "ada@example.com".to_owned(),
        first_name: None,
        last_name: None,
        bio: None,
        profile_picture_url: None,
        linkedin_profile_url: None,
        github_profile_url: None,
        role: "AUTHENTICATED".to_owned(),
        is_professional: false,
        professional_status_updated_at: None,
        last_login_at: None,
        failed_login_attempts: 0,
        is_locked: false,
        created_at: None,
        updated_at: None,
        email_verified: true,
        hashed_password: "$2b$08$dHAL5gRpWZnutJwdCd4VRuAhHCWz6yy9i.P8rvdODQ/L.jGJZ6fse".to_owned(),
    }
}

fn take_over(old: OldUser) -> (User, Vec<&'static str>) {
    let rules = Rules {
        now: DateTime::UNIX_EPOCH,
        max_attempts: 5,
        placeholders: Placeholders::new(1),
    };
    let taken = rules.take_over(old, || PasswordHash::new("nobody's".to_owned()));
    let fields = taken.findings.iter().map(|finding| finding.field);
    (taken.new.0, fields.collect())
}

#[test]
fn a_plain_row_is_taken_as_it_is() {
    let (user, found) = take_over(old());
    assert!(found.is_empty());
    assert_eq!(user.nickname.as_str(), "clever_lion_1");
    assert_eq!(user.email.unwrap().as_str(), "ada@example.com");
    // What the row doesn't tell counts from now on.
    assert_eq!(user.created_at, DateTime::UNIX_EPOCH);
    assert_eq!(user.email_verified_at, Some(DateTime::UNIX_EPOCH));
    assert_eq!((user.role, user.locked_at), (Role::Authenticated, None));
}

#[test]
fn texts_lose_what_cannot_stand_in_them() {
    let (user, found) = take_over(OldUser {
        first_name: Some(" A\u{1b}d\u{202e}a\n ".to_owned()),
        last_name: Some("\u{7}\u{8}".to_owned()),
        bio: Some(format!("a\0{}\nb", "ü".repeat(600))),
        github_profile_url: Some("  ".to_owned()),
        ..old()
    });
    assert_eq!(found, ["first_name", "last_name", "bio"]);
    assert_eq!(user.profile.first_name.unwrap().as_str(), "Ada");
    assert_eq!(user.profile.last_name, None);
    assert_eq!(user.profile.github_profile_url, None);
    let bio = user.profile.bio.unwrap();
    assert_eq!(bio.as_str(), format!("a{}", "ü".repeat(499)));
}

#[test]
fn what_is_no_address_is_kept_as_a_name_or_an_invented_one() {
    for (typed, kept) in [
        ("bob", "bob"),
        (" a@b ", " a@b "),
        ("", "fastapi-00000000-0000-0000-0000-000000000007"),
        ("a\nb", "fastapi-00000000-0000-0000-0000-000000000007"),
    ] {
        let email = typed.to_owned();
        let (user, found) = take_over(OldUser { email, ..old() });
        assert_eq!(found, ["email"]);
        assert_eq!((user.email, user.email_verified_at), (None, None));
        assert_eq!(user.legacy_name.unwrap().as_str(), kept);
    }
    // The domain's case says nothing.
    let email = "Ada@EXAMPLE.com".to_owned();
    assert!(take_over(OldUser { email, ..old() }).1.is_empty());
}

#[test]
fn a_lock_stays_unless_failed_logins_have_set_it() {
    for (is_locked, failed_login_attempts, stays, findings) in [
        (false, 9, false, 0),
        (true, 4, true, 1),
        (true, 0, true, 1),
        (true, 5, false, 1),
        (true, i32::MAX, false, 1),
    ] {
        let (user, found) = take_over(OldUser {
            is_locked,
            failed_login_attempts,
            ..old()
        });
        assert_eq!(user.locked_at.is_some(), stays);
        assert_eq!(found.len(), findings);
    }
}

#[test]
fn an_unknown_role_gives_no_rights() {
    for (email_verified, role) in [(true, Role::Authenticated), (false, Role::Anonymous)] {
        let (user, found) = take_over(OldUser {
            role: "SUPERUSER".to_owned(),
            email_verified,
            ..old()
        });
        assert_eq!((user.role, &*found), (role, &["role"][..]));
    }
}

#[test]
fn nicknames_are_kept_as_like_as_can_be() {
    for (nickname, like) in [
        ("has space", Some("has_space")),
        ("  ada\tb ", Some("ada_b")),
        ("Zoë_Ångström", Some("Zoe_Angstrom")),
        ("ünï_cødé", None),
        ("ab", None),
        ("Ädmin", None),
        ("admin", None),
        ("fine_as_it_is", None),
        ("", None),
    ] {
        let (_, wish) = nickname_problem(nickname);
        assert_eq!(wish.as_ref().map(Nickname::as_str), like, "{nickname}");
    }
}

#[test]
fn placeholders_are_nicknames_within_their_range() {
    let placeholders = Placeholders::new(u32::MAX);
    let (from, to) = placeholders.range();
    for id in [Uuid::nil(), Uuid::max()] {
        let nickname = placeholders.of(UserId(id));
        assert!(Nickname::parse(nickname.as_str()).is_ok());
        assert!(&*from < nickname.as_str() && nickname.as_str() < &*to);
    }
}

#[test]
fn whoever_comes_first_keeps_his_names() {
    let rules = Rules {
        now: DateTime::UNIX_EPOCH,
        max_attempts: 5,
        placeholders: Placeholders::new(1),
    };
    let mut names = TakenNames::default();
    let mut settle = |number: u128, nickname: &str, email: &str| {
        let row = OldUser {
            id: UserId(Uuid::from_u128(number)),
            nickname: nickname.to_owned(),
            email: email.to_owned(),
            ..old()
        };
        let mut user = rules
            .take_over(row, || PasswordHash::new(String::new()))
            .new
            .0;
        let finding = rules.settle_names(&mut user, email, &mut names);
        (user, finding.map(|finding| finding.problem))
    };
    assert_eq!(settle(1, "ada", "ada@example.com").1, None);
    // His nickname is taken, and yet he has the address before the next one.
    let (second, none) = settle(2, "ADA", "bob@example.com");
    assert_eq!(none, None);
    assert!(second.nickname.as_str().starts_with("adopted-"));
    let (third, told) = settle(3, "bob", "BOB@example.com");
    assert!(told.unwrap().contains("00000002"));
    assert_eq!((third.email, third.email_verified_at), (None, None));
    assert_eq!(third.legacy_name.unwrap().as_str(), "BOB@example.com");
    // What is no address may be there twice where nothing has kept it from that.
    assert_eq!(
        settle(4, "eve", "eve").0.legacy_name.unwrap().as_str(),
        "eve"
    );
    let twice = settle(5, "eva", "eve").0.legacy_name.unwrap();
    assert!(twice.as_str().starts_with("fastapi-"));
}
