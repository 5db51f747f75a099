use super::*;
use crate::error::Result;

fn read(text: &str) -> Result<Vec<Conversation>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.jsonl");
    std::fs::write(&path, text).unwrap();
    read_conversations(&path, 10)
}

#[test]
fn the_last_answer_is_separated_from_its_prompt() {
    let read = read(concat!(
        r#"{"messages":[{"role":"system","content":"Be brief."},"#,
        r#"{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello"}],"label":1}"#,
        "\n\n",
        r#"{"messages":[{"role":"user","content":"Hi"}]}"#,
        "\n",
    ))
    .unwrap();
    assert_eq!(
        (read[0].line, read[0].system_prompt(), read[0].answer.as_deref()),
        (1, "Be brief.", Some("Hello"))
    );
    assert_eq!(read[0].fields["label"], 1);
    assert_eq!((read[1].line, read[1].system_prompt(), read[1].answer.as_deref()), (3, "", None));
}

#[test]
fn a_line_that_is_not_a_conversation_is_named_and_not_quoted() {
    let error = read("{\"messages\": [\"secret words\"]}").unwrap_err().with_causes();
    assert!(error.contains("line 1") && !error.contains("secret"), "{error}");
    assert!(read("{\"messages\":[{\"role\":\"system\",\"content\":\"x\"}]}").is_err());
}
