use super::*;
use crate::grammar::{Grammar, GrammarCompiler};
use crate::support::{Shape, tiny};
use crate::{LoadOptions, Model};
use llguidance::api::TopLevelGrammar;
use serde_json::json;
use std::io::Write as _;

fn model() -> Model {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&tiny(&Shape::of("llama"), 3).file).unwrap();
    Model::load(file.path(), &LoadOptions { threads: Some(1), ..LoadOptions::default() }).unwrap()
}

fn functions() -> Vec<Callable> {
    let city = json!({ "type": "object", "additionalProperties": false, "required": ["city"],
        "properties": { "city": { "$ref": "#/$defs/city" } }, "$defs": { "city": { "enum": ["Rome",
        "Oslo"] } } });
    let any = json!({ "type": "object" });
    vec![
        Callable { name: "weather".into(), arguments: city },
        Callable { name: "f-2".into(), arguments: any },
    ]
}

/// Whether a response may be this text; `Some(true)` where it may also end there.
fn takes(model: &Model, mut grammar: Grammar, text: &str) -> Option<bool> {
    for token in model.tokenizer().encode(text) {
        grammar.push(token).ok()?;
    }
    if grammar.is_complete() {
        return Some(true);
    }
    let mut logits = vec![0.0; model.vocab_size()];
    grammar.mask(&mut logits).ok()?;
    Some(model.tokenizer().end_tokens().iter().any(|&end| logits[end as usize] == 0.0))
}

#[test]
fn calls_are_of_functions_that_exist_with_arguments_that_fit() {
    let model = model();
    let weather = |city: &str| {
        format!(
            "<tool_call>\n\
             {{\"name\": \"weather\", \"arguments\": {{\"city\": \"{city}\"}}}}\n\
             </tool_call>"
        )
    };
    let other = "<tool_call>\n{\"name\": \"f-2\", \"arguments\": {\"a\": [1]}}\n</tool_call>";
    let (rome, paris) = (weather("Rome"), weather("Paris"));
    let only = model.tool_call_grammar(&functions(), &CallMode::Required, 2).unwrap();
    let text = model.tool_call_grammar(&functions(), &CallMode::Optional, 2).unwrap();
    let schema = json!({ "enum": ["yes"] });
    let format = model.tool_call_grammar(&functions(), &CallMode::OrJson(schema), 2).unwrap();
    for (said, in_only, in_text, in_format) in [
        (rome.clone(), Some(true), Some(true), Some(true)),
        (other.to_owned(), Some(true), Some(true), Some(true)),
        (format!("{rome}\n{other}"), Some(true), Some(true), Some(true)),
        (format!("{rome}\n{other}\n{rome}"), None, Some(true), None),
        (paris.clone(), None, None, None),
        (rome.replace("weather", "whether"), None, None, None),
        (rome[..30].to_owned(), Some(false), Some(false), Some(false)),
        ("So: 1 < 2.".to_owned(), None, Some(true), None),
        (format!("So:\n{rome}\nAnd {other}."), None, Some(true), None),
        (format!("So:\n{paris}"), None, None, None),
        (String::new(), Some(false), Some(true), Some(false)),
        ("\"yes\"".to_owned(), None, Some(true), Some(true)),
    ] {
        assert_eq!(takes(&model, only.clone(), &said), in_only, "nothing else: {said}");
        assert_eq!(takes(&model, text.clone(), &said), in_text, "with text: {said}");
        assert_eq!(takes(&model, format.clone(), &said), in_format, "or a format: {said}");
    }
    let one = model.tool_call_grammar(&functions(), &CallMode::Required, 1).unwrap();
    assert_eq!(takes(&model, one, &format!("{rome}\n")), None);
}

#[test]
fn calls_of_llama3_are_the_whole_response() {
    let lark = |mode| source(ToolCallFormat::Llama3, &functions(), &mode, 9).unwrap();
    let model = model();
    let compiler = GrammarCompiler::default();
    let grammar = |mode| {
        let lark = TopLevelGrammar::from_lark(lark(mode));
        compiler.compile(model.tokenizer(), lark).unwrap()
    };
    let rome = "{\"name\": \"weather\", \"parameters\": {\"city\": \"Rome\"}}";
    for (said, only, text) in [
        (rome, Some(true), Some(true)),
        ("{\"name\": \"weather\", \"parameters\": {\"city\": \"Paris\"}}", None, None),
        ("{}", None, None),
        ("A {}", None, Some(true)),
        ("", Some(false), Some(true)),
    ] {
        assert_eq!(takes(&model, grammar(CallMode::Required), said), only, "{said}");
        assert_eq!(takes(&model, grammar(CallMode::Optional), said), text, "{said}");
    }
}

#[test]
fn hostile_schemas_are_refused() {
    let model = model();
    let calls = |schema| {
        let function = Callable { name: "f".into(), arguments: schema };
        model.tool_call_grammar(&[function], &CallMode::Required, 1)
    };
    assert!(matches!(calls(json!({ "type": "object", "if": {} })), Err(GrammarError::Schema(_))));
    assert!(matches!(
        calls(json!({ "description": "x".repeat(70_000) })),
        Err(GrammarError::TooLarge(_))
    ));
    let many: Vec<_> = (0..128)
        .map(|index| Callable { name: format!("f{index}"), arguments: json!({ "type": "object" }) })
        .collect();
    assert!(model.tool_call_grammar(&many, &CallMode::Optional, 32).is_ok());
    // Each can be used on its own; all together cannot.
    let either = |name: usize| {
        json!({ "anyOf": [{ "properties": { name.to_string(): {} } },
        { "minProperties": 1 }] })
    };
    let rich = json!({ "type": "object", "allOf": (0..8).map(either).collect::<Vec<_>>() });
    schema_size::check([&rich]).unwrap();
    let many: Vec<_> = (0..128)
        .map(|index| Callable { name: format!("f{index}"), arguments: rich.clone() })
        .collect();
    assert!(matches!(
        model.tool_call_grammar(&many, &CallMode::Optional, 32),
        Err(GrammarError::TooLarge(_))
    ));
}
