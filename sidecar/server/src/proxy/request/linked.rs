//! Requests to a model server whose own engine is measured. What is asked of the model may be
//! anything that it takes: it is measured as it is read. What matters is how many answers there
//! are, what is told of their tokens, and that nobody but the sidecar says what is measured.
//!
//! The engine makes one request of its own of each of several answers, and one plan names one of
//! them. So each is asked for by a request of its own ([`LinkedRequest::part`]).

use crate::http::ApiError;
use crate::openai::{lenient, unsupported};
use crate::proxy::answer::Unreadable;
use crate::proxy::path::Api;
use crate::proxy::request::loose::{boolean, integer};
use crate::proxy::token_count::AskedCounts;
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// The field in which the plugin is told what to do.
const EXTRA: &str = "vllm_xargs";
/// Its value that is the sidecar's alone.
const PLAN: &str = "personaguard";
/// Answers to one request at most.
const MAX_ANSWERS: usize = 16;

/// A request, as far as the sidecar has to know it.
#[derive(Clone, Debug)]
pub(in crate::proxy) struct LinkedRequest {
    fields: Map<String, Value>,
    api: Api,
}

impl LinkedRequest {
    pub(in crate::proxy) fn read(api: Api, body: &[u8]) -> Result<Self, Unreadable> {
        match lenient(body) {
            Ok(Value::Object(fields)) => Ok(Self { fields, api }),
            Ok(_) => Err(Unreadable("the body is not a JSON object")),
            Err(not_json) => Err(Unreadable(not_json.0)),
        }
    }

    /// Refuses what would leave answers unmeasured, or measured as the client likes.
    pub(in crate::proxy) fn check(&self) -> Result<(), ApiError> {
        self.check_extra(self.fields.get(EXTRA))?;
        let nested = self.fields.get("extra_body").and_then(|extra| extra.get(EXTRA));
        self.check_extra(nested)?;
        self.check_answers()?;
        for (field, what) in [
            ("use_beam_search", "answers that are searched for in beams cannot be measured"),
            ("echo", "a prompt that is repeated before the answer cannot be told from it"),
        ] {
            if self.is_set(field) {
                let message =
                    format!("A policy guards this service, and {what}: leave out '{field}'.");
                return Err(unsupported(field, &message));
            }
        }
        Ok(())
    }

    fn check_answers(&self) -> Result<(), ApiError> {
        let is_one = |value: &Value| value.is_null() || integer(value) == Some(1);
        let only_one = |field: &str| {
            let message = format!(
                "A policy guards this service inside its engine, which measures each answer as it \
                 is written: ask with '{field}' 1."
            );
            Err(unsupported(field, &message))
        };
        if self.fields.get("best_of").is_some_and(|value| !is_one(value)) {
            return only_one("best_of");
        }
        let several = matches!(self.api, Api::Chat | Api::Completions);
        if self.fields.get("n").is_some_and(|value| !is_one(value)) && !several {
            return only_one("n");
        }
        let per_prompt = self.fields.get("n").filter(|n| !n.is_null()).map_or(Some(1), integer);
        let field = match per_prompt.and_then(|n| usize::try_from(n).ok()) {
            Some(1..=MAX_ANSWERS) if self.answers() <= MAX_ANSWERS => return Ok(()),
            Some(1..=MAX_ANSWERS) => "prompt",
            _ => "n",
        };
        let message = format!(
            "A policy guards this service inside its engine, which is asked for each answer apart: \
             '{field}' makes 1 to {MAX_ANSWERS} answers to a request."
        );
        Err(unsupported(field, &message))
    }

    fn check_extra(&self, extra: Option<&Value>) -> Result<(), ApiError> {
        match extra {
            None | Some(Value::Null) => Ok(()),
            Some(Value::Object(extra)) if !extra.keys().any(|name| is_reserved(name)) => Ok(()),
            Some(_) => Err(unsupported(
                EXTRA,
                &format!(
                    "'{EXTRA}' is an object, and '{PLAN}' in it is how the guard of this service \
                     tells the engine what to measure: leave it out."
                ),
            )),
        }
    }

    /// Answers to each prompt.
    pub(in crate::proxy) fn per_prompt(&self) -> usize {
        let n = self.fields.get("n").and_then(integer).and_then(|n| usize::try_from(n).ok());
        n.unwrap_or(1).max(1)
    }

    /// Answers that it asks for.
    pub(in crate::proxy) fn answers(&self) -> usize {
        self.per_prompt().saturating_mul(self.prompts().map_or(1, Vec::len))
    }

    /// Its prompts, where there are several.
    fn prompts(&self) -> Option<&Vec<Value>> {
        let prompts = self.fields.get("prompt").filter(|_| self.api == Api::Completions)?;
        let is_list = |prompts: &&Vec<Value>| {
            // One of tokens is a list as well.
            prompts.len() > 1 && prompts.iter().any(|prompt| integer(prompt).is_none())
        };
        prompts.as_array().filter(is_list)
    }

