//! Invariants of the control path, over random fleets.

use super::build::{Wanted, desired};
use super::dereference::Inputs;
use super::fixtures::{inputs, pod, policy, report, settings};
use super::update_status::Observation;
use super::validate::validate;
use jiff::{SignedDuration, Timestamp};
use personaguard_api::{Digest, Failure, PersonaPolicyStatus, PodState, RefusedTrait};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What became of one pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It enforces the policy as it stands.
    Enforces,
    Bare,
    OtherModel,
    Silent,
    OlderGeneration,
    OtherDigest,
    OtherPolicy,
    Refuses,
    Loading,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        4 => Just(Fate::Enforces),
        1 => Just(Fate::Bare),
        1 => Just(Fate::OtherModel),
        1 => Just(Fate::Silent),
        1 => Just(Fate::OlderGeneration),
        1 => Just(Fate::OtherDigest),
        1 => Just(Fate::OtherPolicy),
        1 => Just(Fate::Refuses),
        1 => Just(Fate::Loading),
    ]
}

fn fleet(fates: &[Fate]) -> Inputs {
    let mut inputs = inputs(vec![policy("no-villains", 3, "evil")]);
    let resolved = validate(&inputs).in_force("no-villains").unwrap().clone();
    for (i, fate) in fates.iter().enumerate() {
        let name = format!("chat-{i}");
        let sidecar = match fate {
            Fate::Bare => None,
            Fate::OtherModel => Some("other"),
            _ => Some("smollm2"),
        };
        inputs.pods.push(Arc::new(pod(&name, sidecar)));
        if [Fate::Bare, Fate::Silent].contains(fate) {
            continue;
        }
        let mut said = report(&name, &[&resolved]);
        let known = &mut said.policies[0];
        match fate {
            Fate::OlderGeneration => known.generation = 2,
            Fate::OtherDigest => known.digest = Some(Digest::of(b"before")),
            Fate::OtherPolicy => known.uid = "before".into(),
            Fate::Refuses => {
                let failure =
                    Failure { reason: "ModelMismatch".into(), message: "It does not fit.".into() };
                known.refused = vec![RefusedTrait { vector: "evil".into(), failure }];
            }
            Fate::Loading => said.state = PodState::Loading,
            Fate::Enforces | Fate::Bare | Fate::OtherModel | Fate::Silent => {}
        }
        inputs.reports.insert(said.uid.clone(), said);
    }
    inputs
}

fn status(inputs: &Inputs, now: Timestamp) -> PersonaPolicyStatus {
    let verdicts = validate(inputs);
    let observation = Observation {
        policy: &inputs.policies[0],
        model: "smollm2",
        rejection: verdicts.rejected.get("no-villains"),
        in_force: verdicts.in_force("no-villains"),
        calibrations: Vec::new(),
        pods: &inputs.pods,
        services: &inputs.services,
        reports: &inputs.reports,
        workloads: &BTreeMap::new(),
        now,
    };
    observation.status().0
}

proptest! {
    #[test]
    fn invariant_4_of_any_fleet_only_what_was_acknowledged_is_claimed(fates in proptest::collection::vec(fate(), 0..12)) {
        let status = status(&fleet(&fates), Timestamp::UNIX_EPOCH);
        let enforcing = fates.iter().filter(|fate| **fate == Fate::Enforces).count();
        prop_assert_eq!(status.guarded, Some(format!("{enforcing}/{}", fates.len())));
        let is_true = |kind: &str| status.conditions.iter().any(|c| c.type_ == kind && c.status == "True");
        let all = !fates.is_empty() && enforcing == fates.len();
        prop_assert_eq!((is_true("Guarded"), is_true("Ready")), (all, all));
        let older = fates.contains(&Fate::OlderGeneration);
        prop_assert!(!older || status.acknowledged_generation == Some(2));
    }

    #[test]
    fn invariant_6_what_is_as_it_should_be_is_not_written_again(
        fates in proptest::collection::vec(fate(), 0..12), later in 0..100_000_i64
    ) {
        let mut inputs = fleet(&fates);
        let now = Timestamp::UNIX_EPOCH;
        let written = status(&inputs, now);
        Arc::make_mut(&mut inputs.policies[0]).status = Some(written.clone());
        prop_assert_eq!(status(&inputs, now + SignedDuration::from_secs(later)), written);
        let wanted = |inputs: &Inputs| desired(&settings(&[]), "the authorities", inputs, &validate(inputs)).unwrap();
        let first = wanted(&inputs);
        if let (Wanted::Exactly(config), Wanted::Exactly(injection)) = (&first.config, &first.injection) {
            inputs.config_map = Some(Arc::new(config.as_ref().clone()));
            inputs.injection = Some(Arc::new(injection.as_ref().clone()));
        }
        let again = wanted(&inputs);
        let same = match (first.config, again.config) {
            (Wanted::Exactly(a), Wanted::Exactly(b)) => (a.data, a.binary_data) == (b.data, b.binary_data),
            _ => false,
        };
        prop_assert!(same);
        let same = match (first.injection, again.injection) {
            (Wanted::Exactly(a), Wanted::Exactly(b)) => a.spec == b.spec,
            _ => false,
        };
        prop_assert!(same);
    }
}
