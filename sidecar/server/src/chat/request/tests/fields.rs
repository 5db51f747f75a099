//! Fields of OpenAI's API and of other servers.

use super::*;
use personaguard_model::TextForm;

fn sampling(fields: Value) -> Sampling {
    asking(fields.clone()).unwrap_or_else(|error| panic!("{fields}: {error:?}")).sampling
}

#[test]
fn fields_that_change_nothing_are_passed_over() {
    let plain = asking(json!({})).unwrap();
    for fields in [
        json!({ "store": true, "metadata": { "a": "b" }, "user": "u", "service_tier": "flex" }),
        json!({ "stream_options": { "include_usage": false, "x": 1 }, "safety_identifier": "s" }),
        json!({ "parallel_tool_calls": true, "tool_choice": "auto", "tools": [] }),
        json!({ "tool_choice": "none", "functions": [], "function_call": "none", "tools": null }),
        json!({ "logit_bias": {}, "stop": [], "stop_token_ids": [], "min_tokens": 0 }),
        json!({ "repetition_penalty": 1, "repeat_penalty": 1.0, "repeat_last_n": 64 }),
        json!({ "ignore_eos": false, "n_probs": 0, "mirostat": 0, "typical_p": 1.0, "tfs_z": 1 }),
        json!({ "cache_prompt": true, "id_slot": -1, "slot_id": 0, "n_keep": 0, "grammar": "" }),
        json!({ "dry_multiplier": 0.0, "xtc_probability": 0, "dynatemp_range": 0, "samplers": [] }),
        json!({ "top_k": -1, "max_tokens": -1, "seed": -1, "n_predict": -1, "top_n_sigma": -1 }),
        json!({ "top_k": 0, "best_of": 1, "use_beam_search": false, "length_penalty": 1.0 }),
        json!({ "add_generation_prompt": true, "continue_final_message": false, "echo": false }),
        json!({ "skip_special_tokens": true, "spaces_between_special_tokens": true }),
        json!({ "include_stop_str_in_output": false, "guided_json": null, "guided_regex": null }),
        json!({ "structured_outputs": null, "guided_decoding_backend": "auto", "priority": 0 }),
        json!({ "truncate_prompt_tokens": -1, "prompt_logprobs": null, "request_id": "r" }),
        json!({ "drop_params": true, "api_base": "x", "timeout": 600, "max_retries": 2 }),
        json!({ "return_token_ids": false, "chat_template_kwargs": {} }),
        json!({ "separate_reasoning": true, "include_reasoning": true }),
        json!({ "reasoning_format": "auto" }),
        json!({ "modalities": ["text"], "audio": null, "prediction": null, "max_token": 5 }),
        json!({ "top_logprobs": 0, "logprobs": false, "response_format": { "type": "text" } }),
    ] {
        let read = asking(fields.clone()).unwrap_or_else(|error| panic!("{fields}: {error:?}"));
        assert_eq!(read, plain, "{fields}");
    }
}

#[test]
fn whole_decimals_are_integers_and_sentinels_mean_off() {
    let limit = |fields| asking(fields).unwrap().max_tokens;
    assert_eq!(limit(json!({ "max_tokens": 4.0, "n": 1.0 })), Some(4));
    assert_eq!(limit(json!({ "max_tokens": 0 })), Some(0));
    assert_eq!(limit(json!({ "max_tokens": -1 })), None);
    assert_eq!(limit(json!({ "max_tokens": 1e30 })), Some(usize::try_from(i64::MAX).unwrap()));
    // The newer name wins.
    assert_eq!(limit(json!({ "max_tokens": 4, "max_completion_tokens": 9 })), Some(9));
    assert_eq!(limit(json!({ "n_predict": 3 })), Some(3));
    assert_eq!(refused(json!({ "max_tokens": 4.5 })).0, "max_tokens");
    assert_eq!(refused(json!({ "max_tokens": -2 })).0, "max_tokens");
    assert_eq!(sampling(json!({ "top_k": 3.0 })).top_k, Some(3));
    let seed = |seed: Value| sampling(json!({ "seed": seed })).seed;
    assert_eq!(seed(json!(-1)), None);
    assert_eq!((seed(json!(7.0)), seed(json!(u64::MAX))), (Some(7), Some(u64::MAX)));
    assert_eq!(seed(json!(u64::MAX - 1)), Some(u64::MAX - 1));
    assert_ne!(seed(json!(-2)), seed(json!(-3)));
    assert_eq!(sampling(json!({ "temperature": 2.5 })).temperature, 2.5);
    assert!(sampling(json!({ "temperature": 1e300 })).temperature.is_finite());
    let stops: Vec<_> = (0..16).map(|stop| stop.to_string()).collect();
    assert_eq!(asking(json!({ "stop": stops })).unwrap().stop, stops);
}

