//! Calls of functions: what is asked for is called, with arguments that fit, and a call leaves as a
//! whole or not at all.

use crate::audit::{entries, files, logging_variant, replay};
use crate::enforcement::scored;
use crate::formats::schema;
use crate::rig::{
    Folder, Rig, chat, finish_reason, policy, redact, regenerate, streamed, text, with,
};
use personaguard_terms::{Action, Score};
use serde_json::{Value, json};
use tempfile::TempDir;

fn parameters() -> [(&'static str, Value); 2] {
    let city = json!({"type": "string", "maxLength": 12});
    [
        (
            "weather",
            json!({"type": "object", "additionalProperties": false, "required": ["city", "unit"],
                "properties": {"city": city, "unit": {"enum": ["celsius", "fahrenheit"]}}}),
        ),
        (
            "alarm",
            json!({"type": "object", "additionalProperties": false, "required": ["hour"],
                "properties": {"hour": {"type": "integer", "minimum": 0, "maximum": 23}}}),
        ),
    ]
}

fn asking(choice: Value) -> Value {
    let tool = |(name, parameters): (&str, Value)| {
        json!({
            "type": "function",
            "function": { "name": name, "description": "Does it.", "parameters": parameters }
        })
    };
    let tools: Vec<_> = parameters().into_iter().map(tool).collect();
    let fields = json!({
        "tools": tools, "tool_choice": choice, "parallel_tool_calls": false, "max_tokens": 120
    });
    with(chat("What is the weather in Rome?"), fields)
}

fn named(name: &str) -> Value {
    json!({ "type": "function", "function": { "name": name } })
}

/// Name and arguments of the one call of a choice.
fn call(choice: &Value) -> (String, Value) {
    let calls = choice["message"]["tool_calls"].as_array().unwrap_or_else(|| panic!("{choice}"));
    assert_eq!((calls.len(), &calls[0]["type"]), (1, &json!("function")), "{choice}");
    assert!(calls[0]["id"].as_str().unwrap().starts_with("call_"));
    let function = &calls[0]["function"];
    (
        function["name"].as_str().unwrap().to_owned(),
        serde_json::from_str(function["arguments"].as_str().unwrap()).unwrap(),
    )
}

/// The same of a stream.
fn streamed_call(chunks: &[Value]) -> (String, Value) {
    let calls: Vec<_> = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"].as_array())
        .flatten()
        .collect();
    assert_eq!((calls.len(), &calls[0]["index"]), (1, &json!(0)));
    call(&json!({ "message": { "tool_calls": calls } }))
}

fn fits((name, arguments): &(String, Value)) {
    let (_, schema) = parameters().into_iter().find(|(known, _)| known == name).unwrap();
    assert!(schema::fits(&schema, arguments), "{name}: {arguments}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_required_is_made_and_its_arguments_fit() {
    let rig = Rig::ready(vec![policy(Action::Alert, Some(1e6))]).await;
    for choice in [json!("required"), named("weather"), named("alarm")] {
        for temperature in [0.0, 1.5] {
            let body = with(asking(choice.clone()), json!({ "temperature": temperature }));
            let whole = rig.complete(&scored(body.clone())).await;
            let choice_of = &whole["choices"][0];
            assert_eq!(
                (&choice_of["finish_reason"], &choice_of["message"]["content"]),
                (&json!("tool_calls"), &Value::Null)
            );
            let made = call(choice_of);
            fits(&made);
            if let Some(name) = choice.pointer("/function/name") {
                assert_eq!(name, &made.0);
            }
            // Every token of the call was scored.
            let scored = whole["personaguard"]["tokens"]["evil"].as_array().unwrap().len();
            assert_eq!(whole["usage"]["completion_tokens"], scored);
            let (chunks, done) = rig.stream(&body).await;
            assert_eq!(
                (streamed_call(&chunks), streamed(&chunks).as_str(), finish_reason(&chunks), done),
                (made, "", "tool_calls", true)
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_choice_makes_its_own_call_and_one_that_is_left_to_the_model_fits_too() {
    let rig = Rig::ready(vec![]).await;
    let whole = rig.complete(&with(asking(named("weather")), json!({ "n": 2 }))).await;
    for index in 0..2 {
        fits(&call(&whole["choices"][index]));
    }
    let mut strict = asking(json!("auto"));
    for tool in strict["tools"].as_array_mut().unwrap() {
        tool["function"]["strict"] = json!(true);
    }
    let schema = json!({
        "type": "object", "additionalProperties": false, "required": ["a"],
        "properties": {"a": {"type": "boolean"}}
    });
    let format =
        json!({"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}});
    let formatted = with(strict.clone(), json!({ "response_format": format }));
    for (body, formatted) in [(&strict, false), (&formatted, true)] {
        let answer = rig.complete(body).await;
        let choice = &answer["choices"][0];
        if choice["message"].get("tool_calls").is_some() {
            fits(&call(choice));
        } else if formatted {
            assert!(
                schema::fits(&schema, &serde_json::from_str(text(&answer)).unwrap()),
                "{choice}"
            );
        } else {
            assert!(!text(&answer).contains("<tool_call>"), "{choice}");
        }
    }
    // Not to be called: the functions are not even told.
    let plain = rig.complete(&chat("What is the weather in Rome?")).await;
    let none = with(asking(json!("none")), json!({ "max_tokens": 24 }));
    assert_eq!(rig.complete(&none).await["choices"], plain["choices"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_and_results_are_part_of_the_conversation() {
    let rig = Rig::ready(vec![]).await;
    let call = |id: &str| {
        json!({
            "id": id, "type": "function",
            "function": { "name": "weather", "arguments": "{\"city\": \"Rome\"}" }
        })
    };
    let messages = json!([
        { "role": "user", "content": "What is the weather in Rome?" },
        { "role": "assistant", "content": null, "tool_calls": [call("a"), call("b")] },
        { "role": "tool", "tool_call_id": "b", "content": "Sunny." },
        { "role": "tool", "tool_call_id": "a", "content": [{ "type": "text", "text": "Rain." }] },
    ]);
    let tokens = async |fields: Value| {
        let answer = rig.complete(&with(with(chat(""), json!({ "max_tokens": 1 })), fields)).await;
        answer["usage"]["prompt_tokens"].as_u64().unwrap()
    };
    let question = tokens(json!({ "messages": [messages[0]] })).await;
    let called = tokens(json!({ "messages": [messages[0], messages[1]] })).await;
    let answered = tokens(json!({ "messages": messages })).await;
    let offered =
        tokens(json!({ "messages": messages, "tools": asking(json!("auto"))["tools"] })).await;
    assert!(
        question + 20 < called && called + 10 < answered && answered + 60 < offered,
        "{question} {called} {answered} {offered}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_1_of_a_call_past_the_threshold_nothing_leaves() {
    // The decision falls in the middle of the call.
    let past = |action| {
        let mut policy = policy(action, Some(-1e6));
        policy.evidence.min_tokens = 12;
        policy
    };
    let plain = Rig::ready(vec![]).await.complete(&asking(named("weather"))).await;
    assert!(plain["usage"]["completion_tokens"].as_u64().unwrap() > 14, "{plain}");
    for (action, left) in [(Action::Block, ""), (redact(), "[removed]")] {
        let rig = Rig::ready(vec![past(action)]).await;
        let whole =
            rig.complete(&with(asking(named("weather")), json!({ "logprobs": true }))).await;
        let choice = &whole["choices"][0];
        assert_eq!((text(&whole), &choice["finish_reason"]), (left, &json!("content_filter")));
        assert!(choice["message"].get("tool_calls").is_none(), "{choice}");
        let (chunks, done) = rig.stream(&asking(named("weather"))).await;
        assert!(
            done && chunks
                .iter()
                .all(|chunk| chunk["choices"][0]["delta"].get("tool_calls").is_none())
        );
        assert_eq!((streamed(&chunks).as_str(), finish_reason(&chunks)), (left, "content_filter"));
    }
    // The prompt's score alone, and a call within the threshold.
    let mut gate = past(Action::Block);
    gate.traits[0].score = Score::PromptLast;
    let gated = Rig::ready(vec![gate]).await.complete(&asking(named("weather"))).await;
    assert_eq!(
        (text(&gated), &gated["choices"][0]["finish_reason"]),
        ("", &json!("content_filter"))
    );
    for action in [Action::Block, redact(), regenerate()] {
        let rig = Rig::ready(vec![policy(action, Some(1e6))]).await;
        assert_eq!(
            call(&rig.complete(&asking(named("weather"))).await["choices"][0]),
            call(&plain["choices"][0])
        );
        assert_eq!(
            streamed_call(&rig.stream(&asking(named("weather"))).await.0),
            call(&plain["choices"][0])
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_written_anew_and_its_scores_are_replayed() {
    let dir = TempDir::new().unwrap();
    let mut again = policy(regenerate(), Some(-1e6));
    again.record_conversations = true;
    let mut rig = Rig::start(Folder::new(vec![again]).await, logging_variant(&dir, None)).await;
    rig.until_ready().await;
    let answer = rig.complete(&scored(asking(named("alarm")))).await;
    fits(&call(&answer["choices"][0]));
    assert_eq!(answer["personaguard"]["attempts"], 3);
    rig.sidecar.take().unwrap().stop().await;
    let (audit, conversations) = files(&dir);
    let said = entries(&conversations, "conversation");
    assert!(said[0]["text"].as_str().unwrap().contains("<tool_call>"), "{}", said[0]["text"]);
    let (printed, result) = replay(&rig, &conversations, &audit).await;
    assert!(
        result.is_ok() && printed.contains("1 scores, each as recorded"),
        "{printed}{result:?}"
    );
}
