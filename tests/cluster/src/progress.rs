//! Progress messages.

/// Called with one short line for each step that takes a while.
pub type Say<'a> = &'a dyn Fn(&str);
