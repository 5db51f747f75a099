use crate::fixtures::{model, policy, rule, vectors};
use crate::resolve_policy;
use personaguard_api::{
    ActionKind, CalibratedFrom, Calibration, CalibrationSource, Coefficient, Coherence, Mode,
    PersonaPolicyStatus, Positions, ProjectionRange, Steering, Threshold, TrafficCalibration,
};
use personaguard_wire::Sample;

const NUMBERS: [f64; 3] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];

#[test]
fn number_9_no_threshold_comes_of_a_number_that_is_none() {
    for value in NUMBERS {
        let thresholds = [
            Threshold { projection: Some(value), ..Threshold::default() },
            Threshold { sigma: Some(value), ..Threshold::default() },
            Threshold { quantile: Some(value), ..Threshold::default() },
            Threshold {
                range: Some(ProjectionRange { min: value, max: 1.0 }),
                ..Threshold::default()
            },
            Threshold {
                range: Some(ProjectionRange { min: 0.0, max: value }),
                ..Threshold::default()
            },
        ];
        for threshold in thresholds {
            let said = format!("{threshold:?}");
            let policy = policy("p", "chat", vec![rule("evil", threshold, ActionKind::Block)]);
            assert!(resolve_policy(&policy, &model(), &vectors()).is_err(), "{said}");
        }
        // Of the calibration of a vector.
        let changes: [fn(&mut Calibration, f64); 3] = [
            |calibration, value| calibration.mean = value,
            |calibration, value| calibration.standard_deviation = value,
            |calibration, value| calibration.sorted[3] = value,
        ];
        for change in changes {
            let mut vectors = vectors();
            let evil = vectors.get_mut("evil").unwrap();
            change(evil.calibration.as_mut().unwrap(), value);
            for threshold in [
                Threshold { sigma: Some(3.0), ..Threshold::default() },
                Threshold { quantile: Some(0.99), ..Threshold::default() },
            ] {
                let policy = policy("p", "chat", vec![rule("evil", threshold, ActionKind::Block)]);
                match resolve_policy(&policy, &model(), &vectors) {
                    Err(_) => {}
                    // A number that the threshold does not come from.
                    Ok(resolved) => assert!(resolved.traits[0].max.unwrap().is_finite()),
                }
            }
        }
    }
}

/// Of the guarded traffic: without a number there would be no threshold at all.
#[test]
fn number_9_a_quantile_of_traffic_that_is_no_number_is_refused() {
    let of = |q: f64| {
        let threshold = |q| Threshold { quantile: Some(q), ..Threshold::default() };
        let mut policy = policy("p", "chat", vec![rule("evil", threshold(0.9), ActionKind::Block)]);
        policy.spec.calibration =
            Some(CalibrationSource { from: CalibratedFrom::Traffic, min_responses: 50 });
        policy.spec.mode = Mode::Audit;
        let basis = resolve_policy(&policy, &model(), &vectors()).unwrap().traits[0]
            .calibrates
            .clone()
            .unwrap();
        let mut sample = Sample::new(basis);
        (0..500).for_each(|score| sample.add(f64::from(score), None));
        let calibrations = vec![TrafficCalibration::new("evil", sample)];
        policy.status =
            Some(PersonaPolicyStatus { calibrations, ..PersonaPolicyStatus::default() });
        policy.spec.mode = Mode::Enforce;
        policy.spec.traits[0].threshold = Some(threshold(q));
        resolve_policy(&policy, &model(), &vectors())
    };
    assert!(of(0.9).unwrap().traits[0].max.is_some());
    assert!(of(f64::NAN).is_err());
}

#[test]
fn number_9_limits_of_coherence_are_numbers_within_their_ranges() {
    let of = |coherence: Coherence| {
        let mut steered = rule("evil", Threshold::default(), ActionKind::Steer);
        steered.threshold = None;
        steered.steer = Some(Steering {
            coefficient: Coefficient::try_from(-1.0).unwrap(),
            positions: Positions::Response,
            layers: Vec::new(),
            when: None,
            coherence,
        });
        resolve_policy(&policy("p", "chat", vec![steered]), &model(), &vectors())
    };
    assert!(of(Coherence::default()).is_ok());
    for value in NUMBERS.into_iter().chain([1.5]) {
        assert!(of(Coherence { min_log_likelihood: value, ..Coherence::default() }).is_err());
        assert!(of(Coherence { max_repetition: value, ..Coherence::default() }).is_err());
        assert!(Coefficient::try_from(if value == 1.5 { 4.5 } else { value }).is_err());
    }
}
