//! The KV cache: blocks of 32 tokens for all layers, taken as they are needed and given back.
//!
//! Full blocks of prompts that were read stay, findable by what they were computed from, until the memory is needed: a
//! request with the same beginning takes them over instead of computing them again.
#![allow(unsafe_code)]

use crate::config::Config;
use crate::kernel::attend::{Cached, TOKENS};
use half::f16;
use std::cell::UnsafeCell;
use std::collections::HashMap;
use std::sync::Arc;

/// How keys and values are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precision {
    /// In f16: of the errors that weights of fewer bits bring anyway, this is a small part.
    Half,
    /// In f32, where the weights are in f32 too and rounding would be the largest error.
    Full,
}

/// What the blocks of a cache hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    layers: usize,
    kv_heads: usize,
    width: usize,
    precision: Precision,
}

impl Layout {
    pub(crate) fn new(config: &Config, precision: Precision) -> Self {
        Self { layers: config.layers, kv_heads: config.kv_heads, width: config.head_width, precision }
    }

    /// Values of one head's keys, and of its values.
    fn plane(&self) -> usize {
        self.width * TOKENS
    }

    fn values(&self) -> usize {
        2 * self.plane() * self.kv_heads * self.layers
    }

    /// Bytes of one block.
    pub(crate) fn block_bytes(&self) -> usize {
        self.values()
            * match self.precision {
                Precision::Half => size_of::<f16>(),
                Precision::Full => size_of::<f32>(),
            }
    }
}

/// Keys and values of 32 tokens: for each layer and key head, keys `[head value][token]`, then values
/// `[token][head value]`.
pub(crate) struct Block {
    /// Unlike that of any other block of the same [`Cache`], below its capacity.
    #[cfg_attr(not(any(test, feature = "cuda")), allow(dead_code, reason = "where it lies in a device's cache"))]
    pub(crate) number: usize,
    layout: Layout,
    data: Data,
}

enum Data {
    Half(Box<[UnsafeCell<f16>]>),
    Full(Box<[UnsafeCell<f32>]>),
}

/// Keys and values of one layer and key head.
pub(crate) enum Head<'a> {
    Half(&'a [f16], &'a [f16]),
    Full(&'a [f32], &'a [f32]),
}

// SAFETY: `write` and the readers are under a contract of their own.
unsafe impl Sync for Block {}

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Block").field("layout", &self.layout).finish_non_exhaustive()
    }
}

impl Block {
    fn new(layout: Layout, number: usize) -> Self {
        let data = match layout.precision {
            Precision::Half => Data::Half(zeros(layout.values())),
            Precision::Full => Data::Full(zeros(layout.values())),
        };
        Self { number, layout, data }
    }

    /// Where the numbers of one layer (from 0) and key head lie.
    fn range(&self, layer: usize, head: usize) -> std::ops::Range<usize> {
        let start = (layer * self.layout.kv_heads + head) * 2 * self.layout.plane();
        start..start + 2 * self.layout.plane()
    }

    /// Keys and values of one layer (from 0) and key head.
    ///
    /// # Safety
    /// No [`Self::write`] to this layer and head at the same time.
    pub(crate) unsafe fn head(&self, layer: usize, head: usize) -> Head<'_> {
        let (range, plane) = (self.range(layer, head), self.layout.plane());
        // SAFETY: nobody writes by the caller's contract.
        unsafe {
            match &self.data {
                Data::Half(cells) => {
                    let (keys, values) = read(&cells[range]).split_at(plane);
                    Head::Half(keys, values)
                }
                Data::Full(cells) => {
                    let (keys, values) = read(&cells[range]).split_at(plane);
                    Head::Full(keys, values)
                }
            }
        }
    }

    /// Stores one token's key and value, each of the head's width.
    ///
    /// # Safety
    /// Nobody reads this layer and head, or writes the same token of it, at the same time.
    pub(crate) unsafe fn write(&self, layer: usize, head: usize, token: usize, key: &[f32], value: &[f32]) {
        let (range, width) = (self.range(layer, head), self.layout.width);
        assert!(token < TOKENS && key.len() == width && value.len() == width);
        // SAFETY: exclusive by the caller's contract.
        unsafe {
            match &self.data {
                Data::Half(cells) => write(&cells[range], token, key, value),
                Data::Full(cells) => write(&cells[range], token, key, value),
            }
        }
    }
}

/// A zeroed allocation, which costs no memory until it is written.
fn zeros<T: Cached>(count: usize) -> Box<[UnsafeCell<T>]> {
    // SAFETY: zero bits are the number 0 in f16 and in f32.
    unsafe { Box::new_zeroed_slice(count).assume_init() }
}

/// # Safety
/// Nobody writes to the cells meanwhile.
unsafe fn read<T: Cached>(cells: &[UnsafeCell<T>]) -> &[T] {
    // SAFETY: UnsafeCell<T> has the layout of T, and nobody writes by the caller's contract.
    unsafe { std::slice::from_raw_parts(cells.as_ptr().cast::<T>(), cells.len()) }
}

/// # Safety
/// Nobody else uses the cells of this token meanwhile.
unsafe fn write<T: Cached>(cells: &[UnsafeCell<T>], token: usize, key: &[f32], value: &[f32]) {
    let (keys, values) = cells.split_at(cells.len() / 2);
    let width = key.len();
    for (d, (&key, &value)) in key.iter().zip(value).enumerate() {
        // SAFETY: exclusive by the caller's contract.
        unsafe {
            *keys[d * TOKENS + token].get() = T::from_f32(key);
            *values[token * width + d].get() = T::from_f32(value);
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
    layout: Layout,
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
    pub(crate) fn new(layout: Layout, capacity: usize) -> Self {
        Self { layout, capacity, reserved: 0, free: Vec::new(), existing: 0, kept: HashMap::new(), clock: 0 }
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

    /// Keeps blocks for requests that begin alike: the first of them, as many as `tokens` fill. Nothing of them is written again.
    pub(crate) fn keep(&mut self, start: Origin, blocks: &[Arc<Block>], tokens: &[u32]) {
        self.clock += 1;
        let mut origin = start;
        for (block, tokens) in blocks.iter().zip(tokens.chunks_exact(TOKENS)) {
            origin = origin.then(tokens);
            let (_, used) = self.kept.entry(origin).or_insert_with(|| (block.clone(), 0));
            *used = self.clock;
        }
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
        Arc::new(Block::new(self.layout, self.existing - 1))
    }

    /// The kept block that was not used for the longest time, if nobody else holds it.
    fn evict(&mut self) -> Option<Arc<Block>> {
        let unused = self.kept.iter().filter(|(_, (block, _))| Arc::strong_count(block) == 1);
        let origin = *unused.min_by_key(|(_, (_, used))| *used)?.0;
        self.kept.remove(&origin).map(|(block, _)| block)
    }

    /// Takes back a request's blocks, and keeps what [`Self::keep`] keeps of them.
    pub(crate) fn give_back(
        &mut self,
        reservation: &Reservation,
        blocks: Vec<Arc<Block>>,
        start: Origin,
        tokens: &[u32],
    ) {
        self.reserved -= reservation.blocks;
        self.keep(start, &blocks, tokens);
        // A block that is kept, too, stays with those who keep it.
        self.free.extend(blocks.into_iter().filter(|block| Arc::strong_count(block) == 1));
    }
}
