//! What a user chooses about an extraction.

use crate::error::{Result, bail};
use personaguard_persona::TraitSpec;
use serde::Serialize;

/// What a user chooses about an extraction. Field names are those of the settings in the vector
/// file.
#[derive(Clone, Debug, Serialize)]
pub struct ExtractSettings {
    /// Longest answer, in tokens.
    pub tokens: usize,
    /// Number of extraction questions, and of held-out questions.
    pub questions: usize,
    /// Number of contrasts under which each extraction question is asked.
    pub pairs: usize,
    /// Number of contrasts under which each held-out question is asked; contrasts take turns.
    pub held_out_pairs: usize,
    /// Number of answers to each question under each system prompt.
    pub rollouts: usize,
    /// Sampling temperature; 0 is greedy.
    pub temperature: f32,
    /// Seed of sampling, bootstrap and permutations.
    pub seed: u64,
    /// Number of bootstrap resamples, and of permutations.
    pub draws: usize,
    /// Steering is tried at every `layer_step`-th layer. Default: an eighth of the number of
    /// layers.
    pub layer_step: Option<usize>,
    /// Number of extraction questions with which steering is tried.
    pub steering_questions: usize,
    /// Largest number of benign answers for the calibration.
    pub benign: usize,
}

impl ExtractSettings {
    /// Checks that these settings can give a vector of a trait.
    ///
    /// # Errors
    /// A sentence that says what to change.
    pub fn check(&self, spec: &TraitSpec) -> Result<()> {
        let available = spec.extract.len().min(spec.held_out.len());
        if self.questions < 2 || self.questions > available {
            bail!("--questions must be 2 to {available}, as many as the trait has of each kind");
        }
        if self.pairs == 0 || self.held_out_pairs == 0 || self.rollouts == 0 {
            bail!("--pairs, --held-out-pairs and --rollouts must be at least 1");
        }
        if !(8..=2048).contains(&self.tokens) {
            bail!("--tokens must be 8 to 2048");
        }
        if self.rollouts > 1 && self.temperature == 0.0 {
            bail!(
                "with --temperature 0 all rollouts are the same: leave --rollouts at 1, or raise \
                 the temperature"
            );
        }
        if self.draws < 100 || self.benign < 2 || self.steering_questions < 2 {
            bail!("--draws must be at least 100, --benign and --steering-questions at least 2");
        }
        Ok(())
    }
}
