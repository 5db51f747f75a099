//! The chat templates of a model, wherever its files keep them.

use crate::error::LoadError;
use std::collections::BTreeMap;

/// What hubs call the template for every conversation.
const DEFAULT: &str = "default";
/// What hubs call the template for conversations with tools.
const TOOL_USE: &str = "tool_use";

/// Sources of a model's chat templates.
#[derive(Debug, Default)]
pub(crate) struct ChatTemplates {
    /// The template; `None` where the model has none.
    pub(crate) default: Option<String>,
    /// What stands in for it where there are tools.
    pub(crate) tool_use: Option<String>,
}

impl ChatTemplates {
    /// Chooses among templates by their names, as transformers does; one that is alone is taken
    /// whatever its name.
    ///
    /// # Errors
    /// There are several, and none is the default.
    pub(super) fn choose(mut named: BTreeMap<String, String>) -> Result<Self, LoadError> {
        if named.len() == 1 {
            return Ok(Self { default: named.into_values().next(), tool_use: None });
        }
        match named.remove(DEFAULT) {
            Some(default) => Ok(Self { default: Some(default), tool_use: named.remove(TOOL_USE) }),
            None if named.is_empty() => Ok(Self::default()),
            None => {
                let names: Vec<String> = named.into_keys().collect();
                Err(LoadError::template(format!(
                    "it has templates {}, and none is the default: name one of them default",
                    names.join(", ")
                )))
            }
        }
    }
}
