//! Taps: what a request reads from the residual stream, and what it changes there.

use super::Segment;
use crate::engine::request::{Change, Gate, GateAt, Intervention, Probe};
use crate::kernel::vector::{add_scaled, dot};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// One request's probes and interventions, by layer.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    probes: Arc<[Probe]>,
    interventions: Arc<[Intervention]>,
    /// Numbers of probes, ordered by layer.
    probe_order: Vec<usize>,
    /// For each layer, its part of `probe_order`.
    probe_layers: Vec<Range<usize>>,
    intervention_order: Vec<usize>,
    intervention_layers: Vec<Range<usize>>,
    /// Projections at the last prompt token, once a pass before this one has read them.
    prompt_last: Vec<f32>,
    /// For each intervention, whether its gate was open at the position before. The rows of a
    /// sequence pass a layer in order and on one thread.
    open: Vec<AtomicBool>,
}

impl Hooks {
    /// For a model of `layers` blocks.
    pub(crate) fn new(
        probes: Arc<[Probe]>,
        interventions: Arc<[Intervention]>,
        layers: usize,
    ) -> Self {
        let (probe_order, probe_layers) =
            by_layer(&probes.iter().map(|probe| probe.layer).collect::<Vec<_>>(), layers);
        let (intervention_order, intervention_layers) = by_layer(
            &interventions.iter().map(|intervention| intervention.layer).collect::<Vec<_>>(),
            layers,
        );
        let open = interventions.iter().map(|_| AtomicBool::new(false)).collect();
        let prompt_last = Vec::new();
        Self {
            probes,
            interventions,
            probe_order,
            probe_layers,
            intervention_order,
            intervention_layers,
            prompt_last,
            open,
        }
    }

    pub(crate) fn probes(&self) -> usize {
        self.probes.len()
    }

    /// Takes the projections at the last prompt token, for the gates that read them there.
    pub(crate) fn prompt_read(&mut self, projections: &[f32]) {
        self.prompt_last = projections.to_vec();
    }

    /// Whether a gate is open at a response position: `read` holds the segment's projections so
    /// far, from the last prompt token on where the segment has it (`has_prompt_last`), and `row`
    /// is the position's number among them.
    fn is_open(
        &self,
        index: usize,
        gate: Gate,
        read: &[f32],
        has_prompt_last: bool,
        row: usize,
    ) -> bool {
        let projection = match gate.at {
            GateAt::Token => read[row * self.probes.len() + gate.probe],
            GateAt::PromptLast if has_prompt_last => read[gate.probe],
            GateAt::PromptLast => {
                self.prompt_last.get(gate.probe).copied().unwrap_or(f32::NEG_INFINITY)
            }
        };
        let bound = if self.open[index].load(Ordering::Relaxed) { gate.until } else { gate.above };
        let open = projection > bound;
        self.open[index].store(open, Ordering::Relaxed);
        open
    }

    pub(crate) fn interventions(&self) -> &[Intervention] {
        &self.interventions
    }
}

/// By layer, for whoever does not go through the stream row by row.
#[cfg(any(test, feature = "cuda"))]
impl Hooks {
    pub(super) fn is_idle(&self, layer: usize) -> bool {
        self.probe_layers[layer].is_empty() && self.intervention_layers[layer].is_empty()
    }

    /// Probes at a layer, with their numbers.
    pub(super) fn probes_at(&self, layer: usize) -> impl Iterator<Item = (usize, &Probe)> {
        self.probe_order[self.probe_layers[layer].clone()]
            .iter()
            .map(|&index| (index, &self.probes[index]))
    }

    pub(super) fn changes_at(&self, layer: usize) -> impl Iterator<Item = &Intervention> {
        self.intervention_order[self.intervention_layers[layer].clone()]
            .iter()
            .map(|&index| &self.interventions[index])
    }
}

/// Numbers ordered by layer, in their own order within a layer, and each layer's range of them.
fn by_layer(of: &[usize], layers: usize) -> (Vec<usize>, Vec<Range<usize>>) {
    let mut order: Vec<usize> = (0..of.len()).collect();
    order.sort_by_key(|&index| of[index]);
    let range = |layer| {
        order.partition_point(|&i| of[i] < layer)..order.partition_point(|&i| of[i] <= layer)
    };
    let ranges = (0..=layers).map(range).collect();
    (order, ranges)
}

/// Sums of hidden states at every layer, `[layer][hidden]`.
#[derive(Debug)]
pub(crate) struct StateSums {
    pub(crate) response: Vec<Vec<f64>>,
    pub(crate) prompt: Vec<Vec<f64>>,
    pub(crate) prompt_last: Vec<Vec<f32>>,
}

impl StateSums {
    pub(crate) fn new(layers: usize, hidden: usize) -> Self {
        let sums = vec![vec![0.0; hidden]; layers + 1];
        Self {
            response: sums.clone(),
            prompt: sums,
            prompt_last: vec![vec![0.0; hidden]; layers + 1],
        }
    }

    fn add(&mut self, layer: usize, position: usize, prompt_tokens: usize, state: &[f32]) {
        let sums = if position < prompt_tokens { &mut self.prompt } else { &mut self.response };
        for (sum, value) in sums[layer].iter_mut().zip(state) {
            *sum += f64::from(*value);
        }
        if position + 1 == prompt_tokens {
            self.prompt_last[layer].copy_from_slice(state);
        }
    }
}

