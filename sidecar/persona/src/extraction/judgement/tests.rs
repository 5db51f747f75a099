use super::*;

fn alternatives(probabilities: &[(&str, f64)]) -> Vec<(String, f64)> {
    probabilities.iter().map(|(text, p)| ((*text).to_owned(), p.ln())).collect()
}

#[test]
fn only_numbers_from_0_to_100_count() {
    let score =
        expected_score(&alternatives(&[("80", 0.5), (" 90", 0.25), ("The", 0.2), ("300", 0.05)]))
            .unwrap();
    assert!((score - 250.0 / 3.0).abs() < 1e-9, "{score}");
    assert_eq!(expected_score(&alternatives(&[("80", 0.2), ("I", 0.8)])), None);
    assert_eq!(expected_score(&[("80".to_owned(), f64::NAN), ("7".to_owned(), 3.0)]), None);
}

#[test]
fn an_answer_is_confirmed_if_it_is_as_asked_and_coherent() {
    let rated = |trait_score, coherence| Judgement { trait_score, coherence };
    assert!(
        rated(50.0, 50.0).confirms(Polarity::Positive)
            && !rated(50.0, 50.0).confirms(Polarity::Negative)
    );
    assert!(
        rated(49.9, 90.0).confirms(Polarity::Negative)
            && !rated(49.9, 90.0).confirms(Polarity::Positive)
    );
    assert!(!rated(90.0, 49.0).confirms(Polarity::Positive));
}

#[test]
fn number_9_a_rating_that_is_no_number_confirms_nothing() {
    for polarity in [Polarity::Positive, Polarity::Negative] {
        for (trait_score, coherence) in
            [(f64::NAN, 90.0), (90.0, f64::NAN), (10.0, f64::NAN), (f64::NEG_INFINITY, 90.0)]
        {
            assert!(!Judgement { trait_score, coherence }.confirms(polarity));
        }
    }
    let told = |logprob: f64| [("90".to_owned(), logprob), ("10".to_owned(), (0.5_f64).ln())];
    for logprob in [f64::NAN, f64::INFINITY] {
        assert!((expected_score(&told(logprob)).unwrap() - 10.0).abs() < 1e-9);
    }
}
