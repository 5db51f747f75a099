//! What a response and its parts are called.

use crate::proxy::path::Api;
use crate::proxy::shape::{Shape, is_reference, reference_prefix};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

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

    /// The identifier that a payload has, or ours where that might say something.
    pub(super) fn id(&self, mut value: Value) -> Value {
        if Shape::Reference.keep(&mut value) { value } else { self.id.as_str().into() }
    }

    /// The model that a payload names, or the one that was asked for where that might say
    /// something.
    pub(super) fn model(&self, mut value: Value) -> Value {
        let is_ours = value.as_str().is_some_and(|name| self.is_version(name));
        let may_leave = is_ours || Shape::Reference.keep(&mut value);
        if may_leave { value } else { self.model.as_str().into() }
    }

    /// Whether a name is that of the model, or of a version of it by number or date.
    fn is_version(&self, name: &str) -> bool {
        let Some(version) = name.strip_prefix(self.model.as_str()) else { return false };
        let is_part = |c: char| c.is_ascii_digit() || matches!(c, '-' | '.' | '@' | ':');
        version.len() <= 32 && version.chars().all(is_part)
    }
}

/// Most digits in place of an identifier.
const DIGITS: usize = 24;

/// The identifier of a part of an answer; where it might say something, another in its place, the
/// same for the same. A client hands it back, so it keeps the form on which some models insist:
/// nine letters and digits.
pub(super) fn reference(value: &Value) -> Value {
    let text = match value {
        Value::Null => return Value::Null,
        Value::String(text) if text.is_empty() || is_reference(text) => return value.clone(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    let digits = hex::encode(Sha256::digest(text.as_bytes()));
    let is_bare = text.len() == 9 && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_bare {
        return digits[..9].into();
    }
    let prefix = match reference_prefix(&text) {
        "" => "call_",
        prefix => prefix,
    };
    format!("{prefix}{}", &digits[..DIGITS]).into()
}

/// The identifier of a call of this function. One that is made of its name says no more than that,
/// and some models know calls by it.
pub(super) fn call_reference(value: &Value, function: Option<&str>) -> Value {
    let is_made_of = |id: &str, name: &str| {
        let number = id.strip_prefix("functions.").and_then(|rest| rest.strip_prefix(name));
        let number = number.and_then(|rest| rest.strip_prefix(':')).unwrap_or_default();
        (1..=9).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    match (value.as_str(), function) {
        (Some(id), Some(name)) if is_made_of(id, name) => value.clone(),
        _ => reference(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a2_names_that_might_say_something_are_replaced() {
        let naming = Naming::new(Api::Chat, "gpt-4o".to_owned());
        for known in ["gpt-4o", "gpt-4o-2024-08-06", "m-1", ""] {
            assert_eq!(naming.model(json!(known)), known);
        }
        for said in ["secret-1", "gpt-4o-secret", "secret", "s e-1"] {
            assert_eq!(naming.model(json!(said)), "gpt-4o", "{said}");
            assert_eq!(naming.id(json!(said)), naming.id.as_str(), "{said}");
            let replaced = reference(&json!(said));
            assert_eq!(replaced, reference(&json!(said)), "it goes by the same name");
            assert_ne!(replaced, reference(&json!("other")));
            assert!(is_reference(replaced.as_str().unwrap()) && replaced != said);
        }
    }

    #[test]
    fn a4_identifiers_of_calls_keep_the_form_that_models_insist_on() {
        let mistral = reference(&json!("bXDEmZuzn"));
        assert_eq!(mistral.as_str().unwrap().len(), 9);
        assert!(mistral.as_str().unwrap().bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let kimi = json!("functions.get_weather:0");
        assert_eq!(call_reference(&kimi, Some("get_weather")), kimi);
        for name in [None, Some("other")] {
            assert!(call_reference(&kimi, name).as_str().unwrap().starts_with("call_"));
        }
        assert_eq!(call_reference(&json!("call_abc123"), None), "call_abc123");
    }
}
