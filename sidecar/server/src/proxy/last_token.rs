//! The last token of an answer that did not end by itself. The engine does not read it, so it is
//! measured by one more request: the answer as a prompt.

use super::forward::Forwarder;
use crate::runtime::LinkedModel;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use personaguard_engine_link::{Change, MeasuredRequest, RequestPlan};
use serde_json::{Value, json};
use std::sync::Arc;

/// How to ask for it.
#[derive(Debug)]
pub(super) struct LastToken {
    pub(super) forwarder: Forwarder,
    pub(super) linked: Arc<LinkedModel>,
    /// Where `completions` is.
    pub(super) uri: Uri,
    /// What the client said of itself.
    pub(super) headers: HeaderMap,
    /// The model, as the client calls it.
    pub(super) model: Option<String>,
    /// What is changed in the answer.
    pub(super) changes: Vec<Change>,
    pub(super) salt: Option<String>,
}

impl LastToken {
    /// Where `completions` is, beside the path of a request.
    pub(super) fn beside(uri: &Uri) -> Option<Uri> {
        let path = uri.path().trim_end_matches('/');
        let before = path.strip_suffix("/completions")?;
        let before = before.strip_suffix("/chat").unwrap_or(before);
        format!("{before}/completions").parse().ok()
    }

    /// The row of the last of `response`.
    pub(super) async fn measure(&self, prompt: &[u32], response: &[u32]) -> Option<Vec<f32>> {
        let tokens = [prompt, response].concat();
        let position = u32::try_from(tokens.len().checked_sub(1)?).ok()?;
        let set = self.linked.vectors.number;
        let mut measured = MeasuredRequest::at(position, &self.linked.link, set);
        let plan = RequestPlan {
            id: measured.id(),
            set: Some(set.to_string()),
            changes: &self.changes,
            prompt: Some(prompt.len()),
            states: false,
        };
        let mut body = json!({
            "prompt": tokens, "max_tokens": 1, "temperature": 0,
            "vllm_xargs": { "personaguard": plan.text() },
        });
        if let Some(model) = &self.model {
            body["model"] = Value::from(model.as_str());
        }
        if let Some(salt) = &self.salt {
            body["cache_salt"] = Value::from(salt.as_str());
        }
        let mut request = Request::new(Body::from(body.to_string()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        for header in [header::CONTENT_LENGTH, header::ACCEPT_ENCODING, header::CONTENT_ENCODING] {
            request.headers_mut().remove(header);
        }
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::CONTENT_TYPE, json);
        let response = self.forwarder.send(request).await.ok()?;
        if !response.status().is_success() {
            return None;
        }
        measured.has_ended();
        loop {
            let taken = measured.take();
            if let Some(row) = taken.rows.into_iter().next() {
                return Some(row);
            }
            if taken.fault.is_some() {
                return None;
            }
            measured.changed().await;
        }
    }
}
