//! A sample of scores that a calibration is made from.

use crate::quantity::Digest;
use crate::sketch::Sketch;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The distribution of a trait's scores since calibration began.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sample {
    /// What the scores are of, as the config said.
    #[schemars(with = "String")]
    // the rule of a digest would cost too much in an unbounded list
    pub basis: Digest,
    /// Their distribution.
    pub sketch: Sketch,
    /// Different system prompts that they were under, each as the first 12 digits of its SHA-256,
    /// or `none`; in order, and at most [`MAX_SYSTEM_PROMPTS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub system_prompts: Vec<String>,
}

/// Different system prompts that are told apart; further ones are not noted.
pub const MAX_SYSTEM_PROMPTS: usize = 8;

impl Sample {
    /// An empty one.
    #[must_use]
    pub fn new(basis: Digest) -> Self {
        Self { basis, sketch: Sketch::default(), system_prompts: Vec::new() }
    }

    /// Takes in the score of a response, and what its system prompt is known by.
    pub fn add(&mut self, score: f64, system_prompt: Option<&str>) {
        self.sketch.add(score);
        system_prompt.into_iter().for_each(|prompt| self.note(prompt));
    }

    /// Takes in a sample of the same thing.
    pub fn merge(&mut self, other: &Self) {
        self.sketch.merge(&other.sketch);
        other.system_prompts.iter().for_each(|prompt| self.note(prompt));
    }

    fn note(&mut self, system_prompt: &str) {
        if let Err(place) =
            self.system_prompts.binary_search_by(|known| known.as_str().cmp(system_prompt))
            && self.system_prompts.len() < MAX_SYSTEM_PROMPTS
        {
            self.system_prompts.insert(place, system_prompt.to_owned());
        }
    }

    /// Whether it can be one: what comes from outside is to be asked this first.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let hash = |text: &String| {
            text == "none" || (text.len() == 12 && text.bytes().all(|b| b.is_ascii_hexdigit()))
        };
        self.sketch.is_sound()
            && self.system_prompts.len() <= MAX_SYSTEM_PROMPTS
            && self.system_prompts.iter().all(hash)
            && self.system_prompts.is_sorted()
    }
}
