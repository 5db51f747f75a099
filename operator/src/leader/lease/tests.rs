use super::*;
use crate::context::{Fence, Moment};

fn held_by(holder: &str, second: i64) -> LeaseSpec {
    LeaseSpec {
        holder_identity: Some(holder.into()),
        lease_duration_seconds: Some(15),
        renew_time: Some(MicroTime(Timestamp::from_second(second).unwrap())),
        ..LeaseSpec::default()
    }
}

#[test]
fn a_lease_is_taken_only_after_its_duration_without_renewal_by_our_own_clock() {
    let mut observed = ObservedLease::default();
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    // The renewal time is long past by the other operator's clock. That alone proves nothing.
    assert!(!observed.may_take(&held_by("other", 0), "me", at(0)));
    assert!(!observed.may_take(&held_by("other", 0), "me", at(14)));
    assert!(!observed.may_take(&held_by("other", 3), "me", at(15)), "it was renewed");
    assert!(!observed.may_take(&held_by("other", 3), "me", at(29)));
    assert!(observed.may_take(&held_by("other", 3), "me", at(30)));
}

#[test]
fn item_18_whatever_the_lease_says_two_do_not_lead_and_one_does_in_the_end() {
    let start = Instant::now();
    for seconds in [i32::MIN, 0, 1, i32::MAX] {
        let lease = LeaseSpec { lease_duration_seconds: Some(seconds), ..held_by("other", 0) };
        let mut observed = ObservedLease::default();
        let mut may_take = |after: Duration| observed.may_take(&lease, "me", start + after);
        assert!(!may_take(Duration::ZERO));
        assert!(!may_take(DEADLINE), "the holder may still write: {seconds}");
        assert!(may_take(Duration::from_secs(60)), "{seconds}");
    }
}

#[test]
fn our_own_lease_and_one_given_up_may_be_taken_at_once() {
    let now = Instant::now();
    assert!(ObservedLease::default().may_take(&held_by("me", 0), "me", now));
    assert!(ObservedLease::default().may_take(&held_by("", 0), "me", now));
}

#[tokio::test(start_paused = true)]
async fn the_fence_closes_before_another_operator_may_take_over() {
    let fence = Fence::default();
    assert!(fence.check().is_err());
    fence.open_for(DEADLINE, Moment::now());
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert!(fence.check().is_ok());
    assert_eq!(fence.remaining().unwrap(), DEADLINE - Duration::from_secs(9));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(fence.check().is_err());
    assert!(DEADLINE < DURATION);
    fence.open_for(DEADLINE, Moment::now());
    fence.close();
    assert!(fence.check().is_err());
}

#[test]
fn transitions_count_changes_of_the_holder() {
    let first = claim("a", None);
    assert_eq!(first.lease_transitions, Some(0));
    let renewed = claim("a", Some(&first));
    assert_eq!((renewed.lease_transitions, &renewed.acquire_time), (Some(0), &first.acquire_time));
    assert_eq!(claim("b", Some(&renewed)).lease_transitions, Some(1));
}