    /// The request for one of several answers, in the order in which the engine numbers them: those
    /// to the first prompt, then those to the next. Each to a prompt has the seed that the engine
    /// would give it.
    pub(in crate::proxy) fn part(&self, number: usize) -> Self {
        let (prompt, choice) = (number / self.per_prompt(), number % self.per_prompt());
        let prompt = self.prompts().and_then(|prompts| prompts.get(prompt)).cloned();
        let whole = self.fields.iter().filter(|(name, _)| prompt.is_none() || *name != "prompt");
        let mut fields: Map<_, _> = whole.map(|(name, it)| (name.clone(), it.clone())).collect();
        fields.extend(prompt.map(|prompt| ("prompt".to_owned(), prompt)));
        fields.insert("n".to_owned(), json!(1));
        if let (Some(seed), Ok(choice @ 1..)) =
            (fields.get("seed").and_then(integer), i64::try_from(choice))
        {
            fields.insert("seed".to_owned(), seed.saturating_add(choice).into());
        }
        Self { fields, api: self.api }
    }

    fn is_set(&self, field: &str) -> bool {
        self.fields.get(field).and_then(boolean).unwrap_or_default()
    }

    fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field).and_then(Value::as_str)
    }

    /// Takes out what is meant for the guard.
    pub(in crate::proxy) fn take_extension(&mut self) -> Option<Value> {
        self.fields.remove("personaguard").filter(|value| !value.is_null())
    }

    pub(in crate::proxy) fn is_stream(&self) -> bool {
        self.is_set("stream")
    }

    pub(in crate::proxy) fn model(&self) -> Option<&str> {
        self.text("model")
    }

    /// What the client says of the cache.
    pub(in crate::proxy) fn cache_salt(&self) -> Option<&str> {
        self.text("cache_salt")
    }

    pub(in crate::proxy) fn keeps_stop(&self) -> bool {
        // In `responses` no field says that a stop string has ended it.
        self.is_set("include_stop_str_in_output")
            || (self.api == Api::Responses
                && self.fields.get("stop").is_some_and(|it| !it.is_null()))
    }

    /// What the client wants to be told of tokens.
    pub(in crate::proxy) fn asked_counts(&self) -> AskedCounts {
        let options = self.fields.get("stream_options");
        let is_set = |field: &str| options.and_then(|it| boolean(it.get(field)?)) == Some(true);
        let last = is_set("include_usage");
        AskedCounts { last, each: last && is_set("continuous_usage_stats") }
    }

    /// The messages, where there are any.
    pub(in crate::proxy) fn messages(&self) -> &[Value] {
        self.fields.get("messages").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// Whether its prompt is tokens and nothing else: no images, sounds or states.
    pub(in crate::proxy) fn is_text(&self) -> bool {
        let is_text = |part: &Value| {
            part["type"].as_str().is_none_or(|kind| {
                matches!(kind, "text" | "input_text" | "output_text" | "refusal" | "thinking")
            })
        };
        let parts = |message: &Value| {
            message["content"].as_array().is_none_or(|parts| parts.iter().all(is_text))
        };
        self.messages().iter().all(parts)
            && self.fields.get("prompt_embeds").is_none_or(Value::is_null)
    }

    /// The body as the engine gets it, with the plan. `counts`: each piece of text is to come with
    /// the number of its tokens.
    pub(in crate::proxy) fn body(
        mut self,
        plan: Option<String>,
        salt: Option<&str>,
        counts: bool,
    ) -> Bytes {
        if let Some(plan) = plan {
            let mut extra = match self.fields.remove(EXTRA) {
                Some(Value::Object(extra)) => extra,
                _ => Map::new(),
            };
            extra.insert(PLAN.to_owned(), plan.into());
            self.fields.insert(EXTRA.to_owned(), extra.into());
        }
        if let Some(salt) = salt {
            self.fields.insert("cache_salt".to_owned(), salt.into());
        }
        if counts && matches!(self.api, Api::Chat | Api::Completions) {
            self.fields.insert("return_token_ids".to_owned(), json!(true));
            if self.is_set("stream") {
                let mut options = match self.fields.remove("stream_options") {
                    Some(Value::Object(options)) => options,
                    _ => Map::new(),
                };
                options.insert("include_usage".to_owned(), json!(true));
                options.insert("continuous_usage_stats".to_owned(), json!(true));
                self.fields.insert("stream_options".to_owned(), options.into());
            }
        }
        serde_json::to_vec(&self.fields).unwrap_or_default().into()
    }
}

/// Names that are the plugin's.
fn is_reserved(name: &str) -> bool {
    name.to_ascii_lowercase().starts_with(PLAN)
}

#[cfg(test)]
mod tests;
