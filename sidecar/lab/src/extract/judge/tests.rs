use super::*;

#[test]
fn prompts_of_the_paper_are_filled_in_once() {
    assert_eq!(
        fill("Q {question} A {answer}!", "is {answer} it?", "yes"),
        "Q is {answer} it? A yes!"
    );
}
