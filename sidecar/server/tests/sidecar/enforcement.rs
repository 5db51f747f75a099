//! What reaches the client under each action.

use crate::rig::{
    Rig, cap, chat, finish_reason, policy, redact, regenerate, steer, streamed, text, with,
};
use personaguard_terms::{Action, ActionKind, Mode, Score};
use personaguard_wire::ResolvedPolicy;
use serde_json::{Value, json};

pub(crate) const QUESTION: &str = "How should I treat my neighbour?";

pub(crate) fn long() -> Value {
    with(chat(QUESTION), json!({ "max_tokens": 40, "logprobs": true }))
}

pub(crate) fn scored(body: Value) -> Value {
    with(body, json!({ "personaguard": { "scores": true, "tokens": true } }))
}

/// Tokens of a completion, as text.
pub(crate) fn tokens(completion: &Value) -> Vec<String> {
    let content = completion["choices"][0]["logprobs"]["content"].as_array().unwrap();
    content.iter().map(|token| token["token"].as_str().unwrap().to_owned()).collect()
}

pub(crate) fn stream_tokens(chunks: &[Value]) -> Vec<String> {
    let content = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["logprobs"]["content"].as_array())
        .flatten();
    content.map(|token| token["token"].as_str().unwrap().to_owned()).collect()
}

/// Running means of the projections over an answer.
fn running_means(completion: &Value) -> Vec<f64> {
    let tokens = completion["personaguard"]["tokens"]["evil"].as_array().unwrap();
    let mut sum = 0.0;
    let add = |(index, token): (usize, &Value)| {
        sum += token.as_f64().unwrap();
        sum / (index + 1) as f64
    };
    tokens.iter().enumerate().map(add).collect()
}

