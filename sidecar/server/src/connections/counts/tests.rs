use super::*;
use std::collections::BTreeSet;

fn one(port: u16) -> Foreign {
    let ends = (([10, 0, 0, 5], 8080).into(), ([10, 0, 0, 9], port).into());
    Foreign { past_sidecar: BTreeSet::from([ends]), ..Foreign::default() }
}

#[test]
fn a_probe_does_not_count_and_a_connection_counts_for_ten_minutes_after_its_end() {
    let (counts, start) = (ConnectionCounts::default(), Instant::now());
    let at = |second| start + Duration::from_secs(second);
    for second in 0..20 {
        // Each probe has a port of its own.
        assert!(!counts.observe(&one(4000 + second as u16), at(second)));
    }
    assert!(counts.read().is_empty());
    assert!(!counts.observe(&one(5000), at(21)) && !counts.observe(&one(5000), at(22)));
    assert!(counts.observe(&one(5000), at(23)), "the count rose from zero");
    assert!(!counts.observe(&one(5000), at(24)));
    assert_eq!(counts.read(), Connections { app: 0, past_sidecar: 1 });
    counts.observe(&Foreign::default(), at(25));
    assert_eq!(counts.read().past_sidecar, 1);
    counts.observe(&Foreign::default(), at(26 + WINDOW.as_secs()));
    assert!(counts.read().is_empty());
}
