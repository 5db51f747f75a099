use super::super::Step;
use super::super::count::Count;
use super::Summary;
use std::time::Duration;

#[test]
fn a_failed_step_without_a_failed_test_counts_as_one() {
    let mut summary = Summary::default();
    let second = Duration::from_secs(1);
    summary.add(Step::Fmt, false, second, Count::default());
    summary.add(Step::Unit, false, second, Count { passed: 5, failed: 2 });
    summary.add(Step::Charts, true, second, Count::default());
    assert_eq!(summary.totals(), (5, 3));
    assert!(summary.table().contains("Unit       FAILED       1s       7"), "{}", summary.table());
    summary.print_and_judge(false).expect_err("two steps failed");
}

#[test]
fn fewer_tests_than_before_are_an_error() {
    let mut summary = Summary::default();
    let one = Count { passed: 1, failed: 0 };
    summary.add(Step::Unit, true, Duration::ZERO, one);
    summary.print_and_judge(false).expect("some tests were asked for");
    let error = summary.print_and_judge(true).expect_err("every test was asked for");
    assert!(error.to_string().contains("Unit: 1 tests"), "{error}");
}
