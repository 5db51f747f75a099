//! Forwards requests to the model server, with the service's system prompt, and streams the
//! responses back.

use anyhow::{Result, ensure};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::Arc;

/// The model server, and what this service adds to a request.
pub(crate) struct Upstream {
    client: reqwest::Client,
    base_url: Option<String>,
    api_key: Option<String>,
    system_prompt: Option<String>,
}

impl Upstream {
    /// Reads `OPENAI_BASE_URL`, `OPENAI_API_KEY` and `SYSTEM_PROMPT`.
    pub(crate) fn from_env() -> Result<Self> {
        let set = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
        Self::new(set("OPENAI_BASE_URL"), set("OPENAI_API_KEY"), set("SYSTEM_PROMPT"))
    }

    pub(crate) fn new(
        base_url: Option<String>,
        api_key: Option<String>,
        system_prompt: Option<String>,
    ) -> Result<Self> {
        if let Some(url) = &base_url {
            ensure!(
                url.starts_with("http://") || url.starts_with("https://"),
                "OPENAI_BASE_URL is not a URL: {url}"
            );
        }
        let base_url = base_url.map(|url| url.trim_end_matches('/').to_owned());
        Ok(Self {
            client: reqwest::Client::builder().no_proxy().build()?,
            base_url,
            api_key,
            system_prompt,
        })
    }

    pub(crate) fn base_url(&self) -> Option<&str> {
        self.base_url.as_deref()
    }

    /// Puts the service's system prompt first, unless the conversation already has one.
    fn with_system_prompt(&self, mut request: Value) -> Value {
        let messages = request.get_mut("messages").and_then(Value::as_array_mut);
        if let (Some(messages), Some(prompt)) = (messages, &self.system_prompt)
            && !messages.iter().any(|message| message["role"] == "system")
        {
            messages.insert(0, json!({"role": "system", "content": prompt}));
        }
        request
    }

    async fn send(&self, path: &str, body: Option<Vec<u8>>) -> Response {
        let Some(base_url) = &self.base_url else {
            return error(
                StatusCode::SERVICE_UNAVAILABLE,
                "no model server: OPENAI_BASE_URL is not set",
            );
        };
        let url = format!("{base_url}/{path}");
        let mut request = match body {
            Some(body) => {
                self.client.post(url).header(header::CONTENT_TYPE, "application/json").body(body)
            }
            None => self.client.get(url),
        };
        if let Some(key) = &self.api_key {
            request = request.bearer_auth(key);
        }
        match request.send().await {
            Ok(answer) => {
                let status = answer.status();
                let kind = answer.headers().get(header::CONTENT_TYPE).cloned();
                // If the model server breaks off, this body ends with an error, so that the client
                // notices.
                let mut response = Response::new(Body::from_stream(answer.bytes_stream()));
                *response.status_mut() = status;
                if let Some(kind) = kind {
                    response.headers_mut().insert(header::CONTENT_TYPE, kind);
                }
                response
            }
            Err(cause) => {
                tracing::warn!(%cause, "the model server cannot be reached");
                error(StatusCode::BAD_GATEWAY, "the model server cannot be reached")
            }
        }
    }
}

/// `GET /v1/models`.
pub(crate) async fn models(State(upstream): State<Arc<Upstream>>) -> Response {
    upstream.send("models", None).await
}

/// `POST /v1/chat/completions`. A body that is not JSON is forwarded as it is, for the model server
/// to reject.
pub(crate) async fn chat(State(upstream): State<Arc<Upstream>>, body: Bytes) -> Response {
    let body = match serde_json::from_slice(&body) {
        Ok(request) => upstream.with_system_prompt(request).to_string().into_bytes(),
        Err(_) => body.to_vec(),
    };
    upstream.send("chat/completions", Some(body)).await
}

fn error(status: StatusCode, message: &str) -> Response {
    let body =
        json!({"error": {"message": message, "type": "server_error", "param": null, "code": null}});
    (status, axum::Json(body)).into_response()
}
