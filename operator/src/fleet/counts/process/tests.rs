use super::*;
use crate::fleet::counts::WorkloadCounts;
use jiff::Timestamp;
use personaguard_wire::{
    Connections, ModelObservation, PodState as State, SidecarReport, Totals as Counts,
};
use proptest::prelude::*;

const OUTSIDE: Origin = Origin { restarts: 0, own_address: false, other_is_silent: false };
const WITHIN: Origin = Origin { own_address: true, ..OUTSIDE };

fn push(
    counts: &mut WorkloadCounts,
    origin: Origin,
    instance: &str,
    sequence: u64,
    responses: u64,
) -> Result<(), Contested> {
    let report = SidecarReport {
        instance: instance.to_owned(),
        sequence,
        model: ModelObservation {
            name: "m".to_owned(),
            state: State::Ready,
            digest: None,
            failure: None,
        },
        policies: Vec::new(),
        config_error: None,
        totals: Counts { responses, ..Counts::default() },
        connections: Connections::default(),
        traits: Vec::new(),
        audit_log: None,
    };
    counts.record("chat-1", "u1", origin, &report, Timestamp::UNIX_EPOCH).map(drop)
}

fn believed(counts: &WorkloadCounts) -> &str {
    counts.pods().next().map_or("", |pod| &pod.instance)
}

#[test]
fn issue_15_17_a_forged_report_does_not_replace_the_sidecars() {
    let mut counts = WorkloadCounts::default();
    push(&mut counts, WITHIN, "sidecar", 1, 5).unwrap();
    push(&mut counts, OUTSIDE, "forged", u64::MAX, 900).unwrap_err();
    assert_eq!((believed(&counts), counts.totals().responses), ("sidecar", 5));
    push(&mut counts, WITHIN, "sidecar", 2, 6).unwrap();
    assert_eq!((believed(&counts), counts.totals().responses), ("sidecar", 6));
    // Nor from within: the first of two there stays.
    push(&mut counts, WITHIN, "forged", 1, 900).unwrap_err();
    assert_eq!(believed(&counts), "sidecar");
}

#[test]
fn issue_15_17_a_sidecar_takes_its_place_back_from_one_that_came_first() {
    let mut counts = WorkloadCounts::default();
    push(&mut counts, OUTSIDE, "forged", u64::MAX, 900).unwrap();
    push(&mut counts, WITHIN, "sidecar", 1, 5).unwrap();
    assert_eq!((believed(&counts), counts.totals().responses), ("sidecar", 5));
    push(&mut counts, OUTSIDE, "forged", u64::MAX, 900).unwrap_err();
    push(&mut counts, WITHIN, "sidecar", 2, 7).unwrap();
    assert_eq!((believed(&counts), counts.totals().responses), ("sidecar", 7));
}

#[test]
fn issue_15_17_where_addresses_tell_nothing_the_one_that_goes_on_reporting_takes_over() {
    let mut counts = WorkloadCounts::default();
    let later = |origin| Origin { other_is_silent: true, ..origin };
    push(&mut counts, OUTSIDE, "forged", 1, 900).unwrap();
    push(&mut counts, OUTSIDE, "sidecar", 1, 5).unwrap_err();
    push(&mut counts, later(OUTSIDE), "sidecar", 2, 5).unwrap();
    assert_eq!((believed(&counts), counts.totals().responses), ("sidecar", 5));
    // Never in place of one that is known to be within the pod.
    push(&mut counts, WITHIN, "sidecar", 3, 6).unwrap();
    push(&mut counts, later(OUTSIDE), "forged", 2, 900).unwrap_err();
    assert_eq!((believed(&counts), counts.totals().responses), ("sidecar", 6));
}

#[test]
fn a_process_follows_another_once_the_api_server_says_that_the_container_was_started_anew() {
    let mut counts = WorkloadCounts::default();
    let anew = Origin { restarts: 1, ..WITHIN };
    push(&mut counts, WITHIN, "first", 9, 5).unwrap();
    push(&mut counts, WITHIN, "second", 1, 1).unwrap_err();
    push(&mut counts, anew, "second", 2, 1).unwrap();
    assert_eq!((believed(&counts), counts.totals().responses), ("second", 6));
    // A last word of the first that comes late.
    push(&mut counts, anew, "first", 10, 6).unwrap_err();
    // And one that comes before the second's first.
    let mut counts = WorkloadCounts::default();
    push(&mut counts, WITHIN, "first", 9, 5).unwrap();
    push(&mut counts, anew, "first", 10, 6).unwrap();
    push(&mut counts, anew, "second", 1, 1).unwrap();
    assert_eq!((believed(&counts), counts.totals().responses), ("second", 7));
}

