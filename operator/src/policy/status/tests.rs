use super::*;
use crate::fixtures::{pod, policy, report};
use crate::objects::{AppPort, ContainerStart, FailedCreation, PodView, Port, ServiceView};
use crate::policy::fixtures::inputs;
use crate::policy::validate::validate;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use personaguard_api::{
    ActionKind, Failure, LastBreach, Placement, PodCounts, PodState, RefusedTrait, TraitScores,
};
use personaguard_wire::ResolvedPolicy;
use std::collections::BTreeMap;
use std::sync::Arc;

fn now() -> Timestamp {
    "2026-11-24T10:00:00Z".parse().unwrap()
}

struct Case {
    inputs: Inputs,
    workloads: BTreeMap<String, Vec<TraitScores>>,
    refusal: Option<String>,
}

impl Case {
    fn new(pods: &[(&str, Option<&str>)]) -> Self {
        let mut inputs = inputs(vec![policy("no-villains", 3, "evil")]);
        inputs.pods = pods.iter().map(|(name, sidecar)| Arc::new(pod(name, *sidecar))).collect();
        Self { inputs, workloads: BTreeMap::new(), refusal: None }
    }

    fn resolved(&self) -> ResolvedPolicy {
        validate(&self.inputs).in_force("no-villains").unwrap().clone()
    }

    fn report(&mut self, pod: &str, change: impl FnOnce(&mut PodCounts)) {
        let mut report = report(pod, &[&self.resolved()]);
        change(&mut report);
        self.inputs.reports.insert(report.uid.clone(), report);
    }

    fn status(&self) -> PersonaPolicyStatus {
        let validated = validate(&self.inputs);
        let observation = Observation {
            policy: &self.inputs.policies[0],
            inputs: &self.inputs,
            validated: &validated,
            refusal: self.refusal.as_deref(),
            calibrations: Vec::new(),
            workloads: &self.workloads,
            now: now(),
        };
        observation.status().status
    }
}

fn assert_condition(status: &PersonaPolicyStatus, type_: &str, expected: (&str, &str)) {
    let condition = status.conditions.iter().find(|condition| condition.type_ == type_).unwrap();
    let found = (condition.status.as_str(), condition.reason.as_str());
    assert_eq!(found, expected, "{condition:?}");
}

#[test]
fn a_policy_whose_sidecar_is_bypassed_is_not_ready() {
    let mut case = Case::new(&[("a", Some("smollm2"))]);
    let policy = Arc::make_mut(&mut case.inputs.policies[0]);
    (policy.spec.placement, policy.spec.port) = (Placement::Proxy, Some("http".to_owned()));
    Arc::make_mut(&mut case.inputs.pods[0]).app_port =
        Some(AppPort { number: 8000, names: Vec::new(), host_port: None });
    case.report("a", |_| {});
    let status = case.status();
    assert_condition(&status, "Ready", ("True", "Guarding"));
    assert_condition(&status, "BypassDetected", ("False", "NoBypass"));
    case.inputs.services = vec![Arc::new(ServiceView {
        name: "llm".into(),
        selector: case.inputs.pods[0].labels.clone(),
        target_numbers: vec![8000],
        headless_ports: Vec::new(),
        target_names: Vec::new(),
        leads_elsewhere: false,
    })];
    let status = case.status();
    assert_condition(&status, "Ready", ("False", "ServiceBypassesSidecar"));
    assert_condition(&status, "BypassDetected", ("True", "ServiceBypassesSidecar"));
    assert_condition(&status, "Guarded", ("True", "Acknowledged"));
}

#[test]
fn a_policy_is_ready_when_every_selected_pod_acknowledged_it() {
    let mut case = Case::new(&[("chat-1", Some("smollm2")), ("chat-2", Some("smollm2"))]);
    case.report("chat-1", |_| {});
    case.report("chat-2", |_| {});
    let status = case.status();
    assert_condition(&status, "Ready", ("True", "Guarding"));
    assert_eq!((status.guarded.as_deref(), status.acknowledged_generation), (Some("2/2"), Some(3)));
    assert_eq!(status.observed_generation, Some(3));
}

