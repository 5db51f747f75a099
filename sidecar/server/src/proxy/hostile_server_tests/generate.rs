//! Random responses, with a word in any place.

use crate::proxy::path::Api;
use axum::http::{HeaderMap, HeaderName};
use serde_json::{Map, Value, json};

/// The word. It stands nowhere else, and is no identifier.
pub(super) const WORD: &str = "Xylophonist";

/// Field names of all APIs, known and unknown.
const NAMES: [&str; 60] = [
    "id",
    "object",
    "model",
    "created",
    "choices",
    "index",
    "delta",
    "message",
    "text",
    "content",
    "role",
    "finish_reason",
    "stop_reason",
    "logprobs",
    "token_ids",
    "prompt_token_ids",
    "usage",
    "system_fingerprint",
    "service_tier",
    "error",
    "type",
    "code",
    "param",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "refusal",
    "thinking",
    "tool_calls",
    "function",
    "function_call",
    "name",
    "arguments",
    "annotations",
    "audio",
    "images",
    "tokens",
    "top_logprobs",
    "token",
    "bytes",
    "output",
    "output_text",
    "item",
    "part",
    "item_id",
    "response",
    "status",
    "summary",
    "call_id",
    "input",
    "content_block",
    "partial_json",
    "signature",
    "stop_sequence",
    "incomplete_details",
    "instructions",
    "metadata",
    "tools",
    "data",
    "generated_text",
];

/// Values of the field `type`.
const TYPES: [&str; 32] = [
    "text",
    "output_text",
    "function",
    "refusal",
    "thinking",
    "reasoning.text",
    "image_url",
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
    "ping",
    "error",
    "text_delta",
    "input_json_delta",
    "signature_delta",
    "tool_use",
    "message",
    "reasoning",
    "function_call",
    "summary_text",
    "response.created",
    "response.output_item.added",
    "response.output_item.done",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.completed",
    "response.web_search_call.searching",
    "response.incomplete",
];

/// Headers that a server may set.
const HEADERS: [&str; 14] = [
    "x-request-id",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-requests",
    "retry-after",
    "access-control-allow-origin",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "cache-control",
    "vary",
    "openai-version",
    "openai-processing-ms",
    "set-cookie",
    "location",
    "content-type",
];

