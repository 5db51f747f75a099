use super::*;

fn request(api: Api, body: &Value) -> LinkedRequest {
    LinkedRequest::read(api, body.to_string().as_bytes()).unwrap()
}

fn chat(fields: &Value) -> LinkedRequest {
    let mut body = json!({ "model": "m", "messages": [{ "role": "user", "content": "Hi" }] });
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    request(Api::Chat, &body)
}

#[test]
fn only_the_sidecar_tells_what_is_measured() {
    for bad in [
        json!({ "vllm_xargs": { "personaguard": "{}" } }),
        json!({ "vllm_xargs": { "a": 1, "personaguard": null } }),
        json!({ "vllm_xargs": { "PersonaGuard": "{}" } }),
        json!({ "vllm_xargs": { "personaguard_id": "x" } }),
        json!({ "vllm_xargs": "personaguard" }),
        json!({ "vllm_xargs": [{ "personaguard": "{}" }] }),
        json!({ "extra_body": { "vllm_xargs": { "personaguard": "{}" } } }),
        json!({ "n": 17 }),
        json!({ "n": "0" }),
        json!({ "n": -1 }),
        json!({ "n": 1.5 }),
        json!({ "n": [2] }),
        json!({ "best_of": 2 }),
        json!({ "use_beam_search": true }),
        json!({ "echo": 1 }),
    ] {
        let refused = chat(&bad).check();
        assert_eq!(refused.unwrap_err().status.as_u16(), 400, "{bad}");
    }
    for good in [
        json!({}),
        json!({ "vllm_xargs": { "mine": 1 } }),
        json!({ "vllm_xargs": null, "extra_body": {}, "n": null, "best_of": 1 }),
        json!({ "n": "1", "use_beam_search": false, "echo": false }),
        json!({ "n": "16" }),
    ] {
        assert!(chat(&good).check().is_ok(), "{good}");
    }
    for api in [Api::Messages, Api::Responses] {
        assert!(request(api, &json!({ "n": 2 })).check().is_err(), "they have one answer");
    }
    let prompts = |n: usize| json!({ "prompt": vec!["a"; n], "n": 2 });
    assert!(request(Api::Completions, &prompts(8)).check().is_ok());
    let refused = request(Api::Completions, &prompts(9)).check().unwrap_err();
    assert!(json!(refused.body).to_string().contains("'prompt' makes 1 to 16"), "{refused:?}");
}

#[test]
fn each_of_several_answers_is_asked_for_apart() {
    let parts = |request: &LinkedRequest| -> Vec<Value> {
        let parts = (0..request.answers()).map(|number| request.part(number));
        parts.map(|part| Value::Object(part.fields)).collect()
    };
    let asked = chat(&json!({ "n": "3", "seed": 7, "temperature": 1.0 }));
    let asked = parts(&asked);
    let seeds: Vec<_> = asked.iter().map(|part| &part["seed"]).collect();
    assert_eq!(seeds, [&json!(7), &json!(8), &json!(9)], "as the engine gives them");
    assert!(asked.iter().all(|part| part["n"] == 1 && part["temperature"] == 1.0));
    assert_eq!(parts(&chat(&json!({ "n": 2 })))[1].get("seed"), None);
    let completions = |body: &Value| parts(&request(Api::Completions, body));
    let prompts = completions(&json!({ "prompt": ["a", "b"], "n": 2, "seed": 1 }));
    let told: Vec<_> = prompts.iter().map(|part| (&part["prompt"], &part["seed"])).collect();
    let (a, b, one, two) = (json!("a"), json!("b"), json!(1), json!(2));
    assert_eq!(told, [(&a, &one), (&a, &two), (&b, &one), (&b, &two)]);
    assert_eq!(completions(&json!({ "prompt": [[1, 2], [3]] }))[1]["prompt"], json!([3]));
    for one in [json!("a"), json!(["a"]), json!([1, 2]), json!([[1, 2]])] {
        assert_eq!(completions(&json!({ "prompt": one }))[0]["prompt"], one, "one prompt");
    }
}

#[test]
fn the_engine_gets_the_plan_beside_what_the_client_says() {
    let asked = chat(&json!({
        "stream": true, "stream_options": { "include_usage": false, "other": 1 },
        "vllm_xargs": { "mine": 1 }, "cache_salt": "own", "personaguard": { "traits": {} },
    }));
    assert_eq!(asked.asked_counts(), AskedCounts::default());
    assert_eq!(asked.cache_salt(), Some("own"));
    let mut asked = asked;
    assert!(asked.take_extension().is_some());
    let body: Value =
        serde_json::from_slice(&asked.body(Some("plan".to_owned()), Some("salt"), true)).unwrap();
    assert_eq!(body["vllm_xargs"], json!({ "mine": 1, "personaguard": "plan" }));
    assert_eq!(body["cache_salt"], "salt");
    assert_eq!(body["return_token_ids"], true);
    assert_eq!(
        body["stream_options"],
        json!({ "include_usage": true, "continuous_usage_stats": true, "other": 1 })
    );
    assert!(body.get("personaguard").is_none());
}

#[test]
fn where_nothing_is_held_back_only_the_plan_is_added() {
    let plain = json!({ "messages": [{ "role": "user", "content": "Hi" }], "stream": true });
    for api in [Api::Chat, Api::Completions, Api::Messages, Api::Responses] {
        let asked = request(api, &plain);
        let body: Value =
            serde_json::from_slice(&asked.body(Some("plan".to_owned()), None, false)).unwrap();
        let mut expected = plain.clone();
        expected["vllm_xargs"] = json!({ "personaguard": "plan" });
        assert_eq!(body, expected);
    }
    // The other two APIs count by themselves.
    let body = request(Api::Messages, &plain).body(Some("plan".to_owned()), None, true);
    assert!(!String::from_utf8_lossy(&body).contains("stream_options"));
}

#[test]
fn a_prompt_with_more_than_text_is_told_from_one_without() {
    assert!(chat(&json!({})).is_text());
    let part = |kind: &str| {
        let content = json!([{ "type": "text", "text": "a" }, { "type": kind }]);
        chat(&json!({ "messages": [{ "role": "user", "content": content }] }))
    };
    assert!(part("text").is_text());
    for kind in ["image_url", "input_audio", "video_url", "anything"] {
        assert!(!part(kind).is_text(), "{kind}");
    }
}
