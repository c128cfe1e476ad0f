use std::{fmt::Write as _, fs, path::Path};

use super::*;

fn read(settings: &[(&str, &str)]) -> Result<Config, Problems> {
    let source = settings
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Config::read(&source)
}

const PRODUCTION: &[(&str, &str)] = &[
    ("ENVIRONMENT", "production"),
    (
        "DATABASE_URL",
        "postgresql+asyncpg://user:secret@db.example/users",
    ),
    ("SERVER_BASE_URL", "https://users.example.com/base"),
    ("JWT_SECRET_KEY", "kq3vXl0Yc8wT1bZr6uPn5sGf2hJd9aEm"),
    ("SMTP_SERVER", "smtp.example.com"),
    ("MAIL_FROM", "Users <no-reply@example.com>"),
];

fn with(extra: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    let mut settings: Vec<_> = PRODUCTION
        .iter()
        .filter(|(name, _)| !extra.iter().any(|(other, _)| other == name))
        .copied()
        .collect();
    settings.extend(extra);
    settings
}

#[test]
fn nothing_set_is_development_with_everything_provided() {
    let config = read(&[]).unwrap();
    assert_eq!(config.environment, Environment::Development);
    assert!(config.database.url.is_none());
    assert_eq!(config.server.bind_address.to_string(), "127.0.0.1:8000");
    assert_eq!(config.login.max_attempts, 5);
    assert!(config.login.rate_limits.is_none());
    assert!(config.mail.smtp.is_none());
    assert_eq!(config.tokens.access_token_lifetime.num_minutes(), 15);
    assert_eq!(config.tokens.session_lifetime.num_minutes(), 1440);
    assert_eq!(config.tokens.algorithm.as_str(), "EdDSA");
}

#[test]
fn production_with_all_it_needs_starts() {
    let config = read(PRODUCTION).unwrap();
    assert_eq!(
        config.server.base_url.unwrap().as_str(),
        "https://users.example.com/base/"
    );
    assert_eq!(config.database.url.unwrap().get_host(), "db.example");
    assert_eq!(config.mail.smtp.unwrap().port, 587);
    assert!(config.login.rate_limits.is_some());
    assert_eq!(config.server.log_format, LogFormat::Json);
    // As deployments of before have it.
    assert_eq!(config.tokens.algorithm.as_str(), "HS256");
}

#[test]
fn files_of_keys_are_for_key_pairs() {
    let files = ("JWT_PRIVATE_KEY_FILES", "new.pem, keys/old.pem");
    let config = read(&with(&[files, ("JWT_ALGORITHM", "ES256")])).unwrap();
    let names = [Path::new("new.pem"), Path::new("keys/old.pem")];
    assert_eq!(config.tokens.private_key_files, names);
    let Problems(problems) = read(&with(&[files])).unwrap_err();
    assert_eq!(
        problems,
        ["JWT_PRIVATE_KEY_FILES: is for JWT_ALGORITHM EdDSA or ES256"]
    );
}

#[test]
fn production_names_all_that_is_missing_at_once() {
    let Problems(problems) = read(&[("ENVIRONMENT", "production")]).unwrap_err();
    let names: Vec<_> = problems
        .iter()
        .map(|problem| problem.split(':').next().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "DATABASE_URL",
            "SERVER_BASE_URL",
            "JWT_SECRET_KEY",
            "SMTP_SERVER"
        ]
    );
}

#[test]
fn weak_keys_are_refused_in_production() {
    for key in [
        "short",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "a-string-secret-at-least-256-bits-long",
        "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
    ] {
        let Problems(problems) = read(&with(&[("JWT_SECRET_KEY", key)])).unwrap_err();
        assert!(
            problems.len() == 1 && problems[0].starts_with("JWT_SECRET_KEY"),
            "{key}: {problems:?}"
        );
        assert!(!problems[0].contains(key));
    }
}

