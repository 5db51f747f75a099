//! The field `response_format`: what an answer must look like.

use super::error::ApiError;
use super::request::fields::{Fields, missing, wrong_type};
use personaguard_model::{Grammar, GrammarError, Model};
use serde_json::{Value, json};
use std::sync::Arc;

/// What an answer must look like.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Format {
    /// Any JSON object.
    JsonObject,
    /// JSON that fits a schema.
    JsonSchema { name: String, schema: Arc<Value> },
}

const SCHEMA: &str = "response_format.json_schema.schema";

/// Reads the field; none where the answer may be any text.
pub(super) fn read(fields: &mut Fields) -> Result<Option<Format>, ApiError> {
    let Some(mut format) = fields.object("response_format")? else { return Ok(None) };
    let kind = format.text("type")?.ok_or_else(|| missing("response_format.type"))?;
    let read = match kind.as_str() {
        "text" => None,
        "json_object" => Some(Format::JsonObject),
        "json_schema" => {
            let schema =
                format.take("json_schema").ok_or_else(|| missing("response_format.json_schema"))?;
            Some(json_schema(schema)?)
        }
        _ => {
            let message =
                "Invalid 'response_format.type': must be one of text, json_object and json_schema.";
            return Err(ApiError::invalid("response_format.type", "invalid_value", message));
        }
    };
    format.done()?;
    Ok(read)
}

fn json_schema(value: Value) -> Result<Format, ApiError> {
    const PATH: &str = "response_format.json_schema";
    let mut fields = Fields::of(value, PATH)?;
    let name = fields.identifier()?;
    let schema = match fields.take("schema") {
        None => return Err(missing(SCHEMA)),
        Some(schema @ Value::Object(_)) => schema,
        Some(other) => return Err(wrong_type(SCHEMA.to_owned(), "an object", &other)),
    };
    fields.text("description")?;
    // Answers always fit the schema.
    fields.boolean("strict")?;
    fields.done()?;
    Ok(Format::JsonSchema { name, schema: Arc::new(schema) })
}

impl Format {
    /// The schema that an answer fits.
    pub(super) fn schema(&self) -> Value {
        match self {
            Self::JsonObject => json!({ "type": "object" }),
            Self::JsonSchema { schema, .. } => Value::clone(schema),
        }
    }

    /// Compiles it for a model. Takes a while.
    pub(super) fn compile(&self, model: &Model) -> Result<Grammar, ApiError> {
        model.json_schema_grammar(&self.schema()).map_err(|error| self.refusal(&error))
    }

    fn refusal(&self, error: &GrammarError) -> ApiError {
        match self {
            Self::JsonObject => {
                ApiError::invalid("response_format", "invalid_value", error.to_string())
            }
            Self::JsonSchema { name, .. } => {
                let message = format!("Invalid schema for response_format '{name}': {error}.");
                ApiError::invalid(SCHEMA, "invalid_json_schema", message)
            }
        }
    }
}
