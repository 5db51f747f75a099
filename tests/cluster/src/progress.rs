//! How callers learn what takes time.

/// Called with one short line at the start of each step that takes time.
pub type OnStep<'a> = &'a dyn Fn(&str);
