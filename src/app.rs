//! The composition root: connects to what there is, and builds every service once. Beside,
//! `mail_route.rs` says how mail goes out, `check.rs` whether the service could be built, and `tasks.rs`
//! starts what runs behind requests.

mod check;
mod mail_route;
mod tasks;

use std::{num::NonZeroUsize, sync::Arc};

use anyhow::Context as _;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{PgPool, postgres::PgConnectOptions};
use tokio_util::task::TaskTracker;
use url::Url;

use crate::{
    config::{Config, Environment, Problems},
    domain::{
        id::RequestId, lockout::LockoutPolicy, message::Mailbox, profile::Profile,
        signing_key::Algorithm,
    },
    http::state::{AppState, Shared},
    infra::{
        clock::Clock,
        email::{Catalog, CatalogOptions, Mailer, SiteUrl},
        key_pair::KeyPair,
        keys::PurposeKey,
        password_hasher::{HashCost, PasswordHasher},
        random::Random,
        sealer::Sealer,
        wake_up::WakeUp,
    },
    repository::{pool, sessions::Lifetime},
    services::{
        Ctx, Services,
        access_tokens::{self, AccessTokens},
        audit::{Audit, AuditLog},
        cursors::Cursors,
        deletion::Deletion,
        email_change::EmailChanges,
        export::Export,
        idempotency::Idempotency,
        login::{self, Login},
        mail::Mails,
        maintenance::Maintenance,
        me::Me,
        password_reset::PasswordReset,
        passwords::Passwords,
        platform::Platform,
        preferences::Preferences,
        profiles::Profiles,
        queue::Queue,
        rate_limits::RateLimits,
        registration::{EnsuredAdmin, NewAccount, Registration, RegistrationPolicy},
        roles::Roles,
        session_cache::SessionCache,
        sessions::{self, Sessions},
        signing_keys::SigningKeys,
        user_export::UserExport,
        user_imports::{self, UserImports},
        user_search::UserSearch,
        users::Users,
        verification::Verification,
    },
};

pub use check::check;
pub use mail_route::{MailRoute, smtp_mailer};

/// What the services run on: the real things, or a test's.
pub struct Parts {
    /// The settings.
    pub config: Config,
    /// The database.
    pub database: PgConnectOptions,
    /// The key of whatever is signed, hashed or sealed.
    pub secret_key: SecretString,
    /// What links are built from; ends in a slash.
    pub base_url: Url,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// What a password's hash costs.
    pub hash_cost: HashCost,
    /// Threads that hash passwords; none: as many as cores.
    pub hash_threads: Option<NonZeroUsize>,
    /// How mail goes out.
    pub mail_route: MailRoute,
}

/// The whole service but its sockets.
pub struct App {
    /// Every service.
    pub services: Services,
    /// The database.
    pub pool: PgPool,
    /// What the HTTP layer needs.
    pub state: AppState,
    /// Wakes the worker.
    pub wake_up: WakeUp,
    /// Requests that go on without their clients: wait for them before the database is closed.
    pub detached: TaskTracker,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    cache: Arc<SessionCache>,
    limits: Arc<RateLimits>,
    database: PgConnectOptions,
    config: Config,
}

