use super::*;
use crate::extraction::fixtures::samples;
use crate::extraction::pairs::pair_up;

#[test]
fn a_signal_separates_the_other_half_and_noise_does_not() {
    let samples = samples(8.0);
    let pairs = pair_up(&samples);
    let signal = separation(&pairs, &pairs, 1, 300, 1).unwrap();
    assert!(signal.auroc > 0.95 && signal.margin() > 0.0, "{signal:?}");
    // If it were tried on the questions that it was fitted to, pure noise would separate perfectly;
    // here it stays near one half.
    let noise = separation(&pairs, &pairs, 0, 300, 1).unwrap();
    assert!((0.2..0.8).contains(&noise.auroc) && noise.margin() < 0.0, "{noise:?}");
}

#[test]
fn rescored_answers_are_tried_on_the_vector_of_the_generated_ones() {
    let (generated, rescored) = (samples(8.0), samples(-8.0));
    let (pairs, other) = (pair_up(&generated), pair_up(&rescored));
    assert!(separation(&pairs, &other, 1, 100, 1).unwrap().auroc < 0.05);
}

#[test]
fn the_vector_for_a_question_does_not_depend_on_it() {
    let mut samples = samples(1.0);
    let before = CrossFit::new(&pair_up(&samples)).unwrap().vector_for(3, 1).unwrap().to_vec();
    samples
        .iter_mut()
        .filter(|sample| sample.key.question == 3)
        .for_each(|sample| sample.activations[1][0] += 100.0);
    assert_eq!(CrossFit::new(&pair_up(&samples)).unwrap().vector_for(3, 1).unwrap(), before);
}
