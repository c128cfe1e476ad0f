//! What is decided before anything runs: which binaries, which user.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use super::super::{
    default_data_dir,
    error::StartError,
    installation::{Installation, choose, installed, parse_major},
    user::User,
};

fn installation(bin: &str, major: u32) -> Installation {
    Installation {
        bin: bin.into(),
        major,
    }
}

#[test]
fn new_data_gets_the_postgres_on_the_search_path_else_the_newest() {
    let usual = || vec![installation("/usual/15", 15), installation("/usual/17", 17)];
    let on_path = vec![installation("/path/16", 16)];
    assert_eq!(choose(on_path, usual(), None).unwrap().major, 16);
    assert_eq!(choose(vec![], usual(), None).unwrap().major, 17);
}

#[test]
fn existing_data_gets_the_major_version_that_made_it() {
    let directory = Path::new("/somewhere");
    let all = || vec![installation("/17", 17), installation("/15", 15)];
    let found = choose(all(), vec![], Some((directory, 15)));
    assert_eq!(found.unwrap().major, 15);
    let error = choose(all(), vec![], Some((directory, 16))).unwrap_err();
    let text = error.to_string();
    for part in ["/somewhere", "PostgreSQL 16", "found: 15, 17"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn a_machine_without_a_fit_postgres_says_what_to_install() {
    let none = choose(vec![], vec![], None).unwrap_err();
    assert!(matches!(none, StartError::NotInstalled));
    let old = choose(vec![installation("/9", 9)], vec![], None).unwrap_err();
    assert!(matches!(old, StartError::TooOld { .. }));
    for error in [none, old] {
        let text = error.to_string();
        for part in ["apt-get install", "dnf install", "brew install"] {
            assert!(text.contains(part), "{text}");
        }
    }
}

#[test]
fn versions_are_read_from_what_the_program_prints() {
    for (printed, major) in [
        (
            "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n",
            Some(15),
        ),
        ("postgres (PostgreSQL) 18devel\n", Some(18)),
        ("postgres (PostgreSQL) \n", None),
        ("something else\n", None),
    ] {
        assert_eq!(parse_major(printed), major, "{printed}");
    }
}

/// A directory with programs that say they are PostgreSQL of some version.
fn fake_programs(parent: &Path, name: &str, major: u32) -> PathBuf {
    let bin = parent.join(name);
    fs::create_dir(&bin).unwrap();
    for program in ["postgres", "initdb"] {
        let path = bin.join(program);
        let text = format!("#!/bin/sh\necho '{program} (PostgreSQL) {major}.1'\n");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }
    bin
}

#[tokio::test]
async fn links_lead_to_the_directory_of_the_programs_and_count_once() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path().canonicalize().unwrap();
    let bin = fake_programs(&place, "16", 16);
    let links = place.join("links");
    fs::create_dir(&links).unwrap();
    // Only one of the two is linked: the other stands beside the real one.
    symlink(bin.join("postgres"), links.join("postgres")).unwrap();
    let missing = place.join("missing");
    assert_eq!(
        installed(vec![missing, links, bin.clone()]).await,
        [Installation { bin, major: 16 }]
    );
}

#[tokio::test]
async fn scripts_come_after_real_programs() {
    let place = tempfile::tempdir().unwrap();
    let scripts = fake_programs(place.path(), "99", 99);
    let real = super::super::installation::find(None, None).await.unwrap();
    let found = installed(vec![scripts, real.bin.clone()]).await;
    assert_eq!(found.len(), 2);
    assert_eq!(found[0], real);
}

#[test]
fn users_are_found_by_name() {
    let passwd = "root:x:0:0:root:/root:/bin/sh\nodd line\nnobody:x:65534:65533::/:/bin/false\n";
    let nobody = User {
        name: "nobody".to_owned(),
        uid: 65534,
        gid: 65533,
    };
    assert_eq!(User::in_passwd(passwd, "nobody"), Some(nobody));
    assert_eq!(User::in_passwd(passwd, "postgres"), None);
}

#[test]
fn the_directory_that_keeps_a_user_out_is_named() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path().canonicalize().unwrap();
    let closed = place.join("closed");
    fs::create_dir(&closed).unwrap();
    let below = closed.join("below");
    let owner = fs::metadata(&closed).unwrap();
    let user = |uid, gid| User {
        name: String::new(),
        uid,
        gid,
    };
    let stranger = user(owner.uid() + 1, owner.gid() + 1);
    let companion = user(owner.uid() + 1, owner.gid());
    let set_modes = |outer, inner| {
        fs::set_permissions(&place, Permissions::from_mode(outer)).unwrap();
        fs::set_permissions(&closed, Permissions::from_mode(inner)).unwrap();
    };
    set_modes(0o755, 0o750);
    assert_eq!(stranger.obstacle_on(&below), Some(closed.clone()));
    assert_eq!(companion.obstacle_on(&below), None);
    set_modes(0o700, 0o755);
    assert_eq!(stranger.obstacle_on(&below), Some(place.clone()));
    set_modes(0o711, 0o711);
    assert_eq!(stranger.obstacle_on(&below), None);
}

#[test]
fn data_stays_beside_the_working_directory_where_postgres_can_enter() {
    let place = tempfile::tempdir().unwrap();
    let near = place.path().join("data");
    let set_mode = |mode| fs::set_permissions(place.path(), Permissions::from_mode(mode)).unwrap();
    set_mode(0o711);
    assert_eq!(default_data_dir(place.path()), near);
    set_mode(0o700);
    let expected = if rustix::process::geteuid().is_root() {
        "/var/lib/user-management".into()
    } else {
        near
    };
    assert_eq!(default_data_dir(place.path()), expected);
}
