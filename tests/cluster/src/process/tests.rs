use super::*;
use std::process::Command;

#[test]
fn a_name_with_parentheses_does_not_shift_the_fields() {
    let text = "7 (a) b) (c)) S 3 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 987654 1 2 3";
    let stat = Stat::parse(text).expect("parses");
    assert_eq!((stat.state, stat.parent, stat.start), ('S', 3, 987_654));
}

#[test]
fn a_process_with_another_start_time_is_left_alone() {
    let mut child = Command::new("sleep").arg("60").spawn().expect("sleep starts");
    let process = ProcessId::of(child.id()).expect("runs");
    let stranger = ProcessId { start: process.start + 1, ..process.clone() };
    assert!(!stranger.alive());
    stranger.kill().expect("nothing to do");
    assert!(process.alive());
    process.kill().expect("ends");
    assert!(!process.alive());
    child.wait().expect("reaped");
}
