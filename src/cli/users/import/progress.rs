//! How far an import has got, at a terminal.

use std::{
    fmt::Write,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};

use crate::domain::user_import::UserImport;

/// A bar on standard error, where that is a terminal.
pub(super) struct Progress {
    bar: ProgressBar,
    run: Arc<Mutex<Run>>,
}

impl Progress {
    pub(super) fn new() -> Self {
        let run = Arc::new(Mutex::new(Run::default()));
        let (known, also_known) = (Arc::clone(&run), Arc::clone(&run));
        // Nobody can do anything about a bar that can't be drawn.
        let rate = move |state: &ProgressState, text: &mut dyn Write| {
            let _ = write!(text, "{:.0}", locked(&known).rate(state.elapsed()));
        };
        let left = move |state: &ProgressState, text: &mut dyn Write| {
            let _ = match locked(&also_known).left(state.elapsed()) {
                Some(left) => write!(text, "{:#}", HumanDuration(left)),
                None => write!(text, "-"),
            };
        };
        let style = ProgressStyle::with_template(
            "{wide_bar} {percent:>3} %  {msg} rows, {rate}/s, {left} left",
        );
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        let style = style.with_key("rate", rate).with_key("left", left);
        let bar = ProgressBar::new(0).with_style(style);
        Self { bar, run }
    }

    pub(super) fn show(&self, import: &UserImport) {
        let now = Place {
            rows: import.counts.read(),
            bytes: import.place.offset,
        };
        let is_first = locked(&self.run).go_on(now, import.file_size);
        if is_first {
            self.bar.reset_elapsed();
        }
        self.bar.set_length(import.file_size);
        self.bar.set_message(now.rows.to_string());
        self.bar.set_position(now.bytes);
    }

    /// Takes the bar away: the rows that are done, those before this run among them.
    pub(super) fn end(&self) -> u64 {
        self.bar.finish_and_clear();
        locked(&self.run).now.rows
    }
}

fn locked(run: &Mutex<Run>) -> MutexGuard<'_, Run> {
    run.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A place in a file.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    rows: u64,
    bytes: u64,
}

/// A run of an import, from where the one before it was broken off: what that has done tells nothing of how fast
/// this one is.
#[derive(Debug, Default)]
struct Run {
    begin: Option<Place>,
    now: Place,
    file_size: u64,
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
impl Run {
    /// Notes how far it has got: answers whether this is where it begins.
    fn go_on(&mut self, now: Place, file_size: u64) -> bool {
        let is_first = self.begin.is_none();
        self.begin.get_or_insert(now);
        (self.now, self.file_size) = (now, file_size);
        is_first
    }

    /// The rows and bytes of this run.
    fn done(&self) -> Place {
        let begin = self.begin.unwrap_or_default();
        Place {
            rows: self.now.rows.saturating_sub(begin.rows),
            bytes: self.now.bytes.saturating_sub(begin.bytes),
        }
    }

    /// Rows a second.
    fn rate(&self, elapsed: Duration) -> f64 {
        let seconds = elapsed.as_secs_f64();
        match self.done().rows {
            0 => 0.0,
            rows => rows as f64 / seconds.max(f64::EPSILON),
        }
    }

    /// How long the rest takes; none while nothing tells.
    fn left(&self, elapsed: Duration) -> Option<Duration> {
        let done = self.done().bytes;
        let left = self.file_size.saturating_sub(self.now.bytes);
        let times = (done > 0).then(|| left as f64 / done as f64)?;
        Duration::try_from_secs_f64(elapsed.as_secs_f64() * times).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_before_a_resumption_counts_neither_into_the_rate_nor_the_time_left() {
        let elapsed = Duration::from_secs(10);
        let place = |rows| Place {
            rows,
            bytes: rows * 100,
        };
        let mut run = Run::default();
        assert!(run.go_on(place(9_000), 1_000_000));
        assert!(run.rate(elapsed).abs() < 0.001);
        assert_eq!(run.left(elapsed), None);
        assert!(!run.go_on(place(9_200), 1_000_000));
        assert!((run.rate(elapsed) - 20.0).abs() < 0.001);
        assert_eq!(run.left(elapsed), Some(Duration::from_secs(40)));
        assert!(!run.go_on(place(10_000), 1_000_000));
        assert_eq!(run.left(elapsed), Some(Duration::ZERO));
    }
}
