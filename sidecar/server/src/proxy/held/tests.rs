//! Random answers, in random pieces, with random scores and faults: what reaches the client.

use super::*;
use crate::http::BodyBudget;
use crate::proxy::answer::Naming;
use crate::proxy::path::Api;
use crate::proxy::transcript::Due;
use crate::runtime::AppState;
use personaguard_guard::{Decision, ModelFacts, Plan, Sentences, Vectors};
use personaguard_model::Score;
use personaguard_wire::GuardConfig;
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

const MAX: f64 = 1.0;

pub(in crate::proxy) fn plan(action: &str, failure_policy: &str, min_tokens: usize) -> Arc<Plan> {
    plan_with(action, failure_policy, min_tokens, "Refuse")
}

pub(in crate::proxy) fn plan_with(
    action: &str,
    failure_policy: &str,
    min_tokens: usize,
    unscorable: &str,
) -> Arc<Plan> {
    plan_of("ResponseAvg", action, failure_policy, min_tokens, unscorable)
}

/// A plan that blocks by this score.
pub(super) fn plan_by(score: &str, min_tokens: usize) -> Arc<Plan> {
    plan_of(score, "Block", "Open", min_tokens, "Refuse")
}

fn plan_of(
    score: &str,
    action: &str,
    failure_policy: &str,
    min_tokens: usize,
    unscorable: &str,
) -> Arc<Plan> {
    let digest = "ab".repeat(32);
    let action = if action == "Redact" { "{Redact: {text: '[removed]'}}" } else { action };
    let config = format!(
        "apiVersion: personaguard.dev/v1alpha1
kind: GuardConfig
model: {{name: m, file: m.gguf, sha256: {digest}, contextLength: 64, maxConcurrent: 1}}
vectors: {{evil: {{trait: evil, layer: 1, modelDigest: {digest}, sha256: {digest}}}}}
policies:
- name: p
  generation: 1
  mode: Enforce
  selector: {{}}
  failurePolicy: {failure_policy}
  unscorableRequests: {unscorable}
  evidence: {{minTokens: {min_tokens}}}
  traits: [{{vector: evil, score: {score}, max: {MAX}, action: {action}}}]
"
    );
    let config = GuardConfig::from_yaml(config.as_bytes()).unwrap();
    let vectors: Vectors = [("evil".to_owned(), Ok(Arc::from([1.0_f32].as_slice())))].into();
    let facts = ModelFacts { digest: digest.parse().unwrap(), layers: 1, hidden: 1 };
    Arc::new(Plan::new(&config, &vectors, &facts))
}

pub(in crate::proxy) fn ending(api: Api) -> Ending {
    Ending::new(Naming::new(api, "m-1".to_owned()))
}

#[derive(Clone, Debug)]
struct Case {
    /// For each choice, characters (each a token) and their projections.
    choices: Vec<Vec<(char, f32)>>,
    /// Which choice says how many characters next.
    turns: Vec<(usize, usize)>,
    /// Sizes of the pieces in which bytes arrive.
    pieces: Vec<usize>,
    /// Whether scoring runs after a piece.
    steps: Vec<bool>,
    min_tokens: usize,
    closed: bool,
    /// The pass that fails.
    fault: Option<usize>,
    crlf: bool,
}

fn case() -> impl Strategy<Value = Case> {
    let character = prop::sample::select("ab . cé字\u{1f600}\n\"\\".chars().collect::<Vec<_>>());
    let choice = prop::collection::vec((character, -1.0..4.0_f32), 0..160);
    (
        prop::collection::vec(choice, 1..4),
        prop::collection::vec((0..3_usize, 1..20_usize), 0..60),
        prop::collection::vec(1..200_usize, 1..20),
        prop::collection::vec(any::<bool>(), 1..20),
        1..20_usize,
        any::<bool>(),
        prop::option::of(0..6_usize),
        any::<bool>(),
    )
        .prop_map(|(choices, turns, pieces, steps, min_tokens, closed, fault, crlf)| Case {
            choices,
            turns,
            pieces,
            steps,
            min_tokens,
            closed,
            fault,
            crlf,
        })
}

impl Case {
    /// The stream as the upstream server writes it, with comments and event names between.
    fn stream(&self) -> Vec<u8> {
        let end = if self.crlf { "\r\n\r\n" } else { "\n\n" };
        let said = String::from_utf8(self.passed()).unwrap();
        let said = said.replace("data: ", "event: odd\ndata: ").replace("\n\n", end);
        format!(": ping{end}{said}: pong{end}").into_bytes()
    }

