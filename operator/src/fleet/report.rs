//! What a `PersonaReport` says of a workload: pure.

use super::ledger::Ledger;
use crate::conditions::{Verdict, conditions};
use jiff::{SignedDuration, Timestamp};
use personaguard_api::conditions::{condition, reason};
use personaguard_api::{
    LastBreach, PersonaPolicy, PersonaReportStatus, TraitScores, WorkloadReference,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// A sidecar that has not reported for so long is silent; it reports every 30 s at least.
pub(crate) const SILENT_AFTER: Duration = Duration::from_secs(95);

/// What a report is made from.
pub(crate) struct Observation<'a> {
    pub(crate) workload: &'a WorkloadReference,
    pub(crate) ledger: &'a Ledger,
    /// Policies of the namespace that are not being deleted.
    pub(crate) policies: &'a [Arc<PersonaPolicy>],
    /// Names of the workload's pods that have a sidecar.
    pub(crate) guarded_pods: BTreeSet<String>,
    /// Names of those that are silent.
    pub(crate) silent_pods: BTreeSet<String>,
    pub(crate) before: Option<&'a PersonaReportStatus>,
    pub(crate) now: Timestamp,
}

/// A breach that is in force, and how long it will be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct InForce {
    pub(crate) policy: String,
    pub(crate) vector: String,
    pub(crate) breach: LastBreach,
    pub(crate) left: Duration,
}

/// Breaches of a policy that are not older than its recovery time. Breaches of a policy before it
/// of the same name do not count.
pub(crate) fn in_force(
    policy: &PersonaPolicy,
    traits: &[TraitScores],
    now: Timestamp,
) -> Vec<InForce> {
    let name = policy.metadata.name.as_deref().unwrap_or_default();
    let created = policy.metadata.creation_timestamp.as_ref().map_or(Timestamp::MIN, |time| time.0);
    let recovery = SignedDuration::from_secs(i64::from(policy.spec.recover_after_seconds));
    let breaches = traits.iter().filter(|scores| scores.policy == name).filter_map(|scores| {
        let breach = scores.last_breach.as_ref()?;
        if breach.at.0 < created
            || !policy.spec.traits.iter().any(|rule| rule.vector == scores.vector)
        {
            return None;
        }
        let left = breach.at.0.checked_add(recovery).ok()?.duration_since(now);
        let left = Duration::try_from(left).ok().filter(|left| !left.is_zero())?;
        Some(InForce {
            policy: name.to_owned(),
            vector: scores.vector.clone(),
            breach: breach.clone(),
            left,
        })
    });
    breaches.collect()
}

/// The status, and after how long it may differ by time alone.
pub(crate) fn status(observation: &Observation<'_>) -> (PersonaReportStatus, Option<Duration>) {
    let Observation { workload, ledger, policies, guarded_pods, silent_pods, before, now } =
        observation;
    let mut status = counts(ledger);
    status.workload = format!("{}/{}", workload.kind, workload.name);
    status.pods_reporting =
        format!("{}/{}", guarded_pods.len() - silent_pods.len(), guarded_pods.len());
    status.worst = worst(before.and_then(|before| before.worst.as_deref()), &status.traits);
    let breaches: Vec<_> =
        policies.iter().flat_map(|policy| in_force(policy, &status.traits, *now)).collect();
    let next = breaches.iter().map(|breach| breach.left).min();
    let verdicts = [
        breached(&breaches),
        drifting(policies, &status.traits),
        reporting(guarded_pods, silent_pods),
    ];
    let known = before.map(|before| before.conditions.as_slice()).unwrap_or_default();
    status.conditions = conditions(&verdicts, known, None, *now);
    (status, next)
}

/// The part of a status that the counts make up, from which they can be rebuilt.
pub(crate) fn counts(ledger: &Ledger) -> PersonaReportStatus {
    let (retired, retired_traits) = ledger.retired();
    let mut pods: Vec<_> = ledger.pods().cloned().collect();
    // Pods that live say them again; so many would fill the object.
    pods.iter_mut().flat_map(|pod| &mut pod.traits).for_each(|scores| scores.sample = None);
    pods.sort_by(|a, b| a.name.cmp(&b.name));
    PersonaReportStatus {
        totals: ledger.totals(),
        traits: ledger.traits(),
        pods,
        retired,
        retired_traits: retired_traits.to_vec(),
        ..PersonaReportStatus::default()
    }
}

