//! What callers may ask for.

use crate::quantity::Coefficient;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What callers may ask for, request by request: stricter enforcement, or a steering coefficient.
/// Never less than the policy.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RequestBounds {
    /// Whether callers may have the trait blocked at its threshold.
    pub block: bool,
    /// Whether callers may set a stricter threshold than the policy's.
    pub threshold: bool,
    /// The range within which callers may set a steering coefficient in place of the policy's.
    /// Default: they may not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coefficient: Option<CoefficientRange>,
}

/// A range of steering coefficients.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "self.min <= self.max",
        "message": "coefficient.min must not be above coefficient.max"
    },
]))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CoefficientRange {
    /// Lowest coefficient, −4 to 4.
    pub min: Coefficient,
    /// Highest coefficient, −4 to 4.
    pub max: Coefficient,
}
