//! The KV cache: blocks of 32 tokens for all layers, taken as they are needed and given back.
//!
//! Full blocks of finished prompts stay, findable by what they were computed from, until the memory is needed: a
//! request with the same beginning takes them over instead of computing them again.
#![allow(unsafe_code)]

use crate::config::Config;
use crate::kernel::attend::TOKENS;
use half::f16;
use std::cell::UnsafeCell;
use std::collections::HashMap;
use std::sync::Arc;

/// Keys and values of 32 tokens: for each layer and key head, keys `[head value][token]`, then values
/// `[token][head value]`.
pub(crate) struct Block {
    /// Unlike that of any other block of the same [`Cache`], below its capacity.
    #[cfg_attr(not(any(test, feature = "cuda")), allow(dead_code, reason = "where it lies in a device's cache"))]
    pub(crate) number: usize,
    data: Box<[UnsafeCell<f16>]>,
    /// Values of one head's keys, and of its values.
    plane: usize,
    kv_heads: usize,
    width: usize,
}

// SAFETY: `write` and the readers are under a contract of their own.
unsafe impl Sync for Block {}

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Block").field("values", &self.data.len()).finish()
    }
}

impl Block {
    fn new(config: &Config, number: usize) -> Self {
        let plane = config.head_width * TOKENS;
        let values = 2 * plane * config.kv_heads * config.layers;
        // A zeroed allocation, which costs no memory until it is written.
        let zeros: Box<[f16]> = vec![f16::ZERO; values].into_boxed_slice();
        // SAFETY: UnsafeCell<f16> has the layout of f16.
        let data = unsafe { Box::from_raw(Box::into_raw(zeros) as *mut [UnsafeCell<f16>]) };
        Self { number, data, plane, kv_heads: config.kv_heads, width: config.head_width }
    }

    fn offset(&self, layer: usize, head: usize) -> usize {
        (layer * self.kv_heads + head) * 2 * self.plane
    }

    /// Keys and values of one layer (from 0) and key head.
    ///
    /// # Safety
    /// No [`Self::write`] to this layer and head at the same time.
    pub(crate) unsafe fn head(&self, layer: usize, head: usize) -> (&[f16], &[f16]) {
        let cells = &self.data[self.offset(layer, head)..][..2 * self.plane];
        // SAFETY: UnsafeCell<f16> has the layout of f16, and nobody writes by the caller's contract.
        let values = unsafe { std::slice::from_raw_parts(cells.as_ptr().cast::<f16>(), cells.len()) };
        values.split_at(self.plane)
    }

    /// Stores one token's key and value, each of the head's width.
    ///
    /// # Safety
    /// Nobody reads this layer and head, or writes the same token of it, at the same time.
    pub(crate) unsafe fn write(&self, layer: usize, head: usize, token: usize, key: &[f32], value: &[f32]) {
        assert!(token < TOKENS && key.len() == self.width && value.len() == self.width);
        let cells = &self.data[self.offset(layer, head)..][..2 * self.plane];
        for (d, (&key, &value)) in key.iter().zip(value).enumerate() {
            // SAFETY: exclusive by the caller's contract.
            unsafe {
                *cells[d * TOKENS + token].get() = f16::from_f32(key);
                *cells[self.plane + token * self.width + d].get() = f16::from_f32(value);
            }
        }
    }
}

/// What a block's numbers depend on besides the weights: its tokens, the blocks before it, and the interventions.
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

/// All blocks of an engine.
#[derive(Debug)]
pub(crate) struct Cache {
    config: Config,
    /// Most blocks that may exist.
    capacity: usize,
    /// Blocks promised to running requests, taken or not. Those in `kept` alone are not among them.
    reserved: usize,
    free: Vec<Arc<Block>>,
    existing: usize,
    /// Full blocks by origin, with the time of last use.
    kept: HashMap<Origin, (Arc<Block>, u64)>,
    clock: u64,
}

/// Blocks that a request may take: promised until it is given back.
#[derive(Debug)]
pub(crate) struct Reservation {
    pub(crate) blocks: usize,
}

impl Cache {
    pub(crate) fn new(config: &Config, capacity: usize) -> Self {
        Self {
            config: config.clone(),
            capacity,
            reserved: 0,
            free: Vec::new(),
            existing: 0,
            kept: HashMap::new(),
            clock: 0,
        }
    }

    /// Bytes of one block.
    pub(crate) fn block_bytes(config: &Config) -> usize {
        2 * 2 * config.head_width * TOKENS * config.kv_heads * config.layers
    }

    /// Whether so many blocks could be promised now.
    pub(crate) fn has_room(&self, blocks: usize) -> bool {
        self.capacity - self.reserved >= blocks
    }

    /// Promises blocks. `None` when other requests hold too many.
    pub(crate) fn reserve(&mut self, blocks: usize) -> Option<Reservation> {
        self.has_room(blocks).then(|| {
            self.reserved += blocks;
            Reservation { blocks }
        })
    }

    /// Kept blocks that hold the beginning of `tokens`, in order: at most as many as leave one token to compute.
    pub(crate) fn find(&mut self, start: Origin, tokens: &[u32]) -> Vec<Arc<Block>> {
        self.clock += 1;
        let mut origin = start;
        let mut found = Vec::new();
        let usable = tokens.len().saturating_sub(1) / TOKENS * TOKENS;
        for tokens in tokens[..usable].chunks_exact(TOKENS) {
            origin = origin.then(tokens);
            match self.kept.get_mut(&origin) {
                Some((block, used)) => {
                    *used = self.clock;
                    found.push(block.clone());
                }
                None => break,
            }
        }
        found
    }

    /// An empty block for the holder of a reservation.
    pub(crate) fn take(&mut self) -> Arc<Block> {
        if let Some(block) = self.free.pop() {
            return block;
        }
        if self.existing >= self.capacity
            && let Some(block) = self.evict()
        {
            return block;
        }
        self.existing += 1;
        Arc::new(Block::new(&self.config, self.existing - 1))
    }

    /// The kept block that was not used for the longest time, if nobody else holds it.
    fn evict(&mut self) -> Option<Arc<Block>> {
        let unused = self.kept.iter().filter(|(_, (block, _))| Arc::strong_count(block) == 1);
        let origin = *unused.min_by_key(|(_, (_, used))| *used)?.0;
        self.kept.remove(&origin).map(|(block, _)| block)
    }

    /// Takes back a request's blocks. The first of them, as many as `tokens` fill, are kept for requests that begin alike.
    pub(crate) fn give_back(
        &mut self,
        reservation: &Reservation,
        blocks: Vec<Arc<Block>>,
        start: Origin,
        tokens: &[u32],
    ) {
        self.reserved -= reservation.blocks;
        self.clock += 1;
        let mut origin = start;
        let mut full = tokens.chunks_exact(TOKENS);
        for block in blocks {
            if let Some(tokens) = full.next() {
                origin = origin.then(tokens);
                if let Some((_, used)) = self.kept.get_mut(&origin) {
                    *used = self.clock;
                } else {
                    self.kept.insert(origin, (block, self.clock));
                    continue;
                }
            }
            // A block that is kept, too, stays with those who keep it.
            if Arc::strong_count(&block) == 1 {
                self.free.push(block);
            }
        }
    }
}
