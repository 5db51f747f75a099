use super::*;
use crate::fixtures::{pod, policy, report};
use crate::policy::fixtures::inputs;
use crate::policy::status::guarded::classify;
use crate::policy::validate::validate;

/// The condition where a sidecar says this of its vectors.
fn condition_of(placement: Placement, stale: &[StaleVector]) -> Option<NewCondition> {
    let mut policy = policy("no-villains", 3, "evil");
    let inputs = inputs(vec![policy.clone()]);
    policy.spec.placement = placement;
    let validated = validate(&inputs);
    let mut report = report("a", &[validated.in_force("no-villains").unwrap()]);
    report.policies[0].stale = stale.to_vec();
    let pod = pod("a", Some("smollm2"));
    let selected = classify(&pod, Some(&report), "smollm2", None, None);
    detect(&policy, &[selected])
}

#[test]
fn a_vector_that_was_made_otherwise_is_named_with_both() {
    let stale = StaleVector {
        vector: "evil".into(),
        difference: "made with dtype bfloat16; served with dtype float16".into(),
    };
    for placement in [Placement::Engine, Placement::Serve] {
        let told = condition_of(placement, std::slice::from_ref(&stale)).unwrap();
        assert_eq!((told.type_, told.reason.as_str()), ("CalibrationStale", "MadeOtherwise"));
        assert_eq!(told.status, crate::objects::conditions::ConditionStatus::True);
        for part in ["PersonaVector evil", "pod a", &stale.difference, "Make it again"] {
            assert!(told.message.contains(part), "{part} is not in {}", told.message);
        }
    }
    let fits = condition_of(Placement::Engine, &[]).unwrap();
    assert_eq!(fits.reason, "AsMade");
    assert_eq!(fits.status, crate::objects::conditions::ConditionStatus::False);
    assert!(condition_of(Placement::Serve, &[]).is_none());
}
