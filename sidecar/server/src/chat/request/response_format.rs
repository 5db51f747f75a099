//! The field `response_format`: what a response must look like.

use crate::http::ApiError;
use crate::openai::{FormatType, ResponseFormatBody, identifier, invalid, missing, unknown};
use personaguard_model::{Grammar, GrammarError, Model};
use serde_json::{Value, json};
use std::sync::Arc;

const JSON_SCHEMA: &str = "response_format.json_schema";
const SCHEMA: &str = "response_format.json_schema.schema";

/// What a response must look like.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ResponseFormat {
    /// Any JSON object.
    JsonObject,
    /// JSON that fits a schema.
    JsonSchema { name: String, schema: Arc<Value> },
}

/// None where the response may be any text.
pub(super) fn check(body: ResponseFormatBody) -> Result<Option<ResponseFormat>, ApiError> {
    match (body.r#type, body.json_schema) {
        (FormatType::JsonSchema, Some(json_schema)) => {
            identifier(format!("{JSON_SCHEMA}.name"), &json_schema.name)?;
            let schema = Arc::new(Value::Object(json_schema.schema));
            Ok(Some(ResponseFormat::JsonSchema { name: json_schema.name, schema }))
        }
        (FormatType::JsonSchema, None) => Err(missing(JSON_SCHEMA)),
        (_, Some(_)) => Err(unknown(JSON_SCHEMA)),
        (FormatType::JsonObject, None) => Ok(Some(ResponseFormat::JsonObject)),
        (FormatType::Text, None) => Ok(None),
    }
}

impl ResponseFormat {
    /// The schema that a response fits.
    pub(crate) fn schema(&self) -> Value {
        match self {
            Self::JsonObject => json!({ "type": "object" }),
            Self::JsonSchema { schema, .. } => Value::clone(schema),
        }
    }

    /// Compiles it for a model. Takes a while.
    pub(crate) fn compile(&self, model: &Model) -> Result<Grammar, ApiError> {
        model.json_schema_grammar(&self.schema()).map_err(|error| self.refusal(&error))
    }

    fn refusal(&self, error: &GrammarError) -> ApiError {
        match self {
            Self::JsonObject => invalid("response_format", error.to_string()),
            Self::JsonSchema { name, .. } => {
                let message = format!("Invalid schema for response_format '{name}': {error}.");
                ApiError::invalid(SCHEMA, "invalid_json_schema", message)
            }
        }
    }
}
