//! How often something may follow from reports at once. Whoever reports without end is heard, but
//! makes no writes without end.

use std::time::Duration;
use tokio::time::Instant;

/// So many at once, and then one after each interval.
const BURST: u32 = 20;
const INTERVAL: Duration = Duration::from_secs(5);

/// What is left of it.
#[derive(Debug, Default)]
pub(super) struct Budget {
    /// When all that was spent will have come back.
    whole_again: Option<Instant>,
}

impl Budget {
    /// Spends one, or says after how long there is one.
    pub(super) fn spend(&mut self, now: Instant) -> Result<(), Duration> {
        let whole_again = self.whole_again.map_or(now, |at| at.max(now)) + INTERVAL;
        let wait = (whole_again - now).saturating_sub(INTERVAL * BURST);
        if !wait.is_zero() {
            return Err(wait);
        }
        self.whole_again = Some(whole_again);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
