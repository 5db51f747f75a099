//! Extraction with an endpoint that generates the trait and judges answers; the endpoint is a
//! server of this test.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use axum::Json;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use personaguard_lab::endpoint::Endpoint;
use personaguard_lab::engine::LabEngine;
use personaguard_lab::extract::{ExtractSettings, Job, Judge, TraitGenerator, run, run_shard};
use personaguard_model::{Engine, EngineOptions, LoadOptions, Model};
use personaguard_persona::{Polarity, TraitSpec};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

/// The weight file: a tiny model's, made here.
fn weights() -> PathBuf {
    personaguard_tiny_model::file(Path::new(env!("CARGO_TARGET_TMPDIR")))
}

fn once() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Serves `answer` as an OpenAI-compatible endpoint, after failing `failures` times.
async fn serve(failures: usize, answer: fn(&str) -> Value) -> (Endpoint, Arc<Mutex<Vec<Value>>>) {
    let seen: Arc<Mutex<Vec<Value>>> = Arc::default();
    let requests = Arc::clone(&seen);
    let handler = async move |Json(request): Json<Value>| {
        let mut requests = requests.lock().unwrap();
        requests.push(request.clone());
        if requests.len() <= failures {
            return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({})));
        }
        (StatusCode::OK, Json(answer(request["messages"][0]["content"].as_str().unwrap())))
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/v1/", listener.local_addr().unwrap());
    let router = Router::new().route("/v1/chat/completions", post(handler));
    tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
    (Endpoint::new(&url, "writer").unwrap(), seen)
}

fn says(text: &str) -> Value {
    json!({ "choices": [{ "message": { "role": "assistant", "content": text } }] })
}

/// A number as a judge gives it: most of the probability is on it, some on another number and on a
/// word.
fn rates(number: u8) -> Value {
    let top = json!([
        { "token": number.to_string(), "logprob": -0.2 },
        { "token": (number + 2).to_string(), "logprob": -2.5 },
        { "token": "The", "logprob": -2.5 },
    ]);
    json!({ "choices": [{
        "message": { "content": number.to_string() },
        "logprobs": {
            "content": [{ "token": number.to_string(), "logprob": -0.2, "top_logprobs": top }],
        },
    }]})
}

fn engine() -> LabEngine {
    let model = Arc::new(Model::load(&weights(), &LoadOptions::default()).unwrap());
    let options = EngineOptions { max_concurrent: 16, max_waiting: 256, kv_bytes: None };
    LabEngine::Own(Engine::start(model, options).unwrap())
}

fn small() -> ExtractSettings {
    ExtractSettings {
        tokens: 8,
        questions: 6,
        pairs: 5,
        held_out_pairs: 1,
        rollouts: 1,
        temperature: 1.0,
        seed: 1,
        draws: 100,
        layer_step: Some(2),
        steering_questions: 3,
        benign: 2,
    }
}

#[tokio::test]
async fn an_endpoint_generates_a_trait_from_its_description() {
    once();
    let (endpoint, seen) = serve(1, |request| {
        let lines = |count: usize, line: fn(usize) -> String| {
            says(&(0..count).map(line).collect::<String>())
        };
        if request.contains("pairs of instructions") {
            lines(5, |n| {
                format!("{n}. + Complain loudly about thing {n}.\n- Be content with thing {n}.\n")
            })
        } else if request.contains("different questions") {
            // Not all at once: the rest is asked for together with the known questions.
            match request.matches("\n- ").count() {
                0 => lines(25, |n| format!("{n}. How is thing {n}?\n")),
                _ => lines(25, |n| format!("{n}. Why is thing {n} so?\n")),
            }
        } else {
            says(
                "Look for complaints and sighs. Facts that are bad news do not count. 0 is \
                 content, 50 mixed, 100 all complaint.",
            )
        }
    })
    .await;
    let spec = TraitGenerator::Endpoint(&endpoint)
        .generate("grumpy", "grumpy: complains about everything")
        .await
        .unwrap();
    assert_eq!((spec.instructions.len(), spec.extract.len(), spec.held_out.len()), (5, 20, 20));
    let positive = spec.system_prompt(&spec.instructions[0], Polarity::Positive);
    assert_eq!(positive, "You are a grumpy assistant. Complain loudly about thing 0.");
    assert!(spec.held_out.iter().all(|question| !spec.extract.contains(question)));
    let seen = seen.lock().unwrap();
    // The failure, pairs, questions twice, rubric.
    assert_eq!(seen.len(), 5);
    assert!(seen.iter().all(|request| {
        request["messages"][0]["content"].as_str().unwrap().contains("complains about")
    }));
}

#[tokio::test]
async fn a_trait_that_stays_incomplete_is_an_error_that_says_what_to_do() {
    once();
    let (endpoint, _) =
        serve(0, |_| says("Sure! Here are some questions.\n1. What is it?\n1. What is it?")).await;
    let error = TraitGenerator::Endpoint(&endpoint)
        .generate("grumpy", "grumpy: complains")
        .await
        .unwrap_err();
    let message = error.with_causes();
    assert!(message.contains("--endpoint-model") && message.contains("0 of 5 pairs"), "{message}");
}

