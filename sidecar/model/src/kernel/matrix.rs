//! A weight matrix, packed for the kernels.

use super::acts::Row;
use super::{BLOCK, LANES, TILE, Tile, scalar};

/// How weights are held. Codes are of `BLOCK` columns of `LANES` rows together; see
/// [`super::pack`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// 4 bits, scale (code − 8).
    U4,
    /// 4 bits, scale · code + minimum.
    U4Min,
    /// 5 bits, scale (code − 16).
    U5,
    /// 5 bits, scale · code + minimum.
    U5Min,
    /// 6 bits, scale (code − 32), a scale for each 16 columns.
    U6,
    /// 8 bits, scale · code, signed.
    I8,
    F16,
    Bf16,
    F32,
}

impl Format {
    /// Bytes of a plain number; `None` for quantised formats.
    pub(crate) const fn dense_bytes(self) -> Option<usize> {
        match self {
            Self::F32 => Some(4),
            Self::F16 | Self::Bf16 => Some(2),
            _ => None,
        }
    }

    /// Bytes of the codes of one block of [`LANES`] rows.
    pub(crate) const fn code_bytes(self) -> usize {
        match self {
            Self::U4 | Self::U4Min => 128,
            Self::U5 | Self::U5Min => 160,
            Self::U6 => 192,
            Self::I8 => 256,
            Self::F16 | Self::Bf16 => 512,
            Self::F32 => 1024,
        }
    }

    /// Bytes of the scales of one block of [`LANES`] rows: f16, all rows' scales, then all rows'
    /// minima or second scales.
    pub(crate) const fn scale_bytes(self) -> usize {
        match self {
            Self::U4 | Self::U5 | Self::I8 => 16,
            Self::U4Min | Self::U5Min | Self::U6 => 32,
            Self::F16 | Self::Bf16 | Self::F32 => 0,
        }
    }

    pub(crate) const fn has_minimum(self) -> bool {
        matches!(self, Self::U4Min | Self::U5Min)
    }

    /// Bytes of a group of [`LANES`] rows, rounded up to whole cache lines.
    pub(crate) const fn group_bytes(self, columns: usize) -> usize {
        let bytes = match self.dense_bytes() {
            Some(width) => columns * LANES * width,
            None => columns / BLOCK * (self.code_bytes() + self.scale_bytes()),
        };
        bytes.next_multiple_of(64)
    }
}

/// Asks for 2 MiB pages before memory is first touched: a pass reads all weights, and with 4 KiB
/// pages it waits for the page tables again and again. Whether the system has any does not matter.
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

/// Weights of a linear map, `[rows][columns]`, in groups of [`LANES`] rows; the last group is
/// padded with zeros.
#[derive(Debug)]
pub(crate) struct Matrix {
    pub(crate) format: Format,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    data: Vec<u8>,
    /// First byte of the data that starts a cache line.
    start: usize,
}

impl Matrix {
    /// Zeros.
    pub(crate) fn new(format: Format, rows: usize, columns: usize) -> Self {
        let bytes = rows.div_ceil(LANES) * format.group_bytes(columns);
        let mut data = Vec::with_capacity(bytes + 63);
        prefer_large_pages(&mut data);
        data.resize(bytes + 63, 0);
        let start = data.as_ptr().align_offset(64).min(63);
        Self { format, rows, columns, data, start }
    }

    /// Groups of rows.
    pub(crate) fn groups(&self) -> usize {
        self.rows.div_ceil(LANES)
    }

    /// Bytes in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.data.len()
    }

    pub(crate) fn group(&self, group: usize) -> &[u8] {
        let bytes = self.format.group_bytes(self.columns);
        &self.data[self.start + group * bytes..][..bytes]
    }

    /// All groups, to be filled.
    pub(crate) fn groups_mut(&mut self) -> &mut [u8] {
        let bytes = self.format.group_bytes(self.columns) * self.groups();
        &mut self.data[self.start..][..bytes]
    }

    /// One row in plain numbers.
    pub(crate) fn dequantise_row(&self, row: usize, out: &mut [f32]) {
        scalar::dequantise(self.format, self.group(row / LANES), row % LANES, out);
    }

    /// Dot products of one group of rows with up to [`TILE`] rows of activations.
    pub(crate) fn tile(&self, group: usize, rows: &[Row<'_>], out: &mut Tile) {
        debug_assert!(rows.len() <= TILE);
        #[cfg(target_arch = "x86_64")]
        #[allow(unsafe_code)]
        if super::has_avx2() {
            assert!(
                rows.iter().all(|row| row.plain.len() == self.columns),
                "activations of another width"
            );
            // SAFETY: the processor has AVX2, FMA and F16C; a group holds `columns` columns in this
            // format, and so do the rows by the line above.
            return unsafe {
                super::avx2::tile(self.format, self.columns, self.group(group), rows, out)
            };
        }
        scalar::tile(self.format, self.columns, self.group(group), rows, out);
    }
}
