//! Entries of the list.

use crate::outcome::{Answer, Outcome};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// What the entries have in common.
pub trait Entry: DeserializeOwned {
    /// What is sent or read, in words.
    fn what(&self) -> &str;
    /// Who sends or writes such a thing.
    fn from(&self) -> &str;
    /// Since when this is so, if not as long as the section.
    fn since(&self) -> Option<&str>;
    /// What must become of it.
    fn expected(&self) -> Outcome;
}

/// A request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestEntry {
    what: String,
    from: String,
    /// Where it is sent to; unless said, the section's.
    pub path: Option<String>,
    /// Fields that are added to a sound request, or stand in place of its own.
    #[serde(default)]
    pub fields: Map<String, Value>,
    /// Fields that a sound request has and this one lacks.
    #[serde(default)]
    pub without: Vec<String>,
    /// The whole body as text, in place of fields.
    pub text: Option<String>,
    since: Option<String>,
    answer: Answer,
    status: Option<u16>,
    param: Option<String>,
    message: Option<String>,
}

/// A file or a folder.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    what: String,
    from: String,
    /// Name of the generator that makes it.
    pub made_by: String,
    since: Option<String>,
    answer: Answer,
    message: Option<String>,
}

impl Entry for RequestEntry {
    fn what(&self) -> &str {
        &self.what
    }

    fn from(&self) -> &str {
        &self.from
    }

    fn since(&self) -> Option<&str> {
        self.since.as_deref()
    }

    fn expected(&self) -> Outcome {
        Outcome {
            answer: self.answer,
            status: self.status,
            param: self.param.clone(),
            message: self.message.clone(),
        }
    }
}

impl Entry for FileEntry {
    fn what(&self) -> &str {
        &self.what
    }

    fn from(&self) -> &str {
        &self.from
    }

    fn since(&self) -> Option<&str> {
        self.since.as_deref()
    }

    fn expected(&self) -> Outcome {
        let (answer, message) = (self.answer, self.message.clone());
        Outcome { answer, message, ..Outcome::taken(answer) }
    }
}