/// Numbers that follow from a seed (xorshift).
pub(super) struct Dice {
    state: u64,
    /// Whether the word also stands in what could be a name.
    names: bool,
}

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, names: true };
        (0..4).for_each(|_| _ = dice.next());
        dice
    }

    /// For answers in which names must stand, such as lists of models.
    pub(super) fn without_names(seed: u64) -> Self {
        Self { names: false, ..Self::new(seed) }
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    pub(super) fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % most
    }

    pub(super) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    fn string(&mut self) -> String {
        match self.below(8) {
            3 if self.names => match self.below(5) {
                0 => format!("{WORD}-1"),
                1 => format!("chatcmpl-{WORD}7"),
                2 => format!("call_{WORD}_0"),
                3 => format!("m-1-{WORD}"),
                _ => format!("2024-{WORD}/3.5:9b"),
            },
            0..4 => WORD.to_owned(),
            4 => format!("good {WORD}\n day"),
            5 => String::new(),
            6 => "call_1".to_owned(),
            _ => "stop".to_owned(),
        }
    }

    fn name(&mut self) -> String {
        if self.one_in(12) { WORD.to_owned() } else { (*self.pick(&NAMES)).to_owned() }
    }

    /// Any JSON.
    fn value(&mut self, depth: usize) -> Value {
        match self.below(if depth == 0 { 5 } else { 8 }) {
            0 | 1 => json!(self.string()),
            2 => Value::Null,
            3 => json!(self.below(3)),
            4 => json!(self.one_in(2)),
            5 => (0..self.below(4)).map(|_| self.value(depth - 1)).collect(),
            _ => {
                let count = self.below(6);
                Value::Object(self.fields(count, depth - 1))
            }
        }
    }

    fn fields(&mut self, count: usize, depth: usize) -> Map<String, Value> {
        (0..count)
            .map(|_| {
                let name = self.name();
                let is_type = name == "type" && !self.one_in(4);
                let value = if is_type { json!(self.pick(&TYPES)) } else { self.value(depth) };
                (name, value)
            })
            .collect()
    }

    /// Takes a value that servers write, and puts something else in some places of it.
    fn spoil(&mut self, value: &mut Value, depth: usize) {
        if self.one_in(25) {
            *value = self.value(depth);
        }
        match value {
            Value::Array(values) => {
                values.iter_mut().for_each(|value| self.spoil(value, depth));
                if self.one_in(10) {
                    values.push(self.value(depth));
                }
            }
            Value::Object(fields) => {
                fields.values_mut().for_each(|value| self.spoil(value, depth));
                if self.one_in(4) {
                    let further = self.fields(2, depth);
                    fields.extend(further);
                }
            }
            _ => {}
        }
    }

    /// A whole body, as a server of this API writes it but for some places.
    pub(super) fn body(&mut self, api: Api) -> Value {
        let text = self.string();
        let mut body = match api {
            Api::Chat => {
                json!({ "id": "x-1", "object": "chat.completion", "choices": [{ "index": 0,
                "message": { "role": "assistant", "content": text, "reasoning_content": text },
                "logprobs": null, "finish_reason": "stop" }], "usage": { "total_tokens": 1 } })
            }
            Api::Completions => json!({ "id": "x-1", "choices": [{ "index": 0, "text": text,
                "logprobs": { "tokens": [text], "token_logprobs": [0.5] },
                "finish_reason": null }] }),
            Api::Responses => json!({ "id": "resp_1", "object": "response", "status": "completed",
                "output": [self.item(&text)], "usage": null, "instructions": text }),
            Api::Messages => json!({ "id": "msg_1", "type": "message", "role": "assistant",
                "content": [{ "type": "text", "text": text }], "stop_reason": "end_turn" }),
        };
        self.spoil(&mut body, 3);
        body
    }

    fn item(&mut self, text: &str) -> Value {
        match self.below(3) {
            0 => {
                json!({
                    "type": "function_call", "call_id": "call_1", "name": "f", "arguments": text
                })
            }
            1 => {
                json!({
                    "type": "reasoning", "summary": [{ "type": "summary_text", "text": text }]
                })
            }
            _ => json!({ "type": "message", "id": "msg_1", "role": "assistant",
                "content": [{ "type": "output_text", "text": text, "annotations": [] }] }),
        }
    }

    fn event(&mut self, api: Api) -> Value {
        let text = self.string();
        let (index, item) = (self.place(), self.item(&text));
        let end = if self.one_in(4) { json!("stop") } else { Value::Null };
        match api {
            Api::Chat => json!({ "id": "x-1", "choices": [{ "index": index,
                "delta": self.delta(&text), "finish_reason": end }] }),
            Api::Completions => json!({ "choices": [{ "index": index, "text": text,
                "logprobs": { "tokens": [text], "text_offset": [0], "token_logprobs": [-0.5],
                    "top_logprobs": [{ (WORD): -0.5 }] },
                "finish_reason": end }] }),
            Api::Responses => match self.below(5) {
                0 => json!({ "type": "response.created", "response": self.body(api) }),
                1 => {
                    json!({
                        "type": "response.output_text.delta", "item_id": "msg_1", "delta": text
                    })
                }
                2 => json!({ "type": "response.output_text.done", "text": text }),
                3 => json!({ "type": "response.output_item.done", "item": item }),
                _ => json!({ "type": "response.completed", "response": self.body(api) }),
            },
            Api::Messages => match self.below(6) {
                0 => json!({ "type": "message_start", "message": self.body(api) }),
                1 => json!({ "type": "content_block_start", "index": index,
                    "content_block": { "type": "text", "text": text } }),
                2 | 3 => json!({ "type": "content_block_delta", "index": index,
                    "delta": { "type": "text_delta", "text": text } }),
                4 => json!({ "type": "content_block_stop", "index": index }),
                _ => json!({ "type": "message_delta", "delta": { "stop_reason": end } }),
            },
        }
    }

    /// The place of a choice or a block; few are odd.
    fn place(&mut self) -> Value {
        match self.below(40) {
            0 => json!(*self.pick(&[128_i64, -1, i64::MAX])),
            1 => json!(self.string()),
            2 => Value::Null,
            3..6 => json!(*self.pick(&[2, 7, 127])),
            _ => json!(self.below(2)),
        }
    }

    /// What a chunk adds to a message, in one of the ways that servers have.
    fn delta(&mut self, text: &str) -> Value {
        let function = json!({ "name": text, "arguments": { (WORD): text } });
        match self.below(8) {
            0 => json!({ "role": WORD, "content": [{ "type": "text", "text": text }] }),
            1 => json!({ "tool_calls": [{ "index": 0, "id": self.string(), "type": "function",
                "function": function }] }),
            2 => json!({ "tool_calls": { "index": 0, "id": self.string(), "function": function } }),
            3 => json!({ "content": "", "reasoning": text, "reasoning_content": text }),
            4 => json!({ "content": null, "refusal": text, "annotations": [{ "title": WORD }] }),
            5 => json!({ "function_call": function }),
            _ => json!({ "content": text }),
        }
    }

    /// Headers, with the word in names and values.
    pub(super) fn headers(&mut self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for _ in 0..self.below(6) {
            let name = match self.below(4) {
                0 => format!("x-ratelimit-{WORD}"),
                1 => format!("x-{WORD}"),
                _ => (*self.pick(&HEADERS)).to_owned(),
            };
            let value = match self.below(6) {
                0 => format!("https://{WORD}.example"),
                1 => format!("no-cache, {WORD}"),
                2 => format!("{WORD}-1"),
                3 => "3".to_owned(),
                _ => WORD.to_owned(),
            };
            let name: HeaderName = name.to_lowercase().parse().unwrap();
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    /// JSON as some servers write it: with fields told twice, numbers that are none, a mark before.
    pub(super) fn spelt(&mut self, body: &Value) -> String {
        let text = body.to_string();
        match self.below(8) {
            0 => text.replacen('{', &format!("{{\"choices\": \"{WORD}\", \"id\": \"{WORD}\","), 1),
            1 => text.replacen('{', "{\"created\": NaN, \"x\": \"\\ud800\",", 1),
            2 => format!("\u{feff}{text}"),
            _ => text,
        }
    }

    /// A stream of events, with the word in comments, names and broken events, too.
    pub(super) fn stream(&mut self, api: Api) -> Vec<u8> {
        let mut out = String::new();
        for _ in 0..self.below(8) {
            let mut event = self.event(api);
            self.spoil(&mut event, 3);
            let event = self.spelt(&event);
            out += &match self.below(16) {
                0 => format!(": {WORD}\n\n"),
                1 => format!("event: {WORD}\nid: {WORD}\nretry: {WORD}\ndata: {event}\n\n"),
                2 => format!("data: {WORD}\n\n"),
                3 => format!("data: {event}\r\n\r\n"),
                4 => format!("{WORD}\n\n"),
                5 => "data: [DONE]\n\n".to_owned(),
                6 => format!("data: {}\n\n", event.replace(',', ",\ndata: ")),
                7 => format!("data: {event}\r\r"),
                8 => format!("data:{event}\nevent: {WORD}\n\n"),
                9 => format!("\u{feff}data: {event}\n\n"),
                10 => format!("data\nid:{WORD}\ndata: {event}\n\n"),
                _ => format!("data: {event}\n\n"),
            };
        }
        if self.one_in(3) {
            out += "data: [DONE]\n\n";
        }
        if self.one_in(4) {
            out += WORD;
        }
        out.into_bytes()
    }

    /// A stream that says nothing but the word.
    pub(super) fn harmless(&mut self, api: Api) -> Vec<u8> {
        let events = match api {
            Api::Chat => vec![json!({ "choices": [{ "index": 0, "delta": { "content": WORD } }] })],
            Api::Completions => vec![json!({ "choices": [{ "index": 0, "text": WORD }] })],
            Api::Responses => vec![json!({ "type": "response.output_text.delta", "delta": WORD })],
            Api::Messages => vec![json!({ "type": "content_block_delta", "index": 0,
                "delta": { "type": "text_delta", "text": WORD } })],
        };
        events.iter().map(|event| format!("data: {event}\n\n")).collect::<String>().into_bytes()
    }
}
