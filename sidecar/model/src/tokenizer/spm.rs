//! SentencePiece BPE as in Llama 2, Mistral and Gemma: adjacent pieces merge, best score first, and
//! what no token covers becomes bytes.

use super::kind::{BYTE, CONTROL, NORMAL, UNKNOWN};
use super::scheme::Scheme;
use crate::error::LoadError;
use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

pub(super) struct SentencePiece {
    tokens: HashMap<String, u32>,
    scores: Vec<f32>,
    /// The token of each single byte.
    bytes: [Option<u32>; 256],
    unknown: Option<u32>,
    /// Whether text that begins a sequence gets a space in front.
    adds_prefix: bool,
}

/// A space, as it is written in tokens.
const SPACE: char = '▁';

/// A piece of text that may merge with the next. One that has merged into the previous is empty.
struct Symbol {
    start: usize,
    end: usize,
    previous: Option<usize>,
    next: Option<usize>,
}

/// Two adjacent symbols that together are a token.
struct Pair {
    score: f32,
    left: usize,
    right: usize,
    /// Bytes of both, which tell whether either has merged meanwhile.
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

impl SentencePiece {
    /// `scores` and `kinds` are those of the tokens; where `kinds` are too few, the rest is normal.
    pub(super) fn new(
        tokens: &[String],
        scores: &[f32],
        kinds: &[i32],
        adds_prefix: bool,
    ) -> Result<Self, LoadError> {
        if scores.len() != tokens.len() {
            return Err(LoadError::corrupt("its tokens and their scores differ in number"));
        }
        let mut bytes = [None; 256];
        let mut unknown = None;
        let mut map = HashMap::new();
        for (id, (text, kind)) in
            (0_u32..).zip(tokens.iter().zip(kinds.iter().copied().chain(std::iter::repeat(NORMAL))))
        {
            match kind {
                UNKNOWN => unknown = Some(id),
                BYTE => {
                    if let Some(byte) = byte_of(text) {
                        bytes[usize::from(byte)] = Some(id);
                    }
                }
                CONTROL => {}
                _ => {
                    map.insert(text.clone(), id);
                }
            }
        }
        Ok(Self { tokens: map, scores: scores.to_vec(), bytes, unknown, adds_prefix })
    }

    /// The text's characters, merged as far as there are tokens for them.
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
            // Skip a pair if either symbol has merged since: it is empty, or has grown.
            let is_gone = left.start == left.end || right.start == right.end;
            if is_gone || left.next != Some(pair.right) || right.end - left.start != pair.length {
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

    /// The pair of these symbols, if there is such a token.
    fn pair(&self, text: &str, symbols: &[Symbol], left: usize, right: usize) -> Option<Pair> {
        let (start, end) = (symbols[left].start, symbols[right].end);
        let &id = self.tokens.get(&text[start..end])?;
        Some(Pair { score: self.scores[id as usize], left, right, length: end - start })
    }
}

impl Scheme for SentencePiece {
    fn encode(&self, text: &str, first: bool, tokens: &mut Vec<u32>) {
        let mut escaped = String::with_capacity(text.len() + 3);
        if first && self.adds_prefix {
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
}

/// The byte that a token such as `<0x0A>` stands for.
fn byte_of(text: &str) -> Option<u8> {
    u8::from_str_radix(text.strip_prefix("<0x")?.strip_suffix('>')?, 16).ok()
}

/// Appends the bytes that a token's text stands for; `is_byte` tells whether it is a byte token.
pub(super) fn decode(text: &str, is_byte: bool, bytes: &mut Vec<u8>) {
    match byte_of(text).filter(|_| is_byte) {
        Some(byte) => bytes.push(byte),
        None => bytes.extend(text.replace(SPACE, " ").into_bytes()),
    }
}

#[cfg(test)]
mod tests;
