//! Activations as the matrix kernels take them: plain, and quantised to 8 bits in blocks of 32 with
//! a scale each.

use super::{BLOCK, scalar};
use crate::pool::Shards;

/// Rows of activations. `quantised` and `plain` say which form was asked for; the other's vectors
/// are stale.
#[derive(Debug, Default)]
pub(crate) struct Acts {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// `[row][column]`.
    pub(crate) plain: Vec<f32>,
    /// `[row][column]`, in −127..=127.
    pub(crate) codes: Vec<i8>,
    /// `[row][block]`: value of one code step.
    pub(crate) scales: Vec<f32>,
    /// `[row][block]`: scale times the sum of the block's codes.
    pub(crate) sums: Vec<f32>,
    /// `[row][half block]`: sum of 16 codes.
    pub(crate) halves: Vec<i32>,
}

/// One row of [`Acts`].
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) plain: &'a [f32],
    pub(crate) codes: &'a [i8],
    pub(crate) scales: &'a [f32],
    pub(crate) sums: &'a [f32],
    pub(crate) halves: &'a [i32],
}

impl Acts {
    /// Makes room for `rows` × `columns`. Contents are unspecified.
    pub(crate) fn resize(&mut self, rows: usize, columns: usize) {
        (self.rows, self.columns) = (rows, columns);
        let blocks = rows * (columns / BLOCK);
        grow(&mut self.plain, rows * columns);
        grow(&mut self.codes, rows * columns);
        grow(&mut self.scales, blocks);
        grow(&mut self.sums, blocks);
        grow(&mut self.halves, 2 * blocks);
    }

    pub(crate) fn row(&self, row: usize) -> Row<'_> {
        let (k, blocks) = (self.columns, self.columns / BLOCK);
        Row {
            plain: &self.plain[row * k..][..k],
            codes: &self.codes[row * k..][..k],
            scales: &self.scales[row * blocks..][..blocks],
            sums: &self.sums[row * blocks..][..blocks],
            halves: &self.halves[2 * row * blocks..][..2 * blocks],
        }
    }

    /// The rows, to be written by parallel tasks.
    pub(crate) fn writer(&mut self) -> ActsWriter<'_> {
        ActsWriter {
            columns: self.columns,
            plain: Shards::new(&mut self.plain),
            codes: Shards::new(&mut self.codes),
            scales: Shards::new(&mut self.scales),
            sums: Shards::new(&mut self.sums),
            halves: Shards::new(&mut self.halves),
        }
    }
}

/// Buffers only grow: their size is bounded by the largest batch.
fn grow<T: Clone + Default>(buffer: &mut Vec<T>, length: usize) {
    if buffer.len() < length {
        buffer.resize(length, T::default());
    }
}

/// Rows of [`Acts`] that tasks write in parallel.
pub(crate) struct ActsWriter<'a> {
    columns: usize,
    plain: Shards<'a, f32>,
    codes: Shards<'a, i8>,
    scales: Shards<'a, f32>,
    sums: Shards<'a, f32>,
    halves: Shards<'a, i32>,
}

impl ActsWriter<'_> {
    /// The plain form of a row, to be filled before [`Self::quantise`].
    ///
    /// # Safety
    /// No other task holds or quantises the same row.
    #[allow(unsafe_code, clippy::mut_from_ref)]
    pub(crate) unsafe fn plain(&self, row: usize) -> &mut [f32] {
        // SAFETY: rows do not overlap, and the caller has this one alone.
        unsafe { self.plain.part(row * self.columns, self.columns) }
    }

    /// A part of the plain form of a row.
    ///
    /// # Safety
    /// No other task holds an overlapping part, or quantises the row.
    #[allow(unsafe_code, clippy::mut_from_ref)]
    pub(crate) unsafe fn plain_part(&self, row: usize, start: usize, length: usize) -> &mut [f32] {
        assert!(start + length <= self.columns, "a part beyond the row");
        // SAFETY: within the row, and the caller has the part alone.
        unsafe { self.plain.part(row * self.columns + start, length) }
    }

    /// Quantises a row whose plain form is filled.
    ///
    /// # Safety
    /// As [`Self::plain`].
    #[allow(unsafe_code)]
    pub(crate) unsafe fn quantise(&self, row: usize) {
        let (k, blocks) = (self.columns, self.columns / BLOCK);
        // SAFETY: rows do not overlap, and the caller has this one alone.
        let (plain, codes, scales, sums, halves) = unsafe {
            (
                self.plain.part(row * k, k),
                self.codes.part(row * k, k),
                self.scales.part(row * blocks, blocks),
                self.sums.part(row * blocks, blocks),
                self.halves.part(2 * row * blocks, 2 * blocks),
            )
        };
        #[cfg(target_arch = "x86_64")]
        if super::has_avx2() {
            // SAFETY: the processor has AVX2, FMA and F16C.
            return unsafe { super::avx2::quantise(plain, codes, scales, sums, halves) };
        }
        scalar::quantise(plain, codes, scales, sums, halves);
    }
}
