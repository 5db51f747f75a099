use super::*;
use crate::stats::PermutedControl;

fn candidate(layer: u32, effects: [f64; 3], generated: f64, rescored: f64) -> LayerCandidate {
    let above = |margin| Separation {
        auroc: 0.7 + margin,
        permuted: PermutedControl { q95: 0.6, q99: 0.7 },
    };
    LayerCandidate {
        layer,
        steering_effects: effects.to_vec(),
        generated: above(generated),
        rescored: above(rescored),
    }
}

#[test]
fn the_layer_that_steers_best_among_those_that_beat_their_control_comes_first() {
    let weak = candidate(4, [1.0, 1.1, 0.9], 0.1, 0.1);
    let blind = candidate(8, [3.0, 3.2, 2.8], 0.1, -0.1);
    let good = candidate(12, [2.0, 2.1, 1.9], 0.05, 0.1);
    let equal = candidate(16, [1.95, 2.1, 1.9], 0.2, 0.08);
    assert_eq!(rank_layers(&[weak.clone(), blind.clone(), good.clone()]), [12, 4]);
    assert_eq!(rank_layers(&[weak, blind.clone(), good, equal]), [16, 12, 4]);
    // If none beats its control, steering alone decides.
    assert_eq!(rank_layers(&[candidate(4, [1.0, 1.1, 0.9], -0.1, -0.1), blind]), [8, 4]);
    assert_eq!(rank_layers(&[]), [0; 0]);
}

#[test]
fn number_9_a_layer_with_a_number_that_is_none_is_not_preferred() {
    let good = candidate(12, [2.0, 2.1, 1.9], 0.05, 0.1);
    for value in [f64::NAN, f64::INFINITY] {
        let effects = candidate(4, [value, 9.0, 9.0], 0.1, 0.1);
        assert_eq!(rank_layers(&[effects, good.clone()]), [12], "{value}");
        for (generated, rescored) in [(value, 0.1), (0.1, value)] {
            let margin = candidate(4, [9.0, 9.1, 8.9], generated, rescored);
            assert_eq!(rank_layers(&[margin, good.clone()]), [12], "{value}");
        }
    }
}
