use super::*;

#[test]
fn a_reference_is_subtracted_as_far_as_it_predicts() {
    let sample = |(line, answer, reference)| SampleScores {
        line,
        answer,
        reference,
        likelihood_ratio: None,
    };
    let screened = |line, difference| ScreenedSample { line, difference };
    let half = [(1, 1.0, 0.0), (2, 3.0, 4.0), (3, 2.0, 2.0)].map(sample);
    assert_eq!(ReferenceWeight::Fitted.factor(&half), 0.5);
    assert_eq!(ReferenceWeight::Full.differences(&half)[1], screened(2, -1.0));
    assert_eq!(ReferenceWeight::Fitted.differences(&half)[1], screened(2, 1.0));
    let negative = [(1, 1.0, 4.0), (2, 3.0, 0.0)].map(sample);
    assert_eq!(ReferenceWeight::Fitted.factor(&negative), 0.0);
    let constant = [(1, 1.0, 0.0), (2, 3.0, 0.0)].map(sample);
    assert_eq!(ReferenceWeight::Fitted.factor(&constant), 0.0);
}

#[test]
fn the_likelihood_ratio_counts_by_a_quarter_of_its_spread() {
    let sample = |(line, answer, ratio)| SampleScores {
        line,
        answer,
        reference: 0.0,
        likelihood_ratio: Some(ratio),
    };
    // Standard deviations of 1 and 10, so that 10 nats weigh as much as a quarter.
    let samples = [(1, 1.0, 20.0), (2, 2.0, 10.0), (3, 3.0, 30.0)].map(sample);
    let fitted = ReferenceWeight::Fitted;
    let found = fitted.differences(&samples).into_iter().map(|one| one.difference);
    assert_eq!(found.collect::<Vec<_>>(), [1.0, 1.75, 3.25]);
    let same = samples.map(|sample| SampleScores { likelihood_ratio: Some(5.0), ..sample });
    let without = samples.map(|sample| SampleScores { likelihood_ratio: None, ..sample });
    assert_eq!(fitted.differences(&same), fitted.differences(&without));
    assert_eq!(fitted.differences(&samples[..1])[0].difference, 1.0);
}
