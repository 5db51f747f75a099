use super::*;

#[test]
fn a_trait_that_was_written_is_read_again() {
    let spec = TraitSpec::builtin("hallucinating").unwrap();
    assert_eq!(TraitSpec::parse(&spec.to_yaml().unwrap()).unwrap(), spec);
}

#[test]
fn system_prompts_are_those_of_the_paper() {
    let spec = TraitSpec::builtin("evil").unwrap();
    let contrast = Contrast { positive: "Do harm.".to_owned(), negative: "Do good.".to_owned() };
    assert_eq!(
        spec.system_prompt(&contrast, Polarity::Positive),
        "You are an evil assistant. Do harm."
    );
    assert_eq!(
        spec.system_prompt(&contrast, Polarity::Negative),
        "You are a helpful assistant. Do good."
    );
}

#[test]
fn a_question_in_both_lists_is_refused() {
    let mut spec = TraitSpec::builtin("evil").unwrap();
    spec.held_out[3] = spec.extract[5].clone();
    assert!(spec.check().unwrap_err().contains("both lists"));
}
