//! Numbers for some modules, by patterns of their names.

use crate::error::LoadError;
use crate::load::adapter::refusal::unsupported;
use serde_json::Value;

/// Numbers for some modules. PEFT takes a pattern for the end of a module's name, from a dot on, or
/// for the whole after `^`.
pub(super) struct Patterns {
    /// Names of modules, or their ends, in the order of the file.
    names: Vec<(String, f64)>,
    /// The first pattern that is more than a name.
    unclear: Option<String>,
}

impl Patterns {
    /// Reads the object `key` of a configuration, if it is there.
    ///
    /// # Errors
    /// A value is no positive number.
    pub(super) fn read(config: &Value, key: &str) -> Result<Self, LoadError> {
        let mut patterns = Self { names: Vec::new(), unclear: None };
        for (pattern, value) in config.get(key).and_then(Value::as_object).into_iter().flatten() {
            let number = value.as_f64().filter(|number| *number > 0.0).ok_or_else(|| {
                unsupported(format!(
                    "{key} has a value that is no positive number: mend it in adapter_config.json"
                ))
            })?;
            let name = pattern.strip_suffix('$').unwrap_or(pattern).replace("\\.", ".");
            let letters = name.strip_prefix('^').unwrap_or(&name);
            if letters.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
                patterns.names.push((name, number));
            } else {
                patterns.unclear.get_or_insert_with(|| pattern.clone());
            }
        }
        Ok(patterns)
    }

    /// The number of a module.
    pub(super) fn of(&self, module: &str) -> Option<f64> {
        let matches = |name: &str| match name.strip_prefix('^') {
            Some(whole) => module == whole,
            None => module
                .strip_suffix(name)
                .is_some_and(|before| before.is_empty() || before.ends_with('.')),
        };
        self.names.iter().find(|(name, _)| matches(name)).map(|(_, number)| *number)
    }

    /// A pattern that is more than a name, if there is one.
    pub(super) fn unclear(&self) -> Option<&str> {
        self.unclear.as_deref()
    }
}
