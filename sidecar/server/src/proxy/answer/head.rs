//! Fields of a payload beside its choices.

use super::naming::Naming;
use super::usage::{TIMINGS, USAGE};
use super::{Part, error};
use crate::proxy::path::Api;
use crate::proxy::shape::Shape;
use serde_json::{Map, Value};

const TIERS: &[&str] = &["auto", "default", "flex", "priority", "scale", "standard"];

/// Whether a chunk has no other fields: it says nothing, but perhaps what was used.
pub(super) fn is_all(fields: &Map<String, Value>) -> bool {
    const NAMES: [&str; 8] = [
        "choices",
        "id",
        "model",
        "object",
        "created",
        "system_fingerprint",
        "service_tier",
        "usage",
    ];
    fields.keys().all(|name| NAMES.contains(&name.as_str()))
}

/// Takes out what may not leave.
pub(super) fn keep(naming: &Naming, part: Part, fields: &mut Map<String, Value>) {
    fields.retain(|name, value| match name.as_str() {
        "choices" => true,
        "id" => {
            *value = naming.id(value.take());
            true
        }
        "model" => {
            *value = naming.model(value.take());
            true
        }
        "object" => {
            *value = object(naming.api, part).into();
            true
        }
        "created" => Shape::Number.keep(value),
        "system_fingerprint" => Shape::Reference.keep(value),
        "service_tier" => Shape::Word(TIERS).keep(value),
        "usage" => USAGE.keep(value),
        "timings" => TIMINGS.keep(value),
        "error" => {
            if !value.is_null() {
                *value = error::withheld(value, None);
            }
            true
        }
        _ => false,
    });
}

/// What a payload calls itself.
pub(super) fn object(api: Api, part: Part) -> &'static str {
    match (api, part) {
        (Api::Chat, Part::Event) => "chat.completion.chunk",
        (Api::Chat, Part::Whole) => "chat.completion",
        _ => "text_completion",
    }
}
