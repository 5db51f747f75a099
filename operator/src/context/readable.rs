//! Objects that this operator may be unable to read: those of a newer version, say. They are no
//! reason to stop watching the others, and they are not gone.

use kube::Resource;
use kube::core::ObjectMeta;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt::Debug;

/// Longest error that is kept.
const MAX_ERROR_CHARS: usize = 500;

/// An object as it was read, or what is known of it otherwise.
#[derive(Clone, Debug)]
pub(crate) enum Readable<K> {
    Read(K),
    Unreadable(Box<Unreadable>),
}

/// An object that exists, and does not parse.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Unreadable {
    pub(crate) metadata: ObjectMeta,
    /// Why.
    pub(crate) error: String,
    /// Its `spec` and `status`, unread.
    pub(crate) spec: Value,
    pub(crate) status: Value,
}

impl Unreadable {
    fn new(mut raw: Value, error: &impl ToString) -> Self {
        Self {
            metadata: metadata(&raw["metadata"]),
            error: error.to_string().chars().take(MAX_ERROR_CHARS).collect(),
            spec: raw["spec"].take(),
            status: raw["status"].take(),
        }
    }

    pub(crate) fn is_being_deleted(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    pub(crate) fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    /// `spec.model`, if that is what it is.
    pub(crate) fn model(&self) -> Option<&str> {
        self.spec["model"].as_str()
    }
}

/// Of metadata that do not parse either, what names the object.
fn metadata(raw: &Value) -> ObjectMeta {
    let text = |name: &str| raw[name].as_str().map(str::to_owned);
    ObjectMeta::deserialize(raw).unwrap_or_else(|_| ObjectMeta {
        name: text("name"),
        namespace: text("namespace"),
        uid: text("uid"),
        resource_version: text("resourceVersion"),
        generation: raw["generation"].as_i64(),
        ..ObjectMeta::default()
    })
}

impl<'de, K: DeserializeOwned> Deserialize<'de> for Readable<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Value::deserialize(deserializer)?;
        Ok(match K::deserialize(&raw) {
            Ok(object) => Self::Read(object),
            Err(error) => Self::Unreadable(Box::new(Unreadable::new(raw, &error))),
        })
    }
}

impl<K: Resource> Resource for Readable<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(types: &K::DynamicType) -> Cow<'_, str> {
        K::kind(types)
    }

    fn group(types: &K::DynamicType) -> Cow<'_, str> {
        K::group(types)
    }

    fn version(types: &K::DynamicType) -> Cow<'_, str> {
        K::version(types)
    }

    fn plural(types: &K::DynamicType) -> Cow<'_, str> {
        K::plural(types)
    }

    fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Read(object) => object.meta(),
            Self::Unreadable(unreadable) => &unreadable.metadata,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Self::Read(object) => object.meta_mut(),
            Self::Unreadable(unreadable) => &mut unreadable.metadata,
        }
    }
}

#[cfg(test)]
mod tests;
