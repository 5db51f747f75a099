//! What a response and its parts are called.

use crate::proxy::path::Api;
use crate::proxy::shape::is_identifier;
use serde_json::Value;

/// Names for what the guard writes itself, and in place of what is no name.
#[derive(Clone, Debug)]
pub(in crate::proxy) struct Naming {
    pub(in crate::proxy) api: Api,
    /// The model as the client calls it, else as the guard does.
    pub(in crate::proxy) model: String,
    /// An identifier for a response that has none.
    pub(in crate::proxy) id: String,
}

impl Naming {
    pub(in crate::proxy) fn new(api: Api, model: String) -> Self {
        let prefix = match api {
            Api::Chat => "chatcmpl-",
            Api::Completions => "cmpl-",
            Api::Responses => "resp_",
            Api::Messages => "msg_",
        };
        Self { api, model, id: format!("{prefix}{}", uuid::Uuid::new_v4().simple()) }
    }

    /// The identifier that a payload has, or ours where that is none.
    pub(super) fn id(&self, value: &Value) -> Value {
        self.named(value, &self.id)
    }

    /// The model that a payload names, or ours where that is no name.
    pub(super) fn model(&self, value: &Value) -> Value {
        self.named(value, &self.model)
    }

    fn named(&self, value: &Value, otherwise: &str) -> Value {
        match value {
            Value::Null => Value::Null,
            Value::String(text) if text.is_empty() || is_identifier(text) => value.clone(),
            _ => otherwise.into(),
        }
    }
}