#[test]
fn each_problem_names_its_setting_and_not_its_value() {
    for (name, value) in [
        ("DATABASE_URL", "mysql://secret-word"),
        ("DATABASE_URL", "postgres://secret-word:secret-word@[/x"),
        ("SERVER_BASE_URL", "secret-word"),
        ("BIND_ADDRESS", "secret-word"),
        ("OPERATIONS_ADDRESS", "secret-word"),
        ("TRUSTED_PROXIES", "10.0.0.0/8,secret-word"),
        ("CORS_ALLOWED_ORIGINS", "*"),
        ("CORS_ALLOWED_ORIGINS", "https://a.example/secret-word"),
        ("DEBUG", "secret-word"),
        ("JWT_ALGORITHM", "none"),
        ("ACCESS_TOKEN_EXPIRE_MINUTES", "0"),
        ("REFRESH_TOKEN_EXPIRE_MINUTES", "-1"),
        ("MAX_LOGIN_ATTEMPTS", "0"),
        ("PHONE_DEFAULT_REGION", "XX"),
        ("RATE_LIMIT_LOGIN", "0/m"),
        ("RATE_LIMITS", "secret-word"),
        ("RATE_LIMIT_RESET", "often"),
        ("ACCOUNT_DELETION_GRACE_DAYS", "366"),
        ("ACCOUNT_DELETION_GRACE_DAYS", "-1"),
        ("AUDIT_RETENTION_DAYS", "secret-word"),
        ("ADMIN_USER", "secret-word@example.com"),
        ("ADMIN_PASSWORD", "secret-word"),
        ("SMTP_PORT", "70000"),
        ("SMTP_SECURITY", "secret-word"),
        ("MAIL_FROM", "secret-word"),
        ("SMTP_USERNAME", "secret-word"),
        ("ENVIRONMENT", "secret-word"),
    ] {
        let Problems(problems) = read(&with(&[(name, value)])).unwrap_err();
        assert_eq!(problems.len(), 1, "{name}: {problems:?}");
        assert!(!problems[0].contains("secret-word"), "{problems:?}");
    }
}

#[test]
fn debug_output_of_the_settings_has_no_secret() {
    let config = read(&with(&[
        ("SMTP_USERNAME", "mailer"),
        ("SMTP_PASSWORD", "smtp-word"),
        ("ADMIN_USER", "admin@example.com"),
        ("ADMIN_PASSWORD", "Secure*1234"),
    ]))
    .unwrap();
    let tokens = format!(
        "{:?} {:?} {:?}",
        config.tokens, config.mail, config.accounts
    );
    for secret in [
        "kq3vXl0Yc8wT1bZr6uPn5sGf2hJd9aEm",
        "smtp-word",
        "Secure*1234",
    ] {
        assert!(!tokens.contains(secret));
    }
}

#[test]
fn what_sounds_like_a_secret_is_shown_to_nobody() {
    let sounds_secret = |name: &str| {
        let words = ["PASSWORD", "SECRET", "CREDENTIALS", "DATABASE_URL"];
        words.iter().any(|word| name.contains(word))
    };
    let secrets: Vec<_> = Config::settings()
        .into_iter()
        .filter(|setting| sounds_secret(setting.name))
        .collect();
    assert!(secrets.len() >= 5 && secrets.iter().all(|setting| setting.is_secret));
    let source = secrets
        .iter()
        .map(|setting| (setting.name.to_owned(), "secret-word".to_owned()));
    for value in Config::values(&source.collect()) {
        assert_ne!(value.shown.as_deref(), Some("secret-word"), "{value:?}");
    }
}

#[test]
fn long_lived_access_tokens_are_cut_with_a_warning() {
    let config = read(&with(&[("ACCESS_TOKEN_EXPIRE_MINUTES", "60")])).unwrap();
    assert_eq!(config.tokens.access_token_lifetime.num_minutes(), 15);
    assert_eq!(config.warnings.len(), 1);
}

/// `.env.sample` and the README's table are written by the code: `UPDATE_DOCS=1` renews them.
#[test]
fn settings_documents_are_up_to_date() {
    let (mut sample, mut table, mut section) = (String::new(), String::new(), "");
    sample +=
        "# Every setting, with its default. Copy this file to .env and change what you need.\n";
    table += "| Setting | Default | Meaning |\n| --- | --- | --- |\n";
    for setting in Config::settings() {
        if setting.section != section {
            section = setting.section;
            write!(sample, "\n\n## {section}\n").unwrap();
            writeln!(table, "| **{section}** | | |").unwrap();
        }
        write!(
            sample,
            "\n# {}\n# {}={}\n",
            setting.help.replace('`', ""),
            setting.name,
            setting.default
        )
        .unwrap();
        let default = if setting.default.is_empty() {
            String::new()
        } else {
            format!("`{}`", setting.default)
        };
        writeln!(
            table,
            "| `{}` | {default} | {} |",
            setting.name, setting.help
        )
        .unwrap();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let (before, rest) = readme.split_once("<!-- settings -->\n").unwrap();
    let (_, after) = rest.split_once("<!-- /settings -->").unwrap();
    let readme_now = format!("{before}<!-- settings -->\n{table}<!-- /settings -->{after}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(root.join(".env.sample"), &sample).unwrap();
        fs::write(root.join("README.md"), &readme_now).unwrap();
    }
    assert_eq!(
        fs::read_to_string(root.join(".env.sample")).unwrap(),
        sample
    );
    assert_eq!(
        fs::read_to_string(root.join("README.md")).unwrap(),
        readme_now
    );
}
