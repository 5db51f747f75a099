//! Progress of steps that take time: a spinner on a terminal, plain lines with times elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use std::cell::RefCell;
use std::time::{Duration, Instant};

/// The steps of one command.
pub(crate) struct Progress {
    started: Instant,
    terminal: bool,
    current: RefCell<Option<(String, Instant, ProgressBar)>>,
}

impl Progress {
    /// Starts the clock.
    pub(crate) fn new() -> Self {
        use std::io::IsTerminal;
        Self {
            started: Instant::now(),
            terminal: std::io::stderr().is_terminal(),
            current: RefCell::new(None),
        }
    }

    /// Ends the current step and begins the next one.
    pub(crate) fn step(&self, text: &str) {
        self.done();
        let bar = if self.terminal {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
                bar.set_style(style);
            }
            bar.set_message(text.to_owned());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        } else {
            eprintln!("[{:>5.0?}] {text}", self.elapsed());
            ProgressBar::hidden()
        };
        *self.current.borrow_mut() = Some((text.to_owned(), Instant::now(), bar));
    }

    /// Ends the current step and announces one that shows its own progress.
    pub(crate) fn announce(&self, text: &str) {
        self.done();
        eprintln!("[{:>5.0?}] {text}", self.elapsed());
    }

    /// Ends the current step, if there is one.
    pub(crate) fn done(&self) {
        let Some((text, started, bar)) = self.current.borrow_mut().take() else { return };
        bar.finish_and_clear();
        if self.terminal {
            eprintln!("  {text} ({:.0?})", rounded(started.elapsed()));
        }
    }

    /// The time since the command began.
    pub(crate) fn elapsed(&self) -> Duration {
        rounded(self.started.elapsed())
    }
}

impl Drop for Progress {
    /// A step that failed is shown without a time.
    fn drop(&mut self) {
        if let Some((text, _, bar)) = self.current.borrow_mut().take() {
            bar.finish_and_clear();
            if self.terminal {
                eprintln!("  {text}");
            }
        }
    }
}

fn rounded(time: Duration) -> Duration {
    Duration::from_secs_f64((time.as_secs_f64() * 10.0).round() / 10.0)
}
