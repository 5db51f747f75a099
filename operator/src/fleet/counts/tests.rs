use super::*;
use personaguard_api::{ActionKind, Mode};
use personaguard_wire::{self as wire, Breach, ModelObservation, PodState, TraitSummary};
use proptest::prelude::*;

fn report(instance: &str, sequence: u64, responses: u64, scores: &[f64]) -> SidecarReport {
    let mean =
        if scores.is_empty() { 0.0 } else { scores.iter().sum::<f64>() / scores.len() as f64 };
    let breaches = scores.iter().filter(|score| **score > 4.0).count() as u64;
    SidecarReport {
        instance: instance.into(),
        sequence,
        model: ModelObservation {
            name: "smollm2".into(),
            state: PodState::Ready,
            digest: None,
            failure: None,
        },
        policies: Vec::new(),
        config_error: None,
        totals: wire::Totals { responses, breaches, blocked: 0, ..wire::Totals::default() },
        connections: wire::Connections::default(),
        traits: vec![TraitSummary {
            policy: "no-villains".into(),
            vector: "evil".into(),
            score: personaguard_api::Score::default(),
            action: ActionKind::Alert,
            mode: Mode::Enforce,
            scored: scores.len() as u64,
            breaches,
            mean,
            sum_squared_deviations: scores.iter().map(|score| (score - mean).powi(2)).sum(),
            max: scores.iter().copied().reduce(f64::max),
            last_breach: (breaches > 0).then(|| Breach {
                at: now(),
                score: 5.0,
                threshold: 4.0,
                response_id: format!("chatcmpl-{breaches}"),
            }),
            drift: None,
            sample: None,
        }],
        audit_log: None,
    }
}

/// A push from the pod's own address.
trait Push {
    fn push(&mut self, name: &str, uid: &str, restarts: i32, report: &SidecarReport) -> PushEffect;
}

impl Push for WorkloadCounts {
    fn push(&mut self, name: &str, uid: &str, restarts: i32, report: &SidecarReport) -> PushEffect {
        let origin = Origin { restarts, own_address: true, other_is_silent: false };
        self.record(name, uid, origin, report, now()).unwrap_or_default()
    }
}

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

#[test]
fn a_push_replaces_the_one_before_and_a_stale_push_is_ignored() {
    let mut counts = WorkloadCounts::default();
    assert!(counts.push("chat-1", "u1", 0, &report("i", 1, 5, &[1.0])).counts);
    assert!(counts.push("chat-1", "u1", 0, &report("i", 3, 9, &[1.0, 2.0])).counts);
    assert_eq!(counts.push("chat-1", "u1", 0, &report("i", 2, 7, &[1.0])), PushEffect::default());
    assert_eq!(
        counts.push("chat-1", "u1", 0, &report("i", 3, 9, &[1.0, 2.0])),
        PushEffect::default()
    );
    assert_eq!(counts.totals().responses, 9);
}

#[test]
fn a_heartbeat_changes_nothing() {
    let mut counts = WorkloadCounts::default();
    counts.push("chat-1", "u1", 0, &report("i", 1, 5, &[1.0]));
    assert_eq!(counts.push("chat-1", "u1", 0, &report("i", 2, 5, &[1.0])), PushEffect::default());
}

#[test]
fn after_a_restart_of_the_sidecar_no_count_is_lost_or_doubled() {
    let mut counts = WorkloadCounts::default();
    counts.push("chat-1", "u1", 0, &report("a", 7, 5, &[1.0, 5.0]));
    counts.push("chat-1", "u1", 1, &report("b", 1, 0, &[]));
    counts.push("chat-1", "u1", 1, &report("b", 2, 2, &[3.0]));
    assert_eq!((counts.totals().responses, counts.totals().breaches), (7, 1));
    let scores = &counts.traits()[0];
    assert_eq!((scores.scored, scores.mean, scores.max), (3, Some(3.0), Some(5.0)));
    assert!((scores.sum_squared_deviations - 8.0).abs() < 1e-9);
}

#[test]
fn a_pod_is_retired_exactly_once() {
    let mut counts = WorkloadCounts::default();
    counts.push("chat-1", "u1", 0, &report("a", 1, 5, &[5.0]));
    assert!(counts.retire_pod("u1"));
    assert!(!counts.retire_pod("u1"));
    assert_eq!(counts.totals().responses, 5);
    assert_eq!(counts.pods().count(), 0);
}

