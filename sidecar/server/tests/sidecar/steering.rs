//! Steering and caps at several layers, and steering that eats coherence.

use crate::enforcement::{long, scored};
use crate::rig::{Folder, LAYER, Rig, Variant, policy, steer, steering, text, vector, with};
use personaguard_model::{ChatOptions, ScoreRequest};
use personaguard_persona::{layer_digest, write_vector_bundle};
use personaguard_terms::{
    Action, Capping, Coherence, ConditionAt, Layer, LayerBounds, Positions, SteeringCondition,
};
use personaguard_wire::{Part, ResolvedPolicy};
use serde_json::json;
use std::collections::BTreeMap;

/// A sidecar whose config brings the vector in parts as well: as increments a half of it each, at
/// two layers from its own on, and whole at the layer after its own.
async fn with_parts(policy: ResolvedPolicy) -> Rig {
    let (_, values) = vector().await;
    let half: Vec<f32> = values.iter().map(|value| value / 2.0).collect();
    let mut folder = Folder::new(vec![policy]).await;
    let own = folder.config.vectors["evil"].clone();
    let mut tensors = BTreeMap::from([("evil".to_owned(), values.as_slice())]);
    for (part, values) in [
        (Part::Increment(Layer(LAYER)), &half),
        (Part::Increment(Layer(LAYER + 1)), &half),
        (Part::At(Layer(LAYER + 1)), values),
    ] {
        let resolved = personaguard_wire::ResolvedVector {
            layer: part.layer(),
            sha256: layer_digest(values).parse().unwrap(),
            ..own.clone()
        };
        folder.config.vectors.insert(part.name("evil"), resolved);
        tensors.insert(part.name("evil"), values);
    }
    std::fs::write(
        folder.path().join("vectors.safetensors"),
        write_vector_bundle(&tensors).unwrap(),
    )
    .unwrap();
    folder.write();
    let rig = Rig::start(folder, Variant::default()).await;
    rig.until_ready().await;
    rig
}

/// Steers every answer alike, also after one that was not coherent.
fn steered(coefficient: f64, layers: &[u32]) -> ResolvedPolicy {
    let mut policy = policy(steer(), None);
    let steering = steering(&mut policy);
    steering.coherence.back_off = false;
    steering.coefficient = coefficient.try_into().unwrap();
    steering.layers = layers.iter().map(|layer| Layer(*layer)).collect();
    policy
}

#[tokio::test(flavor = "multi_thread")]
async fn steering_by_increments_acts_at_each_of_its_layers() {
    let answer = async |policy: ResolvedPolicy| {
        text(&with_parts(policy).await.complete(&long()).await).to_owned()
    };
    let plain = answer(policy(Action::Alert, Some(1e6))).await;
    let own = answer(steered(-2.0, &[])).await;
    // A half of the vector with twice the coefficient is the vector, bit for bit: halves are exact.
    assert_eq!(answer(steered(-4.0, &[LAYER])).await, own);
    let two = answer(steered(-2.0, &[LAYER, LAYER + 1])).await;
    assert!(two != plain && two != answer(steered(-2.0, &[LAYER])).await, "both layers act");
    // The score is still that of the trait's own layer alone, and the log says what acted.
    let rig = with_parts(steered(-2.0, &[LAYER, LAYER + 1])).await;
    let body = rig.complete(&scored(long())).await;
    assert_eq!(body["personaguard"]["scores"].as_array().unwrap().len(), 1);
    let changes = personaguard_server::audit::entry::changes(
        &rig.sidecar().app().active_model().unwrap().plan,
    );
    let names: Vec<_> = changes.iter().map(|change| change.vector.clone()).collect();
    assert_eq!(
        names,
        [format!("evil/{LAYER}-{}", LAYER - 1), format!("evil/{}-{LAYER}", LAYER + 1)]
    );
    // Where a part is missing, the trait is refused.
    let rig = Rig::ready(vec![steered(-2.0, &[LAYER])]).await;
    let refused = rig.sidecar().app().report().policies[0].refused.clone();
    assert_eq!(refused[0].failure.reason, "VectorNotFound");
}

