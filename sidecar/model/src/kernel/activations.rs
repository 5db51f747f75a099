//! Activations as the matrix kernels take them.

use super::layout::QUANT_BLOCK;
use super::quantize::quantize;
use crate::pool::DisjointSlice;

/// Rows of activations in f32, and quantized to 8 bits in blocks of [`QUANT_BLOCK`] values with one
/// scale each. Kernels for floating-point weights read `values`, the others the rest.
#[derive(Debug, Default)]
pub(crate) struct QuantizedActivations {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// `[row][column]`.
    values: Vec<f32>,
    /// `[row][column]`, in −127..=127: value ≈ code · scale.
    codes: Vec<i8>,
    /// `[row][block]`.
    scales: Vec<f32>,
    /// `[row][block]`: scale times the sum of the block's codes.
    scaled_sums: Vec<f32>,
    /// `[row][half block]`: sum of 16 codes.
    half_sums: Vec<i32>,
}

/// One row of [`QuantizedActivations`].
#[derive(Clone, Copy)]
pub(crate) struct ActivationRow<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) codes: &'a [i8],
    pub(crate) scales: &'a [f32],
    pub(crate) scaled_sums: &'a [f32],
    pub(crate) half_sums: &'a [i32],
}

impl QuantizedActivations {
    /// Makes room for `rows` × `columns`. The contents are unspecified.
    pub(crate) fn resize(&mut self, rows: usize, columns: usize) {
        (self.rows, self.columns) = (rows, columns);
        let blocks = rows * (columns / QUANT_BLOCK);
        grow(&mut self.values, rows * columns);
        grow(&mut self.codes, rows * columns);
        grow(&mut self.scales, blocks);
        grow(&mut self.scaled_sums, blocks);
        grow(&mut self.half_sums, 2 * blocks);
    }

    pub(crate) fn row(&self, row: usize) -> ActivationRow<'_> {
        let (k, blocks) = (self.columns, self.columns / QUANT_BLOCK);
        ActivationRow {
            values: &self.values[row * k..][..k],
            codes: &self.codes[row * k..][..k],
            scales: &self.scales[row * blocks..][..blocks],
            scaled_sums: &self.scaled_sums[row * blocks..][..blocks],
            half_sums: &self.half_sums[2 * row * blocks..][..2 * blocks],
        }
    }

    pub(crate) fn all_rows(&self) -> Vec<ActivationRow<'_>> {
        (0..self.rows).map(|row| self.row(row)).collect()
    }

    /// A handle by which parallel tasks write the rows.
    pub(crate) fn writer(&mut self) -> ActivationWriter<'_> {
        ActivationWriter {
            columns: self.columns,
            values: DisjointSlice::new(&mut self.values),
            codes: DisjointSlice::new(&mut self.codes),
            scales: DisjointSlice::new(&mut self.scales),
            scaled_sums: DisjointSlice::new(&mut self.scaled_sums),
            half_sums: DisjointSlice::new(&mut self.half_sums),
        }
    }
}

/// Buffers only grow: the largest batch bounds their size.
fn grow<T: Clone + Default>(buffer: &mut Vec<T>, length: usize) {
    if buffer.len() < length {
        buffer.resize(length, T::default());
    }
}

/// Rows of [`QuantizedActivations`] that tasks write in parallel.
pub(crate) struct ActivationWriter<'a> {
    columns: usize,
    values: DisjointSlice<'a, f32>,
    codes: DisjointSlice<'a, i8>,
    scales: DisjointSlice<'a, f32>,
    scaled_sums: DisjointSlice<'a, f32>,
    half_sums: DisjointSlice<'a, i32>,
}

impl ActivationWriter<'_> {
    /// The f32 values of a row, to be filled before [`Self::quantize`].
    ///
    /// # Safety
    /// No other task holds or quantizes the same row.
    #[allow(unsafe_code, clippy::mut_from_ref)]
    pub(crate) unsafe fn values(&self, row: usize) -> &mut [f32] {
        // SAFETY: rows do not overlap, and the caller has this one to itself.
        unsafe { self.values.slice_mut(row * self.columns, self.columns) }
    }

    /// A part of the f32 values of a row.
    ///
    /// # Safety
    /// No other task holds an overlapping part, or quantizes the row.
    #[allow(unsafe_code, clippy::mut_from_ref)]
    pub(crate) unsafe fn values_part(&self, row: usize, start: usize, length: usize) -> &mut [f32] {
        assert!(start + length <= self.columns, "a part beyond the row");
        // SAFETY: within the row, and the caller has the part to itself.
        unsafe { self.values.slice_mut(row * self.columns + start, length) }
    }

    /// Quantizes a row whose f32 values are filled.
    ///
    /// # Safety
    /// As [`Self::values`].
    #[allow(unsafe_code)]
    pub(crate) unsafe fn quantize(&self, row: usize) {
        let (k, blocks) = (self.columns, self.columns / QUANT_BLOCK);
        // SAFETY: rows do not overlap, and the caller has this one to itself.
        let (values, codes, scales, scaled_sums, half_sums) = unsafe {
            (
                self.values.slice_mut(row * k, k),
                self.codes.slice_mut(row * k, k),
                self.scales.slice_mut(row * blocks, blocks),
                self.scaled_sums.slice_mut(row * blocks, blocks),
                self.half_sums.slice_mut(2 * row * blocks, 2 * blocks),
            )
        };
        quantize(values, codes, scales, scaled_sums, half_sums);
    }
}

#[cfg(test)]
mod tests;
