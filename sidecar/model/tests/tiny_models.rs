//! The engine on tiny random models, against a decoder in f64 that shares no code with it.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(
    unreachable_pub,
    dead_code,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

mod support;

use personaguard_model::{
    Capture, Engine, EngineError, EngineOptions, Event, GenerateRequest, Generation, Intervention,
    LoadError, LoadOptions, Model, Positions, Sampling, Score, ScoreRequest, SubmitError, Tap,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::sync::Arc;
use support::agree::{agrees, shapes, tokens, vector};
use support::hf::{self, Dtype};
use support::loading::load;
use support::{Shape, Tiny, VOCABULARY, tiny};

fn engine(tiny: &Tiny, options: EngineOptions) -> Engine {
    let model =
        load(&tiny.file, &LoadOptions { threads: Some(2), ..LoadOptions::default() }).unwrap();
    Engine::start(Arc::new(model), options).unwrap()
}

#[tokio::test]
async fn states_probabilities_and_projections_are_those_of_the_reference() {
    for (index, shape) in shapes().into_iter().enumerate() {
        let tiny = tiny(&shape, index as u64);
        agrees(&tiny, &engine(&tiny, EngineOptions::default()), 1e-4).await;
    }
}

#[tokio::test]
async fn a_folder_of_safetensors_is_the_same_model() {
    for (index, shape) in shapes().into_iter().enumerate() {
        for (dtype, shards, tolerance) in
            [(Dtype::F32, 1, 1e-4), (Dtype::F16, 2, 4e-3), (Dtype::Bf16, 3, 4e-3)]
        {
            let mut tiny = tiny(&shape, index as u64);
            let folder = hf::folder(&mut tiny, dtype, shards);
            let model = Model::load(
                folder.path(),
                &LoadOptions { threads: Some(2), ..LoadOptions::default() },
            );
            let engine = Engine::start(Arc::new(model.unwrap()), EngineOptions::default()).unwrap();
            agrees(&tiny, &engine, tolerance).await;
        }
    }
}

#[test]
fn scores_of_any_length_arrive_even_many_at_a_time() {
    let engine = engine(&tiny(&Shape::of("llama"), 100), EngineOptions::default());
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    let lengths = [
        (255, 1),
        (255, 2),
        (256, 1),
        (257, 0),
        (1, 255),
        (1, 256),
        (63, 2),
        (64, 1),
        (300, 200),
        (511, 1),
    ];
    let scores: Vec<_> = lengths
        .into_iter()
        .map(|(prompt, response)| {
            let engine = engine.clone();
            let taps = Arc::new([Tap::new(2, &vector(64, 1)).unwrap()]);
            let request = ScoreRequest {
                prompt: tokens(prompt, 2),
                response: tokens(response, 3),
                taps,
                ..ScoreRequest::default()
            };
            runtime.spawn(async move {
                let skipped = ScoreRequest { skip_logprobs: true, ..request.clone() };
                let (score, skipped) = tokio::join!(engine.score(request), engine.score(skipped));
                (response, score.unwrap(), skipped.unwrap())
            })
        })
        .collect();
    for score in scores {
        let (response, score, skipped) = runtime.block_on(score).unwrap();
        assert_eq!(
            (score.prompt.len(), score.response.len(), score.logprobs.len()),
            (1, response, response)
        );
        assert_eq!(skipped, Score { logprobs: Vec::new(), ..score });
    }
}

/// Text, ids and projections of a generation.
fn generate(engine: &Engine, request: GenerateRequest) -> (Vec<u32>, Vec<Vec<f32>>, usize) {
    let mut generation = engine.submit(request).unwrap();
    let (mut ids, mut projections, mut cached) = (Vec::new(), Vec::new(), 0);
    while let Some(event) = generation.blocking_next() {
        match event {
            Event::Prefill(read) => {
                cached = read.cached;
                projections.push(read.projections);
            }
            Event::Token(token) => {
                ids.push(token.id);
                projections.push(token.projections);
            }
            Event::End(end) => assert!(end.completion_tokens >= ids.len()),
            Event::Failed(error) => panic!("{error}"),
        }
    }
    (ids, projections, cached)
}

fn request(hidden: usize, prompt: Vec<u32>) -> GenerateRequest {
    let taps = Arc::new([
        Tap::new(1, &vector(hidden, 8)).unwrap(),
        Tap::new(3, &vector(hidden, 9)).unwrap(),
    ]);
    GenerateRequest { prompt, max_tokens: 40, taps, ..Default::default() }
}

#[tokio::test]
async fn a_prompt_is_reused_from_a_request_that_still_runs() {
    let engine = engine(&tiny(&Shape::of("llama"), 52), EngineOptions::default());
    let request = GenerateRequest { max_tokens: 400, ..request(64, tokens(100, 53)) };
    let read = async |generation: &mut Generation| match generation.next().await {
        Some(Event::Prefill(read)) => read,
        other => panic!("{other:?}"),
    };
    let mut first = engine.submit(request.clone()).unwrap();
    let first_read = read(&mut first).await;
    let mut second = engine.submit(request).unwrap();
    let second_read = read(&mut second).await;
    assert_eq!((first_read.cached, second_read.cached), (0, 99));
    assert_eq!(first_read.projections, second_read.projections);
    let (mut one, mut other) = (Vec::new(), Vec::new());
    for (generation, events) in [(&mut first, &mut one), (&mut second, &mut other)] {
        while let Some(event) = generation.next().await {
            events.push(event);
        }
    }
    assert_eq!(one, other);
}

#[tokio::test]
async fn states_captured_while_generating_are_those_of_scoring() {
    let engine = engine(&tiny(&Shape::of("llama"), 50), EngineOptions::default());
    let prompt = tokens(100, 51);
    let captured = async |capture| {
        let mut generation =
            engine.submit(GenerateRequest { capture, ..request(64, prompt.clone()) }).unwrap();
        let mut response = Vec::new();
        loop {
            match generation.next().await.unwrap() {
                Event::Token(token) => response.push(token.id),
                Event::End(end) => break (response, end.states),
                Event::Prefill(_) => {}
                Event::Failed(error) => panic!("{error}"),
            }
        }
    };
    let (response, written) = captured(Capture::PromptAndResponse).await;
    let (again, response_only) = captured(Capture::Response).await;
    assert_eq!((response.len(), &response), (40, &again));
    let read = ScoreRequest {
        prompt: prompt.clone(),
        response,
        capture: Capture::PromptAndResponse,
        ..ScoreRequest::default()
    };
    let read = engine.score(read).await.unwrap().states.unwrap();
    assert_eq!(*written.unwrap(), read);
    // Here the prompt's prefix came from the cache.
    let response_only = response_only.unwrap();
    assert_eq!(response_only.response_mean, read.response_mean);
    assert!(response_only.prompt_mean.is_empty() && response_only.prompt_last.is_empty());
    assert_eq!(captured(Capture::None).await.1, None);
}

#[test]
fn a_shared_prefix_is_reused_bit_for_bit_and_never_across_interventions() {
    let shape = Shape::of("llama");
    let engine = engine(&tiny(&shape, 20), EngineOptions::default());
    let prompt = tokens(100, 21);
    let first = generate(&engine, request(64, prompt.clone()));
    let second = generate(&engine, request(64, prompt.clone()));
    assert_eq!((first.2, second.2), (0, 99));
    assert_eq!((&first.0, &first.1), (&second.0, &second.1));
    let steered = |positions| GenerateRequest {
        interventions: Arc::new([Intervention::add(1, &vector(64, 22), 1.0, positions).unwrap()]),
        ..request(64, prompt.clone())
    };
    assert_eq!(
        generate(&engine, steered(Positions::Response)).2,
        99,
        "the prompt's numbers are the same"
    );
    assert_eq!(generate(&engine, steered(Positions::All)).2, 0, "the prompt's numbers differ");
    assert_eq!(generate(&engine, steered(Positions::All)).2, 99);
    assert_eq!(
        generate(&engine, request(64, prompt)),
        second,
        "nothing steered got into the cache"
    );
}

#[test]
fn prompts_that_diverge_anywhere_reuse_what_they_share() {
    for architecture in ["gemma3", "granite", "olmo2", "phi3", "qwen3moe"] {
        let tiny = tiny(&Shape::of(architecture), 23);
        let engine = || engine(&tiny, EngineOptions::default());
        let shared = engine();
        let whole = tokens(100, 24);
        generate(&shared, request(64, whole.clone()));
        for same in [1, 31, 32, 33, 50, 64, 99] {
            let prompt = [&whole[..same], &[250; 20][..]].concat();
            let alone = generate(&engine(), request(64, prompt.clone()));
            let found = generate(&shared, request(64, prompt));
            assert_eq!((&found.0, &found.1, found.2), (&alone.0, &alone.1, same));
        }
    }
}

#[test]
fn requests_come_and_go_without_changing_each_others_results() {
    for architecture in ["qwen3", "granite", "olmo2", "phi3", "qwen3moe"] {
        let tiny = tiny(&Shape::of(architecture), 30);
        let alone = |i: usize| {
            let engine = engine(&tiny, EngineOptions::default());
            generate(&engine, request(64, tokens(3 + 37 * i, i as u64)))
        };
        let alone: Vec<_> = (0..10).map(alone).collect();
        let engine = engine(&tiny, EngineOptions { max_concurrent: 4, ..EngineOptions::default() });
        std::thread::scope(|scope| {
            for (i, alone) in alone.iter().enumerate() {
                let engine = &engine;
                scope.spawn(move || {
                    let found = generate(engine, request(64, tokens(3 + 37 * i, i as u64)));
                    let same = (&found.0, &found.1) == (&alone.0, &alone.1);
                    assert!(same, "{architecture}: request {i}");
                });
            }
        });
    }
}

#[test]
fn a_full_queue_refuses_and_a_dropped_generation_makes_room() {
    let shape = Shape::of("llama");
    let options = EngineOptions { max_concurrent: 1, max_waiting: 1, ..EngineOptions::default() };
    let engine = engine(&tiny(&shape, 40), options);
    let long = || GenerateRequest { max_tokens: 500, ..request(64, tokens(4, 41)) };
    let running = engine.submit(long()).unwrap();
    while engine.running() == 0 {
        std::thread::yield_now();
    }
    let waiting = engine.submit(long()).unwrap();
    assert!(matches!(engine.submit(long()), Err(SubmitError::QueueFull { .. })));
    drop(waiting);
    let mut next = engine.submit(GenerateRequest { max_tokens: 2, ..long() }).unwrap();
    drop(running);
    let mut last = None;
    while let Some(event) = next.blocking_next() {
        last = Some(event);
    }
    assert!(matches!(last, Some(Event::End(_))), "{last:?}");
}

#[test]
fn requests_run_only_as_far_as_the_cache_has_memory() {
    let tiny = tiny(&Shape::of("llama"), 45);
    let long = |seed| GenerateRequest { max_tokens: 400, ..request(64, tokens(40, seed)) };
    let model = Arc::new(
        load(&tiny.file, &LoadOptions { threads: Some(2), ..LoadOptions::default() }).unwrap(),
    );
    // Two and a half of them.
    let kv_bytes = Some(model.kv_bytes(1100));
    let engine =
        Engine::start(model, EngineOptions { max_concurrent: 8, max_waiting: 8, kv_bytes })
            .unwrap();
    let alone = generate(&engine, long(0));
    let most = std::thread::scope(|scope| {
        let all: Vec<_> = (0..5).map(|_| scope.spawn(|| generate(&engine, long(0)))).collect();
        let mut most = 0;
        while !all.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            most = most.max(engine.running());
        }
        for found in all {
            let found = found.join().unwrap();
            assert_eq!((found.0, found.1), (alone.0.clone(), alone.1.clone()));
        }
        most
    });
    assert!(most <= 2, "{most} ran at once");
    assert!(matches!(
        engine.submit(request(64, tokens(600, 46))),
        Err(SubmitError::ContextTooLong { .. })
    ));
}

