//! The fields `tools`, `tool_choice` and `parallel_tool_calls`: what an answer may call.

use super::fields::{Fields, missing, unsupported, wrong_type};
use crate::serve::error::ApiError;
use serde_json::{Value, json};

/// Functions of a request at most, as in OpenAI's API.
const MAX_TOOLS: usize = 128;
/// Most bytes of all functions together, as compact JSON.
const MAX_BYTES: usize = 64 << 10;
/// Calls of one answer at most.
const MAX_CALLS: usize = 32;

/// Functions that an answer may call: at least one.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::serve) struct Tools {
    pub(in crate::serve) functions: Vec<Function>,
    pub(in crate::serve) choice: Choice,
    /// Calls at most.
    pub(in crate::serve) most: usize,
}

/// A function that an answer may call.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::serve) struct Function {
    pub(in crate::serve) name: String,
    /// Whether arguments must fit the schema.
    pub(in crate::serve) strict: bool,
    /// JSON Schema of an object.
    pub(in crate::serve) parameters: Value,
    /// As chat templates are given it.
    pub(in crate::serve) told: Value,
}

/// Whether an answer calls functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum Choice {
    /// As the model likes.
    Auto,
    /// At least once.
    Required,
    /// This one, by its index.
    Named(usize),
}

/// Reads the fields; none where the answer calls nothing.
pub(super) fn read(fields: &mut Fields) -> Result<Option<Tools>, ApiError> {
    let parallel = fields.boolean("parallel_tool_calls")?.unwrap_or(true);
    let choice = fields.take("tool_choice");
    let functions = match fields.take("tools") {
        None => Vec::new(),
        Some(Value::Array(tools)) => functions(tools)?,
        Some(other) => return Err(wrong_type("tools".to_owned(), "an array of objects", &other)),
    };
    let Some(choice) = read_choice(choice, &functions)? else { return Ok(None) };
    let most = if parallel && !matches!(choice, Choice::Named(_)) { MAX_CALLS } else { 1 };
    Ok((!functions.is_empty()).then_some(Tools { functions, choice, most }))
}

fn functions(tools: Vec<Value>) -> Result<Vec<Function>, ApiError> {
    if tools.len() > MAX_TOOLS {
        let message = format!("Invalid 'tools': at most {MAX_TOOLS} functions.");
        return Err(ApiError::invalid("tools", "array_above_max_length", message));
    }
    let mut functions: Vec<Function> = Vec::with_capacity(tools.len());
    let mut bytes = 0;
    for (index, tool) in tools.into_iter().enumerate() {
        let path = format!("tools[{index}]");
        let function = function(Fields::of(tool, path.clone())?)?;
        bytes += function.told.to_string().len();
        if bytes > MAX_BYTES {
            let message = format!("Invalid 'tools': longer than {MAX_BYTES} bytes together.");
            return Err(ApiError::invalid("tools", "invalid_value", message));
        }
        if functions.iter().any(|other| other.name == function.name) {
            let param = format!("{path}.function.name");
            let message = format!("Invalid '{param}': another function has this name.");
            return Err(ApiError::invalid(param, "invalid_value", message));
        }
        functions.push(function);
    }
    Ok(functions)
}

fn function(mut tool: Fields) -> Result<Function, ApiError> {
    kind(&mut tool)?;
    let mut fields = tool.object("function")?.ok_or_else(|| missing(&tool.name("function")))?;
    tool.done()?;
    let name = fields.identifier()?;
    let description = fields.text("description")?;
    let strict = fields.boolean("strict")?.unwrap_or(false);
    let path = fields.name("parameters");
    let parameters = match fields.take("parameters") {
        // Without any, there are no arguments.
        None => json!({ "type": "object", "properties": {}, "additionalProperties": false }),
        Some(Value::Object(mut schema)) => {
            if schema.entry("type").or_insert_with(|| "object".into()) != "object" {
                let message = format!(
                    "Invalid '{path}': must be the schema of an object: \"type\": \"object\"."
                );
                return Err(ApiError::invalid(path, "invalid_function_parameters", message));
            }
            Value::Object(schema)
        }
        Some(other) => return Err(wrong_type(path, "an object", &other)),
    };
    fields.done()?;
    let mut told = json!({ "name": name });
    if let Some(description) = description {
        told["description"] = description.into();
    }
    told["parameters"] = parameters.clone();
    Ok(Function { name, strict, parameters, told: json!({ "type": "function", "function": told }) })
}

/// Reads `type`, which must be `function`.
pub(super) fn kind(fields: &mut Fields) -> Result<(), ApiError> {
    let path = fields.name("type");
    match fields.text("type")?.as_deref() {
        None => Err(missing(&path)),
        Some("function") => Ok(()),
        Some(_) => Err(unsupported(
            path,
            "Only functions are supported by this server: \"type\": \"function\".",
        )),
    }
}

/// None where nothing may be called.
fn read_choice(choice: Option<Value>, functions: &[Function]) -> Result<Option<Choice>, ApiError> {
    let needs_tools = || {
        let message = "Invalid 'tool_choice': there are no 'tools' to call.";
        ApiError::invalid("tool_choice", "invalid_value", message)
    };
    match choice {
        None => Ok(Some(Choice::Auto)),
        Some(Value::String(choice)) => match choice.as_str() {
            "none" => Ok(None),
            "auto" => Ok(Some(Choice::Auto)),
            "required" if functions.is_empty() => Err(needs_tools()),
            "required" => Ok(Some(Choice::Required)),
            _ => {
                let message =
                    "Invalid 'tool_choice': must be none, auto, required, or name a function.";
                Err(ApiError::invalid("tool_choice", "invalid_value", message))
            }
        },
        Some(value @ Value::Object(_)) => {
            let mut fields = Fields::of(value, "tool_choice")?;
            kind(&mut fields)?;
            let mut function =
                fields.object("function")?.ok_or_else(|| missing("tool_choice.function"))?;
            fields.done()?;
            let wanted = function.identifier()?;
            function.done()?;
            let index = functions.iter().position(|function| function.name == wanted);
            let message =
                "Invalid 'tool_choice.function.name': 'tools' has no function of this name.";
            let unknown =
                || ApiError::invalid("tool_choice.function.name", "invalid_value", message);
            index.map(Choice::Named).ok_or_else(unknown).map(Some)
        }
        Some(other) => Err(wrong_type("tool_choice".to_owned(), "a string or an object", &other)),
    }
}
