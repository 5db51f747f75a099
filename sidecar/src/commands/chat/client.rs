//! A client of the chat API for the terminal.

use anyhow::{Context as _, anyhow, bail};
use futures::StreamExt as _;
use serde_json::{Value, json};
use std::io::Write as _;

/// A server and the model that it serves.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    model: String,
}

/// A request.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    pub(super) messages: &'a [Value],
    pub(super) max_tokens: u32,
    pub(super) temperature: f32,
    pub(super) seed: Option<i64>,
}

/// An answer, printed to the terminal already.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) finish_reason: String,
    /// The response field `personaguard`.
    pub(super) scores: Value,
}

impl Client {
    /// Connects to a server, and finds the model that it serves.
    ///
    /// # Errors
    /// If there is no server, or it serves no model yet.
    pub(super) async fn connect(url: &str) -> anyhow::Result<Self> {
        let base = url.trim_end_matches('/').trim_end_matches("/v1").to_owned();
        let http = reqwest::Client::builder().build()?;
        let models = format!("{base}/v1/models");
        let answer = http.get(&models).send().await.with_context(|| {
            format!(
                "no server at {base}: start one with `personaguard serve`, or give --url or \
                 --config"
            )
        })?;
        let list: Value = answer
            .json()
            .await
            .with_context(|| format!("{models} does not reply as the OpenAI API does"))?;
        let model = list["data"][0]["id"]
            .as_str()
            .ok_or_else(|| anyhow!("{base} serves no model yet: see {base}/readyz"))?;
        Ok(Self { http, model: model.to_owned(), base })
    }

    pub(super) fn model(&self) -> &str {
        &self.model
    }

    /// Sends a request, and prints the answer as it arrives.
    ///
    /// # Errors
    /// If the server refuses, or breaks off the answer.
    pub(super) async fn say(&self, turn: Turn<'_>) -> anyhow::Result<Answer> {
        let body = json!({
            "model": self.model,
            "messages": turn.messages,
            "max_tokens": turn.max_tokens,
            "temperature": turn.temperature,
            "seed": turn.seed,
            "stream": true,
            "personaguard": { "scores": true },
        });
        let response =
            self.http.post(format!("{}/v1/chat/completions", self.base)).json(&body).send().await?;
        if !response.status().is_success() {
            let status = response.status();
            let body: Value = response.json().await.unwrap_or_default();
            bail!("{}", body["error"]["message"].as_str().unwrap_or(status.as_str()));
        }
        let mut answer = Answer::default();
        let mut chunks = response.bytes_stream();
        let mut lines = Vec::new();
        while let Some(chunk) = chunks.next().await {
            lines.extend_from_slice(&chunk.context("the server broke off")?);
            while let Some(end) = lines.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = lines.drain(..=end).collect();
                match line.strip_prefix(b"data: ") {
                    Some(data) if data.starts_with(b"[DONE]") => return Ok(answer),
                    Some(data) => answer.take(&serde_json::from_slice(data)?)?,
                    None => {}
                }
            }
        }
        bail!("the server broke off before the answer was complete")
    }
}

impl Answer {
    fn take(&mut self, chunk: &Value) -> anyhow::Result<()> {
        if let Some(message) = chunk["error"]["message"].as_str() {
            bail!("{message}");
        }
        let choice = &chunk["choices"][0];
        if let Some(text) = choice["delta"]["content"].as_str() {
            self.text.push_str(text);
            print!("{text}");
            std::io::stdout().flush()?;
        }
        if let Some(reason) = choice["finish_reason"].as_str() {
            reason.clone_into(&mut self.finish_reason);
        }
        if let Some(scores) = chunk.get("personaguard") {
            self.scores = scores.clone();
        }
        Ok(())
    }
}