#[test]
fn a_breach_is_announced_once() {
    let mut counts = WorkloadCounts::default();
    let first = counts.push("chat-1", "u1", 0, &report("a", 1, 5, &[5.0]));
    assert_eq!(first.breaches.len(), 1);
    assert_eq!(first.breaches[0].pod, "chat-1");
    assert!(counts.push("chat-1", "u1", 0, &report("a", 2, 6, &[5.0, 1.0])).breaches.is_empty());
    assert_eq!(
        counts.push("chat-1", "u1", 0, &report("a", 3, 7, &[5.0, 1.0, 6.0])).breaches.len(),
        1
    );
}

#[test]
fn a_clock_that_is_ahead_dates_no_breach_in_the_future() {
    let mut counts = WorkloadCounts::default();
    let mut early = report("a", 1, 1, &[5.0]);
    early.traits[0].last_breach.as_mut().unwrap().at =
        Timestamp::from_second(1_900_000_000).unwrap();
    let effect = counts.push("chat-1", "u1", 0, &early);
    assert_eq!(effect.breaches[0].breach.at.0, now());
}

/// What can happen to a workload. Pushes may be lost, late or repeated.
#[derive(Clone, Debug)]
enum Event {
    Response(usize, f64),
    Push(usize),
    LatePush(usize, usize),
    SidecarRestart(usize),
    PodReplaced(usize),
    NewLeader,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        5 => (0..3_usize, -9.0..9.0_f64).prop_map(|(pod, score)| Event::Response(pod, score)),
        4 => (0..3_usize).prop_map(Event::Push),
        2 => (0..3_usize, 0..5_usize).prop_map(|(pod, back)| Event::LatePush(pod, back)),
        1 => (0..3_usize).prop_map(Event::SidecarRestart),
        1 => (0..3_usize).prop_map(Event::PodReplaced),
        1 => Just(Event::NewLeader),
    ]
}

#[derive(Default)]
struct Pod {
    uid: usize,
    instance: usize,
    restarts: i32,
    sequence: u64,
    scores: Vec<f64>,
    sent: Vec<SidecarReport>,
}

impl Pod {
    fn push(&mut self) -> SidecarReport {
        self.sequence += 1;
        let report = report(
            &self.instance.to_string(),
            self.sequence,
            self.scores.len() as u64,
            &self.scores,
        );
        self.sent.push(report.clone());
        report
    }
}

fn name(pod: usize) -> String {
    format!("chat-{pod}")
}

