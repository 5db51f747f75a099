//! How far steering is reduced because it costs coherence.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Coherent responses in a row after which steering recovers by one level. After each relapse it
/// takes twice as many.
const STREAK: u32 = 16;
/// The longest such streak.
const MAX_STREAK: u32 = 1024;
/// Of this many coherent responses, the likelihood of one is computed.
const CHECK_EVERY: u32 = 4;

/// How far the steering of a plan is reduced, by the coherence of its responses so far.
#[derive(Debug, Default)]
pub struct BackOff(Mutex<State>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    level: u8,
    /// Coherent responses in a row at this level.
    streak: u32,
    /// How often the level was raised.
    raised: u32,
    /// Responses since the last whose likelihood was computed.
    unchecked: u32,
    /// The last response was incoherent.
    in_doubt: bool,
}

impl BackOff {
    /// The level at which nothing is steered.
    pub const OFF: u8 = 3;

    /// The factor on coefficients at a level: 1, ½, ¼, 0.
    #[must_use]
    pub fn scale(level: u8) -> f64 {
        if level >= Self::OFF { 0.0 } else { 0.5_f64.powi(i32::from(level)) }
    }

    /// The level for the next response.
    #[must_use]
    pub fn level(&self) -> u8 {
        self.lock().level
    }

    /// Whether to compute the likelihood of the response that just ended: of the first one, of
    /// those after an incoherent one, and of one in four.
    #[must_use]
    pub fn should_check(&self) -> bool {
        let mut state = self.lock();
        let check = state.in_doubt || state.unchecked == 0;
        state.unchecked = (state.unchecked + 1) % CHECK_EVERY;
        check
    }

    /// Notes whether a response that was written at `level` was coherent. True if the level
    /// changes.
    pub fn observe(&self, level: u8, coherent: bool) -> bool {
        let mut state = self.lock();
        let before = state.level;
        *state = state.after(level, coherent);
        state.level != before
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is replaced as a whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn after(self, level: u8, coherent: bool) -> Self {
        if level != self.level {
            // It began before the level changed, and says nothing about the new one.
            return self;
        }
        let in_doubt = !coherent;
        if in_doubt {
            let level = (self.level + 1).min(BackOff::OFF);
            let raised = self.raised.saturating_add(1);
            return Self { level, streak: 0, raised, in_doubt, ..self };
        }
        let relapses = self.raised.saturating_sub(1).min(10);
        let needed = STREAK.saturating_mul(1 << relapses).min(MAX_STREAK);
        if self.level > 0 && self.streak + 1 >= needed {
            return Self { level: self.level - 1, streak: 0, in_doubt, ..self };
        }
        Self { streak: self.streak.saturating_add(1), in_doubt, ..self }
    }
}

#[cfg(test)]
mod tests;
