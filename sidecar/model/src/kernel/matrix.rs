//! A weight matrix, packed for the kernels.

use super::activations::ActivationRow;
#[cfg(target_arch = "x86_64")]
use super::avx2;
#[cfg(target_arch = "x86_64")]
use super::cpu::has_avx2;
use super::format::WeightFormat;
use super::layout::{LANES, TILE_ROWS, Tile};
use super::scalar;

/// Weights of a linear map, `[rows][columns]`, in groups of [`LANES`] rows; the last group is
/// padded with zeros.
#[derive(Debug)]
pub(crate) struct Matrix {
    pub(crate) format: WeightFormat,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    data: Vec<u8>,
    /// First byte of `data` that starts a cache line.
    start: usize,
}

impl Matrix {
    /// A matrix of zeros.
    pub(crate) fn new(format: WeightFormat, rows: usize, columns: usize) -> Self {
        let bytes = rows.div_ceil(LANES) * format.group_bytes(columns);
        let mut data = Vec::with_capacity(bytes + 63);
        prefer_large_pages(&mut data);
        data.resize(bytes + 63, 0);
        let start = data.as_ptr().align_offset(64).min(63);
        Self { format, rows, columns, data, start }
    }

    /// Number of groups of rows.
    pub(crate) fn groups(&self) -> usize {
        self.rows.div_ceil(LANES)
    }

    /// Bytes in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.data.len()
    }

    /// One group: the codes of all its blocks, then their scales; of floating-point weights,
    /// `[column][row]`.
    pub(crate) fn group(&self, group: usize) -> &[u8] {
        let bytes = self.format.group_bytes(self.columns);
        &self.data[self.start + group * bytes..][..bytes]
    }

    /// All groups, to be filled.
    pub(crate) fn groups_mut(&mut self) -> &mut [u8] {
        let bytes = self.format.group_bytes(self.columns) * self.groups();
        &mut self.data[self.start..][..bytes]
    }

    /// Writes one row in f32 to `out`, which has one value for each column.
    pub(crate) fn dequantize_row(&self, row: usize, out: &mut [f32]) {
        scalar::dequantize(self.format, self.group(row / LANES), row % LANES, out);
    }

    /// Dot products of one group of rows with up to [`TILE_ROWS`] rows of activations.
    pub(crate) fn dot_tile(&self, group: usize, rows: &[ActivationRow<'_>], out: &mut Tile) {
        debug_assert!(rows.len() <= TILE_ROWS);
        #[cfg(target_arch = "x86_64")]
        #[allow(unsafe_code)]
        if has_avx2() {
            assert!(
                rows.iter().all(|row| row.values.len() == self.columns),
                "activations of another width"
            );
            // SAFETY: the processor has AVX2, FMA and F16C; a group holds `columns` columns in this
            // format, and so do the rows by the line above.
            return unsafe { avx2::tile(self.format, self.columns, self.group(group), rows, out) };
        }
        scalar::tile(self.format, self.columns, self.group(group), rows, out);
    }
}

/// Asks the system for 2 MiB pages, before the memory is first touched. A pass reads all weights,
/// and with 4 KiB pages it keeps waiting for the page tables. Nothing depends on whether the system
/// has large pages.
#[allow(unsafe_code)]
fn prefer_large_pages(memory: &mut Vec<u8>) {
    #[cfg(target_os = "linux")]
    {
        const PAGE: usize = 4096;
        let spare = memory.spare_capacity_mut();
        let start = spare.as_ptr().align_offset(PAGE);
        if let Some(length) = spare
            .len()
            .checked_sub(start)
            .map(|length| length / PAGE * PAGE)
            .filter(|&length| length > 0)
        {
            // SAFETY: whole pages inside an allocation of our own; the advice changes how they are
            // backed, not what they hold.
            unsafe {
                libc::madvise(spare.as_mut_ptr().add(start).cast(), length, libc::MADV_HUGEPAGE)
            };
        }
    }
}

#[cfg(test)]
mod tests;
