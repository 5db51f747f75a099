//! Fields of OpenAI's API that mean nothing here, or are not supported.

use crate::http::ApiError;
use crate::openai::unsupported;
use serde_json::{Map, Value, json};

/// Fields that change nothing here.
const IGNORED: [&str; 7] = [
    "metadata",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "user",
];

/// Fields that would change the response, and are not supported.
const UNSUPPORTED: [&str; 8] = [
    "audio",
    "function_call",
    "functions",
    "logit_bias",
    "prediction",
    "reasoning_effort",
    "verbosity",
    "web_search_options",
];

/// Takes these fields out, and refuses what would change the response.
pub(super) fn refuse(fields: &mut Map<String, Value>) -> Result<(), ApiError> {
    fields.retain(|field, _| !IGNORED.contains(&field.as_str()));
    let mut take = |field| fields.remove(field).filter(|value| !value.is_null());
    if take("modalities").is_some_and(|value| value != json!(["text"])) {
        return Err(unsupported("modalities", "Only text is supported by this server."));
    }
    for field in UNSUPPORTED {
        if take(field).is_some_and(|value| !changes_nothing(field, &value)) {
            return Err(unsupported(field, &format!("'{field}' is not supported by this server.")));
        }
    }
    Ok(())
}

fn changes_nothing(field: &str, value: &Value) -> bool {
    match field {
        "logit_bias" => *value == json!({}),
        "functions" => *value == json!([]),
        "function_call" => value == "none",
        _ => false,
    }
}
