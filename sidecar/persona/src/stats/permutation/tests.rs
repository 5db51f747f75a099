use super::*;

fn noise(stream: &mut RandomStream, hidden: usize) -> Vec<f32> {
    (0..hidden).map(|_| stream.normal() as f32).collect()
}

fn held_out<'a>(activations: &'a [Vec<f32>]) -> Vec<LabelledActivation<'a>> {
    activations
        .iter()
        .enumerate()
        .map(|(i, activation)| LabelledActivation { activation, positive: i % 2 == 0 })
        .collect()
}

#[test]
fn without_a_signal_the_control_is_centred_on_one_half() {
    let mut stream = RandomStream::new(11, 0);
    let differences: Vec<_> = (0..40).map(|_| noise(&mut stream, 64)).collect();
    let activations: Vec<_> = (0..80).map(|_| noise(&mut stream, 64)).collect();
    let permuted =
        PairedDifferences(&differences).control(&held_out(&activations), 1000, 1).unwrap();
    // The standard deviation of U/(n·m) for two samples of 40 is √((40+40+1)/(12·40·40)) = 0.065.
    assert!((0.57..0.66).contains(&permuted.q95), "{permuted:?}");
    assert!(permuted.q99 > permuted.q95, "{permuted:?}");
}

#[test]
fn a_signal_however_clear_lies_above_its_control() {
    let mut stream = RandomStream::new(12, 0);
    let shifted = |stream: &mut RandomStream, shift: f32| {
        let mut activation = noise(stream, 64);
        activation[0] += shift;
        activation
    };
    let differences: Vec<_> = (0..40).map(|_| shifted(&mut stream, 6.0)).collect();
    let activations: Vec<_> =
        (0..80).map(|i| shifted(&mut stream, if i % 2 == 0 { 6.0 } else { 0.0 })).collect();
    let permuted =
        PairedDifferences(&differences).control(&held_out(&activations), 500, 1).unwrap();
    // A permuted vector is noise in 64 directions, one of which holds the signal: z of about 6/8
    // standard deviations, so that 99% of areas lie below Φ(2.33 · 0.75/√2) = 0.89. The vector
    // itself reaches 1.
    assert!((0.8..0.95).contains(&permuted.q99), "{permuted:?}");
}

#[test]
fn half_of_the_signs_are_flipped() {
    let mut stream = RandomStream::new(3, 0);
    for _ in 0..50 {
        assert_eq!(balanced_signs(10, &mut stream).iter().sum::<f64>(), 0.0);
        assert_eq!(balanced_signs(7, &mut stream).iter().sum::<f64>().abs(), 1.0);
    }
}

#[test]
fn without_differences_there_is_no_control() {
    assert_eq!(PairedDifferences(&[]).control(&[], 10, 1), None);
}
