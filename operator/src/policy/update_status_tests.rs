use super::*;
use crate::policy::fixtures::{inputs, pod, policy, report};
use crate::policy::validate::validate;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use personaguard_api::{Action, Failure, LastBreach, RefusedTrait};
use personaguard_wire::Sample;

fn now() -> Timestamp {
    "2026-11-24T10:00:00Z".parse().unwrap()
}

struct Case {
    inputs: Inputs,
    /// What was sampled of any trait.
    sampled: Vec<f64>,
    workloads: BTreeMap<String, Vec<TraitScores>>,
}

impl Case {
    fn new(pods: &[(&str, Option<&str>)]) -> Self {
        let mut inputs = inputs(vec![policy("no-villains", 3, "evil")]);
        inputs.pods = pods.iter().map(|(name, sidecar)| Arc::new(pod(name, *sidecar))).collect();
        Self { inputs, sampled: Vec::new(), workloads: BTreeMap::new() }
    }

    fn resolved(&self) -> ResolvedPolicy {
        validate(&self.inputs).in_force("no-villains").unwrap().clone()
    }

    fn report(&mut self, pod: &str, change: impl FnOnce(&mut PodCounts)) {
        let mut said = report(pod, &[&self.resolved()]);
        change(&mut said);
        self.inputs.reports.insert(said.uid.clone(), said);
    }

    fn status(&self) -> PersonaPolicyStatus {
        let verdicts = validate(&self.inputs);
        let observation = Observation {
            policy: &self.inputs.policies[0],
            model: "smollm2",
            rejection: verdicts.rejected.get("no-villains"),
            in_force: verdicts.in_force("no-villains"),
            calibrations: calibrate::calibrations(
                &self.inputs.policies[0],
                verdicts.in_force("no-villains"),
                |_, basis| {
                    let mut sample = Sample::new(basis.clone());
                    self.sampled.iter().for_each(|score| sample.add(*score, None));
                    sample
                },
            ),
            pods: &self.inputs.pods,
            services: &self.inputs.services,
            reports: &self.inputs.reports,
            workloads: &self.workloads,
            now: now(),
        };
        observation.status().0
    }
}

fn says(status: &PersonaPolicyStatus, type_: &str) -> (String, String) {
    let condition = status.conditions.iter().find(|condition| condition.type_ == type_).unwrap();
    (condition.status.clone(), condition.reason.clone())
}