/// Whether two statuses tell the same; a sequence number by itself tells nothing.
pub(crate) fn same(a: &PersonaReportStatus, b: &PersonaReportStatus) -> bool {
    let plain = |status: &PersonaReportStatus| {
        let mut status = status.clone();
        status.pods.iter_mut().for_each(|pod| pod.sequence = 0);
        status
    };
    plain(a) == plain(b)
}

fn breached(breaches: &[InForce]) -> Verdict {
    let worst = breaches.iter().max_by(|a, b| excess(&a.breach).total_cmp(&excess(&b.breach)));
    let Some(worst) = worst else {
        return Verdict::no(
            condition::TRAIT_BREACHED,
            reason::WITHIN_THRESHOLDS,
            "No trait is past its threshold.",
        );
    };
    let more = match breaches.len() {
        1 => String::new(),
        count => format!(" {} more traits are past theirs.", count - 1),
    };
    let message = format!(
        "{} under policy {} (response {}).{more} See status.traits, and the application's own log for that response.",
        compared(&worst.vector, &worst.breach),
        worst.policy,
        worst.breach.response_id
    );
    Verdict::yes(condition::TRAIT_BREACHED, reason::THRESHOLD_PASSED, message)
}

/// Of traits that a policy still names.
fn drifting(policies: &[Arc<PersonaPolicy>], traits: &[TraitScores]) -> Verdict {
    let named = |scores: &&TraitScores| {
        policies.iter().any(|policy| {
            policy.metadata.name.as_ref() == Some(&scores.policy)
                && policy.spec.traits.iter().any(|rule| rule.vector == scores.vector)
        })
    };
    let detected = traits
        .iter()
        .filter(named)
        .filter_map(|scores| Some((scores, scores.drift.filter(|d| d.detected)?)));
    let mut detected: Vec<_> = detected.collect();
    detected.sort_by(|(_, a), (_, b)| b.shift.abs().total_cmp(&a.shift.abs()));
    let Some((scores, charts)) = detected.first() else {
        let message = "No trait's scores have moved from its calibration.";
        return Verdict::no(condition::DRIFT_DETECTED, reason::SCORES_STEADY, message);
    };
    let more = match detected.len() {
        1 => String::new(),
        count => format!(" {} more traits have moved.", count - 1),
    };
    let message = format!(
        "Scores of {} under policy {} lie {:+.1} standard deviations from its calibration.{more} If the service is meant to be so, calibrate on its own traffic.",
        scores.vector, scores.policy, charts.shift
    );
    Verdict::yes(condition::DRIFT_DETECTED, reason::SCORES_MOVED, message)
}

fn reporting(guarded: &BTreeSet<String>, silent: &BTreeSet<String>) -> Verdict {
    if silent.is_empty() {
        let message = format!("All guarded pods report ({}).", guarded.len());
        return Verdict::yes(condition::REPORTING, reason::ALL_PODS_REPORT, message);
    }
    let some: Vec<_> = silent.iter().take(3).map(String::as_str).collect();
    let message = format!(
        "{} of {} guarded pods have not reported of late, among them {}: look at the log of their container personaguard, and whether they reach the operator's Service personaguard-reports.",
        silent.len(),
        guarded.len(),
        some.join(", ")
    );
    Verdict::no(condition::REPORTING, reason::PODS_SILENT, message)
}

/// `evil 5.1 > 4.2`.
pub(crate) fn compared(vector: &str, breach: &LastBreach) -> String {
    let sign = if breach.score < breach.threshold { '<' } else { '>' };
    format!("{vector} {:.1} {sign} {:.1}", breach.score, breach.threshold)
}

fn excess(breach: &LastBreach) -> f64 {
    (breach.score - breach.threshold).abs()
}