#[tokio::test(flavor = "multi_thread")]
async fn caps_at_several_layers_hold_at_each() {
    let capped = |own: Option<f64>, further: Option<f64>| {
        let further = further.map(|ceiling| LayerBounds {
            layer: Layer(LAYER + 1),
            floor: None,
            ceiling: Some(ceiling),
        });
        let layers = further.into_iter().collect();
        let capping = Capping { floor: None, ceiling: own, positions: Positions::All, layers };
        policy(Action::Cap(capping), None)
    };
    let answer = async |policy: ResolvedPolicy| {
        text(&with_parts(policy).await.complete(&long()).await).to_owned()
    };
    let plain = answer(capped(Some(1e6), Some(1e6))).await;
    assert_eq!(
        plain,
        text(&Rig::ready(vec![]).await.complete(&long()).await),
        "caps that are never reached change nothing"
    );
    let own = answer(capped(Some(-60.0), None)).await;
    let further = answer(capped(None, Some(-60.0))).await;
    let both = answer(capped(Some(-60.0), Some(-60.0))).await;
    assert!(own != plain && further != plain, "each cap acts");
    assert!(both != own || both != further);
}

/// Mean log-likelihood, under the unsteered model, of what a rig answers.
async fn likelihood(rig: &Rig) -> f64 {
    let answer = rig.complete(&long()).await;
    let active = rig.sidecar().app().active_model().unwrap();
    let model = active.engine.model();
    let request = ScoreRequest {
        prompt: model
            .chat_prompt(long()["messages"].as_array().unwrap(), &ChatOptions::default())
            .unwrap(),
        response: model.tokenizer().encode(text(&answer)),
        ..ScoreRequest::default()
    };
    let count = request.response.len() as f64;
    active.engine.score(request).await.unwrap().log_likelihood() / count
}

