//! `response_format`: whatever the model would have written, the answer is JSON that fits the
//! schema.

use crate::rig::{Rig, cap, chat, finish_reason, policy, steer, steering, streamed, text, with};
use serde_json::{Value, json};

#[path = "../../../model/tests/support/schema.rs"]
#[allow(unreachable_pub, reason = "shared with another crate's tests")]
pub(crate) mod schema;

fn schemas() -> Vec<Value> {
    let text = |most: u32| json!({"type": "string", "maxLength": most});
    vec![
        json!({
            "type": "object", "additionalProperties": false,
            "required": ["city", "country", "people"],
            "properties": {
                "city": text(12), "country": text(12),
                "people": {"type": "integer", "minimum": 1, "maximum": 99_999_999}
            }
        }),
        json!({
            "type": "object", "additionalProperties": false, "required": ["kind", "tags"],
            "properties": {
                "kind": {"enum": ["good", "bad"]},
                "tags": {"type": "array", "minItems": 2, "maxItems": 2, "items": text(8)}
            }
        }),
    ]
}

fn asking(user: &str, format: Value) -> Value {
    with(chat(user), json!({ "response_format": format, "max_tokens": 200 }))
}

fn by_schema(user: &str, schema: &Value) -> Value {
    asking(
        user,
        json!({
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": true, "schema": schema}
        }),
    )
}

fn fitting(text: &str, schema: &Value) {
    let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert!(schema::fits(schema, &value), "{schema}: {text}");
}

fn byte(value: &Value) -> u8 {
    u8::try_from(value.as_u64().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_fits_whole_and_streamed_under_every_intervention() {
    let mut steered = policy(steer(), None);
    // Whether the answer before was coherent must not change the next one.
    steering(&mut steered).coherence.back_off = false;
    for policies in [vec![], vec![steered], vec![policy(cap(), None)]] {
        let rig = Rig::ready(policies).await;
        for schema in schemas() {
            for seed in 0..2 {
                let varied =
                    json!({ "seed": seed, "temperature": 1.5 * f64::from(seed), "logprobs": true });
                let request = with(by_schema("Tell me of Paris.", &schema), varied);
                let whole = rig.complete(&request).await;
                fitting(text(&whole), &schema);
                assert_eq!(whole["choices"][0]["finish_reason"], "stop");
                let tokens = whole["choices"][0]["logprobs"]["content"].as_array().unwrap();
                // By bytes: a character may be split between tokens.
                let spelled: Vec<u8> = tokens
                    .iter()
                    .flat_map(|token| token["bytes"].as_array().unwrap())
                    .map(byte)
                    .collect();
                assert_eq!(String::from_utf8(spelled).unwrap(), text(&whole));
                let (chunks, done) = rig.stream(&request).await;
                assert_eq!(
                    (streamed(&chunks).as_str(), finish_reason(&chunks), done),
                    (text(&whole), "stop", true)
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_neighbour_without_a_format_and_a_stop_string_are_as_ever() {
    let rig = Rig::ready(vec![]).await;
    let alone = rig.complete(&chat("Hello!")).await;
    let object = asking("Hello!", json!({"type": "json_object"}));
    let (object, plain) = (with(object, json!({ "temperature": 0, "stop": ":" })), chat("Hello!"));
    let (formatted, beside) = tokio::join!(rig.complete(&object), rig.complete(&plain));
    assert_eq!(text(&beside), text(&alone));
    assert!(
        text(&formatted).starts_with('{') && !text(&formatted).contains(':'),
        "{}",
        text(&formatted)
    );
    let as_text = with(chat("Hello!"), json!({ "response_format": {"type": "text"} }));
    assert_eq!(text(&rig.complete(&as_text).await), text(&alone));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_usable_format_is_refused_by_name() {
    let rig = Rig::ready(vec![]).await;
    let named = |schema: Value| {
        json!({
            "type": "json_schema", "json_schema": {"name": "n", "schema": schema}
        })
    };
    let either = json!({"anyOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]});
    for (format, param, code) in [
        (json!("json"), "response_format", "invalid_type"),
        (json!({}), "response_format.type", "missing_required_parameter"),
        (json!({"type": "xml"}), "response_format.type", "invalid_value"),
        (
            json!({"type": "json_schema"}),
            "response_format.json_schema",
            "missing_required_parameter",
        ),
        (
            json!({"type": "json_schema", "json_schema": {"schema": {}}}),
            "response_format.json_schema.name",
            "missing_required_parameter",
        ),
        (
            json!({"type": "json_schema", "json_schema": {"name": "a b", "schema": {}}}),
            "response_format.json_schema.name",
            "invalid_value",
        ),
        (named(Value::Null), "response_format.json_schema.schema", "missing_required_parameter"),
        (named(json!("x")), "response_format.json_schema.schema", "invalid_type"),
        (
            named(json!({"type": "odd"})),
            "response_format.json_schema.schema",
            "invalid_json_schema",
        ),
        (
            named(json!({"if": {}, "then": {}})),
            "response_format.json_schema.schema",
            "invalid_json_schema",
        ),
        (
            named(json!({"allOf": vec![either; 40]})),
            "response_format.json_schema.schema",
            "invalid_json_schema",
        ),
        (
            named(json!({"title": "x".repeat(70_000)})),
            "response_format.json_schema.schema",
            "invalid_json_schema",
        ),
    ] {
        let response = rig.post(&asking("Hi", format.clone())).await;
        let (status, body): (_, Value) = (response.status(), response.json().await.unwrap());
        assert_eq!(
            (status.as_u16(), &body["error"]["param"], &body["error"]["code"]),
            (400, &json!(param), &json!(code)),
            "{format}: {body}"
        );
        assert_eq!(body["error"]["type"], "invalid_request_error");
    }
    rig.complete(&chat("Still there?")).await;
}