proptest! {
    /// Whatever happens, in whatever order: the sum is exactly what the sidecars last reported.
    #[test]
    fn counts_are_exact_in_any_order_of_pushes_restarts_deletions_and_new_leaders(
        events in prop::collection::vec(event(), 1..120),
    ) {
        let mut counts = WorkloadCounts::default();
        let pod = |uid| Pod { uid, instance: uid * 1000, ..Pod::default() };
        let mut pods: Vec<Pod> = (0..3).map(pod).collect();
        let mut next = 10;
        let mut responses = 0;
        let mut scores = Vec::new();
        for event in events {
            match event {
                Event::Response(pod, score) => pods[pod].scores.push(score),
                Event::Push(pod) => {
                    let report = pods[pod].push();
                    let (uid, restarts) = (pods[pod].uid.to_string(), pods[pod].restarts);
                    counts.push(&name(pod), &uid, restarts, &report);
                }
                Event::LatePush(pod, back) => {
                    // Also of a former process.
                    let sent = &pods[pod].sent;
                    if let Some(report) = sent.iter().nth_back(back) {
                        let (uid, restarts) = (pods[pod].uid.to_string(), pods[pod].restarts);
                    counts.push(&name(pod), &uid, restarts, report);
                    }
                }
                Event::SidecarRestart(pod) => {
                    // It pushes before it ends; what it could not push is lost.
                    let last = pods[pod].push();
                    let (uid, restarts) = (pods[pod].uid.to_string(), pods[pod].restarts);
                    counts.push(&name(pod), &uid, restarts, &last);
                    responses += pods[pod].scores.len() as u64;
                    scores.append(&mut pods[pod].scores);
                    next += 1;
                    pods[pod].instance = next;
                    pods[pod].restarts += 1;
                    pods[pod].sequence = 0;
                    let first = pods[pod].push();
                    let (uid, restarts) = (pods[pod].uid.to_string(), pods[pod].restarts);
                    counts.push(&name(pod), &uid, restarts, &first);
                }
                Event::PodReplaced(pod) => {
                    let last = pods[pod].push();
                    let (uid, restarts) = (pods[pod].uid.to_string(), pods[pod].restarts);
                    counts.push(&name(pod), &uid, restarts, &last);
                    responses += pods[pod].scores.len() as u64;
                    scores.append(&mut pods[pod].scores);
                    let uid = pods[pod].uid.to_string();
                    counts.retire_pod(&uid);
                    counts.retire_pod(&uid);
                    next += 1;
                    pods[pod] = Pod { uid: next, instance: next, ..Pod::default() };
                }
                Event::NewLeader => {
                    let status = counts.to_status();
                    let text = serde_json::to_string(&status).unwrap();
                    counts = WorkloadCounts::from_status(&serde_json::from_str(&text).unwrap());
                    // No push is under way for longer than a change of leader takes.
                    pods.iter_mut().for_each(|pod| pod.sent.clear());
                }
            }
        }
        for (index, pod) in pods.iter_mut().enumerate() {
            let report = pod.push();
            counts.push(&name(index), &pod.uid.to_string(), pod.restarts, &report);
            responses += pod.scores.len() as u64;
            scores.append(&mut pod.scores);
        }
        prop_assert_eq!(counts.totals().responses, responses);
        let breaches = scores.iter().filter(|score| **score > 4.0).count() as u64;
        prop_assert_eq!(counts.totals().breaches, breaches);
        let merged = &counts.traits()[0];
        prop_assert_eq!(merged.scored, scores.len() as u64);
        if !scores.is_empty() {
            let mean = scores.iter().sum::<f64>() / scores.len() as f64;
            let squares: f64 = scores.iter().map(|score| (score - mean).powi(2)).sum();
            prop_assert!((merged.mean.unwrap() - mean).abs() < 1e-3);
            prop_assert!((merged.sum_squared_deviations - squares).abs() < 1e-1);
            let max = scores.iter().copied().reduce(f64::max).unwrap();
            prop_assert!((merged.max.unwrap() - max).abs() < 1e-5);
        }
    }
}

/// A report of a sidecar that samples these scores.
fn sampled(instance: &str, sequence: u64, basis: &Digest, scores: &[f64]) -> SidecarReport {
    let mut report = report(instance, sequence, scores.len() as u64, scores);
    let mut sample = Sample::new(basis.clone());
    scores
        .iter()
        .for_each(|score| sample.add(*score, Some(&format!("{:012}", score.round().abs()))));
    report.traits[0].sample = Some(sample);
    report
}

#[test]
fn samples_of_former_pods_and_processes_are_merged_and_a_new_basis_starts_from_zero() {
    let (basis, other) = (Digest::of(b"vector"), Digest::of(b"another vector"));
    let mut counts = WorkloadCounts::default();
    let count =
        |counts: &WorkloadCounts, basis| counts.sample("no-villains", "evil", basis).sketch.count();
    counts.push("chat-1", "u1", 0, &sampled("a", 1, &basis, &[1.0, 2.0]));
    counts.push("chat-2", "u2", 0, &sampled("b", 1, &basis, &[3.0]));
    assert_eq!(count(&counts, &basis), 3);
    // The first process is replaced by another, then the pod goes.
    counts.push("chat-1", "u1", 1, &sampled("c", 1, &basis, &[4.0, 5.0]));
    assert_eq!(count(&counts, &basis), 5);
    counts.retire_pod("u1");
    assert_eq!(count(&counts, &basis), 5);
    let sample = counts.sample("no-villains", "evil", &basis);
    assert_eq!((sample.sketch.mean(), sample.sketch.quantile(1.0)), (3.0, Some(5.0)));
    assert_eq!(sample.system_prompts.len(), 5);
    assert!(counts.traits()[0].sample.is_none(), "samples are kept once, and not shown");

    // A new leader knows the retired samples at once, and those of live pods when they report.
    let status = counts.to_status();
    assert!(status.pods.iter().flat_map(|pod| &pod.traits).all(|scores| scores.sample.is_none()));
    let mut next = WorkloadCounts::from_status(&status);
    assert_eq!(count(&next, &basis), 4);
    next.push("chat-2", "u2", 0, &sampled("b", 2, &basis, &[3.0]));
    assert_eq!(count(&next, &basis), 5);

    // The vector changes. One pod has read the new one, another has not.
    counts.push("chat-2", "u2", 0, &sampled("b", 2, &other, &[9.0]));
    assert_eq!((count(&counts, &other), count(&counts, &basis)), (1, 4));
    counts.retire_pod("u2");
    assert_eq!((count(&counts, &other), count(&counts, &basis)), (1, 0), "the newer basis counts");
}