    /// The same as it leaves where all of it may.
    fn passed(&self) -> Vec<u8> {
        let end = "\n\n";
        let chunk = |index: usize, text: &str, finish: Value| {
            json!({
                "id": "x-1",
                "choices": [
                    { "index": index, "delta": { "content": text }, "finish_reason": finish }
                ]
            })
        };
        let mut out = String::new();
        let mut said = vec![0; self.choices.len()];
        let rest = (0..self.choices.len()).map(|index| (index, usize::MAX));
        for (index, count) in
            self.turns.iter().copied().map(|(i, n)| (i % self.choices.len(), n)).chain(rest)
        {
            let text: String =
                self.choices[index].iter().skip(said[index]).take(count).map(|(c, _)| c).collect();
            said[index] += text.chars().count();
            out += &format!("data: {}{end}", chunk(index, &text, Value::Null));
        }
        for index in 0..self.choices.len() {
            out += &format!("data: {}{end}", chunk(index, "", json!("stop")));
        }
        out += &format!("data: [DONE]{end}");
        out.into_bytes()
    }

    /// Characters of a choice that may leave, and whether all of them may.
    fn allowed(&self, index: usize) -> (usize, bool) {
        let (mut sum, tokens) = (0.0, &self.choices[index]);
        for (at, (_, projection)) in tokens.iter().enumerate() {
            sum += f64::from(*projection);
            let last = at + 1 == tokens.len();
            if (at + 1 >= self.min_tokens || last) && sum / (at + 1) as f64 > MAX {
                return (if at < self.min_tokens { 0 } else { at }, false);
            }
        }
        (tokens.len(), true)
    }

    /// Bytes that the client gets.
    fn run(&self, plan: &Arc<Plan>) -> Vec<u8> {
        let decision = Decision::new(Arc::clone(plan));
        let transcript =
            Transcript::new(Arc::new(AppState::default()), decision, tracing::Span::none());
        let mut held = HeldStream::new(transcript, ending(Api::Chat), self.choices.len());
        let mut out = Vec::new();
        let mut passes = 0;
        let stream = self.stream();
        let mut rest = stream.as_slice();
        let mut turn = 0;
        while !rest.is_empty() {
            let (piece, next) =
                rest.split_at(self.pieces[turn % self.pieces.len()].min(rest.len()));
            held.push(piece);
            rest = next;
            if self.steps[turn % self.steps.len()] {
                while self.step(&mut held, &mut passes, turn % 3 == 0) {
                    out.extend(held.release().unwrap_or_default());
                }
            }
            out.extend(held.release().unwrap_or_default());
            turn += 1;
        }
        held.end();
        while self.step(&mut held, &mut passes, true) {}
        out.extend(held.release().unwrap_or_default());
        assert!(held.is_done(), "something was held for good");
        out
    }

    fn step(&self, held: &mut HeldStream, passes: &mut usize, force: bool) -> bool {
        let due = held.transcript.due(force);
        due.iter().for_each(|due| self.pass(held, *due, passes));
        !due.is_empty()
    }

    fn pass(&self, held: &mut HeldStream, due: Due, passes: &mut usize) {
        *passes += 1;
        if self.fault.is_some_and(|fault| fault + 1 == *passes) {
            return held.transcript.fail_choice(due.choice, UnscoredReason::Deadline);
        }
        let (before, text) = held.transcript.unscored(due).unwrap();
        let (before, count) = (before.len(), text.chars().count());
        let bytes: Vec<usize> = text.chars().map(char::len_utf8).collect();
        let projections = self.choices[due.choice][before..before + count]
            .iter()
            .map(|(_, p)| vec![*p])
            .collect();
        let score = Score {
            prompt: vec![0.0],
            response: projections,
            logprobs: vec![0.0; count],
            states: None,
        };
        held.transcript.scored(due, 1, &vec![0; count], &bytes, &score);
    }
}

