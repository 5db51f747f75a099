//! All blocks of an engine.

use super::block::Block;
use super::layout::Layout;
use super::prefix::{PrefixHash, PrefixIndex, PrefixMatch};
use std::sync::Arc;

/// The KV cache: blocks in use, free blocks, and blocks that are kept for their prefixes.
#[derive(Debug)]
pub(crate) struct Cache {
    layout: Layout,
    /// Most blocks that may exist.
    capacity: usize,
    /// Blocks promised to running requests, whether they have been allocated or not. Blocks that
    /// only the prefix cache holds are not among them.
    reserved: usize,
    free: Vec<Arc<Block>>,
    existing: usize,
    /// Numbers of blocks that are gone, for those that are created next.
    vacant: Vec<usize>,
    prefixes: PrefixIndex,
}

/// A number of blocks that a request may allocate, promised until [`Cache::release`].
#[derive(Debug)]
pub(crate) struct Reservation {
    blocks: usize,
}

impl Cache {
    /// An empty cache of at most `capacity` blocks.
    pub(crate) fn new(layout: Layout, capacity: usize) -> Self {
        Self {
            layout,
            capacity,
            reserved: 0,
            free: Vec::new(),
            existing: 0,
            vacant: Vec::new(),
            prefixes: PrefixIndex::default(),
        }
    }

    /// Whether this many blocks could be reserved now.
    pub(crate) fn has_room(&self, blocks: usize) -> bool {
        self.capacity - self.reserved >= blocks
    }

    /// Reserves blocks; `None` where running requests have reserved too many.
    pub(crate) fn reserve(&mut self, blocks: usize) -> Option<Reservation> {
        self.has_room(blocks).then(|| {
            self.reserved += blocks;
            Reservation { blocks }
        })
    }

    /// What the cache holds of the beginning of `tokens`, leaving at least one token to compute.
    pub(crate) fn find_prefix(&mut self, root: PrefixHash, tokens: &[u32]) -> PrefixMatch {
        self.prefixes.find(root, &tokens[..tokens.len().saturating_sub(1)])
    }

    /// Keeps the blocks that hold `tokens`, for requests with the same prefix. These tokens must
    /// not be written again.
    pub(crate) fn keep_prefix(&mut self, root: PrefixHash, blocks: &[Arc<Block>], tokens: &[u32]) {
        let replaced = self.prefixes.insert(root, blocks, tokens);
        self.free.extend(replaced.into_iter().filter(|block| Arc::strong_count(block) == 1));
    }

    /// A block with unspecified contents, for the holder of a reservation.
    pub(crate) fn allocate(&mut self) -> Arc<Block> {
        self.try_allocate().unwrap_or_else(|| self.create_block())
    }

    /// A block with unspecified contents; `None` where all that may exist are in use.
    pub(crate) fn try_allocate(&mut self) -> Option<Arc<Block>> {
        self.free.pop().or_else(|| match self.existing < self.capacity {
            true => Some(self.create_block()),
            false => self.prefixes.evict(),
        })
    }

    /// Blocks in memory.
    pub(crate) fn existing(&self) -> usize {
        self.existing
    }

    /// Gives memory back until at most `keep` blocks exist, or all that do are in use: first what
    /// holds nothing, then the prefixes that were used least recently. Returns whether there was
    /// anything to give.
    pub(crate) fn shrink(&mut self, keep: usize) -> bool {
        let before = self.existing;
        while self.existing > keep {
            let Some(block) = self.free.pop().or_else(|| self.prefixes.evict()) else { break };
            self.vacant.push(block.number);
            self.existing -= 1;
        }
        self.existing < before
    }

    fn create_block(&mut self) -> Arc<Block> {
        let number = self.vacant.pop().unwrap_or(self.existing);
        self.existing += 1;
        Arc::new(Block::new(self.layout, number))
    }

    /// Takes back a request's blocks and reservation, and keeps those that hold `tokens` as
    /// [`Self::keep_prefix`] does.
    pub(crate) fn release(
        &mut self,
        reservation: &Reservation,
        blocks: Vec<Arc<Block>>,
        root: PrefixHash,
        tokens: &[u32],
    ) {
        self.reserved -= reservation.blocks;
        self.keep_prefix(root, &blocks, tokens);
        // A block that somebody else holds too is not free.
        self.free.extend(blocks.into_iter().filter(|block| Arc::strong_count(block) == 1));
    }
}

#[cfg(test)]
#[allow(unsafe_code, clippy::cast_precision_loss)]
mod tests;
