//! The format of tool calls: names of functions that there are, and arguments that fit their
//! schemas.

use super::{Grammar, GrammarError, bounded, weight};
use crate::Model;
use crate::tools::{CALL_BEGIN, CALL_END, CallForm};
use llguidance::api::TopLevelGrammar;
use serde_json::Value;
use std::fmt::Write as _;

/// A function that a response may call.
#[derive(Clone, Debug, PartialEq)]
pub struct Callable {
    /// Letters, digits, dashes and underscores.
    pub name: String,
    /// What its arguments must fit: a JSON Schema of an object.
    pub arguments: Value,
}

/// What a response may hold besides calls.
#[derive(Clone, Debug, PartialEq)]
pub enum Around {
    /// Nothing: it calls at least once.
    Nothing,
    /// Text before, between and after calls, or text alone.
    Text,
    /// Instead of calls, JSON that fits a schema.
    Json(Value),
}

impl Model {
    /// The format of calls in this model's form, `most` of them (at least 1; one in the form
    /// [`CallForm::Bare`]), of functions of which there is at least one. With [`Around::Text`]
    /// their number is not bounded. Not for async code.
    ///
    /// # Errors
    /// See [`GrammarError`]; of several schemas it does not say which.
    pub fn calls(
        &self,
        functions: &[Callable],
        around: &Around,
        most: usize,
    ) -> Result<Grammar, GrammarError> {
        self.grammar(TopLevelGrammar::from_lark(source(self.call_form(), functions, around, most)?))
    }
}

