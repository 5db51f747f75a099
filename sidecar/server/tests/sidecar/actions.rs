//! What reaches the client under Cap, Redact, Regenerate and conditional steering, and by sampling.

use crate::enforcement::{QUESTION, breaching_midway, long, masked, scored, stream_tokens, tokens};
use crate::rig::{
    Folder, LAYER, Rig, Variant, chat, finish_reason, policy, redact, regenerate, steer, steering,
    streamed, text, vector, with,
};
use personaguard_guard::Sentences;
use personaguard_persona::write_vector_bundle;
use personaguard_terms::{
    Action, Capping, ConditionAt, EvidenceWindow, FailurePolicy, Layer, Positions, Redaction,
    Sampling, SteeringCondition,
};
use personaguard_wire::{Failure, ResolvedPolicy, UnresolvedPolicy};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn score(completion: &Value) -> f64 {
    completion["personaguard"]["scores"][0]["response_avg"].as_f64().unwrap()
}

fn projections(completion: &Value, vector: &str) -> Vec<f64> {
    completion["personaguard"]["tokens"][vector]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p.as_f64().unwrap())
        .collect()
}

/// A rig with the vector also at the layer after its own, as `later`, where it is only measured.
async fn with_later_layer(mut policy: ResolvedPolicy) -> Rig {
    let (_, values) = vector().await;
    let mut later = policy.traits[0].clone();
    (later.vector, later.action) = ("later".to_owned(), Action::Audit);
    policy.traits.push(later);
    let mut folder = Folder::new(vec![policy]).await;
    let mut resolved = folder.config.vectors["evil"].clone();
    resolved.layer = Layer(LAYER + 1);
    folder.config.vectors.insert("later".to_owned(), resolved);
    let both = BTreeMap::from([
        ("evil".to_owned(), values.as_slice()),
        ("later".to_owned(), values.as_slice()),
    ]);
    std::fs::write(folder.path().join("vectors.safetensors"), write_vector_bundle(&both).unwrap())
        .unwrap();
    folder.write();
    let rig = Rig::start(folder, Variant::default()).await;
    rig.until_ready().await;
    rig
}

#[tokio::test(flavor = "multi_thread")]
async fn cap_keeps_the_projection_between_floor_and_ceiling() {
    let capped = async |floor, ceiling| {
        let capping = Capping { floor, ceiling, positions: Positions::All, layers: Vec::new() };
        with_later_layer(policy(Action::Cap(capping), None))
            .await
            .complete(&scored(with(long(), json!({ "temperature": 0 }))))
            .await
    };
    let plain = capped(None, Some(1e6)).await;
    let unguarded =
        Rig::ready(vec![]).await.complete(&with(long(), json!({ "temperature": 0 }))).await;
    assert_eq!(text(&plain), text(&unguarded), "a cap that is never reached changes nothing");
    let mean = |completion: &Value| {
        let later = projections(completion, "later");
        later.iter().sum::<f64>() / later.len() as f64
    };
    let reach = projections(&plain, "later");
    let spread = reach.iter().copied().fold(f64::MIN, f64::max)
        - reach.iter().copied().fold(f64::MAX, f64::min);
    // One block adds little to what the cap has left: after it the projection has followed floor
    // and ceiling.
    let low = capped(None, Some(mean(&plain) - 2.0 * spread)).await;
    let high = capped(Some(mean(&plain) + 2.0 * spread), None).await;
    assert!(mean(&low) < mean(&plain) - spread, "{} {}", mean(&low), mean(&plain));
    assert!(mean(&high) > mean(&plain) + spread, "{} {}", mean(&high), mean(&plain));
}

