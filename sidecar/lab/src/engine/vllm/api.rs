//! What is asked of vLLM over HTTP.

use super::settings::VllmSettings;
use crate::engine::batch::BATCH;
use crate::error::{Context as _, LabError, Result, bail};
use personaguard_engine_link::RequestPlan;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Environment variable with vLLM's key (`--api-key`), if it has one.
const KEY: &str = "PERSONAGUARD_ENGINE_KEY";
/// Largest answer that is read, in bytes: log-probabilities of a long text are the largest.
const MAX_BODY: usize = 64 << 20;
/// Longest time for one request. Others may be ahead of it in vLLM.
const TIMEOUT: Duration = Duration::from_secs(900);
/// Longest text of a refusal that is shown, in characters.
const MAX_REASON: usize = 500;

/// vLLM's HTTP server, and one of its models.
#[derive(Debug)]
pub(super) struct Api {
    http: Client,
    url: String,
    key: Option<String>,
    model: String,
    is_adapter: bool,
    context_length: usize,
    /// As many requests as our own engine would run: the plugin sums those of 64 at a time.
    room: Semaphore,
}

impl Api {
    /// Finds the model.
    ///
    /// # Errors
    /// If vLLM cannot be reached, or has no such model.
    pub(super) async fn connect(settings: &VllmSettings) -> Result<Self> {
        let url = settings.url.trim_end_matches('/').trim_end_matches("/v1").to_owned();
        if let Err(error) = reqwest::Url::parse(&url) {
            bail!("--engine {:?} is not a URL: {error}", settings.url);
        }
        let mut api = Self {
            http: Client::builder().timeout(TIMEOUT).build()?,
            url,
            key: std::env::var(KEY).ok().filter(|key| !key.is_empty()),
            model: String::new(),
            is_adapter: false,
            context_length: 0,
            room: Semaphore::new(BATCH),
        };
        let listed = api.listed(settings.wait).await?;
        let models = listed["data"].as_array().map(Vec::as_slice).unwrap_or_default();
        let name = |model: &Value| model["id"].as_str().unwrap_or_default().to_owned();
        let found = match &settings.model {
            None => models.first(),
            Some(wanted) => models.iter().find(|model| name(model) == *wanted),
        };
        let Some(found) = found else {
            let names: Vec<String> = models.iter().map(name).collect();
            bail!("{} serves no such model; it serves {}", api.url, names.join(", "));
        };
        api.model = name(found);
        // An adapter says which model it is for, and not how long a conversation may be.
        api.is_adapter = found["parent"].is_string();
        let lengths = std::iter::once(found).chain(models);
        let length = lengths.filter_map(|model| model["max_model_len"].as_u64()).next();
        api.context_length = usize::try_from(length.context("vLLM tells no max_model_len")?)?;
        Ok(api)
    }

    pub(super) fn model(&self) -> &str {
        &self.model
    }

    pub(super) fn adapter(&self) -> Option<&str> {
        self.is_adapter.then_some(self.model.as_str())
    }

    pub(super) fn context_length(&self) -> usize {
        self.context_length
    }

    pub(super) async fn tokenize(&self, body: Value) -> Result<Vec<u32>> {
        let answer = self.post("/tokenize", body).await?;
        serde_json::from_value(answer["tokens"].clone()).context("vLLM's /tokenize gave no tokens")
    }

    pub(super) async fn detokenize(&self, tokens: &[u32]) -> Result<String> {
        let answer = self.post("/detokenize", json!({ "tokens": tokens })).await?;
        let text = answer["prompt"].as_str().context("vLLM's /detokenize gave no text")?;
        Ok(text.to_owned())
    }

    /// The only choice of a completion. Sampling is from the model's own distribution, whatever the
    /// server's defaults are.
    pub(super) async fn complete(
        &self,
        mut body: Value,
        plan: Option<&RequestPlan<'_>>,
    ) -> Result<Value> {
        for (field, value) in [
            ("top_p", json!(1)),
            ("top_k", json!(0)),
            ("min_p", json!(0)),
            ("repetition_penalty", json!(1)),
            ("presence_penalty", json!(0)),
            ("frequency_penalty", json!(0)),
        ] {
            body[field] = value;
        }
        if let Some(plan) = plan {
            body["vllm_xargs"] = json!({ "personaguard": plan.text() });
        }
        let mut answer = self.post("/v1/completions", body).await?;
        match answer["choices"].get_mut(0) {
            Some(choice) => Ok(choice.take()),
            None => bail!("{} completed nothing", self.url),
        }
    }

    /// Its models. vLLM's plugin connects a little before its server listens.
    async fn listed(&self, longest: Duration) -> Result<Value> {
        let begin = tokio::time::Instant::now();
        let mut is_said = false;
        loop {
            let request = self.http.get(format!("{}/v1/models", self.url));
            match self.send(request).await {
                Err(LabError::About { .. }) if begin.elapsed() < longest => {
                    if !is_said {
                        eprintln!("Waiting for {} to answer …", self.url);
                        is_said = true;
                    }
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                result => return result,
            }
        }
    }

    async fn post(&self, path: &str, mut body: Value) -> Result<Value> {
        body["model"] = json!(self.model);
        // It is never closed.
        let _permit = self.room.acquire().await;
        self.send(self.http.post(format!("{}{path}", self.url)).json(&body)).await
    }

    async fn send(&self, mut request: RequestBuilder) -> Result<Value> {
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        let response = request.send().await.map_err(reqwest::Error::without_url);
        let mut response = response.with_context(|| {
            format!("{} does not answer: give vLLM's URL as --engine, and see its log", self.url)
        })?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MAX_BODY {
                bail!("{} answers with more than {MAX_BODY} bytes", self.url);
            }
        }
        if status.is_success() {
            return serde_json::from_slice(&bytes)
                .map_err(|_| LabError::Unusable(format!("{} does not answer in JSON", self.url)));
        }
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let reason = answer["error"]["message"].as_str().unwrap_or("no reason given");
        let reason: String = reason.chars().filter(|c| !c.is_control()).take(MAX_REASON).collect();
        let text = match status.as_u16() {
            401 | 403 => format!("{} wants a key ({status}): set {KEY} to it", self.url),
            404 => format!("{} has no such path or model ({status}): {reason}", self.url),
            _ => format!("vLLM refuses a request ({status}): {reason}"),
        };
        Err(if status == 400 { LabError::Refused(text) } else { LabError::Unusable(text) })
    }
}