#[test]
fn what_other_servers_do_with_a_field_is_done() {
    let read = sampling(json!({
        "repetition_penalty": 1.1, "min_tokens": 5, "ignore_eos": true, "stop_token_ids": [3, 4.0],
        "logit_bias": { "7": 200, "8": -5 },
    }));
    assert_eq!((read.repetition_penalty, read.min_tokens, read.ignore_end), (1.1, 5, true));
    assert_eq!((read.stop_tokens, read.logit_bias), (vec![3, 4], vec![(7, 100.0), (8, -5.0)]));
    let read = sampling(json!({ "repeat_penalty": 1.2, "logit_bias": [[7, 1], [8, false]] }));
    assert_eq!(read.repetition_penalty, 1.2);
    assert_eq!(read.logit_bias, [(7, 1.0), (8, f32::NEG_INFINITY)]);
    let off = sampling(json!({ "repeat_penalty": 1.2, "repeat_last_n": 0 }));
    assert_eq!(off.repetition_penalty, 1.0);
    let cut = asking(json!({ "truncate_prompt_tokens": 9 })).unwrap();
    assert_eq!(cut.keep_last, Some(9));
}

#[test]
fn templates_are_given_what_is_said_of_thinking() {
    let variables = |fields: Value| asking(fields).unwrap().options.variables;
    let thinks = |fields: Value| variables(fields).get("enable_thinking").cloned();
    for (fields, expected) in [
        (json!({}), None),
        (json!({ "chat_template_kwargs": { "enable_thinking": false } }), Some(json!(false))),
        (json!({ "enable_thinking": true }), Some(json!(true))),
        (json!({ "think": false }), Some(json!(false))),
        (json!({ "think": "high" }), Some(json!(true))),
        (json!({ "thinking": { "type": "disabled" } }), Some(json!(false))),
        (json!({ "reasoning": { "enabled": true } }), Some(json!(true))),
        (json!({ "reasoning_effort": "none" }), Some(json!(false))),
        (json!({ "reasoning_effort": "low" }), None),
        (
            json!({ "think": true, "chat_template_kwargs": { "enable_thinking": false } }),
            Some(json!(false)),
        ),
    ] {
        assert_eq!(thinks(fields.clone()), expected, "{fields}");
    }
    assert_eq!(variables(json!({ "reasoning_effort": "low" }))["reasoning_effort"], "low");
    assert_eq!(variables(json!({ "reasoning": { "effort": "high" } }))["reasoning_effort"], "high");
    let own = json!({ "messages": [], "tools": [], "add_generation_prompt": false, "custom": 1 });
    let read = variables(json!({ "chat_template_kwargs": own }));
    assert_eq!(Value::Object(read), json!({ "custom": 1 }));
    let options = asking(json!({ "continue_final_message": true })).unwrap().options;
    assert!(options.continue_final_message && !options.add_generation_prompt);
}

