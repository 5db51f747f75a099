//! The engine on SmolLM2-135M-Instruct.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use personaguard_model::{
    Capture, ChatOptions, Engine, EngineOptions, Event, FinishReason, GenerateRequest, LoadOptions,
    Model, ScoreRequest, Tap,
};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let path = std::env::var("PERSONAGUARD_TEST_MODEL").expect(
        "PERSONAGUARD_TEST_MODEL is not set: run `cargo xtask test`, which fetches the model",
    );
    let options =
        LoadOptions { threads: Some(2), context_length: Some(2048), ..LoadOptions::default() };
    let model = Model::load(&PathBuf::from(path), &options).unwrap();
    Engine::start(Arc::new(model), EngineOptions::default()).unwrap()
});

fn prompt(text: &str) -> Vec<u32> {
    let messages = [serde_json::json!({"role": "user", "content": text})];
    ENGINE.model().chat_prompt(&messages, &ChatOptions::default()).unwrap()
}

struct Generated {
    text: String,
    ids: Vec<u32>,
    projections: Vec<Vec<f32>>,
    logprobs: Vec<f32>,
    prompt_last: Vec<f32>,
    reason: FinishReason,
}

fn generate(request: GenerateRequest) -> Generated {
    let mut generation = ENGINE.submit(request).unwrap();
    let mut generated = Generated {
        text: String::new(),
        ids: Vec::new(),
        projections: Vec::new(),
        logprobs: Vec::new(),
        prompt_last: Vec::new(),
        reason: FinishReason::Length,
    };
    while let Some(event) = generation.blocking_next() {
        match event {
            Event::Prefill(read) => generated.prompt_last = read.projections,
            Event::Token(token) => {
                generated.text.push_str(&token.text);
                generated.ids.push(token.id);
                generated.projections.push(token.projections);
                generated.logprobs.push(token.logprob);
            }
            Event::End(end) => {
                generated.text.push_str(&end.text);
                generated.reason = end.reason;
            }
            Event::Failed(error) => panic!("{error}"),
        }
    }
    generated
}

fn taps() -> Arc<[Tap]> {
    let vector: Vec<f32> =
        (0..ENGINE.model().hidden_size()).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect();
    [5, 16, 30].map(|layer| Tap::new(layer, &vector).unwrap()).into()
}

#[test]
fn it_answers_a_simple_question() {
    let generated = generate(GenerateRequest {
        prompt: prompt("Which city is the capital of France? Answer in one short sentence."),
        max_tokens: 32,
        ..Default::default()
    });
    assert!(generated.text.contains("Paris"), "{}", generated.text);
    assert_eq!(generated.reason, FinishReason::Stop);
}

#[tokio::test]
async fn generated_and_teacher_forced_scores_agree() {
    let prompt = prompt("Tell me about the sea.");
    let request = GenerateRequest {
        prompt: prompt.clone(),
        max_tokens: 40,
        taps: taps(),
        ..Default::default()
    };
    let generated = tokio::task::spawn_blocking(|| generate(request)).await.unwrap();
    assert_eq!(
        (generated.reason, generated.ids.len(), generated.projections.len()),
        (FinishReason::Length, 40, 40)
    );
    let request = ScoreRequest {
        prompt,
        response: generated.ids.clone(),
        taps: taps(),
        capture: Capture::PromptAndResponse,
        ..Default::default()
    };
    let score = ENGINE.score(request).await.unwrap();
    // Bit for bit: a row's numbers do not depend on whether it was fed alone or among others.
    assert_eq!(generated.prompt_last, score.prompt);
    assert_eq!(generated.projections, score.response);
    assert_eq!(generated.logprobs, score.logprobs);
    let states = score.states.as_ref().unwrap();
    assert_eq!((states.response_mean.len(), states.response_mean[0].len()), (31, 576));
    let direction: Vec<f32> = (0..576).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect();
    let norm = direction.iter().map(|v| v * v).sum::<f32>().sqrt();
    let mean =
        states.response_mean[16].iter().zip(&direction).map(|(a, v)| a * v).sum::<f32>() / norm;
    let expected = score.response.iter().map(|token| token[1]).sum::<f32>() / 40.0;
    assert!((mean - expected).abs() < 1e-3 * expected.abs().max(1.0), "{mean} and {expected}");
}

#[test]
fn invariant_8_a_score_does_not_depend_on_what_it_is_batched_with() {
    let request = |text: &str| GenerateRequest {
        prompt: prompt(text),
        max_tokens: 24,
        taps: taps(),
        ..Default::default()
    };
    let alone = generate(request("Describe a winter morning."));
    let together = std::thread::scope(|scope| {
        let mut threads: Vec<_> = (0..6)
            .map(|i| {
                let text = if i == 3 {
                    "Describe a winter morning.".to_owned()
                } else {
                    format!("Count to {i}, slowly, and explain why.")
                };
                scope.spawn(move || generate(request(&text)))
            })
            .collect();
        let own = threads.remove(3).join().unwrap();
        threads.into_iter().for_each(|thread| drop(thread.join().unwrap()));
        own
    });
    // The tolerance is none: the arithmetic of a row does not depend on the rows beside it.
    assert_eq!(alone.ids, together.ids);
    assert_eq!(alone.projections, together.projections);
    assert_eq!((alone.logprobs, alone.prompt_last), (together.logprobs, together.prompt_last));
}

/// The reference is what `tests/reference/decoder.py` (numpy, no code in common) prints for this
/// file and prompt: `decoder.py SmolLM2-135M-Instruct.Q4_1.gguf 1,9690,… --steps 8`.
#[tokio::test]
async fn states_and_logits_are_those_of_the_independent_decoder() {
    let reference: serde_json::Value =
        serde_json::from_str(include_str!("reference/smollm2.json")).unwrap();
    let numbers = |value: &serde_json::Value| -> Vec<f32> {
        value.as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect()
    };
    let tokens: Vec<u32> =
        numbers(&reference["prompt"]).into_iter().map(|token| token as u32).collect();
    assert_eq!(
        prompt("What is the capital of France?"),
        tokens,
        "the prompt is tokenized as the reference was"
    );
    let greedy: Vec<u32> =
        numbers(&reference["greedy"]).into_iter().map(|token| token as u32).collect();
    let request = ScoreRequest {
        prompt: tokens,
        response: greedy,
        capture: Capture::PromptAndResponse,
        ..Default::default()
    };
    let score = ENGINE.score(request).await.unwrap();
    let states = score.states.as_ref().unwrap();
    for (layer, (state, expected)) in
        states.prompt_last.iter().zip(reference["states"].as_array().unwrap()).enumerate()
    {
        let values = numbers(&expected["values"]);
        let norm = expected["norm"].as_f64().unwrap() as f32;
        let own_norm = state.iter().map(|v| v * v).sum::<f32>().sqrt();
        // The difference comes from rounding activations to 8 bits before each product.
        assert!((own_norm / norm - 1.0).abs() < 0.02, "layer {layer}: norm {own_norm} for {norm}");
        let error = state.iter().zip(&values).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt();
        let size = values.iter().map(|v| v * v).sum::<f32>().sqrt();
        assert!(error < 0.06 * size, "layer {layer}: off by {error} of {size}");
    }
    for (token, (own, expected)) in
        score.logprobs.iter().zip(numbers(&reference["logprobs"])).enumerate()
    {
        assert!(
            (own - expected).abs() < 0.4,
            "token {token}: log-probability {own} for {expected}"
        );
    }
}
