//! Prompts that a response repeats before what the model writes, as `completions` does where it is
//! asked to.

use std::collections::BTreeMap;

/// What is still to be repeated.
#[derive(Debug, Default)]
pub(super) struct Echo {
    /// The text of each prompt; none where nothing is repeated.
    prompts: Vec<String>,
    /// Choices for each prompt.
    per_prompt: usize,
    /// Bytes of its prompt that a choice has repeated.
    repeated: BTreeMap<usize, usize>,
}

impl Echo {
    pub(super) fn new(prompts: Vec<String>, per_prompt: usize) -> Self {
        Self { prompts, per_prompt: per_prompt.max(1), repeated: BTreeMap::new() }
    }

    /// Bytes at the beginning of what a choice says next that repeat its prompt.
    pub(super) fn strip(&mut self, choice: usize, text: &str) -> usize {
        let Some(prompt) = self.prompts.get(choice / self.per_prompt.max(1)) else { return 0 };
        let repeated = self.repeated.entry(choice).or_default();
        let rest = prompt.get(*repeated..).unwrap_or_default();
        let bytes = if text.starts_with(rest) {
            rest.len()
        } else if rest.starts_with(text) {
            text.len()
        } else {
            // It says something else: that is the model's.
            *repeated = prompt.len();
            return 0;
        };
        *repeated += bytes;
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_repeats_the_prompt_is_left_out() {
        let prompts = || vec!["ab é".to_owned(), "x".to_owned()];
        let mut echo = Echo::new(prompts(), 2);
        assert_eq!((echo.strip(0, "ab"), echo.strip(0, " é"), echo.strip(0, "more")), (2, 3, 0));
        assert_eq!((echo.strip(1, "ab é and more"), echo.strip(1, "ab é")), (5, 0));
        assert_eq!((echo.strip(2, "xx"), echo.strip(3, "y"), echo.strip(3, "x")), (1, 0, 0));
        assert_eq!(Echo::default().strip(0, "ab"), 0);
    }
}
