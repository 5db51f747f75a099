use super::*;
use crate::fixtures::{breach_at, policy_created_at, second};
use crate::objects::conditions::ConditionStatus;
use personaguard_api::DriftCharts;

#[test]
fn the_worst_breach_is_remembered_as_it_is_displayed() {
    assert_eq!(worst(None, &[breach_at(0, 5.14)]).unwrap(), "evil 5.1 > 4.0");
    assert_eq!(worst(Some("rude 9.0 > 4.0"), &[breach_at(0, 5.0)]).unwrap(), "rude 9.0 > 4.0");
    assert_eq!(worst(Some("rude 4.5 > 4.0"), &[breach_at(0, 5.0)]).unwrap(), "evil 5.0 > 4.0");
    assert_eq!(worst(Some("evil 5.1 > 4.0"), &[breach_at(0, 5.14)]).unwrap(), "evil 5.1 > 4.0");
    assert_eq!(worst(None, &[]), None);
}

#[test]
fn drift_is_reported_for_traits_that_a_policy_lists() {
    let moved = DriftCharts { shift: 2.31, up: 9.0, down: 0.0, detected: true };
    let traits = [TraitScores { drift: Some(moved), ..breach_at(0, 5.0) }];
    let policies = [Arc::new(policy_created_at(0))];
    let found = drift_detected(&policies, &traits);
    assert_eq!(
        (found.status, found.reason.as_str()),
        (ConditionStatus::True, reason::SCORES_MOVED)
    );
    let message = &found.message;
    assert!(message.contains("evil") && message.contains("+2.3"), "{message}");
    assert_eq!(drift_detected(&[], &traits).status, ConditionStatus::False);
    let steady = DriftCharts { detected: false, ..moved };
    let traits = [TraitScores { drift: Some(steady), ..breach_at(0, 5.0) }];
    assert_eq!(drift_detected(&policies, &traits).status, ConditionStatus::False);
}

#[test]
fn a_silent_pod_is_named_with_a_next_step() {
    let workload = WorkloadReference {
        api_version: "apps/v1".into(),
        kind: "Deployment".into(),
        name: "chat".into(),
        uid: "u".into(),
    };
    let inputs = StatusInputs {
        workload: &workload,
        counts: &WorkloadCounts::default(),
        policies: &[],
        sidecar_pods: &BTreeSet::from(["chat-1".into(), "chat-2".into()]),
        silent_pods: &BTreeSet::from(["chat-2".into()]),
        contested_pods: &BTreeSet::new(),
        before: None,
        forget_worst: false,
        held: false,
        now: second(0),
    };
    let (status, changes_in) = status(&inputs);
    assert_eq!(
        (status.workload.as_str(), status.pods_reporting.as_str(), changes_in),
        ("Deployment/chat", "1/2", None)
    );
    let reporting = status.conditions.iter().find(|c| c.type_ == "Reporting").unwrap();
    assert_eq!(reporting.status, "False");
    assert!(reporting.message.contains("chat-2"), "{}", reporting.message);
}

#[test]
fn item_11_while_a_policy_cannot_be_read_no_breach_is_said_to_be_over() {
    let workload = WorkloadReference {
        api_version: "apps/v1".into(),
        kind: "Deployment".into(),
        name: "chat".into(),
        uid: "u".into(),
    };
    let breached = NewCondition::met("TraitBreached", reason::THRESHOLD_PASSED, "evil 5.1 > 4.0");
    let before = PersonaReportStatus {
        conditions: conditions(&[breached], &[], None, second(0)),
        ..PersonaReportStatus::default()
    };
    let found = |held: bool| {
        let inputs = StatusInputs {
            workload: &workload,
            counts: &WorkloadCounts::default(),
            policies: &[],
            sidecar_pods: &BTreeSet::new(),
            silent_pods: &BTreeSet::new(),
            contested_pods: &BTreeSet::new(),
            before: Some(&before),
            forget_worst: false,
            held,
            now: second(60),
        };
        let (status, _) = status(&inputs);
        status.conditions.into_iter().find(|c| c.type_ == "TraitBreached").unwrap()
    };
    assert_eq!(found(true), before.conditions[0]);
    assert_eq!(found(false).status, "False");
}
