//! Bodies of chat completions, whole and in chunks.

use super::calls::{Call, Part};
use personaguard_model::{Token, Tokenizer};
use serde::Serialize;
use serde_json::{Value, json};

/// What all bodies of one response share.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) id: String,
    pub(super) created: i64,
    pub(super) model: String,
    pub(super) fingerprint: String,
    /// How many choices there are.
    pub(super) choices: usize,
}

/// Tokens of a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Usage {
    pub(super) prompt_tokens: usize,
    pub(super) completion_tokens: usize,
    pub(super) total_tokens: usize,
}

impl Usage {
    pub(crate) fn new(prompt_tokens: usize, completion_tokens: usize) -> Self {
        Self { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens }
    }

    /// Of two choices: they share one prompt.
    pub(super) fn beside(self, other: Self) -> Self {
        Self::new(
            self.prompt_tokens.max(other.prompt_tokens),
            self.completion_tokens + other.completion_tokens,
        )
    }
}

/// A part of an answer: what one token added.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) logprob: Option<TokenLogprob>,
}

/// Log probability of a token, as OpenAI's API writes it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct TokenLogprob {
    token: String,
    logprob: f32,
    bytes: Vec<u8>,
    top_logprobs: Vec<Value>,
}

impl TokenLogprob {
    pub(super) fn new(token: &Token, tokenizer: &Tokenizer) -> Self {
        let text = |id| tokenizer.decode(&[id]);
        let top = |t: &personaguard_model::TokenProbability| {
            let (token, bytes) = (text(t.id), tokenizer.token_bytes(t.id));
            json!({ "bytes": bytes, "logprob": t.logprob, "token": token })
        };
        Self {
            // The token's own: where it holds a part of a character only, the text has a
            // replacement character.
            bytes: tokenizer.token_bytes(token.id).to_vec(),
            token: text(token.id),
            logprob: token.logprob,
            top_logprobs: token.top.iter().map(top).collect(),
        }
    }
}

/// One choice of a whole response.
#[derive(Clone, Debug)]
pub(super) struct Whole {
    text: String,
    calls: Vec<Call>,
    logprobs: Option<Vec<TokenLogprob>>,
    finish_reason: &'static str,
    scores: Option<Value>,
}

impl Whole {
    /// One that has said nothing yet.
    pub(super) fn new(with_logprobs: bool) -> Self {
        let logprobs = with_logprobs.then(Vec::new);
        Self { text: String::new(), calls: Vec::new(), logprobs, finish_reason: "", scores: None }
    }

    /// It says more.
    pub(super) fn add(&mut self, part: Part) {
        match part {
            Part::Call(call) => self.calls.push(call),
            Part::Text(piece) => {
                self.text.push_str(&piece.text);
                if let (Some(all), Some(one)) = (&mut self.logprobs, piece.logprob) {
                    all.push(one);
                }
            }
        }
    }

    /// It has ended.
    pub(super) fn end(&mut self, finish_reason: &'static str, scores: Option<Value>) {
        (self.finish_reason, self.scores) = (finish_reason, scores);
    }

    fn choice(self, index: usize) -> Value {
        let said = self.calls.is_empty() || !self.text.is_empty();
        let mut message =
            json!({ "role": "assistant", "content": said.then_some(self.text), "refusal": null });
        if !self.calls.is_empty() {
            message["tool_calls"] = self.calls.iter().map(tool_call).collect();
        }
        json!({
            "index": index,
            "message": message,
            "logprobs": self.logprobs.map(|content| json!({ "content": content, "refusal": null })),
            "finish_reason": self.finish_reason,
        })
    }
}

/// A call as OpenAI's API writes it.
fn tool_call(call: &Call) -> Value {
    let id = format!("call_{}", uuid::Uuid::new_v4().simple());
    json!({ "id": id, "type": "function", "function": { "name": call.name, "arguments": call.arguments } })
}

#[derive(Serialize)]
struct Completion<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    model: &'a str,
    system_fingerprint: &'a str,
    choices: Vec<Value>,
    usage: Usage,
    #[serde(skip_serializing_if = "Option::is_none")]
    personaguard: Option<Value>,
}

/// The body of a whole response.
pub(super) fn completion(head: &Head, said: Vec<Whole>, usage: Usage) -> Vec<u8> {
    let mut personaguard = None;
    let choice = |(index, mut said): (usize, Whole)| {
        let scores = said.scores.take();
        let mut choice = said.choice(index);
        personaguard = head.place(&mut choice, scores);
        choice
    };
    let choices = said.into_iter().enumerate().map(choice).collect();
    to_bytes(&Completion {
        id: &head.id,
        object: "chat.completion",
        created: head.created,
        model: &head.model,
        system_fingerprint: &head.fingerprint,
        choices,
        usage,
        personaguard,
    })
}

impl Head {
    /// Puts scores where they belong: into the choice where there are several, else beside it
    /// (given back).
    fn place(&self, choice: &mut Value, scores: Option<Value>) -> Option<Value> {
        if self.choices == 1 {
            return scores;
        }
        if let Some(scores) = scores {
            choice["personaguard"] = scores;
        }
        None
    }
}

#[derive(Serialize)]
struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    model: &'a str,
    system_fingerprint: &'a str,
    choices: Vec<Value>,
    /// Null in all chunks but the last, where the usage was asked for; else absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<Usage>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    personaguard: Option<Value>,
}

/// What a chunk of a stream brings.
#[derive(Debug)]
pub(super) enum Delta {
    /// Something of a choice, by its index.
    Choice(usize, Said),
    /// The usage of all choices.
    Usage(Usage),
}

/// What a chunk says of its choice.
#[derive(Debug)]
pub(super) enum Said {
    /// The assistant begins.
    Role,
    /// A part of the answer.
    Part(Part),
    /// Why it ended, and the scores.
    Finish(&'static str, Option<Value>),
}

/// The body of one chunk. With `include_usage`, every chunk has the field `usage`.
pub(super) fn chunk(head: &Head, delta: Delta, include_usage: bool) -> Vec<u8> {
    let mut usage = include_usage.then_some(None);
    let mut personaguard = None;
    let choices = match delta {
        Delta::Choice(index, said) => {
            let (delta, logprobs, finish_reason, scores) = match said {
                Said::Role => (
                    json!({ "role": "assistant", "content": "", "refusal": null }),
                    None,
                    None,
                    None,
                ),
                Said::Part(Part::Call(call)) => {
                    let mut made = tool_call(&call);
                    made["index"] = call.index.into();
                    (json!({ "tool_calls": [made] }), None, None, None)
                }
                Said::Part(Part::Text(piece)) => {
                    let logprobs = piece
                        .logprob
                        .map(|logprob| json!({ "content": [logprob], "refusal": null }));
                    (json!({ "content": piece.text }), logprobs, None, None)
                }
                Said::Finish(reason, scores) => (json!({}), None, Some(reason), scores),
            };
            let mut choice = json!({ "index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason });
            personaguard = head.place(&mut choice, scores);
            vec![choice]
        }
        Delta::Usage(tokens) => {
            usage = Some(Some(tokens));
            Vec::new()
        }
    };
    to_bytes(&Chunk {
        id: &head.id,
        object: "chat.completion.chunk",
        created: head.created,
        model: &head.model,
        system_fingerprint: &head.fingerprint,
        choices,
        usage,
        personaguard,
    })
}

fn to_bytes(body: &impl Serialize) -> Vec<u8> {
    // Keys are strings and nothing fails to serialise.
    serde_json::to_vec(body).unwrap_or_default()
}