#[test]
fn a_schema_may_come_by_other_names() {
    let schema = json!({ "type": "object" });
    for fields in [
        json!({ "guided_json": schema }),
        json!({ "guided_json": schema.to_string() }),
        json!({ "structured_outputs": { "json": schema, "backend": "auto", "regex": null } }),
        json!({ "json_schema": schema }),
        json!({ "response_format": { "type": "json_object", "schema": schema } }),
        json!({ "response_format": { "type": "json_schema", "schema": schema } }),
        json!({ "response_format": { "type": "json_schema", "more": 1,
            "json_schema": { "name": "n", "strict": true, "schema": schema, "x": 1 } } }),
    ] {
        let format = asking(fields.clone()).unwrap().format;
        assert_eq!(format.and_then(|format| format.schema()), Some(schema.clone()), "{fields}");
    }
    let text = |fields| asking(fields).unwrap().format.unwrap();
    let form = |param, form| ResponseFormat::Text { param, form };
    let either = || TextForm::Choice(vec!["yes".to_owned(), "no".to_owned()]);
    for (fields, format) in [
        (json!({ "guided_choice": ["yes", "no"] }), form("guided_choice", either())),
        (
            json!({ "structured_outputs": { "choice": ["yes", "no"] } }),
            form("structured_outputs.choice", either()),
        ),
        (json!({ "guided_regex": "a+" }), form("guided_regex", TextForm::Regex("a+".to_owned()))),
        (json!({ "regex": "a+" }), form("regex", TextForm::Regex("a+".to_owned()))),
    ] {
        assert_eq!(text(fields), format);
    }
    let any = asking(json!({ "structured_outputs": { "json_object": true } })).unwrap().format;
    assert_eq!(any, Some(ResponseFormat::JsonObject));
}

#[test]
fn what_would_change_an_answer_is_refused_by_name_with_what_to_do() {
    for (fields, name, advice) in [
        (json!({ "functions": [{ "name": "f" }] }), "functions", "'tools'"),
        (json!({ "guided_grammar": "a" }), "guided_grammar", "'response_format'"),
        (
            json!({ "structured_outputs": { "grammar": "a" } }),
            "structured_outputs.grammar",
            "'json'",
        ),
        (json!({ "guided_choice": [1] }), "guided_choice", "texts"),
        (json!({ "structured_outputs": 1 }), "structured_outputs", "object"),
        (json!({ "guided_json": "{" }), "guided_json", "JSON schema"),
        (
            json!({ "guided_json": {}, "response_format": { "type": "json_object" } }),
            "response_format",
            "one format",
        ),
        (json!({ "mirostat": 2 }), "mirostat", "leave it out"),
        (json!({ "best_of": 4 }), "best_of", "'n'"),
        (json!({ "echo": true }), "echo", "leave it out"),
        (json!({ "chat_template": "x" }), "chat_template", "'chat_template_kwargs'"),
        (json!({ "chat_template_kwargs": 1 }), "chat_template_kwargs", "an object"),
        (json!({ "skip_special_tokens": false }), "skip_special_tokens", "leave it out"),
        (json!({ "web_search_options": {} }), "web_search_options", "leave it out"),
        (json!({ "logit_bias": { "word": 1 } }), "logit_bias", "/tokenize"),
        (json!({ "logit_bias": 3 }), "logit_bias", "/tokenize"),
        (json!({ "stop_token_ids": [-4] }), "stop_token_ids", "numbers of tokens"),
        (json!({ "repetition_penalty": 0 }), "repetition_penalty", "above 0"),
        (json!({ "temperature": -1 }), "temperature", "at least 0"),
        (json!({ "top_k": -2 }), "top_k", "at least -1"),
        (json!({ "modalities": ["text", "audio"] }), "modalities", "Only text"),
    ] {
        let (param, message) = refused(fields.clone());
        assert_eq!(param, name, "{fields}: {message}");
        assert!(message.contains(advice), "{fields}: {message}");
    }
}
