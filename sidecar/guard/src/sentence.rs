//! Where sentences begin, for what is taken back sentence by sentence.

/// Marks that end a sentence where white space follows.
const ENDS: [char; 4] = ['.', '!', '?', '…'];
/// Marks that end a sentence by themselves, in scripts that put no space after it.
const FULL_ENDS: [char; 5] = ['。', '！', '？', '｡', '।'];
/// What may stand between a sentence's end and the space after it.
const CLOSERS: [char; 8] = ['"', '\'', ')', ']', '”', '’', '»', '*'];

/// Finds where sentences begin, as pieces of text arrive: by the piece, or by the byte.
///
/// A piece that holds the end of one sentence and the beginning of the next counts as the
/// beginning. An abbreviation ends a sentence too early, which makes what is taken back shorter by
/// its first words, never longer than to the sentence's end.
#[derive(Clone, Debug, Default)]
pub struct Sentences {
    /// Numbers of pieces or bytes, rising; the first sentence begins with 0.
    begins: Vec<usize>,
    /// Pieces or bytes so far.
    taken: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// In a sentence.
    #[default]
    Within,
    /// After a mark that ends one if space follows.
    Ended,
    /// Between two sentences.
    Between,
}

impl Sentences {
    /// Takes the text of the next piece, which may be empty. Counts pieces.
    pub fn push(&mut self, text: &str) {
        let piece = self.taken;
        self.scan(text, |_| piece);
        self.taken += 1;
    }

    /// Takes more text. Counts bytes.
    pub fn extend(&mut self, text: &str) {
        let before = self.taken;
        self.scan(text, |byte| before + byte);
        self.taken += text.len();
    }

    /// Takes more text that makes sense as a whole only. Counts bytes.
    pub fn extend_whole(&mut self, text: &str) {
        if !text.is_empty() {
            if self.state == State::Between {
                self.begin(self.taken);
            }
            self.state = State::Within;
            self.taken += text.len();
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
                (State::Between, closer) if CLOSERS[4..].contains(&closer) => State::Between,
                (state, other) => {
                    if state == State::Between {
                        self.begin(place(byte));
                    }
                    if ENDS.contains(&other) { State::Ended } else { State::Within }
                }
            };
        }
    }

    /// The most pieces or bytes, up to `limit`, that hold whole sentences only: all before the
    /// sentence that the one of number `limit` belongs to.
    #[must_use]
    pub fn floor(&self, limit: usize) -> usize {
        let below = self.begins.partition_point(|begin| *begin <= limit);
        below.checked_sub(1).map_or(0, |last| self.begins[last])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sentences(pieces: &[&str]) -> Sentences {
        let mut sentences = Sentences::default();
        pieces.iter().for_each(|piece| sentences.push(piece));
        sentences
    }

    #[test]
    fn a_sentence_begins_after_the_end_of_another() {
        let pieces = [
            "One", " two", ".", " Three", "!", "\n", "\n", "4", ".5", " is", " six", "?\"",
            " Seven",
        ];
        assert_eq!(sentences(&pieces).begins, [3, 7, 12]);
        assert_eq!(sentences(&["日本", "語。", "はい", "！そう"]).begins, [2, 3]);
        assert_eq!(sentences(&["Yes. N", "o"]).begins, [0]);
        assert_eq!(sentences(&["A.", "", " ", "B"]).begins, [3]);
    }

    #[test]
    fn the_floor_is_the_beginning_of_the_sentence_that_is_not_whole() {
        let sentences = sentences(&["A", ".", " B", " c", ".", " D"]);
        let floors: Vec<_> = (0..=6).map(|limit| sentences.floor(limit)).collect();
        assert_eq!(floors, [0, 0, 2, 2, 2, 5, 5]);
    }

    #[test]
    fn by_the_byte_a_sentence_begins_at_its_first_letter_and_what_is_whole_is_not_cut() {
        let mut sentences = Sentences::default();
        sentences.extend("Ja. N");
        sentences.extend("ein! ");
        sentences.extend_whole("{\"a\": \"B. C\"}");
        sentences.extend("Ende. E");
        assert_eq!(sentences.begins, [4, 10, 29]);
        assert_eq!((sentences.floor(9), sentences.floor(28), sentences.floor(99)), (4, 10, 29));
    }

    proptest! {
        #[test]
        fn a_floor_never_rises_above_its_limit_nor_falls(pieces in prop::collection::vec("[a.!? \n。]{0,3}", 0..20)) {
            let sentences = sentences(&pieces.iter().map(String::as_str).collect::<Vec<_>>());
            let floors: Vec<_> = (0..=pieces.len()).map(|limit| sentences.floor(limit)).collect();
            prop_assert!(floors.is_sorted());
            prop_assert!(floors.iter().enumerate().all(|(limit, floor)| *floor <= limit));
        }
    }
}