/// The text of each choice, and how each ended.
fn read(bytes: &[u8]) -> (BTreeMap<u64, String>, BTreeMap<u64, String>, bool) {
    let (mut texts, mut ends, mut done) = (BTreeMap::<_, String>::new(), BTreeMap::new(), false);
    let mut splitter = Splitter::default();
    splitter.push(bytes);
    while let Some(event) = splitter.next().unwrap() {
        let Some(data) = event.data() else { continue };
        if data == b"[DONE]" {
            done = true;
            continue;
        }
        let payload: Value = serde_json::from_slice(&data).unwrap();
        for choice in payload["choices"].as_array().into_iter().flatten() {
            let index = choice["index"].as_u64().unwrap();
            texts
                .entry(index)
                .or_default()
                .push_str(choice["delta"]["content"].as_str().unwrap_or_default());
            if let Some(reason) = choice["finish_reason"].as_str() {
                assert!(ends.insert(index, reason.to_owned()).is_none(), "ended twice");
            }
        }
    }
    assert!(splitter.rest().is_empty());
    (texts, ends, done)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn invariant_1_no_token_past_an_enforced_threshold_leaves_the_proxy(case in case()) {
        let policy = if case.closed { "Closed" } else { "Open" };
        let plan = plan("Block", policy, case.min_tokens);
        let bytes = case.run(&plan);
        let (texts, ends, done) = read(&bytes);
        let mut clean = case.fault.is_none();
        for (index, tokens) in case.choices.iter().enumerate() {
            let said: String = tokens.iter().map(|(c, _)| c).collect();
            let got = texts.get(&(index as u64)).cloned().unwrap_or_default();
            prop_assert!(said.starts_with(&got));
            let (allowed, all) = case.allowed(index);
            clean &= all;
            if case.fault.is_none() || case.closed {
                let count = got.chars().count();
                prop_assert!(count <= allowed, "{count} of {allowed} allowed");
            }
            if case.fault.is_none() {
                let end = ends.get(&(index as u64)).map(String::as_str);
                prop_assert_eq!(end, Some(if all { "stop" } else { "content_filter" }));
                prop_assert!(done);
                if all {
                    prop_assert_eq!(got, said);
                }
            }
        }
        if clean {
            prop_assert_eq!(bytes, case.passed(), "an answer within the threshold is not changed");
        }
    }

    #[test]
    fn invariant_1_redact_replaces_the_breaching_sentence_of_a_proxied_answer(case in case()) {
        let plan = plan("Redact", if case.closed { "Closed" } else { "Open" }, case.min_tokens);
        let bytes = case.run(&plan);
        let (texts, ends, done) = read(&bytes);
        let mut clean = case.fault.is_none();
        for (index, tokens) in case.choices.iter().enumerate() {
            let said: String = tokens.iter().map(|(c, _)| c).collect();
            let got = texts.get(&(index as u64)).cloned().unwrap_or_default();
            let (allowed, all) = case.allowed(index);
            clean &= all;
            let known: usize = tokens[..allowed].iter().map(|(c, _)| c.len_utf8()).sum();
            let mut sentences = Sentences::default();
            sentences.extend(&said);
            let cut = || format!("{}[removed]", &said[..sentences.floor(known)]);
            let expected = if all { said.clone() } else { cut() };
            if case.fault.is_none() {
                prop_assert_eq!(got, expected);
                let end = ends.get(&(index as u64)).map(String::as_str);
                prop_assert_eq!(end, Some(if all { "stop" } else { "content_filter" }));
                prop_assert!(done);
            } else if case.closed {
                prop_assert!(expected.starts_with(&got), "{got:?} of {expected:?}");
            }
        }
        if clean {
            prop_assert_eq!(bytes, case.passed(), "an answer within the threshold is not changed");
        }
    }

    #[test]
    fn invariant_9_open_lets_everything_pass_that_cannot_be_scored(mut case in case()) {
        case.choices.iter_mut().flatten().for_each(|(_, projection)| *projection = 0.0);
        let bytes = case.run(&plan("Block", "Open", case.min_tokens));
        prop_assert_eq!(bytes, case.passed());
    }
}

#[test]
fn an_answer_that_cannot_be_read_is_refused_or_passes_as_it_is() {
    let odd = b"data: {\"choices\":[{\"delta\":{\"content\":\"Good\"}}]}\n\ndata: {\"response\": \
                \"evil\"}\n\n";
    for (unscorable, refuses) in [("Refuse", true), ("Pass", false)] {
        let decision = Decision::new(plan_with("Block", "Open", 4, unscorable));
        let transcript =
            Transcript::new(Arc::new(AppState::default()), decision, tracing::Span::none());
        let mut held = HeldStream::new(transcript, ending(Api::Chat), 1);
        held.push(odd);
        held.end();
        let out = String::from_utf8(held.release().unwrap().to_vec()).unwrap();
        assert_eq!(out.contains("guard_unavailable"), refuses);
        assert_eq!(out.contains("evil"), !refuses);
        assert!(!out.contains("[DONE]"));
    }
}

/// A stream whose first event waits for its score, and with it all that follows.
fn waiting() -> HeldStream {
    let decision = Decision::new(plan("Block", "Closed", 4));
    let transcript =
        Transcript::new(Arc::new(AppState::default()), decision, tracing::Span::none());
    let mut held = HeldStream::new(transcript, ending(Api::Chat), 1);
    held.push(b"data: {\"choices\":[{\"delta\":{\"content\":\"Good\"}}]}\n\n");
    held
}

/// Events of a few bytes take far more memory than these.
#[test]
fn number_22_events_that_are_held_count_by_what_they_take() {
    let mut held = waiting();
    for _ in 0..100 {
        held.push(":\n\n".repeat(1000).as_bytes());
    }
    assert_eq!(held.transcript.stop(), Some(Stop::Unscorable));
}

#[test]
fn number_22_what_all_streams_hold_keeps_to_one_budget() {
    let budget = BodyBudget::new(1 << 20);
    let (mut one, mut other) = (waiting().within(budget.guard()), waiting().within(budget.guard()));
    // Half of an event counts too.
    one.push(format!("data: {}", "a".repeat(700_000)).as_bytes());
    assert!(budget.used() >= 700_000, "{budget:?}");
    assert_eq!(one.transcript.stop(), None);
    other.push(format!(":{}\n\n", "a".repeat(700_000)).as_bytes());
    assert_eq!(other.transcript.stop(), Some(Stop::Unscorable));
    assert!(budget.used() <= budget.limit());
    drop(one);
    drop(other);
    assert_eq!(budget.used(), 0);
}
