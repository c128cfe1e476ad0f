//! `RUST_LOG`.

use std::str::FromStr;

use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// What is logged, as whoever runs the service picks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(String);

impl LogFilter {
    /// As `tracing` reads it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LogFilter {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let directives = text.split(',').map(str::trim);
        let directives: Vec<_> = directives.filter(|it| !it.is_empty()).collect();
        // A mistyped level would be taken for a target, of which all is logged, and of all others nothing.
        let is_level = |word: &str| word.parse::<LevelFilter>().is_ok();
        let is_clear = |it: &&str| it.contains(['=', '[', '{', '}']) || is_level(it);
        let text = directives.join(",");
        if !directives.iter().all(is_clear) || EnvFilter::try_new(&text).is_err() {
            return Err(
                "must be levels (error, warn, info, debug, trace, off), alone or behind a target as in warn,user_management=debug",
            );
        }
        Ok(Self(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_those_of_targets_are_taken_and_what_is_mistyped_is_not() {
        for good in [
            "debug",
            "WARN",
            " info , user_management=debug,",
            "off,sqlx::query=trace",
            "warn,[request{request_id=1}]=debug",
        ] {
            assert!(good.parse::<LogFilter>().is_ok(), "{good}");
        }
        for bad in [
            "garbage",
            "inof",
            "user_management=loud",
            "info;sqlx",
            "info,hyper",
        ] {
            assert!(bad.parse::<LogFilter>().is_err(), "{bad}");
        }
    }
}
