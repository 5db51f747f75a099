//! Takes apart what a model thinks and what it says: reasoning models write `<think>…</think>`
//! before their answer, or messages on channels.

use super::held_text::HeldText;
use super::piece::Piece;
use crate::session::{TAGS, begun_at_end};
use std::collections::VecDeque;

/// Heads of the messages that gpt-oss answers with, where it has thought and where it has not.
const HEADS: [&str; 3] = [
    "<|start|>assistant<|channel|>final<|message|>",
    "<|channel|>final<|message|>",
    "<|channel|>commentary<|message|>",
];

/// A piece of what a model writes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Sorted {
    Thought(Piece),
    Said(Piece),
}

/// Sorts pieces that may leave. Tags, and the space around them, leave with neither.
#[derive(Clone, Debug)]
pub(super) struct ReasoningReader {
    state: State,
    /// Whether reasoning leaves at all.
    is_shown: bool,
    held: HeldText,
    ready: VecDeque<Sorted>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing came but space, or the beginning of a tag.
    Start,
    /// Reasoning, until this tag; whether any of it has left.
    Thinking(&'static str, bool),
    /// Reasoning has ended, and nothing but space has come.
    Thought,
    Saying,
}

impl ReasoningReader {
    /// `begun`: the tag that ends the reasoning which the prompt begins.
    pub(super) fn new(begun: Option<&'static str>, is_shown: bool) -> Self {
        let state = begun.map_or(State::Start, |close| State::Thinking(close, false));
        Self { state, is_shown, held: HeldText::default(), ready: VecDeque::new() }
    }

    pub(super) fn next(&mut self) -> Option<Sorted> {
        let is_shown = self.is_shown;
        let leaves = |sorted: &Sorted| is_shown || matches!(sorted, Sorted::Said(_));
        while let Some(sorted) = self.ready.pop_front() {
            if leaves(&sorted) {
                return Some(sorted);
            }
        }
        None
    }

    pub(super) fn push(&mut self, piece: Piece) {
        if self.state == State::Saying {
            return self.ready.push_back(Sorted::Said(piece));
        }
        self.held.push(piece);
        while self.advance() {}
    }

    /// Nothing follows: what is held is what it seems to be.
    pub(super) fn finish(&mut self) {
        let rest = self.held.take_all();
        match self.state {
            State::Thinking(..) => self.ready.extend(rest.into_iter().map(Sorted::Thought)),
            State::Thought => {}
            State::Start | State::Saying => {
                self.ready.extend(rest.into_iter().map(Sorted::Said));
            }
        }
        self.state = State::Saying;
    }

    /// Sorts some of what is held; whether there may be more to sort.
    fn advance(&mut self) -> bool {
        let text = self.held.text();
        match self.state {
            State::Start => {
                let begins = text.trim_start();
                if let Some((open, close)) = TAGS.iter().find(|(open, _)| begins.starts_with(open))
                {
                    let bytes = text.len() - begins.len() + open.len();
                    self.held.take(bytes);
                    self.state = State::Thinking(close, false);
                    return true;
                }
                if TAGS.iter().any(|(open, _)| open.starts_with(begins)) {
                    return false;
                }
                self.say_without_head()
            }
            State::Thinking(close, has_left) => {
                let end = text.find(close);
                let known = end.unwrap_or_else(|| text.len() - begun_at_end(text, close));
                let thought = text[..known].trim_end();
                let space = if has_left { 0 } else { thought.len() - thought.trim_start().len() };
                let (bytes, whole) = (thought.len(), known);
                self.held.take(space);
                let pieces = self.held.take(bytes - space);
                self.state = State::Thinking(close, has_left || bytes > space);
                self.ready.extend(pieces.into_iter().map(Sorted::Thought));
                if end.is_some() {
                    self.held.take(whole - bytes + close.len());
                    self.state = State::Thought;
                }
                end.is_some()
            }
            State::Thought => {
                let space = text.len() - text.trim_start().len();
                self.held.take(space);
                !self.held.text().is_empty() && self.say_without_head()
            }
            State::Saying => false,
        }
    }

    /// Says what is held, but for a head, which may be incomplete.
    fn say_without_head(&mut self) -> bool {
        let begins = self.held.text().trim_start();
        let space = self.held.text().len() - begins.len();
        if let Some(head) = HEADS.iter().find(|head| begins.starts_with(*head)) {
            self.held.take(space + head.len());
            self.state = State::Thought;
            return true;
        }
        if !HEADS.iter().any(|head| head.starts_with(begins)) {
            self.say();
        }
        false
    }

    fn say(&mut self) {
        self.state = State::Saying;
        self.ready.extend(self.held.take_all().into_iter().map(Sorted::Said));
    }
}

#[cfg(test)]
mod tests;
