//! JSON Schemas as they are compiled.

use super::error::GrammarError;
use llguidance::JsonCompileOptions;
use serde_json::Value;

/// Longest schema in bytes, as compact JSON.
pub const MAX_SCHEMA_BYTES: usize = 64 << 10;
/// White space between two lexemes of JSON: at most one blank, or a line break and its indentation.
/// Without this bound, small models write nothing but empty lines.
const WHITE_SPACE: &str = r" |\n[ \t]{0,16}";

/// The schema with our compile options. It compiles in bounded time and memory, provided that
/// [`super::schema_size::check`] lets it pass.
pub(super) fn prepare(schema: &Value) -> Result<Value, GrammarError> {
    if !schema.is_object() {
        return Err(GrammarError::schema("it is not a JSON object"));
    }
    if schema.to_string().len() > MAX_SCHEMA_BYTES {
        return Err(GrammarError::TooLarge("the schema is longer than 64 KiB"));
    }
    let mut schema = schema.clone();
    // Overwrites the caller's own options, if any.
    JsonCompileOptions {
        whitespace_pattern: Some(WHITE_SPACE.to_owned()),
        ..JsonCompileOptions::default()
    }
    .apply_to(&mut schema);
    Ok(schema)
}
