//! How far a long command is: a bar on the terminal, a line every few seconds where there is none;
//! on stderr, so that stdout holds the result only.

use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};

/// Time between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// Time between two looks of the bar.
const DRAW_EVERY: Duration = Duration::from_millis(100);

/// A bar.
pub(super) struct Progress {
    bar: ProgressBar,
    shown: Instant,
}

impl Progress {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::no_length();
        let style = "{wide_bar} {percent:>3}% {msg} {elapsed}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        Self {
            bar,
            shown: Instant::now(),
        }
    }

    /// `done` of `of` entries.
    pub(super) fn show(&mut self, what: &'static str, done: u64, of: Option<u64>) {
        let hidden = self.bar.is_hidden();
        let pause = if hidden { LINE_EVERY } else { DRAW_EVERY };
        if self.shown.elapsed() < pause {
            return;
        }
        self.shown = Instant::now();
        let total = of.map_or_else(String::new, |of| format!(" of {}", HumanCount(of)));
        let message = format!("{what}: {}{total} entries", HumanCount(done));
        if hidden {
            eprintln!("{message}");
        }
        match of {
            Some(of) => self.bar.set_length(of),
            None => self.bar.unset_length(),
        }
        self.bar.set_position(done);
        self.bar.set_message(message);
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
