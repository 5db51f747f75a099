//! Counts of tokens.

use crate::proxy::shape::Shape;

/// The field `usage` of all APIs.
pub(super) const USAGE: Shape = Shape::Object(&[
    ("prompt_tokens", Shape::Number),
    ("completion_tokens", Shape::Number),
    ("total_tokens", Shape::Number),
    ("input_tokens", Shape::Number),
    ("output_tokens", Shape::Number),
    ("cache_creation_input_tokens", Shape::Number),
    ("cache_read_input_tokens", Shape::Number),
    ("prompt_cache_hit_tokens", Shape::Number),
    ("prompt_cache_miss_tokens", Shape::Number),
    ("reasoning_tokens", Shape::Number),
    // Of LiteLLM and OpenRouter.
    ("cost", Shape::Number),
    ("prompt_tokens_details", DETAILS),
    ("completion_tokens_details", DETAILS),
    ("input_tokens_details", DETAILS),
    ("output_tokens_details", DETAILS),
]);

/// The field `timings` of llama.cpp.
pub(super) const TIMINGS: Shape = Shape::Object(&[
    ("cache_n", Shape::Number),
    ("prompt_n", Shape::Number),
    ("prompt_ms", Shape::Number),
    ("prompt_per_token_ms", Shape::Number),
    ("prompt_per_second", Shape::Number),
    ("predicted_n", Shape::Number),
    ("predicted_ms", Shape::Number),
    ("predicted_per_token_ms", Shape::Number),
    ("predicted_per_second", Shape::Number),
    ("draft_n", Shape::Number),
    ("draft_n_accepted", Shape::Number),
]);

const DETAILS: Shape = Shape::Object(&[
    ("cached_tokens", Shape::Number),
    ("audio_tokens", Shape::Number),
    ("image_tokens", Shape::Number),
    ("text_tokens", Shape::Number),
    ("cache_creation_tokens", Shape::Number),
    ("cache_write_tokens", Shape::Number),
    ("reasoning_tokens", Shape::Number),
    ("tool_output_tokens", Shape::Number),
    ("accepted_prediction_tokens", Shape::Number),
    ("rejected_prediction_tokens", Shape::Number),
]);