/// A new leader cannot read the report of the former one at first, and it changes meanwhile what
/// runs: nothing is lost, and nothing is counted twice.
#[test]
fn item_11_a_report_that_is_read_again_adds_what_it_says_of_processes_that_are_gone() {
    let mut former = WorkloadCounts::default();
    for (pod, instance) in [("stays", "a"), ("restarts", "b"), ("ends", "c"), ("gone", "d")] {
        former.push(pod, pod, 0, &report(instance, 1, 10, &[1.0]));
    }
    former.push("retired", "retired", 0, &report("e", 1, 10, &[1.0]));
    former.retire_pod("retired");
    let written = former.to_status();
    assert_eq!(written.totals.responses, 50);

    let mut counts = WorkloadCounts::default();
    counts.push("stays", "stays", 0, &report("a", 2, 13, &[1.0, 2.0]));
    counts.push("restarts", "restarts", 1, &report("f", 1, 4, &[1.0]));
    counts.push("ends", "ends", 0, &report("c", 2, 15, &[1.0, 2.0]));
    counts.push("new", "new", 0, &report("g", 1, 1, &[1.0]));
    let counted = counts.pods().map(Process::of).collect();
    counts.retire_pod("ends");
    counts.add_former(&written, &counted);
    counts.retire_pod("gone");
    // 13 stays, 10 + 4 restarts, 15 ends, 1 new, 10 gone, 10 retired before.
    assert_eq!(counts.totals().responses, 63);
    assert_eq!(counts.traits()[0].scored, 2 + 1 + 1 + 2 + 1 + 1 + 1);
    assert_eq!(counts.pods().count(), 3);
}

#[test]
fn issue_15_17_what_a_sidecar_says_of_a_failure_is_plain_text_with_a_reason_that_it_can_give() {
    let failed = |reason: &str, message: &str| {
        let mut report = report("i", 1, 0, &[]);
        let failure = wire::Failure { reason: reason.into(), message: message.into() };
        report.model.state = PodState::Failed;
        report.model.failure = Some(failure);
        report.config_error = Some(message.into());
        let mut counts = WorkloadCounts::default();
        counts.push("chat-1", "u1", 0, &report);
        counts.pod("u1").unwrap().clone()
    };
    let pod = failed("WeightsNotFound", "a\u{1b}[2Jb\nc\u{202e}d");
    let failure = pod.failure.unwrap();
    assert_eq!((&*failure.reason, &*failure.message), ("WeightsNotFound", "a [2Jb c d"));
    assert_eq!(pod.config_error.as_deref(), Some("a [2Jb c d"));
    // Each other one would be a series of a metric, or an Event that the operator did not mean.
    for other in ["Made1", "MadeUp", "WriteRefused", "Unreadable", ""] {
        assert_eq!(failed(other, "m").failure.unwrap().reason, "RefusedBySidecar", "{other}");
    }
}

#[test]
fn issue_15_17_a_trait_that_a_process_counts_anew_loses_nothing() {
    let mut counts = WorkloadCounts::default();
    counts.push("chat-1", "u1", 0, &report("i", 1, 2, &[1.0, 5.0]));
    let mut without = report("i", 2, 3, &[]);
    without.traits.clear();
    counts.push("chat-1", "u1", 0, &without);
    assert_eq!((counts.traits()[0].scored, counts.traits()[0].breaches), (2, 1));
    counts.push("chat-1", "u1", 0, &report("i", 3, 4, &[2.0]));
    assert_eq!((counts.traits()[0].scored, counts.traits()[0].breaches), (3, 1));
}
