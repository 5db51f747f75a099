//! A response in one piece.

use super::call::{Call, Part};
use super::choices::Choices;
use super::guarded::{End, Output};
use super::response_head::ResponseHead;
use crate::openai::{
    Choice, FinishReason, Logprobs, Message, Object, ScoreReport, TokenLogprob, Usage,
};
use axum::Json;
use axum::response::{IntoResponse, Response};

/// All choices, once the last has ended. What fails one of them fails the response.
pub(super) async fn response(head: &ResponseHead, mut choices: Choices) -> Response {
    let mut builders = vec![ChoiceBuilder::new(choices.with_logprobs()); choices.count()];
    let mut ended = Vec::new();
    let mut usage = Usage::default();
    while let Some((index, output)) = choices.next().await {
        match output {
            Ok(Output::Part(part)) => builders[index].add(part),
            Ok(Output::End(End { finish_reason, usage: own, scores, .. })) => {
                usage = usage.with_choice(own);
                ended.push((index, finish_reason, scores));
            }
            Err(error) => return error.into_response(),
        }
    }
    ended.sort_by_key(|(index, ..)| *index);
    let mut beside = None;
    let built = builders.into_iter().zip(ended).map(|(builder, (index, finish_reason, scores))| {
        let scores = head.place(scores);
        beside = scores.beside;
        builder.build(index, finish_reason, scores.in_choice)
    });
    let built = built.collect();
    Json(head.body(Object::Chat, built, Some(Some(usage)), beside)).into_response()
}

/// Collects what a choice says.
#[derive(Clone, Debug)]
struct ChoiceBuilder {
    thought: String,
    text: String,
    calls: Vec<Call>,
    logprobs: Option<Vec<TokenLogprob>>,
}

impl ChoiceBuilder {
    fn new(with_logprobs: bool) -> Self {
        let logprobs = with_logprobs.then(Vec::new);
        Self { thought: String::new(), text: String::new(), calls: Vec::new(), logprobs }
    }

    fn add(&mut self, part: Part) {
        match part {
            Part::Thought(text) => self.thought.push_str(&text),
            Part::Call(call) => self.calls.push(call),
            Part::Text(piece) => {
                self.text.push_str(&piece.text);
                if let (Some(all), Some(one)) = (&mut self.logprobs, piece.logprob) {
                    all.push(one);
                }
            }
        }
    }

    fn build(
        self,
        index: usize,
        finish_reason: FinishReason,
        personaguard: Option<ScoreReport>,
    ) -> Choice {
        let calls = self.calls.into_iter().map(Call::into_body).collect();
        Choice {
            index,
            message: Message::new(self.text, calls).with_reasoning(self.thought),
            logprobs: self.logprobs.map(Logprobs::new),
            finish_reason,
            personaguard,
        }
    }
}
