use super::*;
use crate::residual::{Gate, GatePosition, Intervention, Positions, ResidualPlan, Tap};

#[test]
fn taps_read_before_interventions_write() {
    let taps = [Tap::new(1, &[0.0, 2.0]).unwrap(), Tap::new(0, &[1.0, 0.0]).unwrap()];
    let interventions = [
        Intervention::add(1, &[0.0, 1.0], 10.0, Positions::Response).unwrap(),
        Intervention::cap(1, &[0.0, 3.0], None, Some(5.0), Positions::Response).unwrap(),
    ];
    let plan = ResidualPlan::new(taps.into(), interventions.into(), 2);
    let mut segments = [Segment {
        tokens: &[7, 7, 7],
        start: 4,
        prompt_tokens: 6,
        blocks: &[],
        plan: &plan,
        tap_from: 1,
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

/// Where a gated +100 at layer 1 acts on a sequence of one value per token, computed in pieces of
/// these sizes.
fn gated(gate: Gate, pieces: &[usize]) -> Vec<bool> {
    const STREAM: [f32; 7] = [9.0, 5.0, 1.0, 6.0, 4.0, 2.0, 5.5];
    let taps = [Tap::new(1, &[2.0]).unwrap()];
    let change = Intervention::add(1, &[1.0], 100.0, Positions::All).unwrap().when(gate);
    let mut plan = ResidualPlan::new(taps.into(), [change].into(), 1);
    let (mut start, prompt_tokens, mut acted) = (0, 2, Vec::new());
    for &count in pieces {
        let mut stream = STREAM[start..start + count].to_vec();
        let tap_from = (prompt_tokens - 1_usize).saturating_sub(start);
        let read = vec![0.0; count.saturating_sub(tap_from)];
        let mut segments = [Segment {
            tokens: &[7; 7][..count],
            start,
            prompt_tokens,
            blocks: &[],
            plan: &plan,
            tap_from,
            projections: read,
            states: None,
        }];
        (0..=1).for_each(|layer| apply(layer, 1, &mut segments, &mut stream));
        let projections = std::mem::take(&mut segments[0].projections);
        acted.extend(stream.iter().zip(&STREAM[start..]).map(|(after, before)| after != before));
        if start < prompt_tokens && start + count >= prompt_tokens {
            plan.set_prompt_last(&projections[..1]);
        }
        start += count;
    }
    acted
}

#[test]
fn a_gate_decides_the_same_in_pieces_of_any_size() {
    let token = Gate { tap: 0, at: GatePosition::Token, above: 5.0, until: 3.0 };
    let prompt = |above| Gate { tap: 0, at: GatePosition::PromptLast, above, until: above };
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