/// Reads, then changes, the stream at one layer. `stream` is `[row][hidden]`, rows running through
/// all segments.
pub(super) fn apply(layer: usize, hidden: usize, segments: &mut [Segment<'_>], stream: &mut [f32]) {
    let mut rows = stream.chunks_exact_mut(hidden);
    for segment in segments {
        let hooks = segment.hooks;
        let probes = &hooks.probe_order[hooks.probe_layers[layer].clone()];
        let changes = &hooks.intervention_order[hooks.intervention_layers[layer].clone()];
        if probes.is_empty() && changes.is_empty() && segment.states.is_none() {
            rows.by_ref().take(segment.tokens.len()).for_each(drop);
            continue;
        }
        for (offset, row) in rows.by_ref().take(segment.tokens.len()).enumerate() {
            let position = segment.start + offset;
            if let Some(states) = &mut segment.states {
                states.add(layer, position, segment.prompt_tokens, row);
            }
            if let Some(read) = offset.checked_sub(segment.read_from) {
                let projections =
                    &mut segment.projections[read * hooks.probes.len()..][..hooks.probes.len()];
                for &probe in probes {
                    projections[probe] = dot(&hooks.probes[probe].direction, row);
                }
            }
            for &index in changes {
                let intervention = &hooks.interventions[index];
                let acts = intervention.positions.include(position, segment.prompt_tokens)
                    && intervention.gate.is_none_or(|gate| {
                        let has_prompt_last = segment.start < segment.prompt_tokens;
                        let row = offset - segment.read_from;
                        hooks.is_open(index, gate, &segment.projections, has_prompt_last, row)
                    });
                if acts {
                    change(&intervention.change, row);
                }
            }
        }
    }
}

fn change(change: &Change, row: &mut [f32]) {
    match change {
        Change::Add(vector) => add_scaled(row, 1.0, vector),
        Change::Cap { unit, floor, ceiling } => {
            let projection = dot(unit, row);
            let excess = projection - projection.clamp(*floor, *ceiling);
            if excess != 0.0 {
                add_scaled(row, -excess, unit);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::request::Positions;

    #[test]
    fn probes_read_before_interventions_write() {
        let probes = [Probe::new(1, &[0.0, 2.0]).unwrap(), Probe::new(0, &[1.0, 0.0]).unwrap()];
        let interventions = [
            Intervention::add(1, &[0.0, 1.0], 10.0, Positions::Response).unwrap(),
            Intervention::cap(1, &[0.0, 3.0], None, Some(5.0), Positions::Response).unwrap(),
        ];
        let hooks = Hooks::new(probes.into(), interventions.into(), 2);
        let mut segments = [Segment {
            tokens: &[7, 7, 7],
            start: 4,
            prompt_tokens: 6,
            blocks: &[],
            hooks: &hooks,
            read_from: 1,
            projections: vec![0.0; 4],
            states: None,
        }];
        let mut stream = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        for layer in 0..=2 {
            apply(layer, 2, &mut segments, &mut stream);
        }
        assert_eq!(segments[0].projections, [4.0, 3.0, 6.0, 5.0]);
        assert_eq!(stream, [1.0, 2.0, 3.0, 4.0, 5.0, 5.0]);
    }

    /// A sequence of one number a token, fed in pieces of these sizes: where a gated +100 at layer
    /// 1 acts.
    fn gated(gate: Gate, pieces: &[usize]) -> Vec<bool> {
        const STREAM: [f32; 7] = [9.0, 5.0, 1.0, 6.0, 4.0, 2.0, 5.5];
        let probes = [Probe::new(1, &[2.0]).unwrap()];
        let change = Intervention::add(1, &[1.0], 100.0, Positions::All).unwrap().when(gate);
        let mut hooks = Hooks::new(probes.into(), [change].into(), 1);
        let (mut start, prompt_tokens, mut acted) = (0, 2, Vec::new());
        for &count in pieces {
            let mut stream = STREAM[start..start + count].to_vec();
            let read_from = (prompt_tokens - 1_usize).saturating_sub(start);
            let read = vec![0.0; count.saturating_sub(read_from)];
            let mut segments = [Segment {
                tokens: &[7; 7][..count],
                start,
                prompt_tokens,
                blocks: &[],
                hooks: &hooks,
                read_from,
                projections: read,
                states: None,
            }];
            (0..=1).for_each(|layer| apply(layer, 1, &mut segments, &mut stream));
            let projections = std::mem::take(&mut segments[0].projections);
            acted
                .extend(stream.iter().zip(&STREAM[start..]).map(|(after, before)| after != before));
            if start < prompt_tokens && start + count >= prompt_tokens {
                hooks.prompt_read(&projections[..1]);
            }
            start += count;
        }
        acted
    }

    #[test]
    fn a_gate_decides_alike_in_pieces_of_any_size() {
        let token = Gate { probe: 0, at: GateAt::Token, above: 5.0, until: 3.0 };
        let prompt = |above| Gate { probe: 0, at: GateAt::PromptLast, above, until: above };
        for pieces in [&[7][..], &[1; 7], &[2, 5], &[1, 3, 3], &[2, 1, 1, 3]] {
            // Opens at 6, stays open at 4, closes at 2. Never in the prompt.
            assert_eq!(
                gated(token, pieces),
                [false, false, false, true, true, false, true],
                "{pieces:?}"
            );
            assert_eq!(
                gated(prompt(4.0), pieces),
                [false, false, true, true, true, true, true],
                "{pieces:?}"
            );
            assert_eq!(gated(prompt(5.0), pieces), [false; 7], "{pieces:?}");
        }
    }
}
