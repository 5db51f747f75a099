//! vLLM with our plugin: it generates and tokenizes over HTTP, and tells states over a socket.

mod api;
mod connection;
mod logprobs;
mod settings;
mod vectors;

use super::generation_settings::GenerationSettings;
use super::steering::Steering;
use crate::error::{Context as _, Result, bail};
use api::Api;
use connection::Connection;
use personaguard_engine_link::{
    Change, Effect, Hello, MeanState, MeasuredRequest, RequestPlan, StatesRequest,
};
use personaguard_model::{Capture, MeanStates};
use personaguard_persona::MadeOn;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use vectors::Vectors;

pub use settings::VllmSettings;

/// Longest wait for the states of a request that vLLM has answered.
const STATES: Duration = Duration::from_secs(30);

/// A vLLM that runs, with the plugin connected.
#[derive(Debug)]
pub struct Vllm {
    api: Api,
    connection: Connection,
    vectors: Vectors,
    hello: Arc<Hello>,
    digest: String,
}

/// What is asked for besides a completion.
#[derive(Default)]
struct Measured<'a> {
    steering: Option<Steering<'a>>,
    /// Where the response begins, if that is before the prompt's end.
    response: Option<usize>,
}

impl Vllm {
    /// Waits for the plugin, and finds the model.
    ///
    /// # Errors
    /// A sentence that says what to do, if one of both cannot be reached or used.
    pub(super) async fn connect(settings: &VllmSettings) -> Result<Self> {
        let mut connection = Connection::open(&settings.socket)?;
        let hello = connection.hello(settings.wait).await?;
        if !hello.states {
            bail!("this vLLM tells no states: start it with PERSONAGUARD_STATES=1");
        }
        let Some(digest) = hello.sha256.as_ref().map(ToString::to_string) else {
            bail!(
                "the plugin cannot tell which weights this vLLM has loaded, and vectors are bound \
                 to them: update the plugin, or serve a folder with safetensors or a GGUF file"
            );
        };
        let api = Api::connect(settings).await?;
        let vectors = Vectors::new(Arc::clone(connection.link()), &hello);
        Ok(Self { api, connection, vectors, hello, digest })
    }

    pub(super) fn name(&self) -> &str {
        self.api.model()
    }

    pub(super) fn digest(&self) -> &str {
        &self.digest
    }

    pub(super) fn layers(&self) -> usize {
        self.hello.layers as usize
    }

    pub(super) fn hidden_size(&self) -> usize {
        self.hello.hidden
    }

    pub(super) fn context_length(&self) -> usize {
        self.api.context_length()
    }

    pub(super) fn made_on(&self) -> MadeOn {
        MadeOn {
            engine: "vllm".to_owned(),
            version: self.hello.vllm.clone(),
            plugin: self.hello.plugin.clone(),
            dtype: self.hello.dtype.clone().unwrap_or_else(|| "unknown".to_owned()),
            quantization: self.hello.quantization.clone(),
            adapter: self.api.adapter().map(str::to_owned),
        }
    }

