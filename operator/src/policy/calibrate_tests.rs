use super::*;
use crate::conditions::Answer;
use crate::policy::fixtures::{inputs, policy};
use crate::policy::validate::validate;
use personaguard_api::{CalibratedFrom, CalibrationSource, Mode, PersonaPolicyStatus};
use std::sync::Arc;

fn sample(basis: &Digest, count: u32) -> Sample {
    let mut sample = Sample::new(basis.clone());
    (0..count).for_each(|score| sample.add(f64::from(score), Some("0123456789ab")));
    sample
}

/// A policy that calibrates on its traffic, as the operator sees it from one reconciliation to the
/// next.
struct Case {
    policy: PersonaPolicy,
    config_map: Option<Arc<k8s_openapi::api::core::v1::ConfigMap>>,
}

impl Case {
    fn new(mode: Mode) -> Self {
        let mut policy = policy("no-villains", 1, "evil");
        policy.spec.mode = mode;
        policy.spec.calibration =
            Some(CalibrationSource { from: CalibratedFrom::Traffic, min_responses: 50 });
        policy.spec.traits[0].threshold =
            serde_json::from_value(serde_json::json!({"quantile": 0.9})).unwrap();
        Self { policy, config_map: None }
    }

    /// Reconciles; gives the verdict, what is in force and why the policy is rejected.
    fn reconcile(&mut self, sampled: u32) -> (Verdict, Option<ResolvedPolicy>, Option<Rejection>) {
        let mut inputs = inputs(vec![self.policy.clone()]);
        inputs.config_map = self.config_map.clone();
        let verdicts = validate(&inputs);
        if let Some(config) = &verdicts.config {
            let map = serde_json::json!({
                "data": { "config.yaml": config.to_yaml().unwrap() },
                "binaryData": { "vectors.safetensors": k8s_openapi::ByteString(personaguard_persona::write_vector_bundle(
                    &verdicts.layers.iter().map(|(name, values)| (name.clone(), values.as_slice())).collect()
                ).unwrap()) }
            });
            self.config_map = Some(Arc::new(serde_json::from_value(map).unwrap()));
        }
        let in_force = verdicts.in_force("no-villains");
        let rejection = verdicts.rejected.get("no-villains");
        let calibrations = calibrations(&self.policy, in_force, |_, basis| sample(basis, sampled));
        let verdict = calibrated(&self.policy, in_force, rejection, &calibrations).unwrap();
        self.policy.status =
            Some(PersonaPolicyStatus { calibrations, ..PersonaPolicyStatus::default() });
        (verdict, in_force.cloned(), rejection.cloned())
    }

    fn known(&self) -> &[TrafficCalibration] {
        &self.policy.status.as_ref().unwrap().calibrations
    }

    fn edit(&mut self, mode: Mode) {
        self.policy.spec.mode = mode;
        self.policy.metadata.generation =
            self.policy.metadata.generation.map(|generation| generation + 1);
    }
}

#[test]
fn responses_are_collected_in_audit_and_thresholds_follow_in_enforce() {
    let mut case = Case::new(Mode::Audit);
    let (verdict, in_force, _) = case.reconcile(0);
    assert_eq!((verdict.status, verdict.reason.as_str()), (Answer::False, "Collecting"));
    assert!(verdict.message.contains("0 of 50 responses (evil)"), "{}", verdict.message);
    assert_eq!((in_force.as_ref().unwrap().traits[0].max, case.known()), (None, &[][..]));
    assert_eq!(look_again(in_force.as_ref()), Some(LOOK_EVERY));
    assert!(case.reconcile(23).0.message.contains("23 of 50"));
    let (verdict, ..) = case.reconcile(51);
    assert_eq!((verdict.status, verdict.reason.as_str()), (Answer::True, "Calibrated"));
    assert_eq!((case.known()[0].count, case.known()[0].mean), (51, 25.0));

    case.edit(Mode::Enforce);
    let (verdict, in_force, rejection) = case.reconcile(51);
    assert_eq!((verdict.status, rejection), (Answer::True, None));
    assert_eq!(in_force.as_ref().unwrap().traits[0].max, Some(45.0));
    assert_eq!(look_again(in_force.as_ref()), None);
    // What comes late changes nothing any more.
    case.reconcile(5000);
    assert_eq!(
        (case.known()[0].count, case.reconcile(5000).1.unwrap().traits[0].max),
        (51, Some(45.0))
    );
}

#[test]
fn a_policy_that_enforces_too_early_goes_on_collecting_and_is_accepted_when_there_are_enough() {
    let mut never = Case::new(Mode::Enforce);
    let (verdict, in_force, rejection) = never.reconcile(0);
    assert_eq!(
        (verdict.status, rejection.unwrap().reason),
        (Answer::False, reason::CALIBRATION_MISSING)
    );
    assert!(
        in_force.is_none() && verdict.message.contains("set spec.mode to Audit"),
        "{}",
        verdict.message
    );

    let mut case = Case::new(Mode::Audit);
    case.reconcile(20);
    case.edit(Mode::Enforce);
    let (verdict, in_force, rejection) = case.reconcile(30);
    assert!(rejection.unwrap().message.contains("Generation 1 stays in force"));
    assert_eq!(
        (in_force.unwrap().mode, verdict.message.as_str()),
        (Mode::Audit, "30 of 50 responses (evil).")
    );
    case.reconcile(50);
    let (_, in_force, rejection) = case.reconcile(50);
    assert_eq!((rejection, in_force.unwrap().mode), (None, Mode::Enforce));
}

#[test]
fn several_system_prompts_are_said() {
    let mut case = Case::new(Mode::Audit);
    let (verdict, in_force, _) = case.reconcile(60);
    assert!(!verdict.message.contains("system prompts"), "{}", verdict.message);
    for (prompts, said) in [(3, "under 3 system prompts"), (12, "under 8 or more system prompts")] {
        let calibrations = calibrations(&case.policy, in_force.as_ref(), |_, basis| {
            let mut all = sample(basis, 80);
            (1..prompts).for_each(|prompt| all.add(0.0, Some(&format!("{prompt:012}"))));
            all
        });
        let verdict = calibrated(&case.policy, in_force.as_ref(), None, &calibrations).unwrap();
        assert!(verdict.message.contains(said), "{}", verdict.message);
    }
}

#[test]
fn a_calibration_grows_by_tenths_and_never_shrinks() {
    let mut case = Case::new(Mode::Audit);
    for (sampled, known) in [(100, 100), (40, 100), (109, 100), (110, 110), (0, 110)] {
        case.reconcile(sampled);
        assert_eq!(case.known()[0].count, known, "{sampled}");
    }
    // Of a policy that was made anew nothing is known.
    case.policy.metadata.uid = Some("anew".into());
    case.reconcile(3);
    assert_eq!(case.known()[0].count, 3);
}

#[test]
fn a_policy_that_does_not_calibrate_on_its_traffic_has_no_such_condition() {
    let mut case = Case::new(Mode::Audit);
    case.reconcile(60);
    case.policy.spec.calibration = None;
    assert!(calibrated(&case.policy, None, None, case.known()).is_none());
    assert!(calibrations(&case.policy, None, |_, basis| sample(basis, 60)).is_empty());
}
