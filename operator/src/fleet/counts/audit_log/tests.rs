use crate::fleet::counts::{Origin, WorkloadCounts};
use jiff::Timestamp;
use personaguard_api::{AuditLogStatus, Digest};
use personaguard_wire::SidecarReport;
use serde_json::json;

fn hash(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

/// A push of a process that continued the log after the first line and stands at the second.
fn push(instance: &str, number: u64, opened: (u64, &str), head: (u64, &str)) -> SidecarReport {
    let line = |(sequence, text): (u64, &str)| json!({"sequence": sequence, "hash": hash(text)});
    serde_json::from_value(json!({
        "instance": instance, "sequence": number, "model": {"name": "m", "state": "Ready"},
        "policies": [], "traits": [],
        "totals": {"responses": 0, "breaches": 0, "blocked": 0, "unguarded": 0},
        "auditLog": {"opened": line(opened), "head": line(head), "gaps": 0}
    }))
    .unwrap()
}

/// Where the log stands after these pushes of one pod, each seen by a leader of its own.
fn after(pushes: &[SidecarReport]) -> AuditLogStatus {
    let mut counts = WorkloadCounts::default();
    let (mut origin, mut process) = (Origin { own_address: true, ..Origin::default() }, "");
    for report in pushes {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        // Another process is the sidecar's where its container was started anew.
        origin.restarts += i32::from(!process.is_empty() && process != report.instance);
        process = &report.instance;
        counts.record("chat-1", "u1", origin, report, now).unwrap();
        counts = WorkloadCounts::from_status(&counts.to_status());
    }
    counts.pod("u1").unwrap().audit_log.clone().unwrap()
}

#[test]
fn number_8_a_log_that_only_grows_is_in_order() {
    let status = after(&[
        push("a", 1, (0, ""), (1, "x1")),
        push("a", 2, (0, ""), (7, "x7")),
        push("a", 3, (0, ""), (7, "x7")),
        // What was written after the last push of a process that was killed is not known.
        push("b", 1, (9, "x9"), (10, "x10")),
        push("c", 1, (10, "x10"), (11, "x11")),
    ]);
    assert_eq!((status.sequence, status.hash, status.cut), (11, hash("x11"), None));
}

#[test]
fn number_8_a_log_that_goes_back_is_noticed_whatever_comes_after() {
    let begin = || push("a", 1, (0, ""), (7, "x7"));
    let backwards = [
        // File and head cut alike, and begun anew, and cut while it was written.
        push("b", 1, (4, "x4"), (5, "y5")),
        push("b", 1, (4, "x4"), (50, "y50")),
        push("b", 1, (0, ""), (90, "z90")),
        push("a", 2, (0, ""), (6, "y6")),
        // Written anew to the same length.
        push("b", 1, (7, "y7"), (8, "y8")),
        push("a", 2, (0, ""), (7, "y7")),
    ];
    for report in backwards {
        let status = after(&[begin(), report.clone()]);
        let cut = status.cut.unwrap_or_else(|| panic!("{report:?}"));
        assert_eq!((cut.expected.sequence, cut.expected.hash), (7, hash("x7")));
        let head = report.audit_log.as_ref().unwrap().head.clone();
        let later = push("c", 1, (head.sequence, "later"), (head.sequence + 9, "later still"));
        assert!(after(&[begin(), report, later]).cut.is_some(), "it stays");
    }
}

#[test]
fn number_8_a_process_without_a_log_does_not_make_the_cluster_forget() {
    let mut silent = push("b", 1, (0, ""), (1, "y1"));
    silent.audit_log = None;
    let begin = push("a", 1, (0, ""), (7, "x7"));
    let after_silence = after(&[begin.clone(), silent.clone()]);
    assert_eq!((after_silence.sequence, after_silence.cut), (7, None));
    assert!(after(&[begin, silent, push("c", 1, (0, ""), (1, "y1"))]).cut.is_some());
}

#[test]
fn issue_15_17_what_a_forger_said_of_the_log_is_no_anchor() {
    let now = Timestamp::from_second(1_700_000_000).unwrap();
    let mut counts = WorkloadCounts::default();
    let outside = Origin::default();
    let forged = push("forged", 1, (900, "x"), (901, "y"));
    counts.record("chat-1", "u1", outside, &forged, now).unwrap();
    let within = Origin { own_address: true, ..outside };
    let own = push("sidecar", 1, (1, "a"), (2, "b"));
    counts.record("chat-1", "u1", within, &own, now).unwrap();
    let status = counts.pod("u1").unwrap().audit_log.clone().unwrap();
    assert_eq!((status.sequence, status.cut), (2, None));
}