/// The breach furthest past its threshold, of the last ones and the one that was the worst before.
fn worst(before: Option<&str>, traits: &[TraitScores]) -> Option<String> {
    let new =
        traits.iter().filter_map(|scores| Some((&scores.vector, scores.last_breach.as_ref()?)));
    let new = new.max_by(|(_, a), (_, b)| excess(a).total_cmp(&excess(b)));
    let known = before.and_then(|text| {
        let words: Vec<&str> = text.split(' ').collect();
        let [_, score, _, threshold] = words.as_slice() else { return None };
        Some((text, (score.parse::<f64>().ok()? - threshold.parse::<f64>().ok()?).abs()))
    });
    match (known, new) {
        // Shown with one decimal, so that much more counts as more.
        (Some((text, known)), Some((_, new))) if excess(new) < known + 0.1 => Some(text.to_owned()),
        (_, Some((vector, new))) => Some(compared(vector, new)),
        (known, None) => known.map(|(text, _)| text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conditions::Answer;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use personaguard_api::{Action, DriftCharts};
    use serde_json::json;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn policy() -> PersonaPolicy {
        let mut policy: PersonaPolicy = serde_json::from_value(json!({
            "apiVersion": "personaguard.dev/v1alpha1", "kind": "PersonaPolicy", "metadata": {"name": "no-villains"},
            "spec": {
                "mode": "Enforce", "selector": {}, "model": "m", "recoverAfterSeconds": 60,
                "traits": [{"vector": "evil", "action": "Alert", "threshold": {"projection": 4.0}}]
            }
        }))
        .unwrap();
        policy.metadata.creation_timestamp = Some(Time(second(0)));
        policy
    }

    fn scores(at: i64, score: f64) -> TraitScores {
        TraitScores {
            policy: "no-villains".into(),
            vector: "evil".into(),
            action: Action::Alert,
            scored: 1,
            breaches: 1,
            mean: Some(score),
            sum_squared_deviations: 0.0,
            max: Some(score),
            last_breach: Some(LastBreach {
                at: Time(second(at)),
                score,
                threshold: 4.0,
                response_id: "chatcmpl-1".into(),
            }),
            drift: None,
            sample: None,
        }
    }

    #[test]
    fn a_breach_recovers_after_the_policys_time() {
        let found = in_force(&policy(), &[scores(10, 5.0)], second(20));
        assert_eq!(found[0].left, Duration::from_secs(50));
        assert!(in_force(&policy(), &[scores(10, 5.0)], second(70)).is_empty());
        assert!(
            in_force(&policy(), &[scores(-1, 5.0)], second(20)).is_empty(),
            "of a policy before it"
        );
    }

    #[test]
    fn the_worst_breach_is_remembered_as_people_read_it() {
        assert_eq!(worst(None, &[scores(0, 5.14)]).unwrap(), "evil 5.1 > 4.0");
        assert_eq!(worst(Some("rude 9.0 > 4.0"), &[scores(0, 5.0)]).unwrap(), "rude 9.0 > 4.0");
        assert_eq!(worst(Some("rude 4.5 > 4.0"), &[scores(0, 5.0)]).unwrap(), "evil 5.0 > 4.0");
        assert_eq!(worst(Some("evil 5.1 > 4.0"), &[scores(0, 5.14)]).unwrap(), "evil 5.1 > 4.0");
        assert_eq!(worst(None, &[]), None);
    }

    #[test]
    fn drift_is_said_of_traits_that_a_policy_names() {
        let moved = DriftCharts { shift: 2.31, up: 9.0, down: 0.0, detected: true };
        let traits = [TraitScores { drift: Some(moved), ..scores(0, 5.0) }];
        let verdict = drifting(&[Arc::new(policy())], &traits);
        assert_eq!((verdict.status, verdict.reason.as_str()), (Answer::True, reason::SCORES_MOVED));
        assert!(
            verdict.message.contains("evil") && verdict.message.contains("+2.3"),
            "{}",
            verdict.message
        );
        assert_eq!(drifting(&[], &traits).status, Answer::False);
        let calm = [TraitScores {
            drift: Some(DriftCharts { detected: false, ..moved }),
            ..scores(0, 5.0)
        }];
        assert_eq!(drifting(&[Arc::new(policy())], &calm).status, Answer::False);
    }

    #[test]
    fn silence_is_said_with_a_name_and_a_next_step() {
        let workload = WorkloadReference {
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            name: "chat".into(),
            uid: "u".into(),
        };
        let observation = Observation {
            workload: &workload,
            ledger: &Ledger::default(),
            policies: &[],
            guarded_pods: BTreeSet::from(["chat-1".into(), "chat-2".into()]),
            silent_pods: BTreeSet::from(["chat-2".into()]),
            before: None,
            now: second(0),
        };
        let (status, next) = status(&observation);
        assert_eq!(
            (status.workload.as_str(), status.pods_reporting.as_str(), next),
            ("Deployment/chat", "1/2", None)
        );
        let reporting = status.conditions.iter().find(|c| c.type_ == "Reporting").unwrap();
        assert_eq!(reporting.status, "False");
        assert!(reporting.message.contains("chat-2"), "{}", reporting.message);
    }
}
