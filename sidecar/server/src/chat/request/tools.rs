//! The fields `tools`, `tool_choice` and `parallel_tool_calls`: what a response may call.

use crate::http::ApiError;
use crate::openai::{ToolBody, ToolChoiceBody, identifier, invalid};
use serde_json::{Map, Value, json};

/// Functions of a request at most, as in OpenAI's API.
const MAX_TOOLS: usize = 128;
/// Most bytes of all functions together, as compact JSON.
const MAX_BYTES: usize = 64 << 10;
/// Calls of one choice at most.
const MAX_CALLS: usize = 32;

/// Functions that a response may call: at least one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tools {
    pub(crate) functions: Vec<Function>,
    pub(crate) choice: ToolChoice,
    /// Calls of one choice at most.
    pub(crate) max_calls: usize,
}

/// A function that a response may call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// Whether arguments must fit the schema.
    pub(crate) strict: bool,
    /// JSON Schema of an object.
    pub(crate) parameters: Value,
    /// The tool as chat templates are given it.
    pub(crate) template: Value,
}

/// Whether a response calls functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ToolChoice {
    /// If the model likes.
    Auto,
    /// At least once.
    Required,
    /// This one, by its index.
    Named(usize),
}

/// None where nothing may be called.
pub(super) fn check(
    tools: Vec<ToolBody>,
    choice: Option<ToolChoiceBody>,
    parallel: Option<bool>,
) -> Result<Option<Tools>, ApiError> {
    let functions = check_functions(tools)?;
    let Some(choice) = check_choice(choice, &functions)? else { return Ok(None) };
    let is_one = parallel == Some(false) || matches!(choice, ToolChoice::Named(_));
    let max_calls = if is_one { 1 } else { MAX_CALLS };
    Ok((!functions.is_empty()).then_some(Tools { functions, choice, max_calls }))
}

fn check_functions(tools: Vec<ToolBody>) -> Result<Vec<Function>, ApiError> {
    if tools.len() > MAX_TOOLS {
        let message = format!("Invalid 'tools': at most {MAX_TOOLS} functions.");
        return Err(ApiError::invalid("tools", "array_above_max_length", message));
    }
    let mut functions: Vec<Function> = Vec::with_capacity(tools.len());
    let mut bytes = 0;
    for (index, tool) in tools.into_iter().enumerate() {
        let path = format!("tools[{index}].function");
        let function = check_function(&path, tool)?;
        bytes += function.template.to_string().len();
        if bytes > MAX_BYTES {
            let message = format!("Invalid 'tools': longer than {MAX_BYTES} bytes together.");
            return Err(invalid("tools", message));
        }
        if functions.iter().any(|other| other.name == function.name) {
            let param = format!("{path}.name");
            let message = format!("Invalid '{param}': another function has this name.");
            return Err(invalid(param, message));
        }
        functions.push(function);
    }
    Ok(functions)
}

fn check_function(path: &str, mut tool: ToolBody) -> Result<Function, ApiError> {
    let function = &mut tool.function;
    identifier(format!("{path}.name"), &function.name)?;
    let schema = function.parameters.get_or_insert_with(no_arguments);
    if schema.entry("type").or_insert_with(|| "object".into()) != "object" {
        let param = format!("{path}.parameters");
        let message =
            format!("Invalid '{param}': must be the schema of an object: \"type\": \"object\".");
        return Err(ApiError::invalid(param, "invalid_function_parameters", message));
    }
    let parameters = Value::Object(schema.clone());
    let (name, strict) = (function.name.clone(), function.strict.unwrap_or(false));
    let template = serde_json::to_value(&tool)
        .map_err(|error| ApiError::internal(format!("A tool cannot be written: {error}.")))?;
    Ok(Function { name, strict, parameters, template })
}

/// The schema of a function without arguments.
fn no_arguments() -> Map<String, Value> {
    Map::from_iter([
        ("type".to_owned(), json!("object")),
        ("properties".to_owned(), json!({})),
        ("additionalProperties".to_owned(), json!(false)),
    ])
}

/// None where nothing may be called.
fn check_choice(
    choice: Option<ToolChoiceBody>,
    functions: &[Function],
) -> Result<Option<ToolChoice>, ApiError> {
    let invalid_mode = |message| Err(invalid("tool_choice", message));
    match choice {
        None => Ok(Some(ToolChoice::Auto)),
        Some(ToolChoiceBody::Mode(mode)) => match mode.as_str() {
            "none" => Ok(None),
            "auto" => Ok(Some(ToolChoice::Auto)),
            "required" if functions.is_empty() => {
                invalid_mode("Invalid 'tool_choice': there are no 'tools' to call.")
            }
            "required" => Ok(Some(ToolChoice::Required)),
            _ => invalid_mode(
                "Invalid 'tool_choice': must be none, auto, required, or name a function.",
            ),
        },
        Some(ToolChoiceBody::Named(named)) => {
            const PARAM: &str = "tool_choice.function.name";
            identifier(PARAM, &named.function.name)?;
            match functions.iter().position(|function| function.name == named.function.name) {
                Some(index) => Ok(Some(ToolChoice::Named(index))),
                None => Err(invalid(
                    PARAM,
                    format!("Invalid '{PARAM}': 'tools' has no function of this name."),
                )),
            }
        }
    }
}
