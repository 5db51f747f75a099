use super::*;
use crate::fixtures::policy;
use crate::objects::conditions::ConditionStatus;
use crate::policy::fixtures::inputs;
use crate::policy::validate::{Plan, validate};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use personaguard_api::{CalibratedFrom, CalibrationSource, Mode, PersonaPolicyStatus};
use personaguard_persona::write_vector_bundle;
use serde_json::json;
use std::sync::Arc;

fn sample(basis: &Digest, count: u32) -> Sample {
    let mut sample = Sample::new(basis.clone());
    (0..count).for_each(|score| sample.add(f64::from(score), Some("0123456789ab")));
    sample
}

/// A policy that calibrates on its traffic, across several reconciliations.
struct Case {
    policy: PersonaPolicy,
    config_map: Option<Arc<ConfigMap>>,
}

impl Case {
    fn new(mode: Mode) -> Self {
        let mut policy = policy("no-villains", 1, "evil");
        policy.spec.mode = mode;
        policy.spec.calibration =
            Some(CalibrationSource { from: CalibratedFrom::Traffic, min_responses: 50 });
        policy.spec.traits[0].threshold = serde_json::from_value(json!({"quantile": 0.9})).unwrap();
        Self { policy, config_map: None }
    }

    /// Reconciles. Returns the condition, what is in force, and why the policy is rejected.
    fn reconcile(
        &mut self,
        sampled: u32,
    ) -> (NewCondition, Option<ResolvedPolicy>, Option<Rejection>) {
        let mut inputs = inputs(vec![self.policy.clone()]);
        inputs.config_map = self.config_map.clone();
        let validated = validate(&inputs);
        if let Plan::Guard(guard) = &validated.plan {
            let layers = guard.layers.iter();
            let layers = layers.map(|(name, values)| (name.clone(), values.as_slice())).collect();
            let file = ByteString(write_vector_bundle(&layers).unwrap());
            let map = json!({
                "data": { "config.yaml": guard.config.to_yaml().unwrap() },
                "binaryData": { "vectors.safetensors": file }
            });
            self.config_map = Some(Arc::new(serde_json::from_value(map).unwrap()));
        }
        let in_force = validated.in_force("no-villains");
        let rejection = validated.rejected.get("no-villains");
        let calibrations = calibrations(&self.policy, in_force, |_, basis| sample(basis, sampled));
        let condition = calibrated(&self.policy, in_force, rejection, &calibrations).unwrap();
        self.policy.status =
            Some(PersonaPolicyStatus { calibrations, ..PersonaPolicyStatus::default() });
        (condition, in_force.cloned(), rejection.cloned())
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
    let (condition, in_force, _) = case.reconcile(0);
    assert_eq!(
        (condition.status, condition.reason.as_str()),
        (ConditionStatus::False, "Collecting")
    );
    assert!(condition.message.contains("0 of 50 responses (evil)"), "{}", condition.message);
    assert_eq!((in_force.as_ref().unwrap().traits[0].max, case.known()), (None, &[][..]));
    assert_eq!(check_interval(in_force.as_ref()), Some(CHECK_INTERVAL));
    assert!(case.reconcile(23).0.message.contains("23 of 50"));
    let (condition, ..) = case.reconcile(51);
    assert_eq!(
        (condition.status, condition.reason.as_str()),
        (ConditionStatus::True, "Calibrated")
    );
    assert_eq!((case.known()[0].count, case.known()[0].mean), (51, 25.0));

    case.edit(Mode::Enforce);
    let (condition, in_force, rejection) = case.reconcile(51);
    assert_eq!((condition.status, rejection), (ConditionStatus::True, None));
    assert_eq!(in_force.as_ref().unwrap().traits[0].max, Some(45.0));
    assert_eq!(check_interval(in_force.as_ref()), None);
    // Late responses change nothing.
    case.reconcile(5000);
    assert_eq!(
        (case.known()[0].count, case.reconcile(5000).1.unwrap().traits[0].max),
        (51, Some(45.0))
    );
}

#[test]
fn a_policy_that_enforces_too_early_keeps_collecting_and_is_accepted_once_there_are_enough() {
    let mut never = Case::new(Mode::Enforce);
    let (condition, in_force, rejection) = never.reconcile(0);
    assert_eq!(
        (condition.status, rejection.unwrap().reason),
        (ConditionStatus::False, reason::CALIBRATION_MISSING)
    );
    assert!(
        in_force.is_none() && condition.message.contains("set spec.mode to Audit"),
        "{}",
        condition.message
    );

    let mut case = Case::new(Mode::Audit);
    case.reconcile(20);
    case.edit(Mode::Enforce);
    let (condition, in_force, rejection) = case.reconcile(30);
    assert!(rejection.unwrap().message.contains("Generation 1 stays in force"));
    assert_eq!(
        (in_force.unwrap().mode, condition.message.as_str()),
        (Mode::Audit, "30 of 50 responses (evil).")
    );
    case.reconcile(50);
    let (_, in_force, rejection) = case.reconcile(50);
    assert_eq!((rejection, in_force.unwrap().mode), (None, Mode::Enforce));
}

#[test]
fn several_system_prompts_are_mentioned() {
    let mut case = Case::new(Mode::Audit);
    let (condition, in_force, _) = case.reconcile(60);
    assert!(!condition.message.contains("system prompts"), "{}", condition.message);
    for (prompts, expected) in
        [(3, "under 3 system prompts"), (12, "under 8 or more system prompts")]
    {
        let calibrations = calibrations(&case.policy, in_force.as_ref(), |_, basis| {
            let mut all = sample(basis, 80);
            (1..prompts).for_each(|prompt| all.add(0.0, Some(&format!("{prompt:012}"))));
            all
        });
        let condition = calibrated(&case.policy, in_force.as_ref(), None, &calibrations).unwrap();
        assert!(condition.message.contains(expected), "{}", condition.message);
    }
}

#[test]
fn a_calibration_grows_by_tenths_and_never_shrinks() {
    let mut case = Case::new(Mode::Audit);
    for (sampled, known) in [(100, 100), (40, 100), (109, 100), (110, 110), (0, 110)] {
        case.reconcile(sampled);
        assert_eq!(case.known()[0].count, known, "{sampled}");
    }
    // A recreated policy starts from zero.
    case.policy.metadata.uid = Some("recreated".into());
    case.reconcile(3);
    assert_eq!(case.known()[0].count, 3);
}

#[test]
fn a_policy_that_does_not_calibrate_on_its_traffic_has_no_condition_calibrated() {
    let mut case = Case::new(Mode::Audit);
    case.reconcile(60);
    case.policy.spec.calibration = None;
    assert!(calibrated(&case.policy, None, None, case.known()).is_none());
    assert!(calibrations(&case.policy, None, |_, basis| sample(basis, 60)).is_empty());
}
