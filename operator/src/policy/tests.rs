//! Invariants of the control path, with random pods; further ones are in the files beside this.

mod author;
mod editor;
mod edits;
mod identity;
mod refused;
mod reports;
mod unreadable;

use super::build::{Desired, build};
use super::dereference::Inputs;
use super::fixtures::inputs;
use super::status::Observation;
use super::validate::validate;
use crate::fixtures::{pod, policy, report};
use jiff::{SignedDuration, Timestamp};
use personaguard_api::{Digest, Failure, PersonaPolicyStatus, PodState, RefusedTrait};
use personaguard_wire::{GuardConfig, ResolvedPolicy};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How a pod relates to the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It enforces the policy as written.
    Enforces,
    NoSidecar,
    OtherModel,
    Silent,
    OlderGeneration,
    OtherDigest,
    OtherPolicy,
    Refuses,
    Loading,
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        4 => Just(Kind::Enforces),
        1 => Just(Kind::NoSidecar),
        1 => Just(Kind::OtherModel),
        1 => Just(Kind::Silent),
        1 => Just(Kind::OlderGeneration),
        1 => Just(Kind::OtherDigest),
        1 => Just(Kind::OtherPolicy),
        1 => Just(Kind::Refuses),
        1 => Just(Kind::Loading),
    ]
}

fn with_pods(kinds: &[Kind]) -> Inputs {
    let mut inputs = inputs(vec![policy("no-villains", 3, "evil")]);
    let resolved = validate(&inputs).in_force("no-villains").unwrap().clone();
    for (i, kind) in kinds.iter().enumerate() {
        let name = format!("chat-{i}");
        let sidecar = match kind {
            Kind::NoSidecar => None,
            Kind::OtherModel => Some("other"),
            _ => Some("smollm2"),
        };
        inputs.pods.push(Arc::new(pod(&name, sidecar)));
        if [Kind::NoSidecar, Kind::Silent].contains(kind) {
            continue;
        }
        let mut report = report(&name, &[&resolved]);
        let known = &mut report.policies[0];
        match kind {
            Kind::OlderGeneration => known.generation = 2,
            Kind::OtherDigest => known.digest = Some(Digest::of(b"before")),
            Kind::OtherPolicy => known.uid = "before".into(),
            Kind::Refuses => {
                let failure =
                    Failure { reason: "ModelMismatch".into(), message: "It does not fit.".into() };
                known.refused = vec![RefusedTrait { vector: "evil".into(), failure }];
            }
            Kind::Loading => report.state = PodState::Loading,
            Kind::Enforces | Kind::NoSidecar | Kind::OtherModel | Kind::Silent => {}
        }
        inputs.reports.insert(report.uid.clone(), report);
    }
    inputs
}

/// Writes what is desired, as the API server would keep it.
fn settle(inputs: &mut Inputs) {
    let desired = build(&validate(inputs), inputs.config_map.as_deref()).unwrap();
    match desired.config {
        Desired::Present(config) => inputs.config_map = Some(Arc::new(*config)),
        Desired::Absent => inputs.config_map = None,
        Desired::Unchanged => {}
    }
    match desired.injection {
        Desired::Present(injection) => inputs.injection = Some(Arc::new(*injection)),
        Desired::Absent => inputs.injection = None,
        Desired::Unchanged => {}
    }
}

/// What a sidecar enforces, by the file of its config folder.
fn enforced(inputs: &Inputs, file: &str) -> Vec<ResolvedPolicy> {
    let data = inputs.config_map.as_ref().unwrap().data.as_ref().unwrap();
    GuardConfig::from_yaml(data[file].as_bytes()).unwrap().policies
}

fn status(inputs: &Inputs, now: Timestamp) -> PersonaPolicyStatus {
    let validated = validate(inputs);
    let observation = Observation {
        policy: &inputs.policies[0],
        inputs,
        validated: &validated,
        refusal: None,
        calibrations: Vec::new(),
        workloads: &BTreeMap::new(),
        now,
    };
    observation.status().status
}

proptest! {
    #[test]
    fn invariant_4_of_any_fleet_only_what_was_acknowledged_is_claimed(
        kinds in vec(kind(), 0..12)
    ) {
        let status = status(&with_pods(&kinds), Timestamp::UNIX_EPOCH);
        let enforcing = kinds.iter().filter(|kind| **kind == Kind::Enforces).count();
        prop_assert_eq!(status.guarded, Some(format!("{enforcing}/{}", kinds.len())));
        let is_true = |type_: &str| {
            status.conditions.iter().any(|c| c.type_ == type_ && c.status == "True")
        };
        let all = !kinds.is_empty() && enforcing == kinds.len();
        prop_assert_eq!((is_true("Guarded"), is_true("Ready")), (all, all));
        let older = kinds.contains(&Kind::OlderGeneration);
        prop_assert!(!older || status.acknowledged_generation == Some(2));
    }

    #[test]
    fn invariant_6_what_is_as_it_should_be_is_not_written_again(
        kinds in vec(kind(), 0..12), later in 0..100_000_i64
    ) {
        let mut inputs = with_pods(&kinds);
        let now = Timestamp::UNIX_EPOCH;
        let written = status(&inputs, now);
        Arc::make_mut(&mut inputs.policies[0]).status = Some(written.clone());
        prop_assert_eq!(status(&inputs, now + SignedDuration::from_secs(later)), written);
        let desired = |inputs: &Inputs| {
            build(&validate(inputs), inputs.config_map.as_deref()).unwrap()
        };
        let first = desired(&inputs);
        if let Desired::Present(config) = &first.config {
            inputs.config_map = Some(Arc::new(config.as_ref().clone()));
        }
        if let Desired::Present(injection) = &first.injection {
            inputs.injection = Some(Arc::new(injection.as_ref().clone()));
        }
        let again = desired(&inputs);
        let same = match (first.config, again.config) {
            (Desired::Present(a), Desired::Present(b)) => {
                (a.data, a.binary_data) == (b.data, b.binary_data)
            }
            _ => false,
        };
        prop_assert!(same);
        let same = match (first.injection, again.injection) {
            (Desired::Present(a), Desired::Present(b)) => a.spec == b.spec,
            _ => false,
        };
        prop_assert!(same);
    }
}