/// Many prompts, one after another: what they leave in the prefix cache stays within the budget,
/// and is given back when it is asked for, without changing a result.
#[test]
fn number_22_the_kv_cache_keeps_to_its_budget_and_gives_memory_back() {
    let tiny = tiny(&Shape::of("llama"), 47);
    let options = LoadOptions { threads: Some(2), ..LoadOptions::default() };
    let model = Arc::new(load(&tiny.file, &options).unwrap());
    let limit = model.kv_bytes(512);
    let options = EngineOptions { max_concurrent: 2, max_waiting: 8, kv_bytes: Some(limit) };
    let engine = Engine::start(Arc::clone(&model), options).unwrap();
    assert_eq!(engine.kv_limit(), limit);
    let settled = |holds: &dyn Fn() -> bool| {
        (0..200).any(|_| {
            holds() || {
                std::thread::sleep(std::time::Duration::from_millis(50));
                false
            }
        })
    };
    let first = generate(&engine, request(64, tokens(100, 1)));
    for seed in 2..12 {
        generate(&engine, request(64, tokens(100, seed)));
        assert!(engine.kv_bytes() <= limit, "{} of {limit}", engine.kv_bytes());
    }
    assert!(settled(&|| engine.kv_bytes() > limit / 2), "prefixes are kept");
    engine.shrink_kv(model.kv_bytes(64));
    assert!(settled(&|| engine.kv_bytes() <= model.kv_bytes(64)), "{}", engine.kv_bytes());
    engine.shrink_kv(0);
    assert!(settled(&|| engine.kv_bytes() == 0), "{}", engine.kv_bytes());
    let again = generate(&engine, request(64, tokens(100, 1)));
    assert_eq!((again.0, again.1), (first.0, first.1));
}

