//! One block of the KV cache.
#![allow(unsafe_code)]

use super::layout::{Layout, Precision};
use crate::kernel::attention::CacheValue;
use crate::kernel::layout::BLOCK_SIZE;
use half::f16;
use std::cell::UnsafeCell;

/// Keys and values of [`BLOCK_SIZE`] tokens: for each layer and KV head, keys `[head
/// value][token]`, then values `[token][head value]`.
pub(crate) struct Block {
    /// Unique among the blocks of a [`super::Cache`], and below its capacity.
    /// The block's place in a device's cache.
    pub(crate) number: usize,
    layout: Layout,
    data: Data,
}

enum Data {
    F16(Box<[UnsafeCell<f16>]>),
    F32(Box<[UnsafeCell<f32>]>),
}

/// Keys, then values, of one layer and KV head.
pub(crate) enum HeadKv<'a> {
    F16(&'a [f16], &'a [f16]),
    F32(&'a [f32], &'a [f32]),
}

// SAFETY: the methods that read and write shared data have contracts of their own.
unsafe impl Sync for Block {}

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Block").field("layout", &self.layout).finish_non_exhaustive()
    }
}

impl Block {
    pub(super) fn new(layout: Layout, number: usize) -> Self {
        let data = match layout.precision {
            Precision::F16 => Data::F16(zeros(layout.block_len())),
            Precision::F32 => Data::F32(zeros(layout.block_len())),
        };
        Self { number, layout, data }
    }

    /// Where the numbers of one layer and KV head lie, both counted from 0.
    fn range(&self, layer: usize, head: usize) -> std::ops::Range<usize> {
        let start = (layer * self.layout.kv_heads + head) * 2 * self.layout.head_len();
        start..start + 2 * self.layout.head_len()
    }

    /// Keys and values of one layer and KV head, both counted from 0.
    ///
    /// # Safety
    /// Nobody calls [`Self::write`] for this layer and head at the same time.
    pub(crate) unsafe fn head(&self, layer: usize, head: usize) -> HeadKv<'_> {
        let (range, length) = (self.range(layer, head), self.layout.head_len());
        // SAFETY: nobody writes by the caller's contract.
        unsafe {
            match &self.data {
                Data::F16(cells) => {
                    let (keys, values) = read(&cells[range]).split_at(length);
                    HeadKv::F16(keys, values)
                }
                Data::F32(cells) => {
                    let (keys, values) = read(&cells[range]).split_at(length);
                    HeadKv::F32(keys, values)
                }
            }
        }
    }

    /// Stores the key and value of one token of the block, each of the head's size.
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
        let (range, head_dim) = (self.range(layer, head), self.layout.head_dim);
        assert!(token < BLOCK_SIZE && key.len() == head_dim && value.len() == head_dim);
        // SAFETY: exclusive by the caller's contract.
        unsafe {
            match &self.data {
                Data::F16(cells) => write(&cells[range], token, key, value),
                Data::F32(cells) => write(&cells[range], token, key, value),
            }
        }
    }

    /// Copies keys and values of the first `tokens` of another block of the same cache.
    ///
    /// # Safety
    /// Nobody reads or writes this block, or writes those tokens of the other, at the same time.
    pub(crate) unsafe fn copy_prefix(&self, other: &Self, tokens: usize) {
        assert!(tokens <= BLOCK_SIZE && !std::ptr::eq(self, other));
        let length = self.layout.head_len();
        // SAFETY: exclusive by the caller's contract.
        unsafe {
            match (&self.data, &other.data) {
                (Data::F16(to), Data::F16(from)) => copy(to, from, length, tokens),
                (Data::F32(to), Data::F32(from)) => copy(to, from, length, tokens),
                _ => unreachable!("all blocks of a cache have the same precision"),
            }
        }
    }
}

/// A zeroed allocation, which takes no memory until it is written.
fn zeros<T: CacheValue>(count: usize) -> Box<[UnsafeCell<T>]> {
    // SAFETY: zero bits are the number 0 in f16 and in f32.
    unsafe { Box::new_zeroed_slice(count).assume_init() }
}

/// # Safety
/// Nobody writes to the cells meanwhile.
unsafe fn read<T: CacheValue>(cells: &[UnsafeCell<T>]) -> &[T] {
    // SAFETY: UnsafeCell<T> has the layout of T, and nobody writes by the caller's contract.
    unsafe { std::slice::from_raw_parts(cells.as_ptr().cast::<T>(), cells.len()) }
}

/// # Safety
/// Nobody else uses the cells of this token meanwhile.
unsafe fn write<T: CacheValue>(cells: &[UnsafeCell<T>], token: usize, key: &[f32], value: &[f32]) {
    let (keys, values) = cells.split_at(cells.len() / 2);
    let head_dim = key.len();
    for (d, (&key, &value)) in key.iter().zip(value).enumerate() {
        // SAFETY: exclusive by the caller's contract.
        unsafe {
            *keys[d * BLOCK_SIZE + token].get() = T::from_f32(key);
            *values[token * head_dim + d].get() = T::from_f32(value);
        }
    }
}

/// # Safety
/// Nobody uses `to`, or writes the first `tokens` of `from`, meanwhile.
unsafe fn copy<T: CacheValue>(
    to: &[UnsafeCell<T>],
    from: &[UnsafeCell<T>],
    head_len: usize,
    tokens: usize,
) {
    let head_dim = head_len / BLOCK_SIZE;
    let copy = |start: usize, count: usize| {
        let (to, from) = (&to[start..start + count], &from[start..start + count]);
        // SAFETY: both ranges lie within their blocks, which are not the same; exclusive by the
        // caller's contract.
        unsafe {
            std::ptr::copy_nonoverlapping(
                from.as_ptr().cast::<T>(),
                to.as_ptr().cast_mut().cast::<T>(),
                count,
            );
        }
    };
    for head in (0..to.len()).step_by(2 * head_len) {
        (0..head_dim).for_each(|d| copy(head + d * BLOCK_SIZE, tokens));
        copy(head + head_len, tokens * head_dim);
    }
}
