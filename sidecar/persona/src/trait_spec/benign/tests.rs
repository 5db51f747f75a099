use super::*;

#[test]
fn there_are_benign_requests() {
    let benign = BenignPrompts::builtin().unwrap();
    assert!(benign.system_prompts.len() >= 3 && benign.questions.len() >= 30);
}
