//! Stop strings: a response's text as it grows, without any of a stop string in it.

use crate::tokenizer::{Tokenizer, Utf8Buffer};

/// The text of one response on its way out.
#[derive(Debug)]
pub(super) struct StopFilter {
    stops: Vec<String>,
    buffer: Utf8Buffer,
    /// Text that may be the beginning of a stop string.
    held_back: String,
}

/// Whether a token's text completed a stop string.
#[derive(Debug, PartialEq)]
pub(super) enum StopMatch {
    /// It did not. This text is certain to belong to the response.
    None(String),
    /// It did: this one, and this text came before it.
    Found { text: String, stop: String },
}

impl StopFilter {
    pub(super) fn new(stops: &[String]) -> Self {
        let stops = stops.iter().filter(|stop| !stop.is_empty()).cloned().collect();
        Self { stops, buffer: Utf8Buffer::default(), held_back: String::new() }
    }

    /// Adds the text of a token.
    pub(super) fn push(&mut self, tokenizer: &Tokenizer, token: u32) -> StopMatch {
        let text = self.buffer.push(tokenizer.token_bytes(token));
        self.push_text(&text)
    }

    /// Adds the text of a token at which no stop string ends the response.
    pub(super) fn pass(&mut self, tokenizer: &Tokenizer, token: u32) -> StopMatch {
        StopMatch::None(self.buffer.push(tokenizer.token_bytes(token)))
    }

    fn push_text(&mut self, text: &str) -> StopMatch {
        self.held_back.push_str(text);
        let found = self.stops.iter().filter_map(|stop| Some((self.held_back.find(stop)?, stop)));
        if let Some((at, stop)) = found.min_by_key(|(at, _)| *at) {
            let stop = stop.clone();
            self.held_back.truncate(at);
            return StopMatch::Found { text: std::mem::take(&mut self.held_back), stop };
        }
        let rest = self.held_back.split_off(self.certain_length());
        StopMatch::None(std::mem::replace(&mut self.held_back, rest))
    }

    /// Bytes of the text held back that cannot belong to a stop string.
    fn certain_length(&self) -> usize {
        let longest = self.stops.iter().map(String::len).max().unwrap_or(0).saturating_sub(1);
        let from = self.held_back.len().saturating_sub(longest);
        let may_begin_stop =
            |at: &usize| self.stops.iter().any(|stop| stop.starts_with(&self.held_back[*at..]));
        (from..self.held_back.len())
            .filter(|&at| self.held_back.is_char_boundary(at))
            .find(may_begin_stop)
            .unwrap_or(self.held_back.len())
    }

    /// The text held back, once the response has ended without a stop string.
    pub(super) fn finish(&mut self) -> String {
        let mut text = std::mem::take(&mut self.held_back);
        text.push_str(&self.buffer.finish());
        text
    }
}

#[cfg(test)]
mod tests;