#[tokio::test(flavor = "multi_thread")]
async fn steering_that_eats_coherence_is_held_back_and_comes_back() {
    // What answers are worth under the unsteered model, by how far they are steered.
    let mut table = Vec::new();
    for coefficient in [0.0, -1.0, -2.0, -3.0, -4.0, 2.0, 4.0] {
        let policy = steered(coefficient, &[]);
        table.push((coefficient, likelihood(&Rig::ready(vec![policy]).await).await));
    }
    println!("coefficient, nats a token: {table:?}");
    let worst = table.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    assert!(worst.1 < table[0].1 - 0.5, "no coefficient takes coherence away: {table:?}");
    let limited = |back_off| {
        let mut policy = steered(worst.0, &[]);
        let min_log_likelihood = f64::midpoint(worst.1, table[0].1);
        steering(&mut policy).coherence =
            Coherence { min_log_likelihood, max_repetition: 1.0, back_off };
        policy
    };
    let rig = Rig::ready(vec![limited(true)]).await;
    let scale = async || rig.metric("personaguard_steering_scale").await.unwrap();
    let lost = async || {
        rig.metric("personaguard_steered_responses_total{coherence=\"lost\"}").await.unwrap()
    };
    assert_eq!(scale().await, 1.0);
    let first = rig.complete(&long()).await;
    rig.until("the answer was judged", async || lost().await == 1.0).await;
    assert_eq!(scale().await, 0.5);
    assert_eq!(rig.sidecar().app().report().totals.incoherent, 1);
    assert_ne!(text(&rig.complete(&long()).await), text(&first), "the next answer is steered less");
    let judged = async || {
        lost().await
            + rig.metric("personaguard_steered_responses_total{coherence=\"kept\"}").await.unwrap()
    };
    // Until it is coherent, at the latest where nothing is steered; then, after a while of that, it
    // is tried again.
    let mut scales = Vec::new();
    for answers in 2..60 {
        rig.until("the answer was judged", async || judged().await >= f64::from(answers)).await;
        scales.push(scale().await);
        if scales.windows(2).any(|pair| pair[1] > pair[0]) {
            break;
        }
        rig.complete(&long()).await;
    }
    assert!(scales.windows(2).any(|pair| pair[1] > pair[0]), "it comes back: {scales:?}");
    // A policy that only wants to know is told.
    let rig = Rig::ready(vec![limited(false)]).await;
    rig.complete(&long()).await;
    rig.until("counted", async || rig.sidecar().app().report().totals.incoherent == 1).await;
    assert_eq!(rig.metric("personaguard_steering_scale").await, Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn repetition_is_noticed_without_reading_the_answer_again() {
    let mut policy = steered(-1.0, &[]);
    steering(&mut policy).coherence =
        Coherence { min_log_likelihood: -50.0, max_repetition: 0.0, back_off: true };
    let rig = Rig::ready(vec![policy]).await;
    let again = "Repeat after me: no no no no no no no no no no no no no no no no no no no no";
    let body = with(crate::rig::chat(again), json!({ "max_tokens": 120, "temperature": 0 }));
    rig.complete(&body).await;
    let lost = async || {
        rig.metric("personaguard_steered_responses_total{coherence=\"lost\"}").await == Some(1.0)
    };
    rig.until("it was noticed", lost).await;
    rig.complete(&with(body, json!({ "max_tokens": 2 }))).await;
    assert_eq!(
        rig.metric("personaguard_steered_responses_total{coherence=\"unknown\"}").await,
        Some(1.0)
    );
}

/// A conversation whose first turn was steered at its prompt and answer alike: what the next turn,
/// unsteered, reads from the cache is what it would compute.
#[tokio::test(flavor = "multi_thread")]
async fn steered_turns_do_not_contaminate_the_cache_of_later_turns() {
    let conversation = async |rig: &Rig| {
        let mut messages = long()["messages"].as_array().unwrap().clone();
        let mut said = Vec::new();
        for next in ["And his dog?", "Why?"] {
            let body =
                with(long(), json!({ "messages": messages, "temperature": 0, "logprobs": true }));
            let answer = rig.complete(&body).await;
            said.push((text(&answer).to_owned(), answer["choices"][0]["logprobs"].clone()));
            messages.push(json!({ "role": "assistant", "content": text(&answer) }));
            messages.push(json!({ "role": "user", "content": next }));
        }
        (messages, said)
    };
    let mut everywhere = steered(-2.0, &[]);
    steering(&mut everywhere).positions = Positions::All;
    let mut rig = Rig::ready(vec![everywhere.clone()]).await;
    let (messages, _) = conversation(&rig).await;
    // The policy goes, the model and its cache stay.
    rig.folder.config.policies.clear();
    rig.folder.write();
    rig.until("it is gone", async || {
        rig.sidecar().app().active_model().unwrap().plan.policies.is_empty()
    })
    .await;
    let fresh = Rig::ready(vec![]).await;
    let last = with(long(), json!({ "messages": messages, "temperature": 0, "logprobs": true }));
    let (after, alone) = (rig.complete(&last).await, fresh.complete(&last).await);
    assert_eq!(after["choices"], alone["choices"], "to the last bit of every probability");
    // And the other way round: what is steered reads nothing unsteered.
    let steered_rig = Rig::ready(vec![everywhere.clone()]).await;
    rig.folder.config.policies.push(everywhere);
    rig.folder.write();
    rig.until("it is back", async || {
        !rig.sidecar().app().active_model().unwrap().plan.policies.is_empty()
    })
    .await;
    assert_eq!(rig.complete(&last).await["choices"], steered_rig.complete(&last).await["choices"]);
    // A condition that holds for one answer of a conversation and not for the next.
    let mut sometimes = steered(-2.0, &[]);
    let above = between_two_prompts().await;
    steering(&mut sometimes).when =
        Some(SteeringCondition { vector: None, at: ConditionAt::PromptLast, above, until: None });
    let (used, unused) =
        (Rig::ready(vec![sometimes.clone()]).await, Rig::ready(vec![sometimes]).await);
    let (messages, _) = conversation(&used).await;
    let last = with(long(), json!({ "messages": messages, "temperature": 0, "logprobs": true }));
    assert_eq!(used.complete(&last).await["choices"], unused.complete(&last).await["choices"]);
}

/// A bound between the `prompt_last` of a question and that of another.
async fn between_two_prompts() -> f64 {
    let rig = Rig::ready(vec![policy(Action::Audit, None)]).await;
    let last = async |question: &str| {
        let body = with(
            scored(long()),
            json!({ "messages": [{ "role": "user", "content": question }], "max_tokens": 1 }),
        );
        rig.complete(&body).await["personaguard"]["scores"][0]["prompt_last"].as_f64().unwrap()
    };
    f64::midpoint(last("How should I treat my neighbour?").await, last("And his dog?").await)
}
