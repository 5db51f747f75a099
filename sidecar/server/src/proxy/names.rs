//! Names of models that clients have asked for: a server that repeats them says nothing of its own.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Names at most; of more, the oldest is forgotten.
const MAX: usize = 64;
/// Longest name in bytes.
const MAX_NAME: usize = 256;

#[derive(Clone, Debug, Default)]
pub(super) struct Names(Arc<Mutex<VecDeque<String>>>);

impl Names {
    /// A client asked for this model.
    pub(super) fn learn(&self, name: &str) {
        let mut names = self.lock();
        if name.len() > MAX_NAME || names.iter().any(|known| known == name) {
            return;
        }
        if names.len() == MAX {
            names.pop_front();
        }
        names.push_back(name.to_owned());
    }

    pub(super) fn knows(&self, name: &str) -> bool {
        self.lock().iter().any(|known| known == name)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<String>> {
        // The queue is valid after each statement.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_names_are_known() {
        let names = Names::default();
        (0..=MAX).for_each(|number| names.learn(&format!("model-{number}")));
        assert!(names.knows("model-1") && names.knows("model-64"));
        assert!(!names.knows("model-0") && !names.knows("model-65"));
    }
}
