//! The prefix cache: blocks by what they were computed from.

use super::block::Block;
use crate::kernel::layout::BLOCK_SIZE;
use std::collections::HashMap;
use std::sync::Arc;

/// Hash of what the keys and values after a prefix depend on, apart from the weights: the tokens of
/// the prefix, and the interventions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PrefixHash([u8; 16]);

impl PrefixHash {
    /// The empty prefix of a sequence that is computed under interventions with this fingerprint.
    pub(crate) fn root(interventions: &[u8]) -> Self {
        Self::digest(&[interventions])
    }

    /// The prefix followed by `tokens`, those of one block.
    fn extend(self, tokens: &[u32]) -> Self {
        let bytes: Vec<u8> = tokens.iter().flat_map(|token| token.to_le_bytes()).collect();
        Self::digest(&[&self.0, &bytes])
    }

    /// Cryptographic, because a collision would let one request read another's numbers.
    fn digest(parts: &[&[u8]]) -> Self {
        use sha2::{Digest, Sha256};
        let mut hasher = Sha256::new();
        parts.iter().for_each(|part| hasher.update(part));
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hasher.finalize()[..16]);
        Self(bytes)
    }
}

/// The part of a sequence's prefix that is in the cache.
#[derive(Debug, Default)]
pub(crate) struct PrefixMatch {
    /// Blocks that match in full, to be shared.
    pub(crate) full: Vec<Arc<Block>>,
    /// The next block, and how many of its tokens match; these are to be copied.
    pub(crate) partial: Option<(Arc<Block>, usize)>,
}

/// Blocks by the prefix before them.
#[derive(Debug, Default)]
pub(super) struct PrefixIndex {
    entries: HashMap<PrefixHash, Vec<Entry>>,
    /// Counts calls, to tell which entry was used last.
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    /// The block's tokens as far as they may be used: 1 to [`BLOCK_SIZE`].
    tokens: Vec<u32>,
    block: Arc<Block>,
    last_used: u64,
}

impl PrefixIndex {
    /// What is kept of the beginning of `tokens`.
    pub(super) fn find(&mut self, root: PrefixHash, tokens: &[u32]) -> PrefixMatch {
        self.clock += 1;
        let (mut prefix, mut left, mut found) = (root, tokens, PrefixMatch::default());
        while let Some((entry, common)) =
            self.entries.get_mut(&prefix).and_then(|entries| longest_match(entries, left))
        {
            entry.last_used = self.clock;
            if common < BLOCK_SIZE {
                found.partial = Some((entry.block.clone(), common));
                break;
            }
            found.full.push(entry.block.clone());
            prefix = prefix.extend(&left[..BLOCK_SIZE]);
            left = &left[BLOCK_SIZE..];
        }
        found
    }

    /// Keeps the blocks of a sequence as far as they hold `tokens`. Returns the blocks that they
    /// replace, which hold less.
    pub(super) fn insert(
        &mut self,
        root: PrefixHash,
        blocks: &[Arc<Block>],
        tokens: &[u32],
    ) -> Vec<Arc<Block>> {
        self.clock += 1;
        let (mut prefix, mut replaced) = (root, Vec::new());
        for (block, tokens) in blocks.iter().zip(tokens.chunks(BLOCK_SIZE)) {
            let entries = self.entries.entry(prefix).or_default();
            match longest_match(entries, tokens) {
                // One of the two holds all that the other does.
                Some((entry, common)) if common == entry.tokens.len().min(tokens.len()) => {
                    entry.last_used = self.clock;
                    if tokens.len() > entry.tokens.len() {
                        entry.tokens = tokens.to_vec();
                        replaced.push(std::mem::replace(&mut entry.block, block.clone()));
                    }
                }
                _ => entries.push(Entry {
                    tokens: tokens.to_vec(),
                    block: block.clone(),
                    last_used: self.clock,
                }),
            }
            prefix = prefix.extend(tokens);
        }
        replaced
    }

    /// Gives up the least recently used block that nobody else holds.
    pub(super) fn evict(&mut self) -> Option<Arc<Block>> {
        let unused = self.entries.iter().flat_map(|(prefix, entries)| {
            entries
                .iter()
                .enumerate()
                .filter(|(_, entry)| Arc::strong_count(&entry.block) == 1)
                .map(move |(index, entry)| (*prefix, index, entry.last_used))
        });
        let (prefix, index, _) = unused.min_by_key(|&(_, _, last_used)| last_used)?;
        let entries = self.entries.get_mut(&prefix)?;
        let evicted = entries.swap_remove(index).block;
        if entries.is_empty() {
            self.entries.remove(&prefix);
        }
        Some(evicted)
    }
}

/// The entry with the longest common prefix with `tokens`, and its length; `None` where none has
/// any.
fn longest_match<'a>(entries: &'a mut [Entry], tokens: &[u32]) -> Option<(&'a mut Entry, usize)> {
    let common =
        |entry: &Entry| entry.tokens.iter().zip(tokens).take_while(|(a, b)| a == b).count();
    entries
        .iter_mut()
        .map(|entry| (common(entry), entry))
        .filter(|(common, _)| *common > 0)
        .max_by_key(|(common, _)| *common)
        .map(|(common, entry)| (entry, common))
}
