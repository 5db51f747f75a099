//! Distributions of scores, as a status stores them.

use personaguard_terms::Digest;
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
    /// or `none`; in order, and at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub system_prompts: Vec<String>,
}

/// A distribution of scores.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sketch {
    /// Sum of squared deviations from the mean, mergeable.
    pub sum_squared_deviations: f64,
    /// In rising order; the lowest and the highest score stand alone.
    pub centroids: Vec<Centroid>,
}

/// Neighbouring scores.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Centroid {
    /// Their mean.
    pub mean: f64,
    /// How many they are, at least 1.
    pub count: u64,
}
