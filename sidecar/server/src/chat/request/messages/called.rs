//! The calls of a conversation so far: which result answers which.

use std::collections::HashMap;

/// The calls so far.
#[derive(Debug, Default)]
pub(super) struct Called {
    /// The function of each call, by the call's id.
    names: HashMap<String, String>,
    /// The last call of each function.
    last_of: HashMap<String, String>,
    /// The last call of all.
    last: Option<String>,
}

impl Called {
    /// A function is called. The call gets an id where it has none, as with servers that know no
    /// ids.
    pub(super) fn add(&mut self, id: Option<String>, name: &str) -> String {
        let id = id
            .filter(|id| !id.is_empty())
            .unwrap_or_else(|| format!("call_{}", self.names.len() + 1));
        self.names.insert(id.clone(), name.to_owned());
        self.last_of.insert(name.to_owned(), id.clone());
        self.last = Some(id.clone());
        id
    }

    /// The id of the call that a result answers, and the name of its function. Conversations are
    /// cut at their start, so there may be no such call.
    pub(super) fn answered_by(&self, id: Option<String>, name: Option<&str>) -> (String, String) {
        let last = || match name {
            Some(name) => self.last_of.get(name),
            None => self.last.as_ref(),
        };
        let id = id.filter(|id| !id.is_empty()).or_else(|| last().cloned()).unwrap_or_default();
        let called = self.names.get(&id).map(String::as_str);
        let name = called.or(name).unwrap_or_default().to_owned();
        (id, name)
    }
}
