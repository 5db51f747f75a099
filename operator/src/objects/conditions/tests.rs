use super::*;

#[test]
fn the_transition_time_changes_only_with_the_status() {
    let at = |second| Timestamp::from_second(second).unwrap();
    let first = conditions(&[NewCondition::unmet("Ready", "A", "a")], &[], Some(1), at(10));
    let other_reason =
        conditions(&[NewCondition::unmet("Ready", "B", "b")], &first, Some(2), at(20));
    assert_eq!(other_reason[0].last_transition_time.0, at(10));
    assert_eq!(other_reason[0].reason, "B");
    let met = conditions(&[NewCondition::met("Ready", "C", "c")], &other_reason, Some(2), at(30));
    assert_eq!(met[0].last_transition_time.0, at(30));
}

#[test]
fn a_reason_that_the_api_server_would_refuse_is_replaced() {
    assert_eq!(valid_reason("DigestMismatch"), "DigestMismatch");
    assert_eq!(valid_reason("a b; DROP"), "RefusedBySidecar");
}
