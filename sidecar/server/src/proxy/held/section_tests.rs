//! Random reasoning and answers, told apart by a field or by tags, under a policy that counts one
//! of them.

use super::tests::{ending, plan_by};
use super::*;
use crate::proxy::path::Api;
use crate::runtime::AppState;
use crate::session::SectionReader;
use personaguard_guard::Decision;
use personaguard_model::Score;
use proptest::prelude::*;
use std::sync::Arc;

/// Past this is a breach.
const MAX: f64 = 1.0;
const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

#[derive(Clone, Debug)]
struct Case {
    /// Characters, each a token, and their projections.
    reasoning: Vec<(char, f32)>,
    answer: Vec<(char, f32)>,
    /// Whether tags in the content tell them apart, and no field.
    is_tagged: bool,
    /// Whether the answer counts, and not the reasoning.
    answer_counts: bool,
    /// Characters of an event.
    piece: usize,
    min_tokens: usize,
    /// Whether scoring runs after an event.
    steps: Vec<bool>,
}

fn case() -> impl Strategy<Value = Case> {
    let said = || {
        let character = prop::sample::select("abcé字\u{1f600}".chars().collect::<Vec<_>>());
        prop::collection::vec((character, -1.0..4.0_f32), 1..120)
    };
    let flags = (any::<bool>(), any::<bool>());
    (said(), said(), flags, 1..9_usize, 1..20_usize, prop::collection::vec(any::<bool>(), 1..9))
        .prop_map(|(reasoning, answer, (is_tagged, answer_counts), piece, min_tokens, steps)| {
            Case { reasoning, answer, is_tagged, answer_counts, piece, min_tokens, steps }
        })
}

/// The characters of a tag, which weigh nothing.
fn tag(tag: &str) -> Vec<(char, f32)> {
    tag.chars().map(|letter| (letter, 0.0)).collect()
}

impl Case {
    /// The reasoning as it is scored: with its tags.
    fn reasoned(&self) -> Vec<(char, f32)> {
        match self.is_tagged {
            true => [tag(OPEN), self.reasoning.clone(), tag(CLOSE)].concat(),
            false => self.reasoning.clone(),
        }
    }

    /// Characters that may leave of what counts; none where all may.
    fn allowed(&self) -> Option<usize> {
        let counted = if self.answer_counts { self.answer.clone() } else { self.reasoned() };
        let mut sum = 0.0;
        for (at, (_, projection)) in counted.iter().enumerate() {
            sum += f64::from(*projection);
            let is_last = at + 1 == counted.len();
            if (at + 1 >= self.min_tokens || is_last) && sum / (at + 1) as f64 > MAX {
                return Some(if at < self.min_tokens { 0 } else { at });
            }
        }
        None
    }

    /// Deltas in their order.
    fn events(&self) -> Vec<Value> {
        let text = |said: &[(char, f32)]| said.iter().map(|(letter, _)| letter).collect::<String>();
        let told = match self.is_tagged {
            true => vec![("content", [self.reasoned(), self.answer.clone()].concat())],
            false => vec![
                ("reasoning_content", self.reasoning.clone()),
                ("content", self.answer.clone()),
            ],
        };
        let deltas = told.iter().flat_map(|(field, said)| {
            said.chunks(self.piece).map(move |piece| json!({ (*field): text(piece) }))
        });
        deltas.collect()
    }

    /// Characters that the client gets, and how the choice ends.
    fn run(&self) -> (usize, String) {
        let score = if self.answer_counts { "AnswerAvg" } else { "ReasoningAvg" };
        let decision = Decision::new(plan_by(score, self.min_tokens));
        let mut transcript =
            Transcript::new(Arc::new(AppState::default()), decision, tracing::Span::none());
        transcript.set_sections(SectionReader::of_server(None));
        let mut held = HeldStream::new(transcript, ending(Api::Chat), 1);
        let mut out = Vec::new();
        let chunk = |delta: &Value, finish: Value| {
            let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
            format!("data: {}\n\n", json!({ "id": "x-1", "choices": [choice] }))
        };
        for (turn, delta) in self.events().iter().enumerate() {
            held.push(chunk(delta, Value::Null).as_bytes());
            while self.steps[turn % self.steps.len()] && self.step(&mut held) {}
            out.extend(held.release().unwrap_or_default());
        }
        held.push(chunk(&json!({}), json!("stop")).as_bytes());
        held.push(b"data: [DONE]\n\n");
        held.end();
        while self.step(&mut held) {}
        out.extend(held.release().unwrap_or_default());
        assert!(held.is_done(), "something was held for good");
        let (mut characters, mut ended) = (0, String::new());
        let mut splitter = Splitter::default();
        splitter.push(&out);
        while let Some(event) = splitter.next().unwrap() {
            let Some(payload) = event.data().and_then(|data| answered(&data)) else { continue };
            let choice = &payload["choices"][0];
            for field in ["reasoning_content", "content"] {
                let text = choice["delta"][field].as_str().unwrap_or_default();
                characters += text.chars().count();
            }
            ended.push_str(choice["finish_reason"].as_str().unwrap_or_default());
        }
        (characters, ended)
    }

    fn step(&self, held: &mut HeldStream) -> bool {
        let all = [self.reasoned(), self.answer.clone()].concat();
        let due = held.transcript.due(true);
        for due in &due {
            let (before, text) = held.transcript.unscored(*due).unwrap();
            let (before, count) = (before.len(), text.chars().count());
            let bytes: Vec<usize> = text.chars().map(char::len_utf8).collect();
            let response = all[before..before + count].iter().map(|(_, p)| vec![*p]).collect();
            let logprobs = vec![0.0; count];
            let score = Score { prompt: vec![0.0], response, logprobs, states: None };
            held.transcript.scored(*due, 1, &vec![0; count], &bytes, &score);
        }
        !due.is_empty()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn invariant_1_of_the_section_that_counts_nothing_past_its_threshold_leaves_the_proxy(
        case in case()
    ) {
        let (got, ended) = case.run();
        let (reasoning, answer) = (case.reasoned().len(), case.answer.len());
        match case.allowed() {
            None => prop_assert_eq!((got, ended.as_str()), (reasoning + answer, "stop")),
            Some(allowed) => {
                let free = if case.answer_counts { reasoning } else { 0 };
                prop_assert!(got <= free + allowed, "{got} of {free} and {allowed}");
                prop_assert_eq!(ended, "content_filter");
            }
        }
    }
}
