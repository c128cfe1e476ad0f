//! Holds the conventions that neither the compiler nor clippy checks.
//!
//! It reads the sources as text, comments and unit tests left out. An exception is a line in a table
//! here, with its reason.

mod source;

use std::fs;

use self::source::{Source, has_word, line_of, root, rust_files, sources, without_comments};

/// Most lines of a file.
const MOST_LINES: usize = 400;

/// Which other modules of the crate a layer may name. `error` may be named by all.
const ARROWS: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("shutdown", &[]),
    ("domain", &[]),
    ("config", &["domain"]),
    ("telemetry", &["config"]),
    ("repository", &["domain"]),
    ("infra", &["domain"]),
    ("services", &["domain", "repository", "infra", "config"]),
    ("worker", &["domain", "repository", "infra", "services"]),
    ("http", &["domain", "infra", "services", "config"]),
    (
        "app",
        &[
            "config",
            "domain",
            "http",
            "infra",
            "repository",
            "services",
            "worker",
        ],
    ),
    (
        "cli",
        &[
            "app",
            "config",
            "domain",
            "http",
            "infra",
            "repository",
            "services",
            "shutdown",
            "telemetry",
        ],
    ),
];

/// Arrows that a single file may draw besides.
const MORE_ARROWS: &[(&str, &str, &str)] = &[
    (
        "http/api/health.rs",
        "repository",
        "readiness asks the database itself, and no rule of ours is in it",
    ),
    (
        "http/telemetry.rs",
        "repository",
        "metrics show the queue as it is, and no rule of ours is in it",
    ),
];

/// Something that only some places may do.
struct Ban {
    words: &'static [&'static str],
    /// Beginnings of paths in `src/`.
    allowed_in: &'static [&'static str],
    why: &'static str,
}

const BANS: &[Ban] = &[
    Ban {
        words: &["Utc::now", "Local::now", "SystemTime::now"],
        allowed_in: &["infra/clock.rs"],
        why: "the time is injected: infra::clock",
    },
    Ban {
        words: &["Instant::now", ".elapsed("],
        allowed_in: &[
            // How long something takes, or may take, on this machine; nobody sees it but logs and metrics.
            "infra/email/smtp",
            "infra/password_hasher.rs",
            "http/middleware/",
            "worker/",
            // A second of this process's own time.
            "services/session_cache.rs",
            // How often this process may be made to read the keys.
            "services/signing_keys/stored.rs",
            // How fast an import is, for who looks on.
            "cli/users/import/progress.rs",
        ],
        why: "rules go by the injected clock: infra::clock",
    },
    Ban {
        words: &[
            "rand::",
            "OsRng",
            "Uuid::new_v4",
            "Uuid::now_v7",
            "aws_lc_rs::rand",
            "getrandom",
        ],
        allowed_in: &["infra/random.rs"],
        why: "randomness is injected: infra::random",
    },
    Ban {
        words: &[
            "env::var",
            "env::vars",
            "env::current_dir",
            "env::temp_dir",
            "env::args",
        ],
        allowed_in: &["cli/"],
        why: "the environment is read once, by the command",
    },
    Ban {
        words: &["axum", "utoipa", "StatusCode", "HeaderMap"],
        allowed_in: &["http/"],
        why: "only http knows HTTP",
    },
    Ban {
        words: &["sqlx::query", "query_as(", "query_scalar(", "sqlx::raw_sql"],
        allowed_in: &["repository/"],
        why: "only the repository has SQL",
    },
    Ban {
        words: &["sqlx", "async fn", "tokio", "std::fs", "TcpStream"],
        allowed_in: &[
            "repository/",
            "infra/",
            "services/",
            "http/",
            "worker/",
            "cli/",
            "app.rs",
            "shutdown.rs",
            // The settings of a connection are sqlx's.
            "config/database.rs",
        ],
        why: "the domain is pure: no I/O and no framework",
    },
    Ban {
        words: &[".begin(", ".begin_with(", ".commit("],
        allowed_in: &[
            "services/",
            // A job is finished in the transaction of its work.
            "worker/",
        ],
        why: "services begin and commit, visibly",
    },
    Ban {
        words: &["Config"],
        // Swagger UI has one of its own.
        allowed_in: &["app.rs", "app/", "cli/", "config/", "http/web/docs.rs"],
        why: "services and handlers get what they need of the settings, not all of them",
    },
];

