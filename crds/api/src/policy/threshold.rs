//! When a score is a breach.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// A limit on a score. Exactly one field.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = (
    "[has(self.quantile), has(self.sigma), has(self.projection), has(self.range)].filter(x, \
     x).size() == 1",
    "give exactly one of quantile, sigma, projection and range"
))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Threshold {
    /// Quantile of the calibration, 0.5 to 0.99999. One benign answer in a thousand passes 0.999.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.5, max = 0.99999))]
    pub quantile: Option<f64>,
    /// Standard deviations above the mean of the calibration, 0 to 20.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 20))]
    pub sigma: Option<f64>,
    /// A raw projection (a·v)/‖v‖, in units of the model's activations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub projection: Option<f64>,
    /// A range of raw projections. A score outside it, on either side, is a breach.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<ProjectionRange>,
}

/// A range of raw projections, in units of the model's activations.
#[derive(KubeSchema, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = ("self.min < self.max", "range.min must be below range.max"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProjectionRange {
    /// A score below this is a breach.
    pub min: f64,
    /// A score above this is a breach.
    pub max: f64,
}
