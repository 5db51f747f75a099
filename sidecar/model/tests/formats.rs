//! Constrained responses of a model with random weights: only the grammar can make them right.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(
    unreachable_pub,
    dead_code,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

#[path = "support/schema.rs"]
mod schema;
mod support;

use personaguard_model::{
    Engine, EngineOptions, Event, FinishReason, GenerateRequest, Grammar, GrammarError,
    Intervention, LoadOptions, Positions, Sampling,
};
use schema::fits;
use serde_json::{Value, json};
use std::sync::Arc;
use support::agree::{tokens, vector};
use support::loading::load;
use support::{Shape, tiny};

fn engine(shape: &Shape) -> Engine {
    let options = LoadOptions { threads: Some(2), ..LoadOptions::default() };
    let model = load(&tiny(shape, 7).file, &options).unwrap();
    Engine::start(Arc::new(model), EngineOptions::default()).unwrap()
}

fn run(engine: &Engine, request: GenerateRequest) -> (String, Vec<u32>, FinishReason) {
    let mut generation = engine.submit(request).unwrap();
    let (mut text, mut ids) = (String::new(), Vec::new());
    loop {
        match generation.blocking_next().unwrap() {
            Event::Prefill(_) => {}
            Event::Token(token) => {
                text.push_str(&token.text);
                ids.push(token.id);
            }
            Event::End(end) => return (text + &end.text, ids, end.reason),
            Event::Failed(error) => panic!("{error}"),
        }
    }
}

/// Each of them bounds the length of its values, so that a model that chooses at random comes to an
/// end.
fn schemas() -> Vec<Value> {
    let short = json!({"type": "string", "maxLength": 5});
    vec![
        json!({"type": "object", "additionalProperties": false, "required": ["name", "age"],
            "properties": {"name": short, "age": {"type": "integer", "minimum": 0,
            "maximum": 130}}}),
        json!({"type": "object", "additionalProperties": false, "required": ["mood", "tags",
            "next"], "properties": {
            "mood": {"enum": ["gut", "böse", "\"so\""]},
            "tags": {"type": "array", "minItems": 1, "maxItems": 3, "items": {"type": "boolean"}},
            "next": {"anyOf": [{"type": "null"}, {"type": "object", "additionalProperties": false,
            "required": ["a"],
                "properties": {"a": {"const": 1}}}]}}}),
        json!({"type": "array", "minItems": 2, "maxItems": 2, "items": short}),
        json!({"enum": ["yes", "no"]}),
    ]
}

fn request(grammar: Option<Grammar>, seed: u64, sampling: Sampling) -> GenerateRequest {
    GenerateRequest {
        prompt: tokens(5, seed),
        max_tokens: 500,
        grammar,
        sampling,
        ..Default::default()
    }
}

#[test]
fn every_response_fits_its_schema_greedy_and_sampled_steered_and_not() {
    for shape in [Shape::of("llama"), Shape::of("gemma2")] {
        let engine = engine(&shape);
        for (index, schema) in schemas().iter().enumerate() {
            let grammar = engine.model().json_schema_grammar(schema).unwrap();
            for seed in 0..12 {
                let hot = Sampling {
                    temperature: (seed % 3) as f32,
                    seed: Some(seed),
                    top_p: 0.9,
                    ..Default::default()
                };
                let hot =
                    Sampling { frequency_penalty: if seed % 2 == 0 { 1.0 } else { 0.0 }, ..hot };
                let push =
                    Intervention::add(1, &vector(shape.hidden, seed), 1.0, Positions::All).unwrap();
                let interventions = if seed > 6 { Arc::from([push]) } else { Arc::default() };
                let request =
                    GenerateRequest { interventions, ..request(Some(grammar.clone()), seed, hot) };
                let (text, _, reason) = run(&engine, request);
                let value: Value =
                    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{index}: {e}: {text}"));
                assert!(fits(schema, &value), "{schema}: {text}");
                assert_eq!(reason, FinishReason::Stop);
            }
        }
    }
}

