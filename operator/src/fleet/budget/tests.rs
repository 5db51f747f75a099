use super::*;

#[test]
fn issue_15_17_a_burst_is_spent_at_once_and_comes_back_over_time() {
    let (mut budget, start) = (Budget::default(), Instant::now());
    (0..BURST).for_each(|_| budget.spend(start).unwrap());
    assert_eq!(budget.spend(start), Err(INTERVAL));
    assert_eq!(budget.spend(start + INTERVAL / 5), Err(INTERVAL * 4 / 5));
    budget.spend(start + INTERVAL).unwrap();
    budget.spend(start + INTERVAL).unwrap_err();
    // However long it rested, it is no more than the burst.
    let later = start + INTERVAL * 1000;
    (0..BURST).for_each(|_| budget.spend(later).unwrap());
    budget.spend(later).unwrap_err();
}
