//! A client of the app under test.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::time::Duration;

/// A client of an OpenAI-compatible endpoint.
pub struct Chat {
    http: reqwest::Client,
    base_url: String,
}

impl Chat {
    /// For an app at `host:port`.
    ///
    /// # Errors
    /// When there is no TLS backend.
    pub fn new(address: &str) -> Result<Self> {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(120)).build()?;
        Ok(Self { http, base_url: format!("http://{address}/v1") })
    }

    /// One deterministic answer of at most 64 tokens, with its scores. `system` is a system prompt
    /// of the client's own.
    ///
    /// # Errors
    /// When the app cannot be reached or answers with an error.
    pub async fn ask(&self, system: Option<&str>, question: &str) -> Result<Value> {
        let response = self.send(&request(system, question)).await?;
        let status = response.status();
        let body: Value = response.json().await.context("the answer is not JSON")?;
        if !status.is_success() {
            bail!("{status}: {body}");
        }
        Ok(body)
    }

    /// Sends any body.
    ///
    /// # Errors
    /// When the app cannot be reached.
    pub async fn send(&self, body: &Value) -> Result<reqwest::Response> {
        self.http
            .post(format!("{}/chat/completions", self.base_url))
            .json(body)
            .send()
            .await
            .context("the app cannot be reached")
    }
}

/// The request body of [`Chat::ask`].
#[must_use]
pub fn request(system: Option<&str>, question: &str) -> Value {
    let mut messages = Vec::new();
    if let Some(system) = system {
        messages.push(json!({ "role": "system", "content": system }));
    }
    messages.push(json!({ "role": "user", "content": question }));
    json!({
        "model": "smollm2-135m",
        "messages": messages,
        "max_tokens": 64,
        "temperature": 0,
        "personaguard": { "scores": true }
    })
}

/// The `response_avg` of a vector in an answer to [`Chat::ask`].
///
/// # Errors
/// When the answer has none.
pub fn response_avg(answer: &Value, vector: &str) -> Result<f64> {
    answer["personaguard"]["scores"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|score| score["vector"] == vector)
        .and_then(|score| score["response_avg"].as_f64())
        .with_context(|| format!("no response_avg of {vector} in {answer}"))
}

/// The text of an answer.
#[must_use]
pub fn text(answer: &Value) -> &str {
    answer["choices"][0]["message"]["content"].as_str().unwrap_or_default()
}
