//! How patient a fetch is.

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use std::time::Duration;

/// How patient a fetch is.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Time for a connection to be made.
    pub connect: Duration,
    /// Time without a byte after which a connection counts as dead.
    pub stall: Duration,
    /// Time before a request is repeated; it doubles with each further repetition.
    pub first_wait: Duration,
    /// The longest such time, also where a hub asks for a longer one.
    pub longest_wait: Duration,
    /// Repetitions in a row that bring nothing, after which it is given up.
    pub repetitions: usize,
}

impl Default for Pace {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            connect: seconds(10),
            stall: seconds(60),
            first_wait: seconds(1),
            longest_wait: seconds(60),
            repetitions: 6,
        }
    }
}

impl Pace {
    /// The waits before each repetition.
    pub(crate) fn waits(&self) -> ExponentialBackoff {
        ExponentialBuilder::new()
            .with_min_delay(self.first_wait)
            .with_max_delay(self.longest_wait)
            .with_max_times(self.repetitions)
            .with_jitter()
            .build()
    }
}