impl App {
    /// Builds every service. Connects to nothing yet.
    ///
    /// # Errors
    ///
    /// If a template is broken, a key can't be read or threads can't be started.
    pub fn build(parts: Parts) -> anyhow::Result<Self> {
        let Parts {
            config,
            database,
            secret_key,
            base_url,
            clock,
            random,
            hash_cost,
            hash_threads,
            mail_route,
        } = parts;
        let pool = pool::connect(database.clone(), config.database.max_connections);
        let wake_up = WakeUp::new();
        let detached = TaskTracker::new();
        let platform = Platform {
            pool: pool.clone(),
            clock: Arc::clone(&clock),
            random: Arc::clone(&random),
            queue: Queue::new(Arc::clone(&clock), wake_up.clone()),
            audit: Audit::default(),
            detached: detached.clone(),
        };
        let cache = Arc::new(SessionCache::default());
        let limits = Arc::new(RateLimits::new(config.login.rate_limits));
        let hasher = PasswordHasher::start(hash_cost, hash_threads, Arc::clone(&random))
            .context("can't start threads that hash passwords")?;
        let hasher = Arc::new(hasher);
        let (mailer, caught_mail): (Arc<dyn Mailer>, _) = match mail_route {
            MailRoute::Send(mailer) => (mailer, None),
            MailRoute::Keep(directory) => {
                let shown = config.environment == Environment::Development;
                (Arc::new(directory.clone()), shown.then_some(directory))
            }
        };
        let from = &config.mail.from.0;
        let mails = Arc::new(Mails::new(
            platform.clone(),
            Catalog::load(&catalog_options(&config))?,
            mailer,
            Sealer::new(secret_key.expose_secret().as_bytes(), "mail"),
            Mailbox {
                name: from.name.clone(),
                address: from.email.to_string(),
            },
            SiteUrl::parse(base_url.as_str())?,
        ));
        let signing_keys = Arc::new(SigningKeys::new(
            platform.clone(),
            config.tokens.algorithm,
            &secret_key,
            &key_files(&config)?,
        ));
        let access_tokens = Arc::new(AccessTokens::new(
            Arc::clone(&random),
            Arc::clone(&signing_keys),
            access_tokens::Options {
                issuer: base_url.to_string(),
                lifetime: config.tokens.access_token_lifetime,
            },
        ));
        let refresh_key = PurposeKey::derive(&secret_key, "refresh token");
        let sessions = Arc::new(Sessions::new(
            platform.clone(),
            Arc::clone(&cache),
            Arc::clone(&access_tokens),
            Arc::clone(&mails),
            sessions::Options {
                lifetime: Lifetime {
                    idle: config.tokens.session_lifetime,
                    longest: config.tokens.longest_session,
                },
                refresh_key: refresh_key.clone(),
            },
        ));
        let login = Arc::new(Login::new(
            platform.clone(),
            Arc::clone(&hasher),
            access_tokens,
            Arc::clone(&mails),
            Arc::clone(&limits),
            Arc::clone(&cache),
            login::Options {
                lockout: LockoutPolicy {
                    max_attempts: config.login.max_attempts,
                },
                session_lifetime: config.tokens.session_lifetime,
                refresh_key,
                throttle_key: PurposeKey::derive(&secret_key, "login throttle"),
                device_key: PurposeKey::derive(&secret_key, "device token"),
                hide_account_existence: config.accounts.hide_account_existence,
                phone_default_region: config.accounts.phone_default_region,
            },
        ));
        let password_reset = Arc::new(PasswordReset::new(
            platform.clone(),
            Arc::clone(&hasher),
            Arc::clone(&cache),
            Arc::clone(&login),
            Arc::clone(&mails),
            Arc::clone(&limits),
            PurposeKey::derive(&secret_key, "password reset"),
        ));
        let idempotency = Arc::new(Idempotency::new(
            platform.clone(),
            PurposeKey::derive(&secret_key, "idempotency"),
        ));
        let passwords = Arc::new(Passwords::new(
            platform.clone(),
            Arc::clone(&hasher),
            Arc::clone(&cache),
            Arc::clone(&mails),
            Arc::clone(&limits),
            LockoutPolicy {
                max_attempts: config.login.max_attempts,
            },
            PurposeKey::derive(&secret_key, "own password"),
        ));
        let roles = Arc::new(Roles::new(
            platform.clone(),
            Arc::clone(&cache),
            Arc::clone(&mails),
        ));
        let cursors = Arc::new(Cursors::new(&secret_key));
        let audit = Arc::new(AuditLog::new(
            platform.clone(),
            Arc::clone(&cursors),
            config.audit.retention,
        ));
        let user_imports = Arc::new(UserImports::new(
            platform.clone(),
            Arc::clone(&hasher),
            Arc::clone(&cache),
            Arc::clone(&mails),
            Arc::clone(&roles),
            Arc::clone(&password_reset),
            user_imports::Options {
                sealer: Sealer::new(secret_key.expose_secret().as_bytes(), "user import"),
                phone_default_region: config.accounts.phone_default_region,
                max_bytes: config.accounts.import_max_bytes,
            },
        ));
        let services = Services {
            user_imports,
            registration: Arc::new(Registration::new(
                platform.clone(),
                hasher,
                Arc::clone(&mails),
                Arc::clone(&limits),
                Arc::clone(&idempotency),
                RegistrationPolicy {
                    first_user_is_admin: config.accounts.first_user_is_admin,
                    hide_account_existence: config.accounts.hide_account_existence,
                },
            )),
            verification: Arc::new(Verification::new(
                platform.clone(),
                Arc::clone(&mails),
                Arc::clone(&limits),
                Arc::clone(&cache),
                Arc::clone(&password_reset),
                PurposeKey::derive(&secret_key, "resend verification"),
            )),
            user_export: Arc::new(UserExport::new(platform.clone())),
            user_search: Arc::new(UserSearch::new(platform.clone(), cursors)),
            users: Arc::new(Users::new(
                platform.clone(),
                Arc::clone(&cache),
                Arc::clone(&login),
                Arc::clone(&mails),
                Arc::clone(&roles),
            )),
            roles,
            export: Arc::new(Export::new(platform.clone(), Arc::clone(&login))),
            me: Arc::new(Me::new(
                platform.clone(),
                Arc::clone(&cache),
                Arc::clone(&passwords),
            )),
            preferences: Arc::new(Preferences::new(platform.clone())),
            profiles: Arc::new(Profiles::new(platform.clone())),
            email_changes: Arc::new(EmailChanges::new(
                platform.clone(),
                Arc::clone(&cache),
                Arc::clone(&mails),
                Arc::clone(&password_reset),
                Arc::clone(&passwords),
            )),
            deletion: Arc::new(Deletion::new(
                platform.clone(),
                Arc::clone(&passwords),
                Arc::clone(&cache),
                Arc::clone(&mails),
                config.accounts.deletion_grace,
            )),
            password_reset,
            passwords,
            maintenance: Arc::new(Maintenance::new(platform, Arc::clone(&audit))),
            audit,
            idempotency,
            login,
            sessions,
            signing_keys,
            mails,
        };
        let state = AppState::new(Shared {
            services: services.clone(),
            clock: Arc::clone(&clock),
            random: Arc::clone(&random),
            pool: pool.clone(),
            base_url,
            trusted_proxies: config.server.trusted_proxies.clone(),
            service_credentials: config.tokens.service_credentials.clone(),
            longest_session: config.tokens.longest_session,
            phone_default_region: config.accounts.phone_default_region,
            cors_allowed_origins: config.server.cors_allowed_origins.clone(),
            compat_apis: config.compat_apis.clone(),
            caught_mail,
            draining: false.into(),
        });
        Ok(Self {
            services,
            pool,
            state,
            wake_up,
            detached,
            clock,
            random,
            cache,
            limits,
            database,
            config,
        })
    }

