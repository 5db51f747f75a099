use super::*;

#[test]
fn a_template_shows_its_format_by_how_it_writes_a_call() {
    let described = "sample_words … ";
    let hermes = "<tool_call>\n{\"name\": \"sample_name\", \"arguments\": {\"sample_key\": 1}}\n\
                  </tool_call>";
    assert_eq!(detect(&format!("{described}{hermes}")), Some(ToolCallFormat::Hermes));
    assert_eq!(detect(hermes), None, "functions are left out");
    let llama3 = "{\"name\": \"sample_name\", \"parameters\": {\"sample_key\": 1}}";
    assert_eq!(detect(&format!("{described}{llama3}")), Some(ToolCallFormat::Llama3));
    assert_eq!(detect(&format!("{described}[TOOL_CALLS] [{{\"name\": \"sample_name\"}}]")), None);
}
