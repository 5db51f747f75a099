//! Fields of OpenAI's API and of other servers that would change a response, or what is told of it,
//! and are not supported: they are refused by name unless they say what is so anyway. Fields that
//! are not known at all are passed over, as OpenAI-compatible servers do.

use crate::http::ApiError;
use crate::openai::unsupported;
use serde_json::{Map, Value};

/// Values that change nothing.
enum Off {
    /// False, or 0.
    False,
    True,
    /// These numbers.
    Number(&'static [f64]),
    /// An empty text, list or object, or false.
    Empty,
    /// One of these texts.
    Text(&'static [&'static str]),
    /// None but null.
    Never,
}

const LEAVE_OUT: &str = "leave it out";
const FORMATS: &str = "give a JSON schema as 'response_format'";
const TOOLS: &str = "give 'tools' and 'tool_choice'";
const LOGPROBS: &str = "give 'logprobs' and 'top_logprobs'";

/// Each with what to do instead.
const FIELDS: [(&str, Off, &str); 53] = [
    // OpenAI.
    ("audio", Off::Empty, LEAVE_OUT),
    ("function_call", Off::Text(&["none", "auto"]), TOOLS),
    ("functions", Off::Empty, TOOLS),
    ("web_search_options", Off::Never, LEAVE_OUT),
    // vLLM.
    ("allowed_token_ids", Off::Empty, "give 'logit_bias'"),
    ("bad_words", Off::Empty, "give 'logit_bias'"),
    ("best_of", Off::Number(&[1.0]), "give 'n'"),
    ("chat_template", Off::Empty, "the model's own is used, with 'chat_template_kwargs'"),
    ("echo", Off::False, LEAVE_OUT),
    ("guided_grammar", Off::Empty, FORMATS),
    ("guided_whitespace_pattern", Off::Empty, LEAVE_OUT),
    ("include_stop_str_in_output", Off::False, LEAVE_OUT),
    ("logits_processors", Off::Empty, LEAVE_OUT),
    ("prompt_embeds", Off::Empty, "give the prompt as text"),
    ("prompt_logprobs", Off::Never, LEAVE_OUT),
    ("return_token_ids", Off::False, "ask /tokenize"),
    ("return_tokens_as_token_ids", Off::False, "ask /tokenize"),
    ("skip_special_tokens", Off::True, LEAVE_OUT),
    ("thinking_token_budget", Off::Number(&[-1.0]), LEAVE_OUT),
    ("use_beam_search", Off::False, LEAVE_OUT),
    // SGLang.
    ("custom_logit_processor", Off::Empty, LEAVE_OUT),
    ("ebnf", Off::Empty, FORMATS),
    ("lora_path", Off::Empty, "ask for a model that has the adapter"),
    ("no_stop_trim", Off::False, LEAVE_OUT),
    ("return_hidden_states", Off::False, LEAVE_OUT),
    ("session_params", Off::Empty, "this server keeps no sessions"),
    ("stop_regex", Off::Empty, "give 'stop'"),
    ("structural_tag", Off::Empty, FORMATS),
    // llama.cpp, and what goes on from it.
    ("dry_multiplier", Off::Number(&[0.0]), LEAVE_OUT),
    ("dynatemp_range", Off::Number(&[0.0]), LEAVE_OUT),
    ("epsilon_cutoff", Off::Number(&[0.0]), LEAVE_OUT),
    ("eta_cutoff", Off::Number(&[0.0]), LEAVE_OUT),
    ("grammar", Off::Empty, FORMATS),
    ("lora", Off::Empty, "ask for a model that has the adapter"),
    ("mirostat", Off::Number(&[0.0]), LEAVE_OUT),
    ("mirostat_mode", Off::Number(&[0.0]), LEAVE_OUT),
    ("n_probs", Off::Number(&[0.0]), LOGPROBS),
    ("no_repeat_ngram_size", Off::Number(&[0.0]), "give 'repetition_penalty'"),
    ("num_beams", Off::Number(&[0.0, 1.0]), LEAVE_OUT),
    ("post_sampling_probs", Off::False, LEAVE_OUT),
    ("response_fields", Off::Empty, LEAVE_OUT),
    ("return_tokens", Off::False, "ask /tokenize"),
    ("smoothing_factor", Off::Number(&[0.0]), LEAVE_OUT),
    ("t_max_predict_ms", Off::Number(&[-1.0, 0.0]), "give 'max_tokens'"),
    ("tfs", Off::Number(&[1.0]), LEAVE_OUT),
    ("tfs_z", Off::Number(&[1.0]), LEAVE_OUT),
    ("thinking_budget_tokens", Off::Number(&[-1.0]), LEAVE_OUT),
    ("top_a", Off::Number(&[0.0]), LEAVE_OUT),
    ("top_n_sigma", Off::Number(&[-1.0, 0.0]), LEAVE_OUT),
    ("typ_p", Off::Number(&[1.0]), LEAVE_OUT),
    ("typical", Off::Number(&[1.0]), LEAVE_OUT),
    ("typical_p", Off::Number(&[1.0]), LEAVE_OUT),
    ("xtc_probability", Off::Number(&[0.0]), LEAVE_OUT),
];

/// Refuses what would change the response.
pub(super) fn refuse(fields: &Map<String, Value>) -> Result<(), ApiError> {
    let is_text = |kind: &Value| kind == "text";
    if let Some(Value::Array(kinds)) = fields.get("modalities")
        && !kinds.iter().all(is_text)
    {
        return Err(unsupported("modalities", "Only text is supported by this server."));
    }
    for (field, off, advice) in &FIELDS {
        if let Some(value) = fields.get(*field)
            && !off.includes(value)
        {
            return Err(refused(field, advice));
        }
    }
    Ok(())
}

/// A field that is not supported, and what to do instead.
pub(super) fn refused(field: &str, advice: &str) -> ApiError {
    unsupported(field, &format!("'{field}' is not supported by this server: {advice}."))
}

impl Off {
    fn includes(&self, value: &Value) -> bool {
        let is_empty = match value {
            Value::Null => return true,
            Value::Bool(is_set) => !is_set,
            Value::Number(_) => false,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
        };
        match self {
            Self::False => *value == false || value.as_f64() == Some(0.0),
            Self::True => *value == true,
            Self::Number(off) => value.as_f64().is_some_and(|number| off.contains(&number)),
            Self::Empty => is_empty,
            Self::Text(off) => value.as_str().is_some_and(|text| off.contains(&text)),
            Self::Never => false,
        }
    }
}
