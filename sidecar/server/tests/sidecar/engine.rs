//! Placement Engine: in front of vLLM with the plugin, which measures what it writes.

use crate::front::{EVIL, Front, GOOD, PATIENCE, block, closed, question};
use crate::rig::{HIDDEN, LAYER, TRACES, cap, policy, redact, steer, steering, text, with};
use crate::vllm::{End, Script, message};
use personaguard_ops::scrape::Format;
use personaguard_server::runtime::ModelState;
use personaguard_terms::{Action, Coefficient, Layer, Mode, Score};
use personaguard_wire::ResolvedPolicy;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn the_engines_own_scores_decide() {
    let front = Front::ready(vec![block()]).await;
    front.vllm.play(Script::of(&GOOD));
    let (said, all) = front.stream(json!({})).await;
    assert_eq!(said, Script::of(&GOOD).text(12));
    assert!(all.ends_with("data: [DONE]\n\n") && !all.contains("usage"), "{all}");
    let whole = front.rig.complete(&question()).await;
    assert_eq!(text(&whole), Script::of(&GOOD).text(12));
    assert_eq!(whole["usage"]["completion_tokens"], 13);
    assert!(front.vllm.take_aborted().is_empty());
    front.until_metric("personaguard_responses_total{outcome=\"stop\"}", 2.0).await;
    let scores = front.rig.sidecar().app().report().traits.remove(0);
    assert!(scores.scored == 2 && scores.mean.abs() < 1e-6, "{scores:?}");
    front.vllm.play(Script::of(&EVIL));
    let whole = front.rig.complete(&question()).await;
    assert_eq!(
        (text(&whole), &whole["choices"][0]["finish_reason"]),
        ("", &json!("content_filter"))
    );
    front.vllm.play(Script { pace: Some(Duration::from_millis(30)), ..Script::of(&EVIL) });
    let before = front.vllm.written();
    let (said, all) = front.stream(json!({})).await;
    assert_eq!(said, Script::of(&EVIL).text(6), "tokens before the breach may leave");
    assert!(all.contains("content_filter"), "{all}");
    front.rig.until("it is told to end", async || !front.vllm.take_aborted().is_empty()).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(front.vllm.written() - before < 12, "no tokens are paid for after a breach");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_weights_are_loaded_and_none_are_needed() {
    let front = Front::ready(vec![block()]).await;
    assert!(!front.rig.folder.path().join("nowhere.gguf").exists());
    assert!(front.rig.sidecar().app().active_model().is_none(), "our own engine runs nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_serves_once_the_plugin_has_its_vectors() {
    let front = Front::alone(vec![block()], PATIENCE).await;
    let state = || front.rig.sidecar().app().snapshot().model.clone();
    let reason = || match state() {
        ModelState::Failed(failure) => failure.reason,
        other => format!("{other:?}"),
    };
    front.rig.until("it is told", async || reason() == "EngineNotConnected").await;
    let refused = front.rig.post(&question()).await;
    assert_eq!(refused.status(), 503);
    assert!(refused.text().await.unwrap().contains("EngineNotConnected"));
    let failure = front.rig.sidecar().app().report().model.failure.unwrap();
    assert_eq!(failure.reason, "EngineNotConnected");
    front.vllm.refuse(Some("layer 3 is not tapped"));
    front.vllm.connect(HIDDEN).await;
    front.rig.until("it is refused", async || reason() == "EngineRefuses").await;
    let failure = front.rig.sidecar().app().report().model.failure.unwrap();
    assert!(failure.message.contains("layer 3 is not tapped"), "{}", failure.message);
    // A new start of the engine, with other settings.
    front.vllm.refuse(None);
    front.connect().await;
    let acknowledged = front.rig.sidecar().app().report().policies;
    assert_eq!(acknowledged.len(), 1);
    assert_eq!(front.vllm.sets().last().unwrap().1, [LAYER]);
    front.vllm.disconnect();
    front.rig.until("it is gone", async || reason() == "EngineNotConnected").await;
    assert!(front.rig.sidecar().app().report().policies.is_empty(), "nothing is enforced now");
    front.connect().await;
    front.vllm.play(Script::of(&GOOD));
    assert_eq!(text(&front.rig.complete(&question()).await), Script::of(&GOOD).text(12));
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_7_an_engine_with_other_weights_or_none_that_are_known_is_refused() {
    let front = Front::alone(vec![closed(block())], PATIENCE).await;
    let failure = || front.rig.sidecar().app().report().model.failure;
    for (told, says) in [
        (json!("0".repeat(64)), "has loaded weights with the digest 0000"),
        (Value::Null, "cannot tell which weights"),
    ] {
        front.vllm.connect_as(&with(front.vllm.hello(HIDDEN), json!({ "sha256": told }))).await;
        let is_said = |failure: personaguard_wire::Failure| {
            failure.reason == "DigestMismatch" && failure.message.contains(says)
        };
        front.rig.until(says, async || failure().is_some_and(is_said)).await;
        assert_eq!(front.rig.post(&question()).await.status(), 503);
        assert!(front.vllm.sets().is_empty(), "no vector is sent to other weights");
    }
    front.connect().await;
    front.vllm.play(Script::of(&GOOD));
    assert_eq!(front.rig.post(&question()).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_names_request_and_response_as_the_engine_does() {
    let front = Front::ready(vec![block()]).await;
    front.vllm.play(Script::of(&GOOD));
    front.rig.complete(&question()).await;
    let id = front.take_plans()[0].0["id"].as_str().unwrap().to_owned();
    // The spans that have it: others' may come before and after.
    let traced = || String::from_utf8_lossy(&TRACES.lock().unwrap()).into_owned();
    front.rig.until("it is traced", async || traced().contains(&id)).await;
    let traces = traced();
    let before = traces.split(&id).next().unwrap_or_default().chars().rev().take(100);
    let after = traces.split(&id).nth(1).unwrap_or_default().chars().take(200);
    let span = before.collect::<Vec<_>>().into_iter().rev().chain(after).collect::<String>();
    assert!(span.contains("personaguard.engine.request.id"), "{span}");
    assert!(span.contains("personaguard.engine.response.id"), "{span}");
    assert!(span.contains("chatcmpl-1"), "{span}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_say_which_plugin_is_there() {
    let front = Front::alone(vec![block()], PATIENCE).await;
    let name = "personaguard_engine_connected";
    let series = |runner: &str, dtype: &str| {
        format!(
            "{name}{{plugin=\"0.1.0\",vllm=\"0.32.0\",runner=\"{runner}\",dtype=\"{dtype}\",\
             quantization=\"\"}}"
        )
    };
    let all = || front.rig.sidecar().app().encode_metrics();
    assert!(!all().contains(&format!("{name}{{")), "none before one has come");
    front.connect().await;
    front.until_metric(&series("V1", "float32"), 1.0).await;
    front.vllm.disconnect();
    front.rig.until("it is gone", async || all().contains("quantization=\"\"} 0\n")).await;
    let other = json!({ "runner": "V2", "dtype": "bfloat16" });
    front.vllm.connect_as(&with(front.vllm.hello(HIDDEN), other)).await;
    front.until_metric(&series("V2", "bfloat16"), 1.0).await;
    let lines = all().lines().filter(|line| line.starts_with(&format!("{name}{{"))).count();
    assert_eq!(lines, 1, "the former one is no more");
    let samples = personaguard_strict_scrape::parse(&Format::OpenMetrics.write(&all())).unwrap();
    assert!(samples.iter().any(|sample| sample.name == name));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_width_or_layer_that_the_engine_lacks_is_a_vector_refused() {
    let front = Front::alone(vec![block()], PATIENCE).await;
    front.vllm.connect(HIDDEN + 1).await;
    front.until_serving().await;
    let app = front.rig.sidecar().app();
    let refused = &app.report().policies[0].refused;
    assert_eq!(refused[0].vector, "evil");
    assert_eq!(front.rig.post(&question()).await.status(), 503, "it fails closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_vectors_are_in_force_once_they_are_acknowledged() {
    let mut front = Front::ready(vec![block()]).await;
    let first = front.vllm.sets();
    front.rig.folder.config.policies[0].traits[0].max = Some(2.0);
    front.rig.folder.config.policies[0].generation = 4;
    front.rig.folder.write();
    let generation = || front.rig.sidecar().app().report().policies.first().map(|it| it.generation);
    front.rig.until("another threshold", async || generation() == Some(4)).await;
    assert_eq!(front.vllm.sets(), first, "the vectors are the same");
    front.rig.folder.config.vectors.get_mut("evil").unwrap().layer = Layer(2);
    front.rig.folder.config.policies[0].generation = 5;
    front.rig.folder.write();
    let generation = || front.rig.sidecar().app().report().policies.first().map(|it| it.generation);
    front.rig.until("another layer", async || generation() == Some(5)).await;
    let sets = front.vllm.sets();
    assert_eq!((sets.len(), &sets[1].1), (2, &vec![2]));
    assert_ne!(sets[0].0, sets[1].0);
    front.vllm.play(Script::of(&GOOD));
    assert_eq!(text(&front.rig.complete(&question()).await), Script::of(&GOOD).text(12));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_is_told_what_the_policy_changes() {
    let changes = async |policies: Vec<ResolvedPolicy>, fields: Value| {
        let front = Front::ready(policies).await;
        front.vllm.play(Script::of(&GOOD));
        for salt in [Value::Null, json!("mine"), json!("mine"), json!("other")] {
            let body = with(with(question(), json!({ "cache_salt": salt })), fields.clone());
            assert_eq!(front.post("/v1/chat/completions", &body).await.0, 200);
        }
        let plans = front.take_plans();
        let salts: Vec<_> = plans.iter().map(|(_, body)| body["cache_salt"].clone()).collect();
        let ids: BTreeSet<_> = plans.iter().map(|(plan, _)| plan["id"].to_string()).collect();
        assert_eq!(ids.len(), 4, "each request has an id of its own");
        assert_eq!(plans[0].0["set"], front.vllm.sets()[0].0.to_string());
        (plans[0].0["changes"].clone(), salts)
    };
    let of = |action: Action| policy(action, None);
    let (none, salts) = changes(vec![block()], json!({})).await;
    assert_eq!((none, &salts[1], &salts[3]), (json!([]), &json!("mine"), &json!("other")));
    assert_eq!(salts[0], Value::Null);
    let (steered, salts) = changes(vec![of(steer())], json!({})).await;
    assert_eq!(steered, json!([{ "slot": 0, "add": -2.0, "positions": "response" }]));
    let distinct: BTreeSet<_> = salts.iter().map(Value::to_string).collect();
    assert_eq!((distinct.len(), &salts[1]), (3, &salts[2]), "by the client's own salt too");
    assert!(!salts.contains(&json!("mine")), "nobody shares what was steered");
    let (capped, other_salts) = changes(vec![of(cap())], json!({})).await;
    let response = json!([{ "slot": 0, "low": null, "high": 0.0, "positions": "response" }]);
    assert_eq!(capped, response);
    assert_ne!(salts[1], other_salts[1]);
    let mut conditional = of(steer());
    steering(&mut conditional).when = Some(
        serde_json::from_value(json!({ "vector": "evil", "at": "Token", "above": 3.0 })).unwrap(),
    );
    let (conditional, _) = changes(vec![conditional], json!({})).await;
    let when = json!({ "slot": 0, "at": "token", "above": 3.0 });
    assert_eq!(
        conditional,
        json!([{ "slot": 0, "add": -2.0, "positions": "response", "when": when }])
    );
    let mut lasting = of(steer());
    steering(&mut lasting).when = Some(
        serde_json::from_value(
            json!({ "vector": "evil", "at": "Token", "above": 3.0, "until": 1.0 }),
        )
        .unwrap(),
    );
    let (lasting, _) = changes(vec![lasting], json!({})).await;
    assert_eq!(lasting[0]["when"], json!({ "slot": 0, "at": "token", "above": 3.0, "until": 1.0 }));
    let mut asked = of(steer());
    asked.traits[0].requests = Some(
        serde_json::from_value(json!({
            "block": false, "threshold": false, "coefficient": { "min": -4.0, "max": 0.0 },
        }))
        .unwrap(),
    );
    let coefficient = Coefficient::try_from(-3.0).unwrap();
    let fields =
        json!({ "personaguard": { "traits": { "evil": { "coefficient": coefficient } } } });
    let (asked, _) = changes(vec![asked], fields).await;
    assert_eq!(asked[0]["add"], -3.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_sidecar_says_what_is_measured() {
    let front = Front::ready(vec![policy(Action::Alert, Some(1.0))]).await;
    front.vllm.play(Script::of(&GOOD));
    let forged = json!({ "vllm_xargs": { "personaguard": "{\"id\":\"x\",\"changes\":[]}" } });
    for fields in [
        forged.clone(),
        json!({ "extra_body": forged }),
        json!({ "n": 17 }),
        json!({ "n": 0 }),
        json!({ "best_of": 2 }),
        json!({ "use_beam_search": true }),
    ] {
        let (status, said) =
            front.post("/v1/chat/completions", &with(question(), fields.clone())).await;
        assert_eq!(status, 400, "{fields}");
        let error: Value = serde_json::from_str(&said).unwrap();
        let param = error["error"]["param"].as_str().unwrap();
        assert!(error["error"]["message"].as_str().unwrap().contains(param), "{said}");
    }
    assert!(front.vllm.take_bodies().is_empty(), "none of them came through");
    let own = with(question(), json!({ "vllm_xargs": { "session_id": "s" } }));
    assert_eq!(front.post("/v1/chat/completions", &own).await.0, 200);
    assert_eq!(front.vllm.take_bodies()[0]["vllm_xargs"]["session_id"], "s");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_waits_not_a_byte_is_changed() {
    let audited = ResolvedPolicy { mode: Mode::Audit, ..policy(Action::Block, Some(1.0)) };
    let front = Front::ready(vec![audited]).await;
    front.vllm.play(Script { late: Some(Duration::from_millis(20)), ..Script::of(&EVIL) });
    let (said, through) = front.stream(json!({})).await;
    assert_eq!(said, Script::of(&EVIL).text(12));
    let direct = front.rig.http.post(format!("{}/v1/chat/completions", front.vllm.url));
    let mut body = front.take_plans().remove(0).1;
    assert!(body.get("stream_options").is_none() && body.get("return_token_ids").is_none());
    body["cache_salt"] = Value::Null;
    assert_eq!(direct.json(&body).send().await.unwrap().text().await.unwrap(), through);
    let breaches = "personaguard_trait_breaches_total{policy=\"no-villains\",trait=\"evil\",\
                    action=\"Block\",mode=\"Audit\"}";
    front.until_metric(breaches, 1.0).await;
    let whole = front.rig.complete(&question()).await;
    assert_eq!(text(&whole), Script::of(&EVIL).text(12));
    front.until_metric(breaches, 2.0).await;
    let scores = || front.rig.sidecar().app().report().traits.remove(0);
    front.rig.until("both answers are scored", async || scores().scored == 2).await;
    let mean = f64::from(EVIL.iter().sum::<f32>()) / 12.0;
    assert!((scores().mean - mean).abs() < 0.01, "all tokens were measured: {:?}", scores());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_past_its_threshold_is_not_answered() {
    let mut gate = block();
    gate.traits[0].score = Score::PromptLast;
    let front = Front::ready(vec![gate]).await;
    front.vllm.play(Script { prompt_score: 3.0, ..Script::of(&GOOD) });
    let (said, all) = front.stream(json!({})).await;
    assert_eq!(said, "");
    assert!(all.contains("content_filter"), "{all}");
    front.vllm.play(Script { prompt_score: 0.5, ..Script::of(&GOOD) });
    assert_eq!(front.stream(json!({})).await.0, Script::of(&GOOD).text(12));
}

#[tokio::test(flavor = "multi_thread")]
async fn sentences_before_the_breaching_one_stay() {
    let front = Front::ready(vec![closed(policy(redact(), Some(1.0)))]).await;
    let mut script = Script::of(&EVIL);
    script.tokens[3].0 = "end. ".to_owned();
    front.vllm.play(script);
    let (said, _) = front.stream(json!({})).await;
    assert_eq!(said, "w0 w1 w2 end. [removed]");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_client_asks_of_counts_it_gets() {
    let front = Front::ready(vec![block()]).await;
    front.vllm.play(Script::of(&GOOD));
    let usage = async |options: Value| {
        let (_, all) = front.stream(json!({ "stream_options": options })).await;
        all.matches("\"usage\"").count()
    };
    assert_eq!(usage(Value::Null).await, 0);
    assert_eq!(usage(json!({ "include_usage": true })).await, 1);
    let each = json!({ "include_usage": true, "continuous_usage_stats": true });
    assert!(usage(each).await > 12);
    let (_, all) = front.stream(json!({})).await;
    assert!(!all.contains("token_ids") && !all.contains("\"delta\":{}"), "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn apis_without_counts_wait_for_the_end() {
    let front = Front::ready(vec![block()]).await;
    let messages = json!({
        "model": "m", "max_tokens": 64, "messages": [{ "role": "user", "content": "Hi" }],
    });
    let responses = json!({ "model": "m", "input": "Hi" });
    for (path, body, stream) in [
        ("/v1/messages", &messages, false),
        ("/v1/messages", &messages, true),
        ("/v1/responses", &responses, false),
    ] {
        let body = with(body.clone(), json!({ "stream": stream }));
        front.vllm.play(Script::of(&GOOD));
        let (status, said) = front.post(path, &body).await;
        assert!(status == 200 && said.contains("w11 "), "{path}: {said}");
        front.vllm.play(Script::of(&EVIL));
        let (status, said) = front.post(path, &body).await;
        assert!(status == 200 && !said.contains("w0"), "{path}: {said}");
        // No tokens to read on from.
        front.vllm.play(Script { end: End::Length, ..Script::of(&GOOD) });
        let (_, said) = front.post(path, &body).await;
        assert!(said.contains("guard_") && !said.contains("w0"), "{path}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_pass_it_by_are_counted() {
    let front = Front::ready(vec![block()]).await;
    let counts = |foreign: u64| {
        let counts = json!({ "foreign": foreign, "dropped": 1, "steps": 9 });
        front.vllm.say(message(4, counts.to_string().as_bytes()));
    };
    counts(2);
    front.until_metric("personaguard_engine_foreign_requests_total", 2.0).await;
    counts(3);
    front.until_metric("personaguard_engine_foreign_requests_total", 3.0).await;
    assert!((front.metric("personaguard_engine_dropped_messages_total") - 1.0).abs() < 0.01);
    assert_eq!(front.rig.sidecar().app().report().connections.past_sidecar, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vector_made_otherwise_than_is_served_is_reported_as_stale_and_enforced() {
    let front = Front::ready(vec![block()]).await;
    let series = "personaguard_calibration_stale{policy=\"no-villains\",vector=\"evil\"}";
    let stale = || {
        let mut policies = front.rig.sidecar().app().report().policies.into_iter();
        policies.next().map(|policy| policy.stale).unwrap_or_default()
    };
    assert!(stale().is_empty());
    assert!(!front.rig.sidecar().app().encode_metrics().contains(series));
    front.vllm.disconnect();
    // The digest is of the files, which are the same.
    let otherwise = json!({ "quantization": "fp8" });
    front.vllm.connect_as(&with(front.vllm.hello(HIDDEN), otherwise)).await;
    front.rig.until("it is stale", async || !stale().is_empty()).await;
    let told = stale();
    front.until_metric(series, 1.0).await;
    assert_eq!(told[0].vector, "evil");
    assert_eq!(told[0].difference, "made with quantization none; served with quantization fp8");
    front.vllm.play(Script::of(&EVIL));
    let (_, all) = front.stream(json!({})).await;
    assert!(all.contains("content_filter"), "{all}");
    front.vllm.disconnect();
    front.connect().await;
    front.rig.until("it is as before", async || stale().is_empty()).await;
    assert!(!front.rig.sidecar().app().encode_metrics().contains(series));
}
