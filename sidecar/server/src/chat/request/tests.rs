#![allow(clippy::needless_pass_by_value, reason = "nearly every caller makes it on the spot")]

mod fields;
mod histories;

use super::*;
use axum::http::StatusCode;
use proptest::prelude::*;
use serde_json::json;

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "(user|system|assistant|tool|function|text|required|\\{\\}|.{0,6})".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let field = "(role|content|type|text|scores|include_usage|function|name|parameters|\
                     tool_calls|tool_call_id|id|arguments|.{0,4})";
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(field, inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_value_in_any_field_is_read_or_refused(
        field in prop::sample::select(vec![
            "model", "messages", "max_tokens", "temperature", "top_p", "stop", "stream",
            "stream_options", "logprobs",
            "top_logprobs", "n", "seed", "tools", "tool_choice", "parallel_tool_calls",
            "modalities", "personaguard", "response_format", "other", "logit_bias",
            "stop_token_ids", "chat_template_kwargs", "reasoning", "thinking", "documents",
            "guided_json", "structured_outputs", "json_schema", "repetition_penalty", "min_tokens",
        ]),
        value in json(),
    ) {
        let mut body = json!({ "model": "m", "messages": [{ "role": "user", "content": "hi" }] });
        body[field] = value;
        if let Err(error) = ChatRequest::parse(body.to_string().as_bytes()) {
            prop_assert_eq!(error.status, StatusCode::BAD_REQUEST);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(ChatRequest::parse(&bytes).is_err());
    }
}

/// A plain request with these fields.
fn asking(fields: Value) -> Result<ChatRequest, ApiError> {
    let mut body = json!({ "model": "m", "messages": [{ "role": "user", "content": "hi" }] });
    for (field, value) in fields.as_object().unwrap() {
        body[field] = value.clone();
    }
    ChatRequest::parse(body.to_string().as_bytes())
}

/// Name and message of the error.
fn refused(fields: Value) -> (String, String) {
    let error = asking(fields.clone()).expect_err(&fields.to_string());
    let body = serde_json::to_value(error.body).unwrap();
    let text = |field: &str| body["error"][field].as_str().unwrap_or_default().to_owned();
    (text("param"), text("message"))
}
