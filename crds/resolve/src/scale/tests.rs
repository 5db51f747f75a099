use super::*;
use crate::fixtures::{model, policy, refusal, rule, sigma, vectors};
use crate::policy::resolve_policy;
use personaguard_api::{
    Action, CalibratedFrom, CalibrationSource, PersonaPolicyStatus, ProjectionRange, Score,
    Threshold,
};
use personaguard_wire::Sample;

/// A policy that calibrates on its own traffic.
fn on_traffic(mode: Mode, rule: TraitRule, known: Option<(Digest, u32)>) -> PersonaPolicy {
    let mut policy = policy("p", "chat", vec![rule]);
    policy.spec.mode = mode;
    policy.spec.calibration =
        Some(CalibrationSource { from: CalibratedFrom::Traffic, min_responses: 50 });
    policy.status = known.map(|(basis, count)| {
        let mut sample = Sample::new(basis);
        (0..count).for_each(|score| sample.add(f64::from(score), None));
        let calibrations = vec![TrafficCalibration::new("evil", sample)];
        PersonaPolicyStatus { calibrations, ..PersonaPolicyStatus::default() }
    });
    policy
}

#[test]
fn sigma_quantile_projection_and_range_become_raw_projections() {
    let thresholds = [
        (sigma(3.0), (None, Some(2.5))),
        (Threshold { quantile: Some(0.99), ..Threshold::default() }, (None, Some(0.99 * 199.0))),
        (Threshold { projection: Some(-4.25), ..Threshold::default() }, (None, Some(-4.25))),
        (
            Threshold {
                range: Some(ProjectionRange { min: -1.0, max: 2.0 }),
                ..Threshold::default()
            },
            (Some(-1.0), Some(2.0)),
        ),
    ];
    for (threshold, expected) in thresholds {
        let resolved = resolve_policy(
            &policy("p", "chat", vec![rule("evil", threshold, Action::Block)]),
            &model(),
            &vectors(),
        );
        let found = &resolved.unwrap().traits[0];
        assert_eq!((found.min, found.max.map(|max| (max * 1e9).round() / 1e9)), expected);
    }
}

#[test]
fn a_quantile_that_the_sample_does_not_carry_is_refused_with_the_number_it_needs() {
    let strict =
        rule("evil", Threshold { quantile: Some(0.999), ..Threshold::default() }, Action::Block);
    let refused = refusal(&policy("p", "chat", vec![strict]), &vectors());
    assert_eq!(refused.reason, reason::CALIBRATION_MISSING);
    assert!(refused.message.contains("at least 1000 responses, and there are 200"), "{refused}");
    let carried = rule(
        "sycophantic",
        Threshold { quantile: Some(0.999), ..Threshold::default() },
        Action::Block,
    );
    let resolved =
        resolve_policy(&policy("p", "chat", vec![carried]), &model(), &vectors()).unwrap();
    assert!((resolved.traits[0].max.unwrap() - 0.999 * 1999.0).abs() < 1e-6);
}

#[test]
fn a_policy_that_calibrates_on_its_traffic_collects_in_audit_and_enforces_what_it_found() {
    // No calibration of its own, and a score for which vectors have none.
    let mut uncalibrated = vectors();
    uncalibrated.get_mut("evil").unwrap().calibration = None;
    let resolve = |policy: &PersonaPolicy| resolve_policy(policy, &model(), &uncalibrated);
    let mut block =
        rule("evil", Threshold { quantile: Some(0.9), ..Threshold::default() }, Action::Block);
    block.score = Score::PromptLast;
    let audit = resolve(&on_traffic(Mode::Audit, block.clone(), None)).unwrap();
    let basis = audit.traits[0].calibrates.clone().expect("scores are collected");
    assert_eq!((audit.traits[0].min, audit.traits[0].max), (None, None), "nothing is in force yet");

    let known = |count| Some((basis.clone(), count));
    let enforced = resolve(&on_traffic(Mode::Enforce, block.clone(), known(51))).unwrap();
    assert_eq!(
        (enforced.traits[0].max, enforced.traits[0].calibrates.as_ref()),
        (Some(45.0), None)
    );
    assert_eq!(
        enforced.traits[0].baseline.unwrap().mean,
        25.0,
        "drift is measured against the traffic, too"
    );
    for (known, said) in
        [(None, "0 of 50"), (known(49), "49 of 50"), (Some((Digest::of(b"before"), 60)), "0 of 50")]
    {
        let refused = resolve(&on_traffic(Mode::Enforce, block.clone(), known)).unwrap_err();
        assert_eq!(refused.reason, reason::CALIBRATION_MISSING);
        assert!(refused.message.contains(said) && refused.message.contains("Audit"), "{refused}");
    }
    // A vector, a score or a policy that is made anew begins anew.
    let basis_of = |policy: &PersonaPolicy, vectors| {
        resolve_policy(policy, &model(), vectors).unwrap().traits[0].calibrates.clone().unwrap()
    };
    let mut other = vectors();
    other.get_mut("evil").unwrap().values = vec![2.0, 1.0];
    assert_ne!(basis_of(&on_traffic(Mode::Audit, block.clone(), None), &other), basis);
    let average = TraitRule { score: Score::ResponseAvg, ..block.clone() };
    assert_ne!(basis_of(&on_traffic(Mode::Audit, average, None), &uncalibrated), basis);
    let mut anew = on_traffic(Mode::Audit, block.clone(), None);
    anew.metadata.uid = Some("anew".into());
    assert_ne!(basis_of(&anew, &uncalibrated), basis);
    // A threshold, an action or a selector that changes does not.
    let mut stricter = rule("evil", sigma(1.0), Action::Alert);
    stricter.score = Score::PromptLast;
    assert_eq!(basis_of(&on_traffic(Mode::Audit, stricter, None), &uncalibrated), basis);
}

#[test]
fn a_quantile_asks_for_the_traffic_that_carries_it() {
    let strict =
        rule("evil", Threshold { quantile: Some(0.999), ..Threshold::default() }, Action::Block);
    let policy = on_traffic(Mode::Enforce, strict, None);
    assert!(refusal(&policy, &vectors()).message.contains("0 of 1000"));
    // A raw projection needs none.
    let raw =
        rule("evil", Threshold { projection: Some(4.0), ..Threshold::default() }, Action::Block);
    assert_eq!(
        resolve_policy(&on_traffic(Mode::Enforce, raw, None), &model(), &vectors()).unwrap().traits
            [0]
        .max,
        Some(4.0)
    );
}

#[test]
fn calibrated_thresholds_need_a_calibration_of_the_same_score() {
    let mut uncalibrated = vectors();
    uncalibrated.get_mut("evil").unwrap().calibration = None;
    let refused =
        refusal(&policy("p", "chat", vec![rule("evil", sigma(3.0), Action::Alert)]), &uncalibrated);
    assert_eq!(refused.reason, reason::CALIBRATION_MISSING);
    let mut prompt = rule("evil", sigma(3.0), Action::Alert);
    prompt.score = Score::PromptLast;
    assert_eq!(
        refusal(&policy("p", "chat", vec![prompt]), &vectors()).reason,
        reason::CALIBRATION_MISSING
    );
}
