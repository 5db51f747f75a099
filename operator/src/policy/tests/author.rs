//! Against the author of a policy: after any edits, good and bad, and any faults between them, what
//! is in force is the last generation that could be enforced, and no more is claimed.

use super::edits::{Edit, condition, edits, in_force, older, rule, status_of};
use super::{enforced, settle};
use crate::fixtures::{artifact, model, report};
use crate::policy::dereference::Inputs;
use personaguard_api::{FailurePolicy, Mode, Threshold, label_selector};
use personaguard_wire::{GuardConfig, ResolvedPolicy};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;
use std::sync::Arc;

const NAME: &str = "a-older";

/// Edits that can be enforced, if nothing else is wrong.
const GOOD: &[Edit] = &[
    |it| block(it, 2.0),
    |it| block(it, 6.0),
    |it| older(it).spec.failure_policy = FailurePolicy::Open,
    |it| older(it).spec.failure_policy = FailurePolicy::Closed,
    |it| older(it).spec.mode = Mode::Audit,
    |it| older(it).spec.mode = Mode::Enforce,
    |it| older(it).spec.selector = rule(json!({})),
    |it| older(it).spec.selector = rule(json!({"matchLabels": {"app": "chat"}})),
    |it| older(it).spec.selector = rule(json!({"matchLabels": {"app": "chat", "tier": "a"}})),
    |it| older(it).spec.traits = rule(json!([{"vector": "evil", "action": "Audit"}])),
];

/// All is as it was, but for what the author wrote.
const MENDED: &[Edit] = &[
    |it| it.model = Some(Arc::new(model())),
    |it| it.unreadable.clear(),
    |it| drop(it.vectors.insert("evil".into(), Ok(artifact(b"weights", 8)))),
    // The author starts from the beginning.
    |it| {
        let spec = in_force().policies[0].spec.clone();
        older(it).spec = spec;
    },
    |it| {
        let mut changed = model();
        changed.spec.runtime.threads = Some(2);
        it.model = Some(Arc::new(changed));
    },
];

fn block(inputs: &mut Inputs, projection: f64) {
    let spec = &mut older(inputs).spec;
    spec.traits = rule(json!([{"vector": "evil", "action": "Block", "threshold": {}}]));
    spec.traits[0].threshold =
        Some(Threshold { projection: Some(projection), ..Threshold::default() });
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Good(usize),
    Bad(usize),
    Mended(usize),
    /// The sidecar reports what it enforces.
    Acknowledged,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..GOOD.len()).prop_map(Step::Good),
        3 => (0..edits().len()).prop_map(Step::Bad),
        3 => (0..MENDED.len()).prop_map(Step::Mended),
        2 => Just(Step::Acknowledged),
    ]
}

fn own(inputs: &Inputs) -> Option<ResolvedPolicy> {
    enforced(inputs, "config.yaml").into_iter().find(|policy| policy.name == NAME)
}

/// Without what follows from how the model is served.
fn content(policy: &ResolvedPolicy) -> ResolvedPolicy {
    ResolvedPolicy { digest: None, ..policy.clone() }
}

fn check(inputs: &mut Inputs, before: &ResolvedPolicy) -> Result<(), TestCaseError> {
    let spec = inputs.policies[0].spec.clone();
    let generation = inputs.policies[0].metadata.generation.unwrap();
    let status = status_of(inputs, &inputs.policies[0]);
    let accepted = condition(&status, "Accepted").0 == "True";
    settle(inputs);
    let now = own(inputs).ok_or_else(|| TestCaseError::fail("nothing is in force"))?;
    if accepted {
        prop_assert_eq!(now.generation, generation);
        prop_assert_eq!((now.mode, now.failure_policy), (spec.mode, spec.failure_policy));
        let threshold = spec.traits[0].threshold.as_ref().and_then(|it| it.projection);
        prop_assert_eq!(now.traits[0].max, threshold);
    } else {
        prop_assert_eq!(content(&now), content(before), "it stays as it was");
    }
    // New pods get what is in force, and none that fails closed starts without it.
    let injection = inputs.injection.as_ref().unwrap();
    let selector = label_selector(&now.selector);
    prop_assert!(injection.spec.selectors.contains(&selector));
    let closed = now.mode == Mode::Enforce && now.failure_policy == FailurePolicy::Closed;
    prop_assert!(!closed || injection.spec.closed_selectors.contains(&selector));
    let data = inputs.config_map.as_ref().unwrap().data.as_ref().unwrap();
    let config = GuardConfig::from_yaml(data["config.yaml"].as_bytes()).unwrap();
    prop_assert!(config.unresolved.iter().all(|it| it.name != NAME), "it is in force");
    prop_assert_eq!(now.digest.clone(), Some(config.enforced(&now)), "sidecars find the same");
    // Nothing is claimed that the sidecar has not said of exactly this.
    let status = status_of(inputs, &inputs.policies[0]);
    let said = inputs.reports.values().flat_map(|report| &report.policies);
    let mut said = said.filter(|it| it.name == NAME);
    let acknowledged = said.any(|it| it.generation == generation && it.digest == now.digest);
    let selected = personaguard_api::selects(&spec.selector, &inputs.pods[0].labels);
    let guarded = if accepted && acknowledged && selected { "1/1" } else { "0/" };
    let claimed = status.guarded.unwrap_or_default();
    prop_assert!(claimed.starts_with(guarded), "{claimed} for {guarded}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn invariant_4_and_9_hold_against_the_author_of_a_policy(steps in vec(step(), 1..16)) {
        let mut inputs = in_force();
        for step in steps {
            let before = own(&inputs).unwrap();
            let generation = inputs.policies[0].metadata.generation.unwrap();
            match step {
                Step::Good(index) => GOOD[index](&mut inputs),
                Step::Bad(index) => {
                    // They take one trait with a threshold for granted.
                    let first = older(&mut inputs).spec.traits.first();
                    if first.is_none_or(|rule| rule.threshold.is_none()) {
                        block(&mut inputs, 4.0);
                    }
                    edits()[index].2(&mut inputs);
                }
                Step::Mended(index) => MENDED[index](&mut inputs),
                Step::Acknowledged => {
                    let known = enforced(&inputs, "config.yaml");
                    let report = report("chat-1", &known.iter().collect::<Vec<_>>());
                    inputs.reports.insert(report.uid.clone(), report);
                }
            }
            if matches!(step, Step::Good(_) | Step::Bad(_) | Step::Mended(3)) {
                older(&mut inputs).metadata.generation = Some(generation + 1);
            }
            check(&mut inputs, &before)?;
        }
    }
}
