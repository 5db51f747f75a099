use super::*;

#[test]
fn ticks_are_round_and_within_the_range() {
    assert_eq!(round_numbers((0.0, 30.0)), [0.0, 10.0, 20.0, 30.0]);
    assert_eq!(round_numbers((4.0, 28.0)), [10.0, 20.0]);
    assert_eq!(round_numbers((0.0, 2.0)), [0.0, 0.5, 1.0, 1.5, 2.0]);
    assert_eq!(round_numbers((-20.0, 162.0)), [0.0, 50.0, 100.0, 150.0]);
    assert_eq!(round_numbers((3.0, 3.0)), [3.0, 3.0]);
}