#[test]
fn invariant_4_what_is_not_acknowledged_is_not_claimed() {
    let mut case = Case::new(&[("chat-1", Some("smollm2")), ("chat-2", Some("smollm2"))]);
    case.report("chat-1", |_| {});
    case.report("chat-2", |report| report.policies[0].generation = 2);
    let status = case.status();
    assert_condition(&status, "Guarded", ("False", "AwaitingAcknowledgement"));
    assert_condition(&status, "Ready", ("False", "AwaitingAcknowledgement"));
    assert_eq!((status.guarded.as_deref(), status.acknowledged_generation), (Some("1/2"), Some(2)));
    // The same generation with another vector behind it.
    case.report("chat-2", |report| report.policies[0].digest = Some(Digest::of(b"before")));
    assert_condition(&case.status(), "Guarded", ("False", "AwaitingAcknowledgement"));
    // A former policy of the same name.
    case.report("chat-2", |report| report.policies[0].uid = "before".into());
    assert_condition(&case.status(), "Guarded", ("False", "AwaitingAcknowledgement"));
}

#[test]
fn each_way_not_to_be_guarded_has_its_own_reason() {
    assert_condition(&Case::new(&[]).status(), "Ready", ("Unknown", "NoPods"));
    assert_condition(
        &Case::new(&[("chat-1", None)]).status(),
        "Ready",
        ("False", "PodsWithoutSidecar"),
    );
    assert_condition(
        &Case::new(&[("chat-1", Some("other"))]).status(),
        "Ready",
        ("False", "ModelConflict"),
    );
    let failure =
        || Failure { reason: "WeightsInvalid".into(), message: "The file is cut short.".into() };
    let mut failing = Case::new(&[("chat-1", Some("smollm2"))]);
    failing.report("chat-1", |report| {
        report.state = PodState::Failed;
        report.failure = Some(failure());
        report.policies.clear();
    });
    assert_condition(&failing.status(), "Ready", ("False", "WeightsInvalid"));
    let mut refusing = Case::new(&[("chat-1", Some("smollm2"))]);
    refusing.report("chat-1", |report| {
        report.policies[0].refused =
            vec![RefusedTrait { vector: "evil".into(), failure: failure() }];
    });
    assert_condition(&refusing.status(), "Ready", ("False", "RefusedBySidecar"));
    let mut stuck = Case::new(&[("chat-1", Some("smollm2"))]);
    stuck.report("chat-1", |report| report.config_error = Some("config.yaml: line 3".into()));
    assert_condition(&stuck.status(), "Ready", ("False", "RefusedBySidecar"));
}

#[test]
fn a_rejected_policy_says_why_and_guards_no_pod() {
    let mut case = Case::new(&[("chat-1", Some("smollm2"))]);
    case.report("chat-1", |_| {});
    case.inputs.model = None;
    let status = case.status();
    for type_ in ["Accepted", "Guarded", "Ready"] {
        assert_condition(&status, type_, ("False", "ModelNotFound"));
    }
    assert_eq!(status.guarded.as_deref(), Some("0/1"));
    for condition in status.conditions.iter().filter(|condition| condition.status == "False") {
        assert!(!condition.message.is_empty());
    }
}