#[test]
fn issue_15_17_nothing_of_a_forger_stays_after_a_restart_of_the_container() {
    let restarted = |origin| Origin { restarts: 1, ..origin };
    // It came first, and the container ended before the sidecar had reported.
    let mut counts = WorkloadCounts::default();
    push(&mut counts, OUTSIDE, "forged", 1, 900).unwrap();
    push(&mut counts, restarted(WITHIN), "sidecar", 1, 5).unwrap();
    assert_eq!((believed(&counts), counts.totals().responses), ("sidecar", 5));
    // It does not pass for the sidecar that was started anew.
    let mut counts = WorkloadCounts::default();
    push(&mut counts, WITHIN, "sidecar", 1, 5).unwrap();
    push(&mut counts, restarted(OUTSIDE), "forged", 1, 900).unwrap_err();
    push(&mut counts, restarted(WITHIN), "anew", 1, 1).unwrap();
    assert_eq!((believed(&counts), counts.totals().responses), ("anew", 6));
    // Where addresses do not arrive any more, the one that goes on reporting is believed.
    let silent = Origin { other_is_silent: true, restarts: 2, ..OUTSIDE };
    push(&mut counts, silent, "once more", 1, 1).unwrap();
    assert_eq!((believed(&counts), counts.totals().responses), ("once more", 7));
}

#[test]
fn issue_15_17_the_counts_of_a_process_never_fall() {
    let mut counts = WorkloadCounts::default();
    push(&mut counts, WITHIN, "sidecar", 1, 50).unwrap();
    push(&mut counts, WITHIN, "sidecar", 2, 3).unwrap();
    assert_eq!(counts.totals().responses, 50);
    push(&mut counts, WITHIN, "sidecar", 3, 51).unwrap();
    assert_eq!(counts.totals().responses, 51);
}

#[test]
fn issue_15_17_no_sum_is_more_than_the_api_server_stores() {
    let mut counts = WorkloadCounts::default();
    for restarts in 0..3 {
        let origin = Origin { restarts, ..WITHIN };
        let instance = format!("sidecar-{restarts}");
        push(&mut counts, origin, &instance, 1, u64::MAX / 2).unwrap();
    }
    assert_eq!(i64::try_from(counts.totals().responses), Ok(i64::MAX));
}

#[test]
fn issue_15_17_a_new_leader_believes_the_same_process() {
    let mut counts = WorkloadCounts::default();
    push(&mut counts, WITHIN, "sidecar", 1, 5).unwrap();
    let text = serde_json::to_string(&counts.to_status()).unwrap();
    let mut next = WorkloadCounts::from_status(&serde_json::from_str(&text).unwrap());
    push(&mut next, OUTSIDE, "forged", 1, 900).unwrap_err();
    push(&mut next, WITHIN, "sidecar", 2, 6).unwrap();
    assert_eq!(next.totals().responses, 6);
}

#[test]
fn issue_15_19_the_counts_of_a_pod_that_ends_while_no_operator_is_there_are_those_last_written() {
    let mut counts = WorkloadCounts::default();
    push(&mut counts, WITHIN, "sidecar", 1, 5).unwrap();
    let written = counts.to_status();
    // Accepted, and not written before the operator ends; nor is what the pod counts after that.
    push(&mut counts, WITHIN, "sidecar", 2, 7).unwrap();
    let mut next = WorkloadCounts::from_status(&written);
    assert!(next.retire_pod("u1"));
    assert_eq!(next.totals().responses, 5);
    assert_eq!(next.to_status().retired.responses, 5);
}

proptest! {
    /// However forged pushes from outside are mixed in, and whoever comes first: what is believed
    /// after the sidecar's own push is the sidecar's, with its numbers.
    #[test]
    fn issue_15_17_forged_pushes_from_outside_change_nothing(
        pushes in prop::collection::vec((any::<bool>(), 0..3_u8, 0..1000_u64), 1..60),
    ) {
        let mut counts = WorkloadCounts::default();
        let mut own = 0;
        for (genuine, forger, number) in pushes {
            if genuine {
                own += 1;
                push(&mut counts, WITHIN, "sidecar", own, own).unwrap();
                prop_assert_eq!((believed(&counts), counts.totals().responses), ("sidecar", own));
            } else {
                let _ = push(&mut counts, OUTSIDE, &format!("forged-{forger}"), number, number);
                if own > 0 {
                    prop_assert_eq!(
                        (believed(&counts), counts.totals().responses), ("sidecar", own)
                    );
                }
            }
        }
    }
}
