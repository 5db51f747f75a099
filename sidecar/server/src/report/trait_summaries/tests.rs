use super::*;
use proptest::prelude::*;

proptest! {
    #[test]
    fn one_pass_statistics_equal_two_pass_ones(
        scores in prop::collection::vec(-100.0..100.0_f64, 1..200),
    ) {
        let mut traits = TraitSummaries::default();
        for score in &scores {
            observe(traits.get("p", "v", ActionKind::Alert, Mode::Enforce), *score);
        }
        let summary = traits.get("p", "v", ActionKind::Alert, Mode::Enforce);
        let mean = scores.iter().sum::<f64>() / scores.len() as f64;
        let squares = scores.iter().map(|s| (s - mean).powi(2)).sum::<f64>();
        prop_assert!((summary.mean - mean).abs() < 1e-9);
        prop_assert!((summary.sum_squared_deviations - squares).abs() < 1e-6);
        prop_assert_eq!(summary.max, scores.iter().copied().reduce(f64::max));
        prop_assert_eq!(summary.scored, scores.len() as u64);
    }
}

#[test]
fn the_trait_unused_for_longest_goes_first() {
    let mut traits = TraitSummaries::default();
    for vector in 0..MAX_TRAITS {
        traits.get("p", &vector.to_string(), ActionKind::Audit, Mode::Enforce);
    }
    traits.get("p", "0", ActionKind::Audit, Mode::Enforce).scored = 7;
    traits.get("p", "new", ActionKind::Audit, Mode::Enforce);
    assert_eq!(traits.0.len(), MAX_TRAITS);
    assert!(traits.0.iter().all(|summary| summary.vector != "1"));
    assert_eq!(traits.get("p", "0", ActionKind::Audit, Mode::Enforce).scored, 7);
}
