//! Texts of a form that is not JSON.

use super::error::GrammarError;
use super::schema::MAX_SCHEMA_BYTES;
use llguidance::api::TopLevelGrammar;
use serde_json::Value;

/// What a text must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextForm {
    /// A match of this regular expression, from its start to its end.
    Regex(String),
    /// One of these texts: at least one, none empty.
    Choice(Vec<String>),
}

impl TextForm {
    pub(super) fn grammar(&self) -> Result<TopLevelGrammar, GrammarError> {
        let bytes = match self {
            Self::Regex(pattern) => pattern.len(),
            Self::Choice(choices) => choices.iter().map(String::len).sum(),
        };
        if bytes > MAX_SCHEMA_BYTES {
            return Err(GrammarError::TooLarge("it is longer than 64 KiB"));
        }
        match self {
            Self::Regex(pattern) => Ok(TopLevelGrammar::from_regex(pattern)),
            Self::Choice(choices) if choices.is_empty() || choices.iter().any(String::is_empty) => {
                Err(GrammarError::Text("there must be texts to choose from, none empty".to_owned()))
            }
            Self::Choice(choices) => {
                let quoted = choices.iter().map(|choice| Value::from(choice.as_str()).to_string());
                let choices = quoted.collect::<Vec<_>>().join(" | ");
                Ok(TopLevelGrammar::from_lark(format!("start: {choices}\n")))
            }
        }
    }
}
