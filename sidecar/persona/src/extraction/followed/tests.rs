use super::*;
use crate::extraction::fixtures::samples;
use crate::extraction::pairs::pair_up;
use crate::trait_spec::Polarity;

#[test]
fn a_contrast_that_is_not_followed_is_dropped_whole() {
    let mut samples = samples(8.0);
    for sample in &mut samples {
        sample.key.contrast = sample.key.question / 2 % 3;
        if sample.key.contrast == 2 && sample.polarity == Polarity::Positive {
            sample.activations.iter_mut().skip(1).for_each(|row| row[0] -= 16.0);
        }
    }
    let kept = followed_contrasts(&pair_up(&samples));
    assert!(
        kept.len() == 8 && kept.iter().all(|(sample, _)| sample.key.contrast != 2),
        "{}",
        kept.len()
    );
}
