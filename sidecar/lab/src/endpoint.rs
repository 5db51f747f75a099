//! An OpenAI-compatible endpoint that writes traits and judges answers.
//!
//! It receives the trait's texts and the model's own answers to them, never users' conversations.

use crate::error::{Context as _, Result, bail};
use backon::{ExponentialBuilder, Retryable as _};
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// Environment variable with the endpoint's key, if it needs one.
const KEY: &str = "PERSONAGUARD_ENDPOINT_KEY";

/// Size of the largest reply that is read, in bytes.
const MAX_BODY: usize = 4 << 20;
/// How often a failed request is repeated.
const RETRIES: usize = 3;
/// Delay before the first repetition; it doubles with each further one.
const FIRST_DELAY: Duration = Duration::from_millis(500);
/// Within what time a reply must be complete.
const TIMEOUT: Duration = Duration::from_secs(120);

/// An endpoint, and the model to ask there.
#[derive(Debug)]
pub struct Endpoint {
    http: reqwest::Client,
    url: String,
    model: String,
    key: Option<String>,
}

/// A single-turn request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    /// The user's message.
    pub(crate) text: &'a str,
    /// Longest reply, in tokens.
    pub(crate) max_tokens: usize,
    /// Sampling temperature.
    pub(crate) temperature: f32,
    /// Whether the alternatives to the first token are needed.
    pub(crate) alternatives: bool,
}

/// The reply to a [`Question`].
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// Its text.
    pub(crate) text: String,
    /// Alternatives to its first token, with the natural logarithms of their probabilities.
    pub(crate) alternatives: Vec<(String, f64)>,
}

impl Endpoint {
    /// An endpoint at a URL, with or without `/v1` at its end. Its key is read from the environment
    /// variable `PERSONAGUARD_ENDPOINT_KEY`.
    ///
    /// # Errors
    /// If the URL is invalid.
    pub fn new(url: &str, model: &str) -> Result<Self> {
        if let Err(error) = reqwest::Url::parse(url) {
            bail!("--endpoint {url:?} is not a URL: {error}");
        }
        let base = url.trim_end_matches('/').trim_end_matches("/v1");
        Ok(Self {
            http: reqwest::Client::builder().timeout(TIMEOUT).build()?,
            url: format!("{base}/v1/chat/completions"),
            model: model.to_owned(),
            key: std::env::var(KEY).ok().filter(|key| !key.is_empty()),
        })
    }

    /// Name of the model.
    pub(crate) fn model(&self) -> &str {
        &self.model
    }

    /// Asks a question. A request that fails is repeated a few times.
    ///
    /// # Errors
    /// If the endpoint keeps failing or refusing, or does not reply as the OpenAI API does.
    pub(crate) async fn ask(&self, question: Question<'_>) -> Result<Reply> {
        let mut body = json!({
            "model": self.model,
            "messages": [{ "role": "user", "content": question.text }],
            "max_tokens": question.max_tokens,
            "temperature": question.temperature,
        });
        if question.alternatives {
            body["logprobs"] = json!(true);
            body["top_logprobs"] = json!(20);
        }
        let backoff =
            ExponentialBuilder::default().with_min_delay(FIRST_DELAY).with_max_times(RETRIES);
        (|| self.ask_once(&body)).retry(backoff).await
    }

    async fn ask_once(&self, body: &Value) -> Result<Reply> {
        let mut request = self.http.post(&self.url).json(body);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        let response = request.send().await.map_err(reqwest::Error::without_url);
        let mut response = response.with_context(|| format!("{} is unreachable", self.url))?;
        let status = response.status();
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            bail!("{}: answers {status}", self.url);
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MAX_BODY {
                bail!("{} replies with more than {MAX_BODY} bytes", self.url);
            }
        }
        if !status.is_success() {
            let error: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            let message = error["error"]["message"].as_str().unwrap_or("no reason given");
            bail!("{} refuses ({status}): {message}. Its key is read from {KEY}", self.url);
        }
        let completion: Completion = serde_json::from_slice(&bytes)
            .with_context(|| format!("{} does not reply as the OpenAI API does", self.url))?;
        completion.reply().with_context(|| format!("{} replied without a choice", self.url))
    }
}

#[derive(Deserialize)]
struct Completion {
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
    #[serde(default)]
    logprobs: Option<Logprobs>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Option<String>,
}

#[derive(Deserialize)]
struct Logprobs {
    #[serde(default)]
    content: Option<Vec<Token>>,
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    top_logprobs: Vec<Alternative>,
}

#[derive(Deserialize)]
struct Alternative {
    token: String,
    logprob: f64,
}

impl Completion {
    fn reply(self) -> Option<Reply> {
        let choice = self.choices.into_iter().next()?;
        let first = choice.logprobs.and_then(|logprobs| logprobs.content?.into_iter().next());
        let alternatives = first.map_or_else(Vec::new, |token| token.top_logprobs);
        Some(Reply {
            text: choice.message.content.unwrap_or_default(),
            alternatives: alternatives.into_iter().map(|one| (one.token, one.logprob)).collect(),
        })
    }
}
