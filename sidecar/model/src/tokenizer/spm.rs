//! SentencePiece BPE as Llama 2, Mistral and Gemma use it: pairs of neighbours merge, best score
//! first, and what no token covers becomes bytes.

use crate::model::LoadError;
use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

pub(super) struct Spm {
    tokens: HashMap<String, u32>,
    scores: Vec<f32>,
    bytes: [Option<u32>; 256],
    unknown: Option<u32>,
    /// Text that begins a sequence is given a space in front.
    prefix: bool,
}

const SPACE: char = '▁';

/// A piece of text that may merge with the next.
struct Symbol {
    start: usize,
    end: usize,
    previous: Option<usize>,
    next: Option<usize>,
}

/// Two neighbours that together are a token.
struct Pair {
    score: f32,
    left: usize,
    right: usize,
    /// Bytes of both, to tell whether either has merged meanwhile.
    length: usize,
}

impl Ord for Pair {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then_with(|| other.left.cmp(&self.left))
    }
}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Pair {}

impl Spm {
    pub(super) fn new(
        tokens: &[String],
        scores: &[f32],
        kinds: &[i32],
        prefix: bool,
    ) -> Result<Self, LoadError> {
        if scores.len() != tokens.len() {
            return Err(LoadError::Corrupt {
                what: "its tokens and their scores differ in number".into(),
            });
        }
        let mut bytes = [None; 256];
        let mut unknown = None;
        let mut map = HashMap::new();
        for (id, (text, kind)) in
            (0_u32..).zip(tokens.iter().zip(kinds.iter().copied().chain(std::iter::repeat(1))))
        {
            match kind {
                2 => unknown = Some(id),
                super::BYTE => {
                    if let Some(byte) = byte_of(text) {
                        bytes[usize::from(byte)] = Some(id);
                    }
                }
                super::CONTROL => {}
                _ => {
                    map.insert(text.clone(), id);
                }
            }
        }
        Ok(Self { tokens: map, scores: scores.to_vec(), bytes, unknown, prefix })
    }

    pub(super) fn encode(&self, text: &str, first: bool, tokens: &mut Vec<u32>) {
        let mut escaped = String::with_capacity(text.len() + 3);
        if first && self.prefix {
            escaped.push(SPACE);
        }
        escaped.extend(text.chars().map(|c| if c == ' ' { SPACE } else { c }));
        let symbols = self.merge(&escaped);
        let mut at = Some(0);
        while let Some(symbol) = at.and_then(|at| symbols.get(at)) {
            let piece = &escaped[symbol.start..symbol.end];
            match self.tokens.get(piece) {
                Some(&id) => tokens.push(id),
                None => {
                    for byte in piece.bytes() {
                        tokens.extend(self.bytes[usize::from(byte)].or(self.unknown));
                    }
                }
            }
            at = symbol.next;
        }
    }

    fn merge(&self, text: &str) -> Vec<Symbol> {
        let count = text.chars().count();
        let mut symbols: Vec<Symbol> = text
            .char_indices()
            .enumerate()
            .map(|(index, (start, c))| Symbol {
                start,
                end: start + c.len_utf8(),
                previous: index.checked_sub(1),
                next: (index + 1 < count).then_some(index + 1),
            })
            .collect();
        let mut pairs = BinaryHeap::new();
        for left in 0..count.saturating_sub(1) {
            pairs.extend(self.pair(text, &symbols, left, left + 1));
        }
        while let Some(pair) = pairs.pop() {
            let (left, right) = (&symbols[pair.left], &symbols[pair.right]);
            // One that has merged into its left neighbour is empty; one that has grown makes
            // another length.
            let gone = left.start == left.end || right.start == right.end;
            if gone || left.next != Some(pair.right) || right.end - left.start != pair.length {
                continue;
            }
            let (end, next, previous) = (right.end, right.next, left.previous);
            symbols[pair.right].start = end;
            symbols[pair.left].end = end;
            symbols[pair.left].next = next;
            if let Some(next) = next {
                symbols[next].previous = Some(pair.left);
                pairs.extend(self.pair(text, &symbols, pair.left, next));
            }
            if let Some(previous) = previous {
                pairs.extend(self.pair(text, &symbols, previous, pair.left));
            }
        }
        symbols
    }

    fn pair(&self, text: &str, symbols: &[Symbol], left: usize, right: usize) -> Option<Pair> {
        let (start, end) = (symbols[left].start, symbols[right].end);
        let &id = self.tokens.get(&text[start..end])?;
        Some(Pair { score: self.scores[id as usize], left, right, length: end - start })
    }
}

/// `<0x0A>` is byte 10.
fn byte_of(text: &str) -> Option<u8> {
    u8::from_str_radix(text.strip_prefix("<0x")?.strip_suffix('>')?, 16).ok()
}

/// The bytes that a token's text stands for.
pub(super) fn decode(text: &str, is_byte: bool, bytes: &mut Vec<u8>) {
    match byte_of(text).filter(|_| is_byte) {
        Some(byte) => bytes.push(byte),
        None => bytes.extend(text.replace(SPACE, " ").into_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_lost_whatever_merges() {
        let words =
            ["a", "b", "c", "ab", "bc", "ca", "cb", "abc", "bca", "cab", "abca", "bcab", "▁", "▁a"];
        let tokens: Vec<String> = words.iter().map(ToString::to_string).collect();
        for seed in 0..200_u32 {
            let scores: Vec<f32> =
                (0..14_u32).map(|i| -(((i * 31 + seed * 17 + i * seed) % 23) as f32)).collect();
            let spm = Spm::new(&tokens, &scores, &[], true).unwrap();
            let text: String =
                (0..12).map(|i| ['a', 'b', 'c', ' '][((seed >> i) + i) as usize % 4]).collect();
            let mut ids = Vec::new();
            spm.encode(&text, false, &mut ids);
            let back: String = ids.iter().map(|&id| words[id as usize]).collect();
            assert_eq!(back, text.replace(' ', "▁"), "seed {seed}");
        }
    }

    #[test]
    fn the_best_pair_merges_first_and_strangers_become_bytes() {
        let words = ["<unk>", "<0xC3>", "<0xA9>", "▁", "a", "b", "ab", "▁a", "▁ab"];
        let tokens: Vec<String> = words.iter().map(ToString::to_string).collect();
        let scores = [0.0, 0.0, 0.0, -10.0, -10.0, -10.0, -2.0, -1.0, -3.0];
        let kinds = [2, 6, 6, 1, 1, 1, 1, 1, 1];
        let encode = |prefix, text: &str| {
            let mut ids = Vec::new();
            Spm::new(&tokens, &scores, &kinds, prefix).unwrap().encode(text, true, &mut ids);
            ids
        };
        assert_eq!(encode(true, "ab"), [8]);
        assert_eq!(encode(false, "ab"), [6]);
        assert_eq!(encode(true, "b aé"), [3, 5, 7, 1, 2]);
        assert_eq!(encode(false, "c"), [0]);
    }
}
