//! The KV cache: blocks of 32 tokens for all layers, taken as they are needed and given back.
//!
//! Blocks of what was read stay, findable by what they were computed from, until the memory is
//! needed: a request that begins alike takes them over instead of computing them again, and of the
//! block in which it parts ways a copy.
#![allow(unsafe_code)]

mod prefixes;

use crate::config::Config;
use crate::kernel::attend::{Cached, TOKENS};
use half::f16;
use prefixes::Prefixes;
pub(crate) use prefixes::{Found, Origin};
use std::cell::UnsafeCell;
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
        Self {
            layers: config.layers,
            kv_heads: config.kv_heads,
            width: config.head_width,
            precision,
        }
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

/// Keys and values of 32 tokens: for each layer and key head, keys `[head value][token]`, then
/// values `[token][head value]`.
pub(crate) struct Block {
    /// Unlike that of any other block of the same [`Cache`], below its capacity.
    #[cfg_attr(
        not(any(test, feature = "cuda")),
        allow(dead_code, reason = "where it lies in a device's cache")
    )]
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
    pub(crate) unsafe fn write(
        &self,
        layer: usize,
        head: usize,
        token: usize,
        key: &[f32],
        value: &[f32],
    ) {
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

    /// Stores keys and values of the first `tokens` of another block of the same cache.
    ///
    /// # Safety
    /// Nobody reads this block, writes to it, or writes those tokens of the other, at the same
    /// time.
    pub(crate) unsafe fn copy_beginning(&self, other: &Self, tokens: usize) {
        assert!(tokens <= TOKENS && !std::ptr::eq(self, other));
        // SAFETY: exclusive by the caller's contract.
        unsafe {
            match (&self.data, &other.data) {
                (Data::Half(to), Data::Half(from)) => copy(to, from, self.layout.plane(), tokens),
                (Data::Full(to), Data::Full(from)) => copy(to, from, self.layout.plane(), tokens),
                _ => unreachable!("blocks of one cache are held alike"),
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

/// # Safety
/// Nobody uses `to`, or writes the first `tokens` of `from`, meanwhile.
unsafe fn copy<T: Cached>(
    to: &[UnsafeCell<T>],
    from: &[UnsafeCell<T>],
    plane: usize,
    tokens: usize,
) {
    let width = plane / TOKENS;
    let copy = |start: usize, count: usize| {
        let (to, from) = (&to[start..start + count], &from[start..start + count]);
        // SAFETY: both ranges lie within their blocks, which are not the same; exclusive by the
        // caller's contract.
        unsafe {
            std::ptr::copy_nonoverlapping(
                from.as_ptr().cast::<T>(),
                to.as_ptr().cast_mut().cast::<T>(),
                count,
            )
        }
    };
    for head in (0..to.len()).step_by(2 * plane) {
        (0..width).for_each(|d| copy(head + d * TOKENS, tokens));
        copy(head + plane, tokens * width);
    }
}

/// All blocks of an engine.
#[derive(Debug)]
pub(crate) struct Cache {
    layout: Layout,
    /// Most blocks that may exist.
    capacity: usize,
    /// Blocks promised to running requests, taken or not. Those that are only kept are not among
    /// them.
    reserved: usize,
    free: Vec<Arc<Block>>,
    existing: usize,
    kept: Prefixes,
}

/// Blocks that a request may take: promised until it is given back.
#[derive(Debug)]
pub(crate) struct Reservation {
    pub(crate) blocks: usize,
}

impl Cache {
    pub(crate) fn new(layout: Layout, capacity: usize) -> Self {
        Self {
            layout,
            capacity,
            reserved: 0,
            free: Vec::new(),
            existing: 0,
            kept: Prefixes::default(),
        }
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

    /// What is kept of the beginning of `tokens`: at most as much as leaves one token to compute.
    pub(crate) fn find(&mut self, start: Origin, tokens: &[u32]) -> Found {
        self.kept.find(start, &tokens[..tokens.len().saturating_sub(1)])
    }

    /// Keeps blocks for requests that begin alike: as many as `tokens` need. Nothing of these
    /// tokens is written again.
    pub(crate) fn keep(&mut self, start: Origin, blocks: &[Arc<Block>], tokens: &[u32]) {
        let replaced = self.kept.keep(start, blocks, tokens);
        self.free.extend(replaced.into_iter().filter(|block| Arc::strong_count(block) == 1));
    }

    /// An empty block for the holder of a reservation.
    pub(crate) fn take(&mut self) -> Arc<Block> {
        self.spare().unwrap_or_else(|| self.another())
    }

    /// A block that nobody uses; `None` where all that may exist are in use.
    pub(crate) fn spare(&mut self) -> Option<Arc<Block>> {
        self.free.pop().or_else(|| match self.existing < self.capacity {
            true => Some(self.another()),
            false => self.kept.evict(),
        })
    }

    fn another(&mut self) -> Arc<Block> {
        self.existing += 1;
        Arc::new(Block::new(self.layout, self.existing - 1))
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

#[cfg(test)]
#[allow(clippy::cast_precision_loss)]
mod tests;
