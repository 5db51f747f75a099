//! Reading and changing the residual stream of a batch.

use super::segment::Segment;
use crate::residual::GateInput;

/// Reads, then changes, the stream at one layer. `stream` is `[row][hidden_size]`, with the rows of
/// all segments in order.
pub(super) fn apply(
    layer: usize,
    hidden_size: usize,
    segments: &mut [Segment<'_>],
    stream: &mut [f32],
) {
    let mut rows = stream.chunks_exact_mut(hidden_size);
    for segment in segments {
        let plan = segment.plan;
        let taps = plan.tap_count();
        if plan.is_idle(layer) && segment.states.is_none() {
            rows.by_ref().take(segment.tokens.len()).for_each(drop);
            continue;
        }
        for (offset, row) in rows.by_ref().take(segment.tokens.len()).enumerate() {
            let position = segment.start + offset;
            if let Some(states) = &mut segment.states {
                states.add(layer, position, segment.prompt_tokens, row);
            }
            if let Some(read) = offset.checked_sub(segment.tap_from) {
                let projections = &mut segment.projections[read * taps..][..taps];
                for (index, tap) in plan.taps_at(layer) {
                    projections[index] = tap.project(row);
                }
            }
            for (index, intervention) in plan.interventions_at(layer) {
                let acts = intervention.positions.include(position, segment.prompt_tokens)
                    && intervention.gate.is_none_or(|gate| {
                        let input = GateInput {
                            projections: &segment.projections,
                            has_prompt_last: segment.start < segment.prompt_tokens,
                            row: offset - segment.tap_from,
                        };
                        plan.is_open(index, gate, &input)
                    });
                if acts {
                    intervention.change.apply(row);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
