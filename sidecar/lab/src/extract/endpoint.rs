//! An OpenAI-compatible endpoint that writes traits and judges answers. What is sent there are the
//! trait's texts and the model's own answers to them, never users' conversations.

use anyhow::{Context as _, bail};
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// Environment variable that holds the endpoint's key, where it wants one.
const KEY: &str = "PERSONAGUARD_ENDPOINT_KEY";

/// Bytes of an answer that are read at most.
const MAX_BODY: usize = 4 << 20;
/// How often a request is tried.
const TRIES: u32 = 4;
/// Before the second try; doubles with each further one.
const PAUSE: Duration = Duration::from_millis(500);
/// Until an answer must be there.
const PATIENCE: Duration = Duration::from_secs(120);

/// An endpoint and the model to ask there.
#[derive(Debug)]
pub struct Endpoint {
    http: reqwest::Client,
    url: String,
    model: String,
    key: Option<String>,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    /// The user's message.
    pub(super) text: &'a str,
    /// Longest answer in tokens.
    pub(super) tokens: usize,
    /// Sampling temperature.
    pub(super) temperature: f32,
    /// Whether the alternatives to the first token are wanted.
    pub(super) alternatives: bool,
}

/// What came back.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    /// The answer.
    pub(super) text: String,
    /// Alternatives to its first token, with the natural logarithms of their probabilities.
    pub(super) alternatives: Vec<(String, f64)>,
}

impl Endpoint {
    /// An endpoint at a URL, with or without `/v1` at its end. The key comes from the environment
    /// ([`KEY`]).
    ///
    /// # Errors
    /// If the URL is none.
    pub fn new(url: &str, model: &str) -> anyhow::Result<Self> {
        reqwest::Url::parse(url).with_context(|| format!("--endpoint {url:?} is no URL"))?;
        let base = url.trim_end_matches('/').trim_end_matches("/v1");
        Ok(Self {
            http: reqwest::Client::builder().timeout(PATIENCE).build()?,
            url: format!("{base}/v1/chat/completions"),
            model: model.to_owned(),
            key: std::env::var(KEY).ok().filter(|key| !key.is_empty()),
        })
    }

    /// The model's name there.
    pub(super) fn model(&self) -> &str {
        &self.model
    }

    /// Asks; an endpoint that is busy or away is asked again a few times.
    ///
    /// # Errors
    /// If it refuses, stays away, or answers what no such endpoint answers.
    pub(super) async fn ask(&self, question: Question<'_>) -> anyhow::Result<Reply> {
        let mut body = json!({
            "model": self.model,
            "messages": [{ "role": "user", "content": question.text }],
            "max_tokens": question.tokens,
            "temperature": question.temperature,
        });
        if question.alternatives {
            body["logprobs"] = json!(true);
            body["top_logprobs"] = json!(20);
        }
        let mut pause = PAUSE;
        for attempt in 1..=TRIES {
            match self.try_once(&body).await {
                Ok(Tried::Answered(reply)) => return Ok(reply),
                Ok(Tried::Busy(why)) if attempt == TRIES => bail!("{}: {why}", self.url),
                Err(error) if attempt == TRIES => return Err(error),
                _ => tokio::time::sleep(pause).await,
            }
            pause *= 2;
        }
        bail!("{} did not answer", self.url)
    }

    async fn try_once(&self, body: &Value) -> anyhow::Result<Tried> {
        let mut request = self.http.post(&self.url).json(body);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        let mut response = match request.send().await.map_err(reqwest::Error::without_url) {
            Ok(response) => response,
            Err(error) => return Ok(Tried::Busy(format!("cannot be reached: {error}"))),
        };
        let status = response.status();
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            return Ok(Tried::Busy(format!("answers {status}")));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MAX_BODY {
                bail!("{} answers with more than {MAX_BODY} bytes", self.url);
            }
        }
        if !status.is_success() {
            let error: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            let message = error["error"]["message"].as_str().unwrap_or("without saying why");
            bail!("{} refuses ({status}): {message}. Its key is taken from {KEY}", self.url);
        }
        let answer: Completion = serde_json::from_slice(&bytes)
            .with_context(|| format!("{} does not answer as the OpenAI API does", self.url))?;
        answer
            .reply()
            .with_context(|| format!("{} answered without a choice", self.url))
            .map(Tried::Answered)
    }
}

enum Tried {
    Answered(Reply),
    Busy(String),
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
