//! Steering that eats coherence: how it shows, and how far steering is held back for it.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Tokens of a sequence that is looked for again.
const SEQUENCE: usize = 4;
/// Answers with fewer tokens say too little.
const SHORTEST: usize = 16;
/// Coherent answers in a row after which steering goes one level further again, at first; twice as
/// many after each return.
const CALM: u32 = 16;
/// And at most.
const LONGEST_CALM: u32 = 1024;
/// Of so many coherent answers, the likelihood of one is computed.
const EVERY: u32 = 4;

/// The share of an answer's sequences of four tokens that stood in it before, 0 to 1; none for a
/// short answer.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "tokens of an answer are few")]
pub fn repetition(tokens: &[u32]) -> Option<f64> {
    if tokens.len() < SHORTEST {
        return None;
    }
    let sequences = tokens.windows(SEQUENCE);
    let (all, distinct) = (sequences.len(), sequences.collect::<HashSet<_>>().len());
    Some((all - distinct) as f64 / all as f64)
}

/// How far the steering of a plan is held back, by what its answers were like.
#[derive(Debug, Default)]
pub struct BackOff(Mutex<State>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    level: u8,
    /// Coherent answers in a row at this level.
    calm: u32,
    /// How often it was raised.
    raised: u32,
    /// Answers since the last whose likelihood was computed.
    unread: u32,
    /// The last answer was incoherent.
    doubtful: bool,
}

impl BackOff {
    /// The level at which nothing is steered.
    pub const OFF: u8 = 3;

    /// What coefficients are multiplied with at a level: 1, ½, ¼, 0.
    #[must_use]
    pub fn scale(level: u8) -> f64 {
        if level >= Self::OFF { 0.0 } else { 0.5_f64.powi(i32::from(level)) }
    }

    /// The level for the next answer.
    #[must_use]
    pub fn level(&self) -> u8 {
        self.lock().level
    }

    /// Whether the likelihood of the answer that ended is to be computed: of the first, of those
    /// after an incoherent one, and of one in four.
    #[must_use]
    pub fn reads(&self) -> bool {
        let mut state = self.lock();
        let reads = state.doubtful || state.unread == 0;
        state.unread = (state.unread + 1) % EVERY;
        reads
    }

    /// An answer that was written at `level` was coherent, or not. True where the level changes.
    pub fn judge(&self, level: u8, coherent: bool) -> bool {
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
        let doubtful = !coherent;
        if level != self.level {
            // It began before the level changed, and says nothing about this one.
            return self;
        }
        if !coherent {
            let higher = (self.level + 1).min(BackOff::OFF);
            return Self {
                level: higher,
                calm: 0,
                raised: self.raised.saturating_add(1),
                doubtful,
                ..self
            };
        }
        let needed =
            CALM.saturating_mul(1 << self.raised.saturating_sub(1).min(10)).min(LONGEST_CALM);
        if self.level > 0 && self.calm + 1 >= needed {
            return Self { level: self.level - 1, calm: 0, doubtful, ..self };
        }
        Self { calm: self.calm.saturating_add(1), doubtful, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn repetition_is_the_share_of_sequences_that_came_again() {
        assert_eq!(repetition(&[1; 15]), None);
        assert_eq!(repetition(&(0..40).collect::<Vec<_>>()), Some(0.0));
        assert!(repetition(&[7; 40]).unwrap() > 0.95);
        let twice: Vec<u32> = (0..20).chain(0..20).collect();
        assert!((repetition(&twice).unwrap() - 17.0 / 37.0).abs() < 1e-12);
    }

    #[test]
    fn steering_is_held_back_step_by_step_and_comes_back_after_a_while() {
        let back_off = BackOff::default();
        let levels: Vec<_> = (0..4)
            .map(|_| {
                back_off.judge(back_off.level(), false);
                back_off.level()
            })
            .collect();
        assert_eq!(levels, [1, 2, 3, 3]);
        assert_eq!([0, 1, 2, 3].map(BackOff::scale), [1.0, 0.5, 0.25, 0.0]);
        // Answers from before say nothing.
        assert!(!back_off.judge(0, false) && !back_off.judge(1, true));
        let calm =
            |back_off: &BackOff| (1..).find(|_| back_off.judge(back_off.level(), true)).unwrap();
        let once = BackOff::default();
        once.judge(0, false);
        assert_eq!((calm(&once), once.level()), (CALM, 0));
        once.judge(0, false);
        assert_eq!((calm(&once), once.level()), (2 * CALM, 0), "after a relapse it takes longer");
    }

    #[test]
    fn the_first_answer_is_read_and_then_one_in_four_until_one_is_doubtful() {
        let back_off = BackOff::default();
        assert_eq!([(); 6].map(|()| back_off.reads()), [true, false, false, false, true, false]);
        back_off.judge(0, false);
        assert_eq!([(); 2].map(|()| back_off.reads()), [true, true]);
        back_off.judge(1, true);
        assert_eq!([(); 2].map(|()| back_off.reads()), [true, false]);
    }

    proptest! {
        #[test]
        fn the_level_moves_by_one_and_never_beyond_off(answers in prop::collection::vec((0..4_u8, any::<bool>()), 0..300)) {
            let back_off = BackOff::default();
            for (level, coherent) in answers {
                let before = back_off.level();
                let changed = back_off.judge(level, coherent);
                let after = back_off.level();
                prop_assert!(after <= BackOff::OFF && after.abs_diff(before) <= 1);
                prop_assert_eq!(changed, after != before);
                if changed {
                    prop_assert_eq!(level, before);
                    prop_assert_eq!(after < before, coherent);
                }
            }
        }
    }
}