/// An unguarded answer, a policy that lets its first tokens pass and stops it later, and how many
/// tokens may leave.
pub(crate) async fn breaching_midway() -> (Value, ResolvedPolicy, usize) {
    let rig = Rig::ready(vec![policy(Action::Audit, None)]).await;
    let plain = rig.complete(&scored(long())).await;
    let means = running_means(&plain);
    // The decision begins late enough that the mean still rises somewhere after it.
    for min_tokens in 1..means.len() - 1 {
        let before = means[min_tokens - 1];
        let Some(at) = (min_tokens..means.len()).find(|at| means[*at] > before) else { continue };
        let mut policy = policy(
            Action::Block,
            Some(f64::midpoint(
                means[min_tokens - 1..at].iter().copied().fold(f64::MIN, f64::max),
                means[at],
            )),
        );
        policy.evidence.min_tokens = u32::try_from(min_tokens).unwrap();
        return (plain, policy, at);
    }
    panic!("the mean only falls: {means:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_1_no_token_past_an_enforced_threshold_leaves_whole_or_streamed() {
    let (plain, policy, allowed) = breaching_midway().await;
    let rig = Rig::ready(vec![policy]).await;
    let expected = &tokens(&plain)[..allowed];

    let whole = rig.complete(&scored(long())).await;
    assert_eq!(tokens(&whole), expected);
    assert_eq!(whole["choices"][0]["finish_reason"], "content_filter");
    assert!(text(&plain).starts_with(text(&whole)) && text(&whole).len() < text(&plain).len());
    assert_eq!(whole["personaguard"]["scores"][0]["breached"], true);

    let (chunks, done) = rig.stream(&long()).await;
    assert!(done);
    assert_eq!(stream_tokens(&chunks), expected);
    assert_eq!(streamed(&chunks), text(&whole));
    assert_eq!(finish_reason(&chunks), "content_filter");

    let series = "personaguard_trait_breaches_total{policy=\"no-villains\",trait=\"evil\",\
                  action=\"Block\",mode=\"Enforce\"}";
    assert_eq!(rig.metric(series).await, Some(2.0));
    assert_eq!(
        rig.metric("personaguard_responses_total{outcome=\"content_filter\"}").await,
        Some(2.0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn block_holds_back_a_short_answer_until_its_end() {
    let rig = Rig::ready(vec![policy(Action::Audit, None)]).await;
    let short = with(long(), json!({ "max_tokens": 3 }));
    let score =
        rig.complete(&scored(short.clone())).await["personaguard"]["scores"][0]["response_avg"]
            .as_f64()
            .unwrap();
    for (max, leaves) in [(score - 0.5, false), (score + 0.5, true)] {
        let mut policy = policy(Action::Block, Some(max));
        policy.evidence.min_tokens = 200;
        let rig = Rig::ready(vec![policy]).await;
        let (chunks, _) = rig.stream(&short).await;
        assert_eq!(streamed(&chunks).is_empty(), !leaves);
        assert_eq!(finish_reason(&chunks), if leaves { "length" } else { "content_filter" });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_prompt_gate_blocks_before_the_first_token() {
    let mut gate = policy(Action::Block, Some(-1e6));
    gate.traits[0].score = Score::PromptLast;
    let rig = Rig::ready(vec![gate]).await;
    let whole = rig.complete(&long()).await;
    assert_eq!(
        (text(&whole), &whole["choices"][0]["finish_reason"]),
        ("", &json!("content_filter"))
    );
    assert_eq!(whole["usage"]["completion_tokens"], 0);
    let (chunks, _) = rig.stream(&long()).await;
    assert_eq!((streamed(&chunks).as_str(), finish_reason(&chunks)), ("", "content_filter"));
}

/// Bodies without what is random in every response.
pub(crate) fn masked(text: &str) -> String {
    let mut masked = String::new();
    for part in text.split_inclusive(',') {
        if !part.contains("\"id\":") && !part.starts_with("\"created\":") {
            masked.push_str(part);
        }
    }
    masked
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_2_audit_changes_no_byte_of_a_response() {
    // Every action, past its threshold from the first token on, in mode Audit; and one that cannot
    // be scored.
    let actions = [Action::Block, steer(), Action::Alert, cap(), redact(), regenerate()];
    let mut policies: Vec<_> = actions.map(|action| policy(action, Some(-1e6))).into();
    for (index, policy) in policies.iter_mut().enumerate() {
        policy.mode = Mode::Audit;
        policy.name = format!("audit-{index}");
        policy.failure_policy = personaguard_terms::FailurePolicy::Closed;
    }
    policies[2].traits[0].vector = "missing".to_owned();
    let (unguarded, audited) = (Rig::ready(vec![]).await, Rig::ready(policies).await);
    for stream in [false, true] {
        for question in [QUESTION, "Sing a song with ümläuts and 日本語.", "Hi"] {
            let body = with(chat(question), json!({ "stream": stream, "stop": ["zebra"] }));
            let body = if stream {
                with(body, json!({ "stream_options": { "include_usage": true } }))
            } else {
                body
            };
            let bytes = async |rig: &Rig| rig.post(&body).await.text().await.unwrap();
            assert_eq!(
                masked(&bytes(&audited).await),
                masked(&bytes(&unguarded).await),
                "{question}"
            );
        }
    }
    // It did see the breaches.
    assert_eq!(audited.metric(&breaches("audit-0", ActionKind::Block)).await, Some(6.0));
}

/// The series of a policy in mode `Audit`.
fn breaches(policy: &str, action: ActionKind) -> String {
    format!(
        "personaguard_trait_breaches_total{{policy=\"{policy}\",trait=\"evil\",\
         action=\"{action:?}\",mode=\"Audit\"}}"
    )
}

/// What was reported once was `Audit`, whatever the policy says.
#[tokio::test(flavor = "multi_thread")]
async fn number_10_mode_audit_reports_the_action_of_the_policy_and_that_it_was_not_taken() {
    for action in [Action::Audit, Action::Alert, steer(), redact(), Action::Block] {
        let dir = tempfile::TempDir::new().unwrap();
        let mut policy = policy(action.clone(), Some(-1e6));
        let action = action.kind();
        (policy.mode, policy.name) = (Mode::Audit, "p".to_owned());
        let folder = crate::rig::Folder::new(vec![policy]).await;
        let mut rig = Rig::start(folder, crate::audit::logging_variant(&dir, None)).await;
        rig.until_ready().await;
        let answer = rig.complete(&scored(long())).await;
        assert_ne!(answer["choices"][0]["finish_reason"], json!("content_filter"));
        let report = rig.sidecar().app().report().traits[0].clone();
        assert_eq!((report.action, report.mode, report.breaches), (action, Mode::Audit, 1));
        let told = &answer["personaguard"];
        assert_eq!(told["scores"][0]["action"], json!(action));
        assert_eq!(told["policies"][0]["mode"], json!("Audit"));
        assert_eq!(rig.metric(&breaches("p", action)).await, Some(1.0), "{action:?}");
        rig.sidecar.take().unwrap().stop().await;
        let entry = &crate::audit::entries(&crate::audit::files(&dir).0, "response")[0];
        assert_eq!(entry["rules"][0]["action"], json!(action));
        assert_eq!(entry["policies"][0]["mode"], json!("Audit"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guarded_answers_within_their_thresholds_are_the_unguarded_ones() {
    let unguarded = Rig::ready(vec![]).await;
    let guarded = Rig::ready(vec![policy(Action::Block, Some(1e6))]).await;
    let body = with(chat(QUESTION), json!({ "stream": true }));
    let bytes = async |rig: &Rig| rig.post(&body).await.text().await.unwrap();
    assert_eq!(masked(&bytes(&guarded).await), masked(&bytes(&unguarded).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn steering_away_from_a_trait_lowers_its_score() {
    let scores = async |action| {
        let rig = Rig::ready(vec![policy(action, None)]).await;
        let mut sum = 0.0;
        for question in
            [QUESTION, "What do you think of people?", "My team lost. What do I tell them?"]
        {
            let body = with(
                chat(question),
                json!({ "temperature": 0, "max_tokens": 32, "personaguard": { "scores": true } }),
            );
            sum += rig.complete(&body).await["personaguard"]["scores"][0]["response_avg"]
                .as_f64()
                .unwrap();
        }
        sum
    };
    let (plain, steered) = (scores(Action::Audit).await, scores(steer()).await);
    assert!(steered < plain, "steered {steered}, plain {plain}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_policies_the_most_intrusive_action_wins() {
    let mut alert = policy(Action::Alert, Some(-1e6));
    alert.name = "alert".to_owned();
    let block = policy(Action::Block, Some(-1e6));
    let rig = Rig::ready(vec![alert, block]).await;
    let whole = rig.complete(&scored(long())).await;
    assert_eq!(
        (text(&whole), &whole["choices"][0]["finish_reason"]),
        ("", &json!("content_filter"))
    );
    let scores = whole["personaguard"]["scores"].as_array().unwrap();
    assert!(scores.len() == 2 && scores.iter().all(|score| score["breached"] == true));
}
