//! Progress on standard error: a bar with the time left on a terminal, elsewhere a line at the end
//! of each pass.

use indicatif::{ProgressBar, ProgressStyle};

/// The progress of one pass.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    title: &'static str,
}

impl Progress {
    /// Starts a pass of `length` steps.
    pub(crate) fn start(title: &'static str, length: usize) -> Self {
        let style = ProgressStyle::with_template(
            "{msg:<34} {wide_bar} {pos:>5}/{len} {elapsed:>4}, {eta} left",
        )
        .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(length as u64).with_style(style).with_message(title);
        bar.tick();
        Self { bar, title }
    }

    /// Counts one step.
    pub(crate) fn step(&self) {
        self.bar.inc(1);
    }

    /// Ends the pass.
    pub(crate) fn finish(self) {
        self.bar.finish();
        if self.bar.is_hidden() {
            eprintln!(
                "{}: {} in {:.1} s",
                self.title,
                self.bar.position(),
                self.bar.elapsed().as_secs_f64()
            );
        }
    }
}
