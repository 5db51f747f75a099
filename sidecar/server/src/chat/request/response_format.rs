//! The field `response_format`: what a response must look like.

use crate::http::ApiError;
use crate::openai::{FormatType, ResponseFormatBody, identifier, invalid, missing, unknown};
use personaguard_model::{Grammar, GrammarError, Model, TextForm};
use serde_json::{Value, json};
use std::sync::Arc;

const JSON_SCHEMA: &str = "response_format.json_schema";
const SCHEMA: &str = "response_format.json_schema.schema";
const BARE_SCHEMA: &str = "response_format.schema";

/// What a response must look like.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ResponseFormat {
    /// Any JSON object.
    JsonObject,
    /// JSON that fits a schema.
    JsonSchema {
        /// The field that has the schema.
        param: &'static str,
        name: Option<String>,
        schema: Arc<Value>,
    },
    /// Text of this form, which the field has.
    Text { param: &'static str, form: TextForm },
}

/// None where the response may be any text.
pub(super) fn check(body: ResponseFormatBody) -> Result<Option<ResponseFormat>, ApiError> {
    let by_schema = |param, name, schema| {
        let schema = Arc::new(Value::Object(schema));
        Ok(Some(ResponseFormat::JsonSchema { param, name, schema }))
    };
    match (body.r#type, body.json_schema, body.schema) {
        (FormatType::JsonSchema, Some(named), _) => {
            identifier(format!("{JSON_SCHEMA}.name"), &named.name)?;
            by_schema(SCHEMA, Some(named.name), named.schema)
        }
        (FormatType::JsonSchema | FormatType::JsonObject, None, Some(schema)) => {
            by_schema(BARE_SCHEMA, None, schema)
        }
        (FormatType::JsonSchema, None, None) => Err(missing(JSON_SCHEMA)),
        (_, Some(_), _) => Err(unknown(JSON_SCHEMA)),
        (FormatType::JsonObject, None, None) => Ok(Some(ResponseFormat::JsonObject)),
        (FormatType::Text, None, _) => Ok(None),
    }
}

impl ResponseFormat {
    /// The schema that a response fits; none where it is not JSON.
    pub(crate) fn schema(&self) -> Option<Value> {
        match self {
            Self::JsonObject => Some(json!({ "type": "object" })),
            Self::JsonSchema { schema, .. } => Some(Value::clone(schema)),
            Self::Text { .. } => None,
        }
    }

    /// The field that asks for it.
    pub(crate) fn param(&self) -> &'static str {
        match self {
            Self::JsonObject => "response_format",
            Self::JsonSchema { param, .. } | Self::Text { param, .. } => param,
        }
    }

    /// Compiles it for a model. Takes a while.
    pub(crate) fn compile(&self, model: &Model) -> Result<Grammar, ApiError> {
        let compiled = match self {
            Self::JsonObject => model.json_schema_grammar(&json!({ "type": "object" })),
            Self::JsonSchema { schema, .. } => model.json_schema_grammar(schema),
            Self::Text { form, .. } => model.text_grammar(form),
        };
        compiled.map_err(|error| self.refusal(&error))
    }

    fn refusal(&self, error: &GrammarError) -> ApiError {
        let param = self.param();
        match self {
            Self::JsonObject | Self::Text { .. } => {
                invalid(param, format!("Invalid '{param}': {error}."))
            }
            Self::JsonSchema { name, .. } => {
                let name = name.as_ref().map(|name| format!(" '{name}'")).unwrap_or_default();
                let field = param.split('.').next().unwrap_or(param);
                let message = format!("Invalid schema for {field}{name}: {error}.");
                ApiError::invalid(param, "invalid_json_schema", message)
            }
        }
    }
}
