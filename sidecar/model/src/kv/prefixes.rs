//! What is kept of sequences that were computed, found by how a new one begins.

use super::Block;
use crate::kernel::attend::TOKENS;
use std::collections::HashMap;
use std::sync::Arc;

/// What a block's numbers depend on besides the weights: its tokens, the blocks before it, and the
/// interventions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin([u8; 16]);

impl Origin {
    /// The beginning of a sequence that is computed under `interventions`, described by some bytes.
    pub(crate) fn start(interventions: &[u8]) -> Self {
        Self::digest(&[interventions])
    }

    /// The origin of the block with these tokens, after a block or start with origin `self`.
    pub(crate) fn then(self, tokens: &[u32]) -> Self {
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

/// Kept blocks by the origin of what lies before them.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    after: HashMap<Origin, Vec<Kept>>,
    clock: u64,
}

#[derive(Debug)]
struct Kept {
    /// What the block holds from its beginning, as far as it may be used: 1 to 32 tokens.
    tokens: Vec<u32>,
    block: Arc<Block>,
    /// Time of last use.
    used: u64,
}

/// Of a sequence's beginning, what need not be computed.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Whole blocks, to be shared.
    pub(crate) whole: Vec<Arc<Block>>,
    /// The block after them, of which so many tokens are the same, to be copied.
    pub(crate) begun: Option<(Arc<Block>, usize)>,
}

impl Prefixes {
    /// What is kept of the beginning of `tokens`.
    pub(super) fn find(&mut self, start: Origin, tokens: &[u32]) -> Found {
        self.clock += 1;
        let (mut origin, mut left, mut found) = (start, tokens, Found::default());
        while let Some((kept, same)) =
            self.after.get_mut(&origin).and_then(|kept| closest(kept, left))
        {
            kept.used = self.clock;
            if same < TOKENS {
                found.begun = Some((kept.block.clone(), same));
                break;
            }
            found.whole.push(kept.block.clone());
            origin = origin.then(&left[..TOKENS]);
            left = &left[TOKENS..];
        }
        found
    }

    /// Keeps the blocks of a sequence as far as `tokens` go. Returns those in whose place they are
    /// kept, which hold less.
    pub(super) fn keep(
        &mut self,
        start: Origin,
        blocks: &[Arc<Block>],
        tokens: &[u32],
    ) -> Vec<Arc<Block>> {
        self.clock += 1;
        let (mut origin, mut replaced) = (start, Vec::new());
        for (block, tokens) in blocks.iter().zip(tokens.chunks(TOKENS)) {
            let kept = self.after.entry(origin).or_default();
            match closest(kept, tokens) {
                // All that one of the two holds is in the other, too.
                Some((known, same)) if same == known.tokens.len().min(tokens.len()) => {
                    known.used = self.clock;
                    if tokens.len() > known.tokens.len() {
                        known.tokens = tokens.to_vec();
                        replaced.push(std::mem::replace(&mut known.block, block.clone()));
                    }
                }
                _ => kept.push(Kept {
                    tokens: tokens.to_vec(),
                    block: block.clone(),
                    used: self.clock,
                }),
            }
            origin = origin.then(tokens);
        }
        replaced
    }

    /// Gives up the block that was not used for the longest time, if nobody else holds it.
    pub(super) fn evict(&mut self) -> Option<Arc<Block>> {
        let unused = self.after.iter().flat_map(|(origin, kept)| {
            kept.iter()
                .enumerate()
                .filter(|(_, kept)| Arc::strong_count(&kept.block) == 1)
                .map(move |at| (*origin, at))
        });
        let (origin, (index, _)) = unused.min_by_key(|(_, (_, kept))| kept.used)?;
        let kept = self.after.get_mut(&origin)?;
        let evicted = kept.swap_remove(index).block;
        if kept.is_empty() {
            self.after.remove(&origin);
        }
        Some(evicted)
    }
}

/// The block that begins with most of these tokens, and with how many; `None` where none begins
/// with any.
fn closest<'a>(kept: &'a mut [Kept], tokens: &[u32]) -> Option<(&'a mut Kept, usize)> {
    let same = |kept: &Kept| kept.tokens.iter().zip(tokens).take_while(|(a, b)| a == b).count();
    kept.iter_mut()
        .map(|kept| (same(kept), kept))
        .filter(|(same, _)| *same > 0)
        .max_by_key(|(same, _)| *same)
        .map(|(same, kept)| (kept, same))
}
