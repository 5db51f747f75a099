//! Action `Cap`.

use crate::quantity::{Layer, is_computable};
use crate::steer::{Positions, each_once};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where to cap: h ← h − max(⟨h,v̂⟩ − ceiling, 0)·v̂ after the vector's layer, and likewise for the
/// floor.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "has(self.floor) || has(self.ceiling) || (has(self.layers) && size(self.layers) > \
                 0)",
        "message": "give cap.floor, cap.ceiling or both, or cap.layers"
    },
    {
        "rule": "!has(self.floor) || !has(self.ceiling) || self.floor <= self.ceiling",
        "message": "cap.floor must not be above cap.ceiling"
    },
]))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Capping {
    /// Lowest projection, in units of the model's activations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<f64>,
    /// Highest projection, in units of the model's activations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<f64>,
    /// Token positions that are capped: `Response`, `Prompt` or `All`.
    #[serde(default)]
    pub positions: Positions,
    /// Bounds at further layers, at most 64, each on the projection on the vector at that layer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["layer"]))]
    pub layers: Vec<LayerBounds>,
}

impl Capping {
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let own = LayerBounds { layer: Layer(0), floor: self.floor, ceiling: self.ceiling };
        let only_further =
            !self.layers.is_empty() && self.floor.is_none() && self.ceiling.is_none();
        let has_room = |bounds: &LayerBounds| bounds.has_room();
        if (only_further || own.has_room()) && self.layers.iter().all(has_room) {
            each_once(self.layers.iter().map(|bounds| bounds.layer))
        } else {
            Err("give cap.floor, cap.ceiling or both, with the floor below")
        }
    }
}

/// Bounds on a projection at one layer.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[schemars(extend("x-kubernetes-validations" = [
    { "rule": "has(self.floor) || has(self.ceiling)", "message": "give floor, ceiling or both" },
    {
        "rule": "!has(self.floor) || !has(self.ceiling) || self.floor <= self.ceiling",
        "message": "floor must not be above ceiling"
    },
]))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LayerBounds {
    /// The layer, 1-based.
    pub layer: Layer,
    /// Lowest projection, in units of the model's activations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<f64>,
    /// Highest projection, in units of the model's activations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<f64>,
}

impl LayerBounds {
    /// Whether there is a bound, and room between them if there are both.
    fn has_room(&self) -> bool {
        let sides: Vec<f64> = [self.floor, self.ceiling].into_iter().flatten().collect();
        !sides.is_empty() && sides.iter().all(|side| is_computable(*side)) && sides.is_sorted()
    }
}