#[test]
fn a_breach_is_shown_until_the_policy_recovers() {
    let mut case = Case::new(&[("chat-1", Some("smollm2"))]);
    case.report("chat-1", |_| {});
    let scores = |minute: i64| TraitScores {
        policy: "no-villains".into(),
        vector: "evil".into(),
        score: personaguard_api::Score::default(),
        action: ActionKind::Block,
        mode: personaguard_api::Mode::Enforce,
        scored: 2,
        breaches: 1,
        mean: Some(1.0),
        sum_squared_deviations: 0.0,
        max: Some(5.1),
        last_breach: Some(LastBreach {
            at: Time(now() - jiff::SignedDuration::from_mins(minute)),
            score: 5.14,
            threshold: 4.0,
            response_id: "chatcmpl-1".into(),
        }),
        drift: None,
        sample: None,
    };
    case.workloads.insert("Deployment/chat".into(), vec![scores(3)]);
    let status = case.status();
    assert_condition(&status, "TraitBreached", ("True", "ThresholdPassed"));
    assert_condition(&status, "Ready", ("True", "Guarding"));
    assert_eq!(status.breached, 1);
    let message = &status.conditions.iter().find(|c| c.type_ == "TraitBreached").unwrap().message;
    assert!(message.contains("evil 5.1 > 4.0 in Deployment/chat"), "{message}");
    case.workloads.insert("Deployment/chat".into(), vec![scores(11)]);
    assert_condition(&case.status(), "TraitBreached", ("False", "WithinThresholds"));
}

#[test]
fn a_rejection_is_announced_once() {
    let mut case = Case::new(&[]);
    let reasons = |before: Option<&PersonaPolicyStatus>, after: &PersonaPolicyStatus| {
        notices(before, after).iter().map(Notice::reason).collect::<Vec<_>>()
    };
    let fine = case.status();
    assert!(notices(None, &fine).is_empty());
    case.inputs.vectors.clear();
    let bad = case.status();
    assert_eq!(reasons(Some(&fine), &bad), ["VectorNotFound"]);
    assert!(notices(Some(&bad), &bad).is_empty());
    case.inputs.model = None;
    assert_eq!(reasons(Some(&bad), &case.status()), ["ModelNotFound"]);
}

#[test]
fn item_15_a_refused_write_is_a_condition_and_is_announced_once() {
    let mut case = Case::new(&[("chat-1", Some("smollm2"))]);
    case.report("chat-1", |_| {});
    let fine = case.status();
    case.refusal = Some("ConfigMap personaguard-smollm2: exceeded quota".into());
    let refused = case.status();
    assert_condition(&refused, "Ready", ("False", "WriteRefused"));
    // What is known otherwise is said as before.
    assert_condition(&refused, "Accepted", ("True", "Resolved"));
    assert_condition(&refused, "Guarded", ("True", "Acknowledged"));
    let ready = refused.conditions.iter().find(|c| c.type_ == "Ready").unwrap();
    assert!(ready.message.contains("exceeded quota"), "{}", ready.message);
    let told: Vec<_> = notices(Some(&fine), &refused).iter().map(Notice::reason).collect();
    assert_eq!(told, ["WriteRefused"]);
    assert!(notices(Some(&refused), &refused).is_empty());
    case.refusal = None;
    assert_condition(&case.status(), "Ready", ("True", "Guarding"));
}