#[test]
fn dropping_the_engine_fails_what_runs() {
    let engine = engine(&tiny(&Shape::of("llama"), 50), EngineOptions::default());
    let mut generation =
        engine.submit(GenerateRequest { max_tokens: 500, ..request(64, tokens(4, 51)) }).unwrap();
    drop(engine);
    let mut last = None;
    while let Some(event) = generation.blocking_next() {
        last = Some(event);
    }
    assert!(matches!(last, Some(Event::Failed(EngineError::Stopped) | Event::End(_))), "{last:?}");
}

#[test]
fn a_coefficient_that_overflows_is_an_error_not_a_wrong_score() {
    let engine = engine(&tiny(&Shape::of("llama"), 60), EngineOptions::default());
    let interventions =
        Arc::new([Intervention::add(1, &vector(64, 61), 1e38, Positions::All).unwrap()]);
    let mut generation =
        engine.submit(GenerateRequest { interventions, ..request(64, tokens(4, 62)) }).unwrap();
    let mut last = None;
    while let Some(event) = generation.blocking_next() {
        last = Some(event);
    }
    assert_eq!(last, Some(Event::Failed(EngineError::NotFinite)));
}

#[test]
fn requests_that_do_not_fit_are_refused_with_the_reason() {
    let engine = engine(&tiny(&Shape::of("llama"), 70), EngineOptions::default());
    let refused = |request: GenerateRequest| engine.submit(request).unwrap_err();
    let base = || request(64, tokens(4, 71));
    assert_eq!(refused(GenerateRequest { prompt: vec![], ..base() }), SubmitError::EmptyPrompt);
    assert!(matches!(
        refused(GenerateRequest { prompt: tokens(512, 1), ..base() }),
        SubmitError::ContextTooLong { .. }
    ));
    assert!(matches!(
        refused(GenerateRequest { prompt: vec![260], ..base() }),
        SubmitError::UnknownToken { .. }
    ));
    let tap = |layer, width| GenerateRequest {
        taps: Arc::new([Tap::new(layer, &vec![1.0; width]).unwrap()]),
        ..base()
    };
    assert!(matches!(refused(tap(4, 64)), SubmitError::InvalidLayer { layer: 4, layers: 3 }));
    assert!(matches!(
        refused(tap(3, 65)),
        SubmitError::InvalidWidth { found: 65, hidden_size: 64 }
    ));
    let logit_bias = vec![(260, 1.0)];
    for sampling in [
        Sampling { logit_bias, ..Sampling::default() },
        Sampling { repetition_penalty: 0.0, ..Sampling::default() },
    ] {
        let error = refused(GenerateRequest { sampling, ..base() });
        assert!(matches!(error, SubmitError::Parameter { .. }), "{error}");
    }
}