    pub(super) async fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.api.tokenize(json!({ "prompt": text, "add_special_tokens": false })).await
    }

    pub(super) async fn prompt(&self, messages: &[Value], tools: &[Value]) -> Result<Vec<u32>> {
        let mut body = json!({ "messages": messages });
        if !tools.is_empty() {
            body["tools"] = json!(tools);
        }
        self.api.tokenize(body).await
    }

    pub(super) async fn decode(&self, tokens: &[u32]) -> Result<String> {
        self.api.detokenize(tokens).await
    }

    /// Generates an answer. Returns its tokens without the one that ends it.
    pub(super) async fn generate(
        &self,
        prompt: &[u32],
        settings: GenerationSettings,
        steering: Option<Steering<'_>>,
    ) -> Result<Vec<u32>> {
        let room = self.context_length().saturating_sub(prompt.len());
        let body = json!({
            "prompt": prompt,
            "max_tokens": settings.max_tokens.min(room),
            "temperature": settings.temperature,
            // vLLM's seeds have a sign.
            "seed": settings.seed >> 1,
            "return_token_ids": true,
        });
        let measured = Measured { steering, response: None };
        let choice = self.complete(body, measured).await?;
        let mut tokens: Vec<u32> = serde_json::from_value(choice["token_ids"].clone())
            .context("vLLM returned no token ids: it must be 0.11 or later")?;
        if choice["finish_reason"] == "stop" {
            tokens.pop();
        }
        Ok(tokens)
    }

    /// Log-likelihood of a response in nats.
    pub(super) async fn log_likelihood(
        &self,
        prompt: &[u32],
        response: &[u32],
        steering: Option<Steering<'_>>,
    ) -> Result<f64> {
        if response.is_empty() {
            return Ok(0.0);
        }
        let all = [prompt, response].concat();
        let body = json!({
            "prompt": all, "max_tokens": 1, "temperature": 0, "prompt_logprobs": 1,
        });
        let measured = Measured { steering, response: Some(prompt.len()) };
        let choice = self.complete(body, measured).await?;
        logprobs::sum(&choice["prompt_logprobs"], prompt.len(), response)
    }

    /// Mean states of prompt and response.
    pub(super) async fn mean_states(
        &self,
        prompt: &[u32],
        response: &[u32],
        capture: Capture,
    ) -> Result<MeanStates> {
        let request = StatesRequest::new(self.connection.link());
        let plan = RequestPlan {
            id: request.id(),
            set: None,
            changes: &[],
            prompt: (!response.is_empty()).then_some(prompt.len()),
            states: true,
        };
        let all = [prompt, response].concat();
        let body = json!({ "prompt": all, "max_tokens": 1, "temperature": 0 });
        self.api.complete(body, Some(&plan)).await?;
        let told = request.told(!response.is_empty(), STATES).await?;
        let mean = |state: Option<MeanState>, tokens: usize| {
            let shape = |state: &MeanState| {
                state.tokens == tokens
                    && state.layers.len() == self.layers() + 1
                    && state.layers.iter().all(|layer| layer.len() == self.hidden_size())
            };
            let state =
                state.filter(shape).context("the plugin told the states of another text")?;
            if !state.layers.iter().flatten().all(|value| value.is_finite()) {
                bail!("an activation of the model is no number");
            }
            Ok(state.layers)
        };
        let response_mean = match response {
            [] => vec![vec![0.0; self.hidden_size()]; self.layers() + 1],
            _ => mean(told.response_mean, response.len())?,
        };
        let (prompt_mean, prompt_last) =
            (mean(told.prompt_mean, prompt.len())?, mean(told.prompt_last, 1)?);
        Ok(match capture {
            Capture::PromptAndResponse => {
                MeanStates { response_mean, prompt_mean, prompt_last, ..MeanStates::default() }
            }
            Capture::Response | Capture::None => {
                MeanStates { response_mean, ..MeanStates::default() }
            }
        })
    }

    /// A completion, steered if that is asked for.
    async fn complete(&self, body: Value, measured: Measured<'_>) -> Result<Value> {
        let Some(Steering { layer, vector, coefficient }) = measured.steering else {
            return self.api.complete(body, None).await;
        };
        let held = self.vectors.hold(layer, vector).await?;
        let mut request = MeasuredRequest::new(self.connection.link(), held.set());
        let changes = [Change {
            slot: held.slot(),
            effect: Effect::Add { add: coefficient },
            positions: "response",
            when: None,
        }];
        let plan = RequestPlan {
            id: request.id(),
            set: Some(held.set().to_string()),
            changes: &changes,
            prompt: measured.response,
            states: false,
        };
        let choice = self.api.complete(body, Some(&plan)).await?;
        request.has_ended();
        Ok(choice)
    }
}

#[cfg(test)]
mod tests;
