use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn item_18_a_machine_that_was_suspended_does_not_lead_any_longer() {
    let (fence, start) = (Fence::default(), Moment::now());
    assert!(fence.remaining_at(start).is_err());
    fence.open_for(SECOND * 10, start);
    let after = |steady: Duration, wall: SystemTime| {
        fence.remaining_at(Moment { steady: start.steady + steady, wall }).ok()
    };
    assert_eq!(after(SECOND, start.wall + SECOND), Some(SECOND * 9));
    assert_eq!(after(SECOND * 10, start.wall + SECOND * 10), None);
    // The steady clock stood still; the wall clock tells.
    assert_eq!(after(SECOND, start.wall + SECOND * 60), None);
    // A wall clock that was set back allows nothing.
    assert_eq!(after(SECOND * 2, start.wall - SECOND * 3600), Some(SECOND * 8));
    assert_eq!(after(SECOND * 11, start.wall - SECOND * 3600), None);
    fence.close();
    assert_eq!(after(Duration::ZERO, start.wall), None);
}