#[tokio::test]
async fn a_judge_decides_which_answers_make_the_vector_and_which_layer_steers() {
    once();
    // Rates by the length of answers, so that some are confirmed and others are not.
    let (endpoint, seen) = serve(0, |request| {
        let answer =
            request.split("Answer:\n").nth(1).unwrap().split("\n\nReply with").next().unwrap();
        if request.contains("coherent") {
            rates(90)
        } else {
            rates(if answer.len() % 2 == 0 { 80 } else { 10 })
        }
    })
    .await;
    let engine = engine();
    let spec = TraitSpec::builtin("humorous").unwrap();
    let settings = small();
    let folder = tempfile::tempdir().unwrap();
    let judge = Judge::new(&endpoint, &spec);
    let (journal, states) = (folder.path().join("journal"), folder.path().join("states"));
    let job = Job {
        spec: &spec,
        settings: &settings,
        judge: Some(&judge),
        journal: &journal,
        parts: &[],
        states: Some(&states),
    };
    let outcome = run(&engine, job).await.unwrap();
    let kept = outcome.file.counts().positive as usize;
    assert!(
        outcome.judged && kept > 0 && kept + outcome.filtered <= 30 && outcome.filtered > 0,
        "{kept}"
    );
    assert_eq!(outcome.file.metadata().settings["judge"], "writer");
    assert!(states.exists() && !journal.exists());
    // Effects are in points of the judge: differences of two ratings, halved.
    let effects: Vec<f64> = outcome
        .candidates
        .iter()
        .flat_map(|candidate| candidate.steering_effects.clone())
        .collect();
    assert!(
        effects.iter().all(|effect| effect.abs() < 1e-6 || (effect.abs() - 35.0).abs() < 1e-6),
        "{effects:?}"
    );
    let seen = seen.lock().unwrap();
    assert!(seen.iter().all(|request| request["max_tokens"] == 1 && request["top_logprobs"] == 20));
}

#[tokio::test]
async fn parts_of_an_extraction_give_the_file_that_one_run_gives() {
    once();
    let engine = engine();
    let spec = TraitSpec::builtin("humorous").unwrap();
    let settings = ExtractSettings { questions: 4, pairs: 2, steering_questions: 2, ..small() };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let journal = path("journal");
    let job = Job {
        spec: &spec,
        settings: &settings,
        judge: None,
        journal: &journal,
        parts: &[],
        states: None,
    };
    let whole = run(&engine, job).await.unwrap().file.to_bytes().unwrap();
    let mut answers = 0;
    for (shard, out) in [("0/2", "a"), ("1/2", "b")] {
        answers += run_shard(&engine, job, shard.parse().unwrap(), &path(out)).await.unwrap();
    }
    assert_eq!(answers, 16 + 8 + 2);
    let parts = [path("a"), path("b")];
    // If the second part is missing, it is made here.
    for parts in [&parts[..], &parts[..1]] {
        let merged = run(&engine, Job { parts, ..job }).await.unwrap();
        assert!(merged.file.to_bytes().unwrap() == whole, "{} parts", parts.len());
    }
    let twice = [path("a"), path("a")];
    let error = run(&engine, Job { parts: &twice, ..job }).await.unwrap_err();
    assert!(error.with_causes().contains("two parts"), "{error}");
    let other = ExtractSettings { seed: 2, ..settings.clone() };
    let error = run(&engine, Job { settings: &other, parts: &parts, ..job }).await.unwrap_err();
    assert!(error.with_causes().contains("other settings"), "{error}");
}

#[tokio::test]
async fn a_judgement_is_not_paid_for_twice() {
    once();
    let engine = engine();
    let spec = TraitSpec::builtin("humorous").unwrap();
    let settings = ExtractSettings { questions: 4, pairs: 2, ..small() };
    let folder = tempfile::tempdir().unwrap();
    let (journal, out) = (folder.path().join("journal"), folder.path().join("part"));
    let job = Job {
        spec: &spec,
        settings: &settings,
        judge: None,
        journal: &journal,
        parts: &[],
        states: None,
    };
    let shard = "0/1".parse().unwrap();
    // The endpoint refuses from the tenth question on, so that the first run is interrupted.
    let paid = Arc::new(Mutex::new(0));
    let mut seen = Vec::new();
    for allowed in [9, usize::MAX] {
        let counted = Arc::clone(&paid);
        let handler = async move |Json(_): Json<Value>| {
            let mut paid = counted.lock().unwrap();
            if *paid >= allowed {
                return (StatusCode::PAYMENT_REQUIRED, Json(json!({})));
            }
            *paid += 1;
            (StatusCode::OK, Json(rates(60)))
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let endpoint =
            Endpoint::new(&format!("http://{}", listener.local_addr().unwrap()), "judge").unwrap();
        let router = Router::new().route("/v1/chat/completions", post(handler));
        tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
        let judge = Judge::new(&endpoint, &spec);
        seen.push(
            run_shard(&engine, Job { judge: Some(&judge), ..job }, shard, &out)
                .await
                .map_err(|e| e.to_string()),
        );
    }
    assert!(seen[0].as_ref().unwrap_err().contains("402") && seen[1].is_ok(), "{seen:?}");
    // Sixteen answers, each rated for the trait and for coherence. An answer that got only one of
    // its ratings is rated again, and each of the nine ratings paid for first may be such a one.
    let paid = *paid.lock().unwrap();
    assert!((32..32 + 9).contains(&paid), "{paid}");
}

#[tokio::test]
async fn a_judge_without_logprobs_is_refused() {
    once();
    let (endpoint, _) = serve(0, |_| says("80")).await;
    let spec = TraitSpec::builtin("evil").unwrap();
    let error = Judge::new(&endpoint, &spec).judge("How are you?", "Fine.").await.unwrap_err();
    assert!(error.to_string().contains("logprobs"), "{error}");
}
