//! What reports can say: nothing of policies that their pod was not given, and nothing without end.

use super::{inputs, validate};
use crate::fixtures::{FakeApi, context, pod, policy};
use crate::fleet::Fleet;
use crate::keys::Key;
use crate::objects::PodView;
use personaguard_api::{Digest, PodState, WorkloadReference};
use personaguard_wire::SidecarReport;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

fn report(sequence: u64, change: impl FnOnce(&mut Value)) -> SidecarReport {
    let mut report = json!({
        "instance": "i", "sequence": sequence, "model": {"name": "smollm2", "state": "Ready"},
        "totals": {"responses": 9, "breaches": 1, "blocked": 0, "unguarded": 0},
        "policies": [], "traits": []
    });
    change(&mut report);
    serde_json::from_value(report).unwrap()
}

fn scores(policy: &str, vector: &str) -> Value {
    let sample = json!({
        "basis": Digest::of(b"basis"), "systemPrompts": [],
        "sketch": {"sumSquaredDeviations": 0.0, "centroids": [{"mean": 900.0, "count": 500}]}
    });
    json!({
        "policy": policy, "vector": vector, "action": "Block", "scored": 9, "breaches": 1,
        "mean": 5.0, "sumSquaredDeviations": 1.0, "max": 9.0, "sample": sample,
        "lastBreach": {
            "at": "2026-11-24T10:00:00Z", "score": 9.0, "threshold": 4.0, "responseId": "r-1"
        }
    })
}

fn workload() -> WorkloadReference {
    let text = |text: &str| text.to_owned();
    WorkloadReference {
        api_version: text("apps/v1"),
        kind: text("Deployment"),
        name: text("chat"),
        uid: text("w"),
    }
}

/// A fleet with a scope whose policies select `app: chat` and `app: other`.
fn fleet() -> Fleet {
    let mut other = policy("others", 1, "evil");
    other.spec.selector.match_labels = Some([("app".to_owned(), "other".to_owned())].into());
    let inputs = inputs(vec![policy("no-villains", 3, "evil"), other]);
    let api = FakeApi::start(|_| None);
    let fleet = Fleet::new(context(&api).cluster.client.clone());
    fleet.give(&inputs.scope, validate(&inputs).given());
    fleet
}

fn push(fleet: &Fleet, pod: &PodView, report: &SidecarReport) -> Vec<(Key, Instant)> {
    fleet.record(pod, true, &workload(), report).unwrap()
}

#[tokio::test]
async fn issue_15_17_a_pod_says_nothing_of_policies_that_it_was_not_given() {
    let (fleet, pod) = (fleet(), pod("chat-1", Some("smollm2")));
    let all = [
        ("no-villains", "evil"),
        ("no-villains", "made-up"),
        ("others", "evil"),
        ("made-up", "evil"),
    ];
    let of_all = |r: &mut Value| {
        r["traits"] = all.iter().map(|(policy, vector)| scores(policy, vector)).collect();
        let uids = ["uid-no-villains", "uid-others", "uid-made-up"];
        let own = |uid: &&str| json!({"name": &uid[4..], "uid": uid, "generation": 3});
        r["policies"] = uids.iter().map(own).collect();
    };
    push(&fleet, &pod, &report(1, of_all));
    let known = fleet.pods_within("support").remove(&pod.uid).unwrap();
    let traits: Vec<_> = known.traits.iter().map(|it| (&*it.policy, &*it.vector)).collect();
    assert_eq!(traits, [("no-villains", "evil")]);
    let policies: Vec<_> = known.policies.iter().map(|it| it.uid.as_str()).collect();
    assert_eq!(policies, ["uid-no-villains"]);
    // Neither is another policy calibrated on what it says.
    let basis = Digest::of(b"basis");
    let sampled = |policy| fleet.sample("support", policy, "evil", &basis).sketch.count();
    assert_eq!((sampled("no-villains"), sampled("others")), (500, 0));
    // Of a policy that is gone, it goes on to count.
    let gone = inputs(vec![policy("another", 1, "evil")]);
    fleet.give(&gone.scope, validate(&gone).given());
    push(&fleet, &pod, &report(2, of_all));
    let known = fleet.pods_within("support").remove(&pod.uid).unwrap();
    assert_eq!(known.traits[0].policy, "no-villains");
    assert_eq!((known.traits.len(), known.policies.len()), (1, 1));
}

#[tokio::test]
async fn issue_15_17_before_a_scope_is_known_nothing_is_lost() {
    let api = FakeApi::start(|_| None);
    let fleet = Fleet::new(context(&api).cluster.client.clone());
    let pod = pod("chat-1", Some("smollm2"));
    push(&fleet, &pod, &report(1, |r| r["traits"] = json!([scores("no-villains", "evil")])));
    assert_eq!(fleet.pods_within("support")[&pod.uid].traits.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn issue_15_17_a_sidecar_that_flaps_makes_no_writes_without_end() {
    let (fleet, pod) = (fleet(), pod("chat-1", Some("smollm2")));
    let start = Instant::now();
    let mut cluster_wide = Vec::new();
    for sequence in 1..=200 {
        let state = [PodState::Ready, PodState::Loading][usize::from(sequence % 2 == 0)];
        let flaps = |r: &mut Value| r["model"]["state"] = json!(state);
        let keys = push(&fleet, &pod, &report(sequence, flaps));
        cluster_wide.extend(keys.into_iter().filter(|(key, _)| matches!(key, Key::Model(_))));
    }
    assert_eq!(cluster_wide.len(), 200, "each is heard");
    let at_once = cluster_wide.iter().filter(|(_, at)| *at == start).count();
    assert!(at_once <= 20, "{at_once} at once");
    let latest = cluster_wide.iter().map(|(_, at)| *at - start).max().unwrap();
    assert!(latest <= Duration::from_secs(10), "and the last of them soon: {latest:?}");
}