#[test]
fn requests_beside_a_constrained_one_write_what_they_would_write_alone() {
    let engine = engine(&Shape::of("llama"));
    let greedy = |seed| request(None, seed, Sampling::default());
    let alone: Vec<_> = (0..6).map(|seed| run(&engine, greedy(seed))).collect();
    let grammar = engine.model().json_schema_grammar(&schemas()[0]).unwrap();
    let formatted = run(&engine, request(Some(grammar.clone()), 9, Sampling::default()));
    std::thread::scope(|scope| {
        for (seed, alone) in (0..).zip(&alone) {
            let engine = &engine;
            scope.spawn(move || assert_eq!(&run(engine, greedy(seed)), alone));
        }
        for _ in 0..2 {
            let (engine, grammar, formatted) = (&engine, grammar.clone(), &formatted);
            scope.spawn(move || {
                assert_eq!(&run(engine, request(Some(grammar), 9, Sampling::default())), formatted);
            });
        }
    });
}

#[test]
fn a_response_cut_short_is_a_beginning_and_probabilities_stay_the_models_own() {
    let engine = engine(&Shape::of("llama"));
    let grammar = engine.model().json_schema_grammar(&json!({"type": "object"})).unwrap();
    let request = GenerateRequest {
        max_tokens: 3,
        top_logprobs: 1,
        ..request(Some(grammar), 3, Sampling::default())
    };
    let mut generation = engine.submit(request).unwrap();
    let mut text = String::new();
    let reason = loop {
        match generation.blocking_next().unwrap() {
            Event::Token(token) => {
                text.push_str(&token.text);
                // The likeliest token, whatever the grammar allows.
                assert!(token.top[0].logprob >= token.logprob);
            }
            Event::End(end) => break end.reason,
            event => assert!(matches!(event, Event::Prefill(_)), "{event:?}"),
        }
    };
    assert!(text.starts_with('{') && text.len() == 3, "{text}");
    assert_eq!(reason, FinishReason::Length);
}

#[test]
fn unusable_schemas_are_refused_with_the_reason() {
    let engine = engine(&Shape::of("llama"));
    let refused = |schema: Value, with: &str| {
        let error = engine.model().json_schema_grammar(&schema).unwrap_err();
        assert!(error.to_string().contains(with), "{schema}: {error}");
    };
    refused(json!([]), "not a JSON object");
    refused(json!({"type": "strange"}), "strange");
    refused(json!({"type": "integer", "minimum": 5, "maximum": 3}), "");
    refused(json!({"not": {"type": "string"}}), "not");
    refused(json!({"$ref": "https://example.com/schema"}), "");
    refused(json!({"$ref": "#/nowhere"}), "");
    refused(json!({"type": "string", "pattern": "("}), "");
    refused(json!({"properties": 4}), "");
    let long = engine
        .model()
        .json_schema_grammar(&json!({"description": "x".repeat(70_000)}))
        .unwrap_err();
    assert!(matches!(long, GrammarError::TooLarge(_)));
    // Each of these either compiles or is refused; none hangs or panics.
    let mut deep = json!({"type": "string"});
    for _ in 0..100 {
        deep = json!({"type": "array", "items": deep});
    }
    let wide: serde_json::Map<String, Value> = (0..1000)
        .map(|index| (format!("p{index}"), json!({"type": "string", "maxLength": 9000})))
        .collect();
    for hostile in [
        deep,
        json!({"type": "object", "properties": wide}),
        json!({"type": "string", "pattern": "((a{1,1000}){1,1000}){1,1000}"}),
        json!({"type": "string", "pattern": "(.*a){20}.{50}(b|c)*"}),
        json!({"type": "array", "minItems": 10_000, "items": {"type": "array", "minItems": 10_000,
            "items": {}}}),
        json!({"enum": (0..9000).collect::<Vec<_>>()}),
        json!({"type": "number", "multipleOf": 1e-300}),
    ] {
        let _ = engine.model().json_schema_grammar(&hostile);
    }
}