#[test]
fn layers_know_only_the_layers_below_them() {
    let mut broken = Vec::new();
    for file in sources() {
        let layer = file.layer();
        if matches!(layer, "main" | "lib") {
            continue;
        }
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == layer) else {
            broken.push(format!("src/{}: {layer} is not on the plan", file.path));
            continue;
        };
        for (line, name) in file.crate_names() {
            let is_allowed = name == layer
                || name == "error"
                || allowed.contains(&name)
                || MORE_ARROWS
                    .iter()
                    .any(|(path, to, _)| *path == file.path && *to == name);
            if !is_allowed {
                broken.push(format!(
                    "src/{}:{line}: {layer} must not know {name}",
                    file.path
                ));
            }
        }
    }
    report(&broken);
}

#[test]
fn ambient_time_randomness_settings_http_and_sql_stay_in_their_places() {
    let mut broken = Vec::new();
    for file in sources() {
        for ban in BANS {
            if ban
                .allowed_in
                .iter()
                .any(|place| file.path.starts_with(place))
            {
                continue;
            }
            for (number, line) in file.lines() {
                if let Some(word) = ban.words.iter().find(|word| has_word(line, word)) {
                    broken.push(format!("src/{}:{number}: `{word}`: {}", file.path, ban.why));
                }
            }
        }
    }
    report(&broken);
}

#[test]
fn every_exception_is_needed() {
    let sources = sources();
    let mut stale = Vec::new();
    for ban in BANS {
        for place in ban.allowed_in {
            let is_needed = sources
                .iter()
                .filter(|file| file.path.starts_with(place))
                .flat_map(Source::lines)
                .any(|(_, line)| ban.words.iter().any(|word| has_word(line, word)));
            if !is_needed {
                stale.push(format!("{place} has none of {:?}", ban.words));
            }
        }
    }
    for (path, name, _) in MORE_ARROWS {
        let is_needed = sources
            .iter()
            .filter(|file| file.path == *path)
            .flat_map(Source::crate_names)
            .any(|(_, known)| known == *name);
        if !is_needed {
            stale.push(format!("{path} doesn't know {name}"));
        }
    }
    report(&stale);
}

#[test]
fn files_stay_small() {
    let mut broken = Vec::new();
    for path in ["src", "tests", "benches"].into_iter().flat_map(rust_files) {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        if lines > MOST_LINES {
            let path = path.strip_prefix(root()).unwrap().display();
            broken.push(format!(
                "{path}: {lines} lines, and {MOST_LINES} are the most: split it along its families"
            ));
        }
    }
    report(&broken);
}

#[test]
fn every_exception_to_a_lint_has_its_reason() {
    let mut broken = Vec::new();
    for path in ["src", "tests", "benches"].into_iter().flat_map(rust_files) {
        let text = fs::read_to_string(&path).unwrap();
        let shown = path.strip_prefix(root()).unwrap().display();
        // In two parts, so that this file has none.
        for (open, of) in [("#[ex", "pect("), ("#![ex", "pect(")] {
            for (at, _) in text.match_indices(&format!("{open}{of}")) {
                let attribute = text[at..].split(")]").next().unwrap_or_default();
                if !attribute.contains("reason") {
                    broken.push(format!("{shown}:{}: no reason", line_of(&text, at)));
                }
            }
        }
        for (open, of) in [("#[al", "low("), ("#![al", "low(")] {
            for (at, _) in text.match_indices(&format!("{open}{of}")) {
                let line = line_of(&text, at);
                broken.push(format!(
                    "{shown}:{line}: use expect, which tells when it is needed no more"
                ));
            }
        }
    }
    report(&broken);
}

#[test]
fn tests_wait_for_conditions_and_not_for_a_time() {
    let mut broken = Vec::new();
    for path in rust_files("tests") {
        let shown = path.strip_prefix(root()).unwrap().display().to_string();
        let allowed = [
            "tests/it/support/eventually.rs",
            // A server that is slow on command.
            "tests/it/support/smtp_server/dialogue.rs",
            // A condition, where nothing can be awaited.
            "tests/it/support/directory.rs",
        ];
        if allowed.contains(&&*shown) {
            continue;
        }
        let text = without_comments(&fs::read_to_string(&path).unwrap());
        for (number, line) in text.lines().enumerate() {
            // In two parts, so that this file has none.
            if has_word(line, concat!("sle", "ep(")) {
                broken.push(format!(
                    "{shown}:{}: wait for a condition: support::eventually",
                    number + 1
                ));
            }
        }
    }
    report(&broken);
}

#[track_caller]
fn report(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}
