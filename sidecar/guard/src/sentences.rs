//! Where sentences begin, for text that is cut by the sentence.

/// Marks that end a sentence if white space follows.
const ENDS: [char; 4] = ['.', '!', '?', '…'];
/// Marks that end a sentence by themselves, in scripts that put no space after them.
const FULL_ENDS: [char; 5] = ['。', '！', '？', '｡', '।'];
/// What may stand between the end of a sentence and the space after it.
const CLOSERS: [char; 8] = ['"', '\'', ')', ']', '”', '’', '»', '*'];
/// Those of [`CLOSERS`] that never open a sentence.
const ONLY_CLOSERS: &[char] = CLOSERS.split_at(4).1;

/// Finds where sentences begin as text arrives. Places are numbers of pieces ([`Sentences::push`])
/// or of bytes ([`Sentences::extend`]).
///
/// A piece with the end of one sentence and the beginning of the next counts as a beginning. An
/// abbreviation ends a sentence too early: what is cut is then shorter by its first words, but
/// always reaches to the sentence's end.
#[derive(Clone, Debug, Default)]
pub struct Sentences {
    /// Places where a sentence begins, in rising order; the first sentence begins at 0.
    begins: Vec<usize>,
    /// Pieces or bytes so far.
    length: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// In a sentence.
    #[default]
    Within,
    /// After a mark that ends it if white space follows.
    Ended,
    /// Between two sentences.
    Between,
}

impl Sentences {
    /// Adds the text of the next piece, which may be empty. Counts pieces.
    pub fn push(&mut self, text: &str) {
        let piece = self.length;
        self.scan(text, |_| piece);
        self.length += 1;
    }

    /// Adds text. Counts bytes.
    pub fn extend(&mut self, text: &str) {
        let before = self.length;
        self.scan(text, |byte| before + byte);
        self.length += text.len();
    }

    /// Adds text that must not be cut. Counts bytes.
    pub fn extend_whole(&mut self, text: &str) {
        if !text.is_empty() {
            if self.state == State::Between {
                self.begin(self.length);
            }
            self.state = State::Within;
            self.length += text.len();
        }
    }

    fn begin(&mut self, at: usize) {
        if self.begins.last() != Some(&at) {
            self.begins.push(at);
        }
    }

    fn scan(&mut self, text: &str, place: impl Fn(usize) -> usize) {
        for (byte, letter) in text.char_indices() {
            self.state = match (self.state, letter) {
                (_, '\n') => State::Between,
                (_, mark) if FULL_ENDS.contains(&mark) => State::Between,
                (State::Ended | State::Between, space) if space.is_whitespace() => State::Between,
                (State::Ended, closer) if CLOSERS.contains(&closer) => State::Ended,
                (State::Between, closer) if ONLY_CLOSERS.contains(&closer) => State::Between,
                (state, other) => {
                    if state == State::Between {
                        self.begin(place(byte));
                    }
                    if ENDS.contains(&other) { State::Ended } else { State::Within }
                }
            };
        }
    }

    /// The most pieces or bytes, up to `limit`, that are whole sentences: everything before the
    /// sentence that place `limit` belongs to.
    #[must_use]
    pub fn floor(&self, limit: usize) -> usize {
        let below = self.begins.partition_point(|begin| *begin <= limit);
        below.checked_sub(1).map_or(0, |last| self.begins[last])
    }
}

#[cfg(test)]
mod tests;
