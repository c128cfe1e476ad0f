//! What handlers share.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use chrono::TimeDelta;
use ipnet::IpNet;
use sqlx::PgPool;
use url::Url;

use crate::{
    config::{CompatApi, Origin, ServiceCredential},
    domain::phone::Region,
    infra::{clock::Clock, email::DirectoryMailer, random::Random},
    services::Services,
};

/// What handlers share; cheap to clone.
#[derive(Clone)]
pub struct AppState(Arc<Shared>);

/// The parts of [`AppState`].
pub struct Shared {
    /// The use cases.
    pub services: Services,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for request ids.
    pub random: Arc<dyn Random>,
    /// The database, for the readiness check.
    pub pool: PgPool,
    /// What links are built from.
    pub base_url: Url,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Services that may ask about tokens.
    pub service_credentials: Vec<ServiceCredential>,
    /// The country of phone numbers that stand without a country's code.
    pub phone_default_region: Region,
    /// Origins whose pages may call the API.
    pub cors_allowed_origins: Vec<Origin>,
    /// How long the cookie of a session is kept.
    pub longest_session: TimeDelta,
    /// The older APIs that are switched on.
    pub compat_apis: Vec<CompatApi>,
    /// The mailbox of `/dev/mail`, in development.
    pub caught_mail: Option<DirectoryMailer>,
    /// Whether the server is stopping.
    pub draining: AtomicBool,
}

impl AppState {
    /// The state of one server.
    #[must_use]
    pub fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }

    /// From now on the server isn't ready for new work.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the server is stopping.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Relaxed)
    }

    /// An absolute URL of ours; `path` has no slash at its beginning.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.0.base_url)
    }

    /// The path of our base URL, with a slash at its end.
    #[must_use]
    pub fn base_path(&self) -> &str {
        self.0.base_url.path()
    }

    /// Whether clients reach us by https.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.base_url.scheme() == "https"
    }
}

impl std::ops::Deref for AppState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