fn is(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

#[test]
fn a_way_past_the_sidecar_is_not_ready() {
    let mut case = Case::new(&[("a", Some("smollm2"))]);
    let policy = Arc::make_mut(&mut case.inputs.policies[0]);
    (policy.spec.placement, policy.spec.port) = (Placement::Proxy, Some("http".to_owned()));
    Arc::make_mut(&mut case.inputs.pods[0]).app_port =
        Some(crate::pods::AppPort { number: 8000, names: Vec::new(), host_port: None });
    case.report("a", |_| {});
    let status = case.status();
    assert_eq!(says(&status, "Ready"), is("True", "Guarding"));
    assert_eq!(says(&status, "BypassDetected"), is("False", "NoBypass"));
    case.inputs.services = vec![Arc::new(ServiceView {
        name: "llm".into(),
        selector: case.inputs.pods[0].labels.clone(),
        numbers: vec![8000],
        names: Vec::new(),
    })];
    let status = case.status();
    assert_eq!(says(&status, "Ready"), is("False", "ServiceBypassesSidecar"));
    assert_eq!(says(&status, "BypassDetected"), is("True", "ServiceBypassesSidecar"));
    assert_eq!(says(&status, "Guarded"), is("True", "Acknowledged"));
}

#[test]
fn ready_when_every_selected_pod_acknowledged() {
    let mut case = Case::new(&[("chat-1", Some("smollm2")), ("chat-2", Some("smollm2"))]);
    case.report("chat-1", |_| {});
    case.report("chat-2", |_| {});
    let status = case.status();
    assert_eq!(says(&status, "Ready"), is("True", "Guarding"));
    assert_eq!((status.guarded.as_deref(), status.acknowledged_generation), (Some("2/2"), Some(3)));
    assert_eq!(status.observed_generation, Some(3));
}

#[test]
fn invariant_4_what_is_not_acknowledged_is_not_claimed() {
    let mut case = Case::new(&[("chat-1", Some("smollm2")), ("chat-2", Some("smollm2"))]);
    case.report("chat-1", |_| {});
    case.report("chat-2", |said| said.policies[0].generation = 2);
    let status = case.status();
    assert_eq!(says(&status, "Guarded"), is("False", "AwaitingAcknowledgement"));
    assert_eq!(says(&status, "Ready"), is("False", "AwaitingAcknowledgement"));
    assert_eq!((status.guarded.as_deref(), status.acknowledged_generation), (Some("1/2"), Some(2)));
    // The same generation with another vector behind it.
    case.report("chat-2", |said| said.policies[0].digest = Some(Digest::of(b"before")));
    assert_eq!(says(&case.status(), "Guarded"), is("False", "AwaitingAcknowledgement"));
    // A policy of the same name before it.
    case.report("chat-2", |said| said.policies[0].uid = "before".into());
    assert_eq!(says(&case.status(), "Guarded"), is("False", "AwaitingAcknowledgement"));
}

#[test]
fn each_way_not_to_be_guarded_has_its_reason() {
    assert_eq!(says(&Case::new(&[]).status(), "Ready"), is("Unknown", "NoPods"));
    assert_eq!(
        says(&Case::new(&[("chat-1", None)]).status(), "Ready"),
        is("False", "PodsWithoutSidecar")
    );
    assert_eq!(
        says(&Case::new(&[("chat-1", Some("other"))]).status(), "Ready"),
        is("False", "ModelConflict")
    );
    let failure =
        || Failure { reason: "WeightsInvalid".into(), message: "The file is cut short.".into() };
    let mut failing = Case::new(&[("chat-1", Some("smollm2"))]);
    failing.report("chat-1", |said| {
        said.state = PodState::Failed;
        said.failure = Some(failure());
        said.policies.clear();
    });
    assert_eq!(says(&failing.status(), "Ready"), is("False", "WeightsInvalid"));
    let mut refusing = Case::new(&[("chat-1", Some("smollm2"))]);
    refusing.report("chat-1", |said| {
        said.policies[0].refused = vec![RefusedTrait { vector: "evil".into(), failure: failure() }];
    });
    assert_eq!(says(&refusing.status(), "Ready"), is("False", "RefusedBySidecar"));
    let mut stuck = Case::new(&[("chat-1", Some("smollm2"))]);
    stuck.report("chat-1", |said| said.config_error = Some("config.yaml: line 3".into()));
    assert_eq!(says(&stuck.status(), "Ready"), is("False", "RefusedBySidecar"));
}

#[test]
fn a_policy_that_is_not_accepted_says_why_and_guards_nobody() {
    let mut case = Case::new(&[("chat-1", Some("smollm2"))]);
    case.report("chat-1", |_| {});
    case.inputs.model = None;
    let status = case.status();
    for type_ in ["Accepted", "Guarded", "Ready"] {
        assert_eq!(says(&status, type_), is("False", "ModelNotFound"), "{type_}");
    }
    assert_eq!(status.guarded.as_deref(), Some("0/1"));
    for condition in status.conditions.iter().filter(|condition| condition.status == "False") {
        assert!(!condition.message.is_empty());
    }
}

#[test]
fn a_breach_is_said_until_the_policy_recovers() {
    let mut case = Case::new(&[("chat-1", Some("smollm2"))]);
    case.report("chat-1", |_| {});
    let scores = |minute: i64| TraitScores {
        policy: "no-villains".into(),
        vector: "evil".into(),
        action: Action::Block,
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
    assert_eq!(says(&status, "TraitBreached"), is("True", "ThresholdPassed"));
    assert_eq!(says(&status, "Ready"), is("True", "Guarding"), "the policy does what it should");
    assert_eq!(status.breached, 1);
    let message = &status.conditions.iter().find(|c| c.type_ == "TraitBreached").unwrap().message;
    assert!(message.contains("evil 5.1 > 4.0 in Deployment/chat"), "{message}");
    case.workloads.insert("Deployment/chat".into(), vec![scores(11)]);
    assert_eq!(says(&case.status(), "TraitBreached"), is("False", "WithinThresholds"));
}

#[test]
fn an_acceptance_problem_is_an_event_once() {
    let mut case = Case::new(&[]);
    let fine = case.status();
    assert!(new_problem(None, &fine).is_none());
    case.inputs.vectors.clear();
    let bad = case.status();
    assert_eq!(new_problem(Some(&fine), &bad).unwrap().reason, "VectorNotFound");
    assert!(new_problem(Some(&bad), &bad).is_none());
    case.inputs.model = None;
    assert_eq!(new_problem(Some(&bad), &case.status()).unwrap().reason, "ModelNotFound");
}
