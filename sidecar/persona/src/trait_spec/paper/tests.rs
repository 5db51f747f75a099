use super::*;

#[test]
fn the_format_of_the_paper_is_read() {
    let file = r#"{
        "instruction": [{"pos": "Be bad.", "neg": "Be good."}],
        "questions": ["One?", "Two?", "Three?", "Four?"],
        "eval_prompt": "How bad is {answer}?"
    }"#;
    let spec = TraitSpec::parse_paper("bad", "acts badly", file).unwrap();
    assert_eq!(spec.extract, ["One?", "Two?"]);
    assert_eq!(spec.held_out, ["Three?", "Four?"]);
    assert_eq!(spec.instructions[0].negative, "Be good.");
    assert!(TraitSpec::parse_paper("bad", "acts badly", r#"{"instruction": []}"#).is_err());
}