/// The grammar's source, in a dialect of Lark.
fn source(
    form: CallForm,
    functions: &[Callable],
    around: &Around,
    most: usize,
) -> Result<String, GrammarError> {
    let arguments = match form {
        CallForm::Tagged => "arguments",
        CallForm::Bare => "parameters",
    };
    let answer = match around {
        Around::Json(schema) => Some(schema),
        Around::Nothing | Around::Text => None,
    };
    weight::check_all(functions.iter().map(|function| &function.arguments).chain(answer))?;
    let mut objects = Vec::with_capacity(functions.len());
    for Callable { name, arguments: schema } in functions {
        let begin = quoted(&format!(r#"{{"name": "{name}", "{arguments}": "#));
        // Each schema stays a document of its own, in which its references point where they should.
        objects.push(format!(r#"{begin} %json {} "}}""#, bounded(schema)?));
    }
    let mut lark = format!("object: {}\n", objects.join(" | "));
    let (calls, text) = match form {
        CallForm::Bare => ("object".to_owned(), "calls | OTHER?"),
        CallForm::Tagged => {
            let (begin, end) =
                (quoted(&format!("{CALL_BEGIN}\n")), quoted(&format!("\n{CALL_END}")));
            let _ = writeln!(lark, "call: {begin} object {end}");
            let _ = writeln!(lark, "head[lazy]: TEXT {}", quoted(CALL_BEGIN));
            let _ = writeln!(lark, r#"tagged: head "\n" object {end}"#);
            let further = most.saturating_sub(1);
            let calls = if further == 0 {
                "call".to_owned()
            } else {
                format!(r#"call ("\n" call){{0,{further}}}"#)
            };
            (calls, "tagged* TEXT")
        }
    };
    let _ = writeln!(lark, "calls: {calls}");
    match around {
        Around::Nothing => lark.push_str("start: calls\n"),
        Around::Text => {
            let _ = writeln!(lark, "start: {text}");
        }
        Around::Json(schema) => {
            let _ = writeln!(lark, "start: calls | answer\nanswer: %json {}", bounded(schema)?);
        }
    }
    // Text; and text that is no bare call.
    lark.push_str("TEXT: /(.|\\n)*/\nOTHER: /\\s*[^{\\s](.|\\n)*/\n");
    Ok(lark)
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::{Shape, tiny};
    use crate::{LoadOptions, Model};
    use serde_json::json;
    use std::io::Write as _;

    fn model() -> Model {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&tiny(&Shape::of("llama"), 3).file).unwrap();
        Model::load(file.path(), &LoadOptions { threads: Some(1), ..LoadOptions::default() })
            .unwrap()
    }

    fn functions() -> Vec<Callable> {
        let city = json!({ "type": "object", "additionalProperties": false, "required": ["city"],
            "properties": { "city": { "$ref": "#/$defs/city" } }, "$defs": { "city": { "enum": ["Rome", "Oslo"] } } });
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
        let mut logits = vec![0.0; model.vocabulary()];
        grammar.mask(&mut logits).ok()?;
        Some(model.tokenizer().end_tokens().iter().any(|&end| logits[end as usize] == 0.0))
    }

    #[test]
    fn calls_are_of_functions_that_there_are_with_arguments_that_fit() {
        let model = model();
        let weather = |city: &str| {
            format!(
                "<tool_call>\n{{\"name\": \"weather\", \"arguments\": {{\"city\": \"{city}\"}}}}\n</tool_call>"
            )
        };
        let other = "<tool_call>\n{\"name\": \"f-2\", \"arguments\": {\"a\": [1]}}\n</tool_call>";
        let (rome, paris) = (weather("Rome"), weather("Paris"));
        let only = model.calls(&functions(), &Around::Nothing, 2).unwrap();
        let text = model.calls(&functions(), &Around::Text, 2).unwrap();
        let schema = json!({ "enum": ["yes"] });
        let format = model.calls(&functions(), &Around::Json(schema), 2).unwrap();
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
        let one = model.calls(&functions(), &Around::Nothing, 1).unwrap();
        assert_eq!(takes(&model, one, &format!("{rome}\n")), None);
    }

    #[test]
    fn bare_calls_are_the_whole_response() {
        let lark = |around| source(CallForm::Bare, &functions(), &around, 9).unwrap();
        let model = model();
        let grammar = |around| model.grammar(TopLevelGrammar::from_lark(lark(around))).unwrap();
        let rome = "{\"name\": \"weather\", \"parameters\": {\"city\": \"Rome\"}}";
        for (said, only, text) in [
            (rome, Some(true), Some(true)),
            ("{\"name\": \"weather\", \"parameters\": {\"city\": \"Paris\"}}", None, None),
            ("{}", None, None),
            ("A {}", None, Some(true)),
            ("", Some(false), Some(true)),
        ] {
            assert_eq!(takes(&model, grammar(Around::Nothing), said), only, "{said}");
            assert_eq!(takes(&model, grammar(Around::Text), said), text, "{said}");
        }
    }

    #[test]
    fn hostile_schemas_are_refused() {
        let model = model();
        let calls = |schema| {
            let function = Callable { name: "f".into(), arguments: schema };
            model.calls(&[function], &Around::Nothing, 1)
        };
        assert!(matches!(
            calls(json!({ "type": "object", "if": {} })),
            Err(GrammarError::Schema(_))
        ));
        assert!(matches!(
            calls(json!({ "description": "x".repeat(70_000) })),
            Err(GrammarError::TooLarge(_))
        ));
        let many: Vec<_> = (0..128)
            .map(|index| Callable {
                name: format!("f{index}"),
                arguments: json!({ "type": "object" }),
            })
            .collect();
        assert!(model.calls(&many, &Around::Text, 32).is_ok());
        // Each by itself can be used, all together cannot.
        let either = |name: usize| json!({ "anyOf": [{ "properties": { name.to_string(): {} } }, { "minProperties": 1 }] });
        let rich = json!({ "type": "object", "allOf": (0..8).map(either).collect::<Vec<_>>() });
        weight::check(&rich).unwrap();
        let many: Vec<_> = (0..128)
            .map(|index| Callable { name: format!("f{index}"), arguments: rich.clone() })
            .collect();
        assert!(matches!(model.calls(&many, &Around::Text, 32), Err(GrammarError::TooLarge(_))));
    }
}