/// An answer of several sentences without a guard, and the policy that redacts from one of them on,
/// which is not the first; also the tokens before that sentence, and the first token past the
/// threshold.
async fn redacting_midway() -> (Value, ResolvedPolicy, usize, usize) {
    let rig = Rig::ready(vec![policy(Action::Audit, None)]).await;
    for seed in 1..20 {
        let plain =
            rig.complete(&scored(with(long(), json!({ "seed": seed, "max_tokens": 60 })))).await;
        let (tokens, projections) = (tokens(&plain), projections(&plain, "evil"));
        let mut sentences = Sentences::default();
        tokens.iter().for_each(|token| sentences.push(token));
        let record = |at: &usize| {
            let before = projections[..*at].iter().copied().fold(f64::MIN, f64::max);
            sentences.floor(*at) > 0 && sentences.floor(*at) < *at && projections[*at] > before
        };
        let Some(at) = (1..projections.len()).find(record) else { continue };
        let before = projections[..at].iter().copied().fold(f64::MIN, f64::max);
        let redact = Action::Redact(Redaction { text: "[taken back by policy]".to_owned() });
        let mut policy = policy(redact, Some(f64::midpoint(before, projections[at])));
        policy.evidence.window = Some(EvidenceWindow { past: 1, of_last: 1 });
        return (with(plain, json!({ "seed": seed })), policy, sentences.floor(at), at);
    }
    panic!("no answer has its highest projection in a later sentence");
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_1_redact_replaces_the_first_breaching_sentence_and_all_that_follows() {
    let (plain, policy, whole_sentences, _) = redacting_midway().await;
    let body = with(long(), json!({ "seed": plain["seed"], "max_tokens": 60 }));
    let kept: String = tokens(&plain)[..whole_sentences].concat();
    let rig = Rig::ready(vec![policy]).await;
    let whole = rig.complete(&scored(body.clone())).await;
    assert_eq!(text(&whole), format!("{kept}[taken back by policy]"));
    assert_eq!(whole["choices"][0]["finish_reason"], "content_filter");
    assert_eq!(
        tokens(&whole),
        tokens(&plain)[..whole_sentences],
        "log probabilities are of what left alone"
    );
    let (chunks, done) = rig.stream(&body).await;
    assert!(done);
    assert_eq!(streamed(&chunks), text(&whole));
    assert_eq!(stream_tokens(&chunks), tokens(&whole));
    assert_eq!(finish_reason(&chunks), "content_filter");
    let series = "personaguard_trait_breaches_total{policy=\"no-villains\",trait=\"evil\",\
                  action=\"Redact\",mode=\"Enforce\"}";
    assert_eq!(rig.metric(series).await, Some(2.0));
    assert_eq!(rig.sidecar().app().report().totals.blocked, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn redact_by_the_prompt_sends_the_policys_text_alone() {
    let mut gate = policy(redact(), Some(-1e6));
    gate.traits[0].score = personaguard_terms::Score::PromptLast;
    let rig = Rig::ready(vec![gate]).await;
    let whole = rig.complete(&long()).await;
    assert_eq!((text(&whole), &whole["usage"]["completion_tokens"]), ("[removed]", &json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_1_no_token_of_a_window_of_evidence_leaves() {
    let (plain, mut policy, _, at) = redacting_midway().await;
    let threshold = policy.traits[0].max.unwrap();
    let projections = projections(&plain, "evil");
    policy.traits[0].action = Action::Block;
    // Two of the last twelve: the first of them must wait for the second.
    policy.evidence.window = Some(EvidenceWindow { past: 2, of_last: 12 });
    let past: Vec<usize> =
        (0..projections.len()).filter(|index| projections[*index] > threshold).collect();
    let pair = past.windows(2).find(|pair| pair[1] - pair[0] < 12);
    let allowed = pair.map_or(projections.len(), |pair| pair[0]);
    assert!(past[0] == at);
    let rig = Rig::ready(vec![policy]).await;
    let body = with(long(), json!({ "seed": plain["seed"], "max_tokens": 60 }));
    let (chunks, _) = rig.stream(&body).await;
    assert_eq!(stream_tokens(&chunks), tokens(&plain)[..allowed]);
    assert_eq!(finish_reason(&chunks) == "content_filter", pair.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn regenerate_keeps_the_attempt_that_scores_best() {
    let plain = Rig::ready(vec![policy(Action::Audit, None)]).await.complete(&scored(long())).await;
    // Out of reach: all attempts are made, and the best of them leaves.
    let rig = Rig::ready(vec![policy(regenerate(), Some(-1e6))]).await;
    let best = rig.complete(&scored(long())).await;
    assert_eq!(best["personaguard"]["attempts"], 3);
    assert!(score(&best) < score(&plain), "{} {}", score(&best), score(&plain));
    assert_eq!(best["personaguard"]["scores"][0]["breached"], true);
    let (chunks, _) = rig.stream(&long()).await;
    assert_eq!(streamed(&chunks), text(&best));
    assert_eq!(stream_tokens(&chunks), tokens(&best));
    assert_eq!(
        rig.metric("personaguard_regenerated_responses_total{result=\"past\"}").await,
        Some(2.0)
    );
    // Counted once each, however often it was written.
    let report = rig.sidecar().app().report();
    assert_eq!((report.totals.responses, report.totals.breaches, report.totals.blocked), (2, 2, 0));
    assert_eq!((report.traits[0].scored, report.traits[0].breaches), (2, 2));
    assert!((report.traits[0].mean - score(&best)).abs() < 1e-9);
    // Within reach: no more attempts than it takes.
    let reachable = f64::midpoint(score(&plain), score(&best));
    let rig = Rig::ready(vec![policy(regenerate(), Some(reachable))]).await;
    let better = rig.complete(&scored(long())).await;
    assert!(score(&better) <= reachable);
    assert_eq!(
        rig.metric("personaguard_regenerated_responses_total{result=\"within\"}").await,
        Some(1.0)
    );
    // Nothing to mend: the answer is the unguarded one.
    let rig = Rig::ready(vec![policy(regenerate(), Some(1e6))]).await;
    let same = rig.complete(&scored(long())).await;
    assert_eq!((text(&same), &same["personaguard"]["attempts"]), (text(&plain), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn conditional_steering_leaves_a_benign_answer_as_it_is() {
    let unguarded = Rig::ready(vec![]).await;
    let steered = |at, above: Option<f64>| {
        let mut policy = policy(steer(), None);
        let steering = steering(&mut policy);
        steering.when =
            above.map(|above| SteeringCondition { vector: None, at, above, until: None });
        // Every answer is steered alike, also after one that was not coherent.
        steering.coherence.back_off = false;
        policy
    };
    let body = with(chat(QUESTION), json!({ "stream": true }));
    let bytes = async |rig: &Rig| masked(&rig.post(&body).await.text().await.unwrap());
    let plain = bytes(&unguarded).await;
    let always = bytes(&Rig::ready(vec![steered(ConditionAt::Token, None)]).await).await;
    assert_ne!(plain, always);
    for at in [ConditionAt::PromptLast, ConditionAt::Token] {
        // Steered and unsteered turns share a cache: neither leaves a trace in the other.
        let rig = Rig::ready(vec![steered(at, Some(1e6))]).await;
        assert_eq!(
            [bytes(&rig).await, bytes(&rig).await],
            [plain.clone(), plain.clone()],
            "{at:?}: it never holds"
        );
        let rig = Rig::ready(vec![steered(at, Some(-1e6))]).await;
        assert_eq!(
            [bytes(&rig).await, bytes(&rig).await],
            [always.clone(), always.clone()],
            "{at:?}: it always holds"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sampling_scores_the_first_and_every_nth_response() {
    let mut sampled = policy(Action::Alert, Some(-1e6));
    sampled.sampling = Some(Sampling { every: Some(3), fraction: None });
    let rig = Rig::ready(vec![sampled]).await;
    let short = with(chat("Hi"), json!({ "max_tokens": 2, "personaguard": { "scores": true } }));
    let mut looked = Vec::new();
    for _ in 0..7 {
        looked.push(
            rig.complete(&short).await["personaguard"]["policies"][0]["sampled"].as_bool().unwrap(),
        );
    }
    assert_eq!(looked, [true, false, false, true, false, false, true]);
    let report = rig.sidecar().app().report();
    assert_eq!(
        (report.totals.responses, report.totals.breaches, report.totals.unguarded),
        (7, 3, 0)
    );
    assert_eq!((report.traits[0].scored, report.traits[0].breaches), (3, 3));
    let unsampled =
        rig.metric("personaguard_unsampled_responses_total{policy=\"no-villains\"}").await;
    assert_eq!(unsampled, Some(4.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_9_a_policy_that_was_never_accepted_closes_traffic_or_is_counted() {
    for failure_policy in [FailurePolicy::Open, FailurePolicy::Closed] {
        let mut folder = Folder::new(vec![]).await;
        folder.config.unresolved.push(UnresolvedPolicy {
            name: "never".to_owned(),
            selector: Default::default(),
            failure_policy,
            failure: Failure {
                reason: "VectorNotFound".to_owned(),
                message: "Create it.".to_owned(),
            },
        });
        folder.write();
        let rig = Rig::start(folder, Variant::default()).await;
        rig.until_ready().await;
        let response = rig.post(&with(chat("Hi"), json!({ "max_tokens": 1 }))).await;
        let unguarded = rig
            .metric("personaguard_unguarded_responses_total{reason=\"policy_unresolved\"}")
            .await;
        match failure_policy {
            FailurePolicy::Open => {
                assert_eq!((response.status().as_u16(), unguarded), (200, Some(1.0)));
            }
            FailurePolicy::Closed => {
                assert_eq!((response.status().as_u16(), unguarded), (503, Some(0.0)));
                assert_eq!(
                    response.json::<Value>().await.unwrap()["error"]["code"],
                    "guard_unavailable"
                );
            }
        }
        assert!(rig.sidecar().app().report().policies.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_answer_is_counted_once_under_every_action() {
    for action in [redact(), regenerate(), Action::Block] {
        let (_, mut midway, _) = breaching_midway().await;
        let plain = policy(action, Some(1e6));
        midway.traits = plain.traits;
        let rig = Rig::ready(vec![midway]).await;
        let response = rig.post(&with(long(), json!({ "stream": true, "max_tokens": 3000 }))).await;
        drop(response);
        let cancelled = async || {
            rig.metric("personaguard_responses_total{outcome=\"cancelled\"}").await == Some(1.0)
        };
        rig.until("cancelled", cancelled).await;
        assert_eq!(rig.sidecar().app().report().totals.responses, 1);
    }
}
