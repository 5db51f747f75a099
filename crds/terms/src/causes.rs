//! Errors with what caused them.

use std::error::Error;

/// An error and its causes in one line. An error's own message says what failed and leaves out what
/// its `source` says; whatever shows an error to people shows both. Errors of some libraries say
/// their cause themselves: it is not repeated.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.ends_with(&message) {
            text = format!("{text}: {message}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{about}")]
    struct About {
        about: &'static str,
        source: std::io::Error,
    }

    #[test]
    fn a_cause_that_an_error_says_itself_is_not_repeated() {
        let source = std::io::Error::other("the disk is full");
        let error = About { about: "a.gguf: the disk is full", source };
        assert_eq!(with_causes(&error), "a.gguf: the disk is full");
    }

    #[test]
    fn an_error_is_told_with_each_of_its_causes_once() {
        let source = std::io::Error::other("the disk is full");
        let error = About { about: "a.gguf could not be read", source };
        assert_eq!(with_causes(&error), "a.gguf could not be read: the disk is full");
        assert_eq!(with_causes(&error.source), "the disk is full");
    }
}
