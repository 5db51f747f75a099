//! One request's taps and interventions, grouped by layer.

use super::intervention::{Gate, GatePosition, Intervention};
use super::positions::Positions;
use super::tap::Tap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What one request reads from the residual stream and changes there, by layer.
#[derive(Debug)]
pub(crate) struct ResidualPlan {
    taps: Arc<[Tap]>,
    interventions: Arc<[Intervention]>,
    taps_by_layer: ByLayer,
    interventions_by_layer: ByLayer,
    /// Projections at the last prompt token, once an earlier pass has read them.
    prompt_last: Vec<f32>,
    /// For each intervention, whether its gate was open at the previous position. The rows of a
    /// sequence pass a layer in order and on one thread.
    open: Vec<AtomicBool>,
}

/// What a [`Gate`] needs to know of the piece of a sequence that is being computed.
pub(crate) struct GateInput<'a> {
    /// Projections of the piece so far, `[row][tap]`, from the last prompt token on where the piece
    /// has it.
    pub(crate) projections: &'a [f32],
    /// Whether the first row of `projections` is that of the last prompt token.
    pub(crate) has_prompt_last: bool,
    /// Row of `projections` at which the gate is asked.
    pub(crate) row: usize,
}

impl ResidualPlan {
    /// For a model of `layers` blocks.
    pub(crate) fn new(taps: Arc<[Tap]>, interventions: Arc<[Intervention]>, layers: usize) -> Self {
        Self {
            taps_by_layer: ByLayer::new(&taps.iter().map(Tap::layer).collect::<Vec<_>>(), layers),
            interventions_by_layer: ByLayer::new(
                &interventions.iter().map(Intervention::layer).collect::<Vec<_>>(),
                layers,
            ),
            prompt_last: Vec::new(),
            open: interventions.iter().map(|_| AtomicBool::new(false)).collect(),
            taps,
            interventions,
        }
    }

    /// Number of taps at all layers: projections of one token.
    pub(crate) fn tap_count(&self) -> usize {
        self.taps.len()
    }

    /// Interventions at all layers.
    #[cfg(any(test, feature = "cuda"))]
    pub(crate) fn interventions(&self) -> &[Intervention] {
        &self.interventions
    }

    /// Whether nothing is read or changed at `layer`.
    pub(crate) fn is_idle(&self, layer: usize) -> bool {
        self.taps_by_layer.at(layer).is_empty() && self.interventions_by_layer.at(layer).is_empty()
    }

    /// Taps at `layer`, with their numbers.
    pub(crate) fn taps_at(&self, layer: usize) -> impl Iterator<Item = (usize, &Tap)> {
        self.taps_by_layer.at(layer).iter().map(|&index| (index, &self.taps[index]))
    }

    /// Interventions at `layer`, with their numbers, in the order in which they are applied.
    pub(crate) fn interventions_at(
        &self,
        layer: usize,
    ) -> impl Iterator<Item = (usize, &Intervention)> {
        let indices = self.interventions_by_layer.at(layer);
        indices.iter().map(|&index| (index, &self.interventions[index]))
    }

    /// Stores the projections at the last prompt token, for the gates that read them there.
    pub(crate) fn set_prompt_last(&mut self, projections: &[f32]) {
        self.prompt_last = projections.to_vec();
    }

    /// Whether the gate of intervention `index` is open at a response position.
    pub(crate) fn is_open(&self, index: usize, gate: Gate, input: &GateInput<'_>) -> bool {
        let projection = match gate.at {
            GatePosition::Token => input.projections[input.row * self.taps.len() + gate.tap],
            GatePosition::PromptLast if input.has_prompt_last => input.projections[gate.tap],
            GatePosition::PromptLast => {
                self.prompt_last.get(gate.tap).copied().unwrap_or(f32::NEG_INFINITY)
            }
        };
        let bound = if self.open[index].load(Ordering::Relaxed) { gate.until } else { gate.above };
        let open = projection > bound;
        self.open[index].store(open, Ordering::Relaxed);
        open
    }

    /// Whether all interventions act on prompt and response in the same way.
    pub(crate) fn is_uniform(&self) -> bool {
        self.interventions.iter().all(|change| change.positions == Positions::All)
    }

    /// Bytes that determine how the interventions change a prompt.
    pub(crate) fn prompt_fingerprint(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for intervention in self.interventions.iter() {
            if intervention.positions != Positions::Response {
                bytes.extend(intervention.layer.to_le_bytes());
                intervention.change.fingerprint(&mut bytes);
            }
        }
        bytes
    }
}

/// Numbers of a list's elements, ordered by their layers.
#[derive(Debug)]
struct ByLayer {
    /// In their own order within a layer.
    order: Vec<usize>,
    /// For each layer, its part of `order`.
    ranges: Vec<Range<usize>>,
}

impl ByLayer {
    /// `layer_of[i]` is the layer of element i.
    fn new(layer_of: &[usize], layers: usize) -> Self {
        let mut order: Vec<usize> = (0..layer_of.len()).collect();
        order.sort_by_key(|&index| layer_of[index]);
        let range = |layer| {
            let start = order.partition_point(|&index| layer_of[index] < layer);
            start..order.partition_point(|&index| layer_of[index] <= layer)
        };
        let ranges = (0..=layers).map(range).collect();
        Self { order, ranges }
    }

    fn at(&self, layer: usize) -> &[usize] {
        &self.order[self.ranges[layer].clone()]
    }
}
