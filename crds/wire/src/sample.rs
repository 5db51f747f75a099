//! The scores that a calibration is made from.

use crate::invalid::Invalid;
use crate::limits::MAX_SYSTEM_PROMPTS;
use crate::sketch::Sketch;
use personaguard_terms::Digest;
use serde::{Deserialize, Serialize};

/// The distribution of a trait's scores since their collection began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sample {
    /// What the scores are of: [`calibrates`](crate::ResolvedTrait::calibrates) of the config.
    pub basis: Digest,
    /// Their distribution.
    pub sketch: Sketch,
    /// The different system prompts they were under, sorted: each as the first 12 digits of its
    /// SHA-256, or `none`. At most [`MAX_SYSTEM_PROMPTS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub system_prompts: Vec<String>,
}

impl Sample {
    /// An empty sample.
    #[must_use]
    pub fn new(basis: Digest) -> Self {
        Self { basis, sketch: Sketch::default(), system_prompts: Vec::new() }
    }

    /// Adds the score of a response, and the hash of its system prompt.
    pub fn add(&mut self, score: f64, system_prompt: Option<&str>) {
        self.sketch.add(score);
        system_prompt.into_iter().for_each(|prompt| self.add_system_prompt(prompt));
    }

    /// Adds a sample with the same basis.
    pub fn merge(&mut self, other: &Self) {
        self.sketch.merge(&other.sketch);
        other.system_prompts.iter().for_each(|prompt| self.add_system_prompt(prompt));
    }

    fn add_system_prompt(&mut self, prompt: &str) {
        if let Err(place) = self.system_prompts.binary_search_by(|known| known.as_str().cmp(prompt))
            && self.system_prompts.len() < MAX_SYSTEM_PROMPTS
        {
            self.system_prompts.insert(place, prompt.to_owned());
        }
    }

    /// Checks a sample that was received.
    ///
    /// # Errors
    /// If it cannot be one.
    pub fn validate(&self) -> Result<(), Invalid> {
        self.sketch.validate()?;
        let hash = |text: &String| {
            text == "none" || (text.len() == 12 && text.bytes().all(|b| b.is_ascii_hexdigit()))
        };
        let valid = self.system_prompts.len() <= MAX_SYSTEM_PROMPTS
            && self.system_prompts.iter().all(hash)
            && self.system_prompts.is_sorted();
        if valid { Ok(()) } else { Err(Invalid::SystemPrompts) }
    }
}
