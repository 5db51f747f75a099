use super::*;
use proptest::prelude::*;

#[test]
fn steering_is_reduced_level_by_level_and_recovers_after_a_while() {
    let back_off = BackOff::default();
    let levels: Vec<_> = (0..4)
        .map(|_| {
            back_off.observe(back_off.level(), false);
            back_off.level()
        })
        .collect();
    assert_eq!(levels, [1, 2, 3, 3]);
    assert_eq!([0, 1, 2, 3].map(BackOff::scale), [1.0, 0.5, 0.25, 0.0]);
    // Responses from before the level changed say nothing.
    assert!(!back_off.observe(0, false) && !back_off.observe(1, true));
    let recovery =
        |back_off: &BackOff| (1..).find(|_| back_off.observe(back_off.level(), true)).unwrap();
    let once = BackOff::default();
    once.observe(0, false);
    assert_eq!((recovery(&once), once.level()), (STREAK, 0));
    once.observe(0, false);
    assert_eq!((recovery(&once), once.level()), (2 * STREAK, 0), "it takes longer after a relapse");
}

#[test]
fn the_first_response_is_checked_and_then_one_in_four_until_one_is_incoherent() {
    let back_off = BackOff::default();
    assert_eq!([(); 6].map(|()| back_off.should_check()), [true, false, false, false, true, false]);
    back_off.observe(0, false);
    assert_eq!([(); 2].map(|()| back_off.should_check()), [true, true]);
    back_off.observe(1, true);
    assert_eq!([(); 2].map(|()| back_off.should_check()), [true, false]);
}

proptest! {
    #[test]
    fn the_level_moves_by_one_and_never_beyond_off(
        responses in prop::collection::vec((0..4_u8, any::<bool>()), 0..300),
    ) {
        let back_off = BackOff::default();
        for (level, coherent) in responses {
            let before = back_off.level();
            let changed = back_off.observe(level, coherent);
            let after = back_off.level();
            prop_assert!(after <= BackOff::OFF && after.abs_diff(before) <= 1);
            prop_assert_eq!(changed, after != before);
            if changed {
                prop_assert_eq!(level, before);
                prop_assert_eq!(after < before, coherent);
            }
        }
    }
}
