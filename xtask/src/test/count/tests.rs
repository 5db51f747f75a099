use super::Count;
use std::process::Command;

#[test]
fn the_runners_closing_lines_are_added_up() {
    let mut count = Count::default();
    for line in [
        "running 3 tests",
        "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; finished in 0s",
        "test result: FAILED. 5 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out",
        "failed: 7 passed",
    ] {
        count.add(line);
    }
    assert_eq!(count, Count { passed: 7, failed: 4 });
}

#[test]
fn tests_that_ran_before_a_failure_are_counted() {
    let mut count = Count::default();
    let script = "echo 'test result: FAILED. 1 passed; 1 failed; 0 ignored'; exit 101";
    let error = count.run(Command::new("sh").args(["-c", script])).expect_err("failed");
    assert!(error.to_string().contains("101"), "{error}");
    assert_eq!(count, Count { passed: 1, failed: 1 });
}

#[test]
fn pytests_closing_lines_are_added_up() {
    let mut count = Count::default();
    for line in [
        "..F                                      [100%]",
        "FAILED tests/test_op.py::test_one - assert 3 in 5",
        "1 failed, 12 passed, 3 warnings in 4.56s",
        "===== 2 passed, 1 error in 61.20s (0:01:01) =====",
    ] {
        count.add_pytest(line);
    }
    assert_eq!(count, Count { passed: 14, failed: 2 });
}