    /// Makes the administrator of `ADMIN_USER`, if the setting is there.
    ///
    /// # Errors
    ///
    /// If the database fails.
    ///
    /// # Concurrency
    ///
    /// Of several instances that start at once one makes him.
    pub async fn ensure_admin(&self) -> anyhow::Result<Option<EnsuredAdmin>> {
        let Some(admin) = self.config.accounts.first_admin.clone() else {
            return Ok(None);
        };
        let now = self.clock.now();
        let ctx = Ctx::system(RequestId(self.random.uuid_v7(now)), now);
        let account = NewAccount {
            email: Some(admin.email),
            phone_number: None,
            legacy_name: None,
            password: admin.password,
            nickname: None,
            profile: Profile::default(),
        };
        let made = self.services.registration.ensure_admin(&ctx, account).await;
        made.context("can't make the administrator of ADMIN_USER")
            .map(Some)
    }
}

/// Which mails there are.
fn catalog_options(config: &Config) -> CatalogOptions {
    let name = config.mail.from.0.name.clone();
    CatalogOptions {
        service: name.unwrap_or_else(|| "User Management".to_owned()),
        overrides: config.mail.templates_dir.clone(),
    }
}

/// The keys of `JWT_PRIVATE_KEY_FILES`.
fn key_files(config: &Config) -> anyhow::Result<Vec<KeyPair>> {
    let Algorithm::KeyPair(algorithm) = config.tokens.algorithm else {
        return Ok(Vec::new());
    };
    let named = |problem| format!("JWT_PRIVATE_KEY_FILES: {problem}");
    KeyPair::read_files(algorithm, &config.tokens.private_key_files)
        .map_err(|problems| Problems(problems.into_iter().map(named).collect()).into())
}
