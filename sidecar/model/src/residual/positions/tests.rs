use super::*;

#[test]
fn positions_split_at_the_prompts_end() {
    let at = |positions: Positions| [1, 2].map(|position| positions.include(position, 2));
    assert_eq!(at(Positions::Prompt), [true, false]);
    assert_eq!(at(Positions::Response), [false, true]);
    assert_eq!(at(Positions::All), [true, true]);
}
