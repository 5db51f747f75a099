//! A response's text as it grows: whole characters, and nothing of a stop string.

use crate::tokenizer::{Pending, Tokenizer};

/// Text of one response on its way out.
#[derive(Debug)]
pub(crate) struct ResponseText {
    stops: Vec<String>,
    pending: Pending,
    /// Text that may be the beginning of a stop string.
    held: String,
}

/// What became of a token's text.
#[derive(Debug, PartialEq)]
pub(crate) enum Grown {
    /// This much is certain to belong to the response.
    Text(String),
    /// A stop string was found; this much came before it.
    Stopped(String),
}

impl ResponseText {
    pub(crate) fn new(stops: &[String]) -> Self {
        let stops = stops.iter().filter(|stop| !stop.is_empty()).cloned().collect();
        Self { stops, pending: Pending::default(), held: String::new() }
    }

    pub(crate) fn push(&mut self, tokenizer: &Tokenizer, token: u32) -> Grown {
        let text = self.pending.push(tokenizer.token_bytes(token));
        self.grow(&text)
    }

    fn grow(&mut self, text: &str) -> Grown {
        self.held.push_str(text);
        let found = self.stops.iter().filter_map(|stop| self.held.find(stop.as_str())).min();
        if let Some(at) = found {
            self.held.truncate(at);
            return Grown::Stopped(std::mem::take(&mut self.held));
        }
        let certain = self.certain();
        let rest = self.held.split_off(certain);
        Grown::Text(std::mem::replace(&mut self.held, rest))
    }

    /// Bytes of the held text that cannot belong to a stop string.
    fn certain(&self) -> usize {
        let longest = self.stops.iter().map(String::len).max().unwrap_or(0).saturating_sub(1);
        let from = self.held.len().saturating_sub(longest);
        let may_begin =
            |at: &usize| self.stops.iter().any(|stop| stop.starts_with(&self.held[*at..]));
        (from..self.held.len())
            .filter(|&at| self.held.is_char_boundary(at))
            .find(may_begin)
            .unwrap_or(self.held.len())
    }

    /// What was held back, as the response ends without a stop string.
    pub(crate) fn finish(&mut self) -> String {
        let mut text = std::mem::take(&mut self.held);
        text.push_str(&self.pending.finish());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_is_held_back_while_it_may_be_a_stop_string() {
        let mut text = ResponseText::new(&["END".into(), "\n\n".into()]);
        assert_eq!(text.grow("a E"), Grown::Text("a ".into()));
        assert_eq!(text.grow("N"), Grown::Text(String::new()));
        assert_eq!(text.grow("T\n"), Grown::Text("ENT".into()));
        assert_eq!(text.finish(), "\n");
        assert_eq!(text.grow("b\n"), Grown::Text("b".into()));
        assert_eq!(text.grow("\nc"), Grown::Stopped(String::new()));
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(text in "[abé]{0,30}", stop in "[abé]{1,4}", cut in 1_usize..5) {
            let mut whole = ResponseText::new(std::slice::from_ref(&stop));
            let mut out = String::new();
            let mut stopped = false;
            let characters: Vec<char> = text.chars().collect();
            for piece in characters.chunks(cut) {
                match whole.grow(&piece.iter().collect::<String>()) {
                    Grown::Text(text) => out.push_str(&text),
                    Grown::Stopped(text) => {
                        out.push_str(&text);
                        stopped = true;
                        break;
                    }
                }
            }
            if !stopped {
                out.push_str(&whole.finish());
            }
            let expected = text.find(&stop).map_or(text.as_str(), |at| &text[..at]);
            prop_assert_eq!(out, expected);
        }
    }
}
