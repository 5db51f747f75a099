use super::*;
use crate::extraction::pairs::{SampleKey, mean_difference, pair_up};
use crate::random::RandomStream;

#[test]
fn a_planted_direction_is_found_and_an_empty_layer_is_not() {
    let mut stream = RandomStream::new(4, 0);
    let mut draw = |questions: std::ops::Range<u32>| -> Vec<Sample> {
        questions
            .flat_map(|question| Polarity::BOTH.map(|polarity| (question, polarity)))
            .map(|(question, polarity)| {
                let mut row = |shift: f64| {
                    (0..64)
                        .map(|i| (stream.normal() + if i == 3 { shift } else { 0.0 }) as f32)
                        .collect()
                };
                let shift = if polarity == Polarity::Positive { 3.0 } else { 0.0 };
                let activations = vec![row(0.0), row(shift)];
                let key = SampleKey { question, contrast: 0, rollout: 0 };
                Sample { key, polarity, activations }
            })
            .collect()
    };
    let (extract, held_out) = (draw(0..60), draw(100..160));
    let pairs = pair_up(&extract);
    let vectors = mean_difference(&pairs).unwrap();
    let input = ValidationInput {
        vectors: &vectors,
        pairs: &pairs,
        held_out: &held_out,
        rescored: &[],
        draws: 400,
        seed: 1,
    };
    let planted = validate_layer(&input, 1).unwrap();
    assert!(planted.auroc > 0.95 && planted.auroc > planted.permuted.q99, "{planted:?}");
    assert!(planted.interval.low < planted.auroc && planted.interval.high >= planted.auroc);
    assert_eq!((planted.rescored, planted.rescored_permuted), (None, None));
    let empty = validate_layer(&input, 0).unwrap();
    assert!(empty.auroc < empty.permuted.q99, "{empty:?}");
    assert!(validate_layer(&input, 2).is_none());
}
