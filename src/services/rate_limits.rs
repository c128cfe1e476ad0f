//! Limits per client address (and one per mail address), for what strangers may do.
//!
//! Each instance counts by itself. Lockout, which protects a single account, is not one of these
//! and is always on: see [`super::login`].

use std::{
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use governor::{
    DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
};
use tokio_util::sync::CancellationToken;

use super::Ctx;
use crate::{
    config::{Rate, RateLimitsConfig},
    error::{Error, Result},
};

/// How often those are dropped that did nothing lately.
const TIDY_EVERY: Duration = Duration::from_secs(10);
/// Addresses to remember before those that did nothing lately are dropped.
const MANY: usize = 10_000;

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limited {
    /// A login.
    Login,
    /// A registration.
    Register,
    /// A request for another verification mail.
    Resend,
    /// A request for a link to a new password.
    Reset,
}

/// How often one mail address may be registered by an older API, which frees it at once when the account
/// is deleted: each registration sends it a mail.
const REGISTRATIONS_OF_AN_ADDRESS: (Duration, NonZeroU32) =
    (Duration::from_hours(1), NonZeroU32::new(5).unwrap());

/// Limits per client address, and one per mail address.
pub struct RateLimits(Option<Limiters>);

struct Limiters {
    login: DefaultKeyedRateLimiter<IpAddr>,
    register: DefaultKeyedRateLimiter<IpAddr>,
    resend: DefaultKeyedRateLimiter<IpAddr>,
    reset: DefaultKeyedRateLimiter<IpAddr>,
    registered: DefaultKeyedRateLimiter<String>,
}

impl RateLimits {
    /// The limits of the settings; none: no limits.
    #[must_use]
    pub fn new(config: Option<RateLimitsConfig>) -> Self {
        Self(config.map(|config| Limiters {
            login: limiter(config.login),
            register: limiter(config.register),
            resend: limiter(config.resend),
            reset: limiter(config.reset),
            registered: {
                let (period, times) = REGISTRATIONS_OF_AN_ADDRESS;
                limiter(Rate { times, period })
            },
        }))
    }

    /// Forgets clients that did nothing lately.
    fn tidy(&self) {
        for limiter in self.0.iter().flat_map(|limiters| {
            [
                &limiters.login,
                &limiters.register,
                &limiters.resend,
                &limiters.reset,
            ]
        }) {
            if limiter.len() > MANY {
                limiter.retain_recent();
                limiter.shrink_to_fit();
            }
        }
        for limiter in self.0.iter().map(|limiters| &limiters.registered) {
            if limiter.len() > MANY {
                limiter.retain_recent();
                limiter.shrink_to_fit();
            }
        }
    }

    /// Counts what a client does.
    ///
    /// # Errors
    ///
    /// [`Error::RateLimited`] when he has done it too often.
    pub fn check(&self, ctx: &Ctx, what: Limited) -> Result<()> {
        let (Some(limiters), Some(address)) = (&self.0, ctx.client.address) else {
            return Ok(());
        };
        let limiter = match what {
            Limited::Login => &limiters.login,
            Limited::Register => &limiters.register,
            Limited::Resend => &limiters.resend,
            Limited::Reset => &limiters.reset,
        };
        check(limiter, &network(address), what)
    }

    /// Counts a registration of this mail address, whoever asks for it.
    ///
    /// # Errors
    ///
    /// [`Error::RateLimited`] when it was registered too often.
    pub fn check_address(&self, normalized: &str) -> Result<()> {
        let Some(limiters) = &self.0 else {
            return Ok(());
        };
        check(
            &limiters.registered,
            &normalized.to_owned(),
            Limited::Register,
        )
    }
}

fn check<K: Hash + Eq + Clone>(
    limiter: &DefaultKeyedRateLimiter<K>,
    key: &K,
    what: Limited,
) -> Result<()> {
    limiter.check_key(key).map_err(|until| {
        metrics::counter!("rate_limited_total", "what" => format!("{what:?}").to_lowercase())
            .increment(1);
        Error::RateLimited {
            retry_after: until.wait_time_from(DefaultClock::default().now()),
        }
    })
}

/// Forgets clients that did nothing lately, now and then, until `stop`.
pub async fn keep_small(limits: Arc<RateLimits>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(TIDY_EVERY);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        limits.tidy();
    }
}

fn limiter<K: Hash + Eq + Clone>(rate: Rate) -> DefaultKeyedRateLimiter<K> {
    let each = rate.period / rate.times.get();
    let quota = Quota::with_period(each.max(Duration::from_nanos(1)))
        .unwrap_or(Quota::per_second(NonZeroU32::MIN))
        .allow_burst(rate.times);
    RateLimiter::keyed(quota)
}

/// Who counts as one client: an IPv4 address, or the /64 network that a single IPv6 host commands.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let prefix = address.to_bits() & (u128::MAX << 64);
            Ipv6Addr::from_bits(prefix).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use uuid::Uuid;

    use super::*;
    use crate::domain::id::RequestId;

    fn from(address: &str) -> Ctx {
        let mut ctx = Ctx::system(RequestId(Uuid::nil()), Utc::now());
        ctx.client.address = Some(address.parse().unwrap());
        ctx
    }

    #[test]
    fn a_client_that_does_it_too_often_is_told_when_to_come_back() {
        let rate: Rate = "2/h".parse().unwrap();
        let limits = RateLimits::new(Some(RateLimitsConfig {
            login: rate,
            register: rate,
            resend: rate,
            reset: rate,
        }));
        let check = |address| limits.check(&from(address), Limited::Login);
        assert!(check("192.0.2.1").is_ok());
        assert!(check("::ffff:192.0.2.1").is_ok());
        let Err(Error::RateLimited { retry_after }) = check("192.0.2.1") else {
            panic!("not limited");
        };
        assert!(
            retry_after > Duration::from_secs(1700) && retry_after <= Duration::from_secs(1800)
        );
        assert!(check("192.0.2.2").is_ok());
        assert!(limits.check(&from("192.0.2.1"), Limited::Register).is_ok());
        for _ in 0..5 {
            assert!(limits.check_address("ada@example.com").is_ok());
        }
        assert!(limits.check_address("ada@example.com").is_err());
        assert!(limits.check_address("bob@example.com").is_ok());
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_count_as_one() {
        assert_eq!(
            network("2001:db8::1".parse().unwrap()),
            network("2001:db8::ffff:2".parse().unwrap())
        );
        assert_ne!(
            network("2001:db8::1".parse().unwrap()),
            network("2001:db8:0:1::1".parse().unwrap())
        );
    }
}
