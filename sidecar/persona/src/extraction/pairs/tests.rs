use super::*;

fn sample(question: u32, polarity: Polarity, value: f32) -> Sample {
    let key = SampleKey { question, contrast: 0, rollout: 0 };
    Sample { key, polarity, activations: vec![vec![value, 1.0], vec![-value, 2.0]] }
}

#[test]
fn the_mean_of_positives_minus_the_mean_of_negatives() {
    let samples = [
        sample(0, Polarity::Positive, 5.0),
        sample(1, Polarity::Negative, 2.0),
        sample(0, Polarity::Negative, 1.0),
        sample(1, Polarity::Positive, 4.0),
    ];
    let vectors = mean_difference(&pair_up(&samples)).unwrap();
    assert_eq!(vectors.layer(0), Some([3.0, 0.0].as_slice()));
    assert_eq!(vectors.layer(1), Some([-3.0, 0.0].as_slice()));
}

#[test]
fn a_sample_without_a_counterpart_is_left_out() {
    let samples = [
        sample(0, Polarity::Positive, 5.0),
        sample(0, Polarity::Negative, 1.0),
        sample(1, Polarity::Positive, 400.0),
    ];
    let pairs = pair_up(&samples);
    assert_eq!(pairs.len(), 1);
    assert_eq!(mean_difference(&pairs).unwrap().layer(0), Some([4.0, 0.0].as_slice()));
    assert!(mean_difference(&[]).is_none());
}