#[test]
fn files_are_told_apart_by_digest() {
    let file = tiny(&Shape::of("llama"), 80).file;
    let digest = load(&file, &LoadOptions::default()).unwrap().digest().to_owned();
    let expecting = |sha256: &str| LoadOptions {
        expected_sha256: Some(sha256.into()),
        ..LoadOptions::default()
    };
    assert!(load(&file, &expecting(&digest.to_uppercase())).is_ok());
    let wrong = "0".repeat(64);
    assert!(matches!(load(&file, &expecting(&wrong)), Err(LoadError::DigestMismatch { .. })));
    let missing = Model::load(std::path::Path::new("/no/such/model.gguf"), &LoadOptions::default());
    assert!(matches!(missing, Err(LoadError::NotFound { .. })));
}

#[test]
fn damaged_files_are_refused_without_a_panic() {
    for architecture in ["gemma3", "phi3", "olmoe"] {
        let file = tiny(&Shape::of(architecture), 90).file;
        let options = LoadOptions { threads: Some(1), ..LoadOptions::default() };
        for cut in [0, 3, 4, 20, 24, 100, 1000, file.len() / 2, file.len() - 40] {
            assert!(load(&file[..cut], &options).is_err(), "cut at {cut}");
        }
        // Any byte of the header may change; what still loads must also run.
        let mut random = StdRng::seed_from_u64(91);
        let header = 9000.min(file.len());
        for _ in 0..400 {
            let mut damaged = file.clone();
            for _ in 0..random.random_range(1..4) {
                damaged[random.random_range(0..header)] = random.random();
            }
            if let Ok(model) = load(&damaged, &options) {
                runs(model);
            }
        }
    }
}

/// Runs a model whose file was damaged, if an engine takes it.
fn runs(model: Model) {
    let Ok(engine) = Engine::start(Arc::new(model), EngineOptions::default()) else { return };
    let prompt = tokens(3, 92).into_iter().map(|token| token % VOCABULARY as u32).collect();
    let request = GenerateRequest { prompt, max_tokens: 2, ..Default::default() };
    let Ok(mut generation) = engine.submit(request) else { return };
    while let Some(event) = generation.blocking_next() {
        assert_ne!(event, Event::Failed(EngineError::Internal));
    }
}