#[test]
fn issue_15_20_a_message_says_what_was_found_and_names_a_log_only_where_there_is_one() {
    let found = |change: fn(&mut PodView)| {
        let mut case = Case::new(&[("chat-1", Some("smollm2"))]);
        change(Arc::make_mut(&mut case.inputs.pods[0]));
        let status = case.status();
        let ready = status.conditions.into_iter().find(|it| it.type_ == "Ready").unwrap();
        (ready.reason, ready.message)
    };
    let image = |pod: &mut PodView| {
        let image = "mirror.example/personaguard:1".to_owned();
        let why = "ErrImagePull: no such host".to_owned();
        pod.start = ContainerStart::ImageUnavailable { image, why };
    };
    type Found<'a> = (fn(&mut PodView), &'a str, &'a str, bool);
    let cases: [Found<'_>; 9] = [
        (image, "SidecarImageUnavailable", "ErrImagePull", false),
        (
            |pod| pod.start = ContainerStart::Unscheduled("0/3 nodes are available".into()),
            "PodNotScheduled",
            "0/3 nodes",
            false,
        ),
        (|pod| pod.start = ContainerStart::Pending, "SidecarNotStarted", "being made", false),
        (
            |pod| pod.start = ContainerStart::Blocked("CreateContainerConfigError: no x".into()),
            "SidecarNotStarted",
            "CreateContainerConfigError",
            false,
        ),
        (
            |pod| pod.start = ContainerStart::Crashed("OOMKilled, exit code 137".into()),
            "SidecarNotStarted",
            "OOMKilled",
            true,
        ),
        (
            |pod| pod.start = ContainerStart::Running,
            "AwaitingAcknowledgement",
            "not reported",
            true,
        ),
        (
            |pod| pod.app.conflict = Some(("app".into(), 8791)),
            "PortConflict",
            "container app declares port 8791",
            false,
        ),
        (
            |pod| (pod.sidecar, pod.exempt) = (None, Some("for Windows nodes")),
            "PodsWithoutSidecar",
            "for Windows nodes",
            false,
        ),
        (
            |pod| (pod.sidecar, pod.namesake) = (None, Some("mine:1".into())),
            "PodsWithoutSidecar",
            "image mine:1",
            false,
        ),
    ];
    for (change, reason, mentioned, log) in cases {
        let (found, message) = found(change);
        assert_eq!(found, reason, "{message}");
        assert!(message.contains(mentioned), "{message}");
        assert_eq!(message.contains("log"), log, "{message}");
    }
}

#[test]
fn issue_15_20_each_reason_why_a_pod_has_no_sidecar_is_told() {
    let mut case = Case::new(&[("chat-1", None), ("chat-2", None)]);
    Arc::make_mut(&mut case.inputs.pods[0]).namesake = Some("mine:1".into());
    Arc::make_mut(&mut case.inputs.pods[1]).exempt = Some("for Windows nodes");
    let status = case.status();
    let ready = status.conditions.into_iter().find(|it| it.type_ == "Ready").unwrap();
    assert_eq!(ready.reason, "PodsWithoutSidecar");
    let message = &ready.message;
    assert!(message.contains("pod chat-1 has another container named"), "{message}");
    assert!(message.contains("pod chat-2 never gets one"), "{message}");
}

#[test]
fn issue_15_20_a_policy_without_pods_says_why_there_are_none() {
    let mut case = Case::new(&[]);
    let failed = |app: &str| FailedCreation {
        workload: format!("ReplicaSet {app}-5d4f"),
        labels: BTreeMap::from([("app".to_owned(), app.to_owned())]),
        why: "exceeded quota: compute".into(),
    };
    case.inputs.failed_creations = vec![failed("other")];
    assert_condition(&case.status(), "Ready", ("Unknown", "NoPods"));
    case.inputs.failed_creations.push(failed("chat"));
    let status = case.status();
    assert_condition(&status, "Ready", ("False", "PodsNotCreated"));
    let message = &status.conditions[0].message;
    assert!(message.contains("ReplicaSet chat-5d4f") && message.contains("quota"), "{message}");
}

#[test]
fn a_pod_without_the_port_is_told_of_it() {
    let mut case = Case::new(&[("a", None)]);
    let policy = Arc::make_mut(&mut case.inputs.policies[0]);
    (policy.spec.placement, policy.spec.port) = (Placement::Proxy, Some("http".to_owned()));
    let message = |case: &Case| {
        let status = case.status();
        assert_condition(&status, "Guarded", ("False", "PodsWithoutSidecar"));
        let guarded = status.conditions.iter().find(|it| it.type_ == "Guarded").unwrap();
        guarded.message.clone()
    };
    assert!(message(&case).contains("no container port named http"), "{}", message(&case));
    let container = "vllm".to_owned();
    let port = Port { container, number: 8000, name: Some("http".into()) };
    Arc::make_mut(&mut case.inputs.pods[0]).app.ports.push(port);
    assert!(message(&case).contains("older than the policy"), "{}", message(&case));
}
