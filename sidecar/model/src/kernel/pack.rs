//! Packing: from the blocks of a weight file to the layout of the kernels.
//!
//! A group is 8 rows. A block of it is 8 rows × 32 columns, in 8 *column groups* of 4 columns: byte
//! `4 · row + column % 4` of a 32-byte vector belongs to that row and column. The nibbles of column
//! groups g and g + 4 share a byte. All codes of a group come first, then all its scales.

mod unpack;

use super::format::WeightFormat;
use super::layout::{LANES, QUANT_BLOCK};
use super::matrix::Matrix;
use crate::pool::{DisjointSlice, ThreadPool};
use crate::tensor::DType;
use half::f16;
use unpack::UnpackedBlock;

/// Format in which a matrix stored as `dtype` is held. Types without a kernel of their own are held
/// in 8 bits, which loses little, because their own codes have fewer.
pub(crate) fn format_of(dtype: DType) -> WeightFormat {
    match dtype {
        DType::F32 => WeightFormat::F32,
        DType::F16 => WeightFormat::F16,
        DType::Bf16 => WeightFormat::Bf16,
        DType::Q4_0 => WeightFormat::U4,
        DType::Mxfp4 | DType::Mxfp4Codes | DType::Mxfp4Scales => WeightFormat::E2m1,
        DType::Q4_1 | DType::Q4K => WeightFormat::U4Min,
        DType::Q5_0 => WeightFormat::U5,
        DType::Q5_1 | DType::Q5K => WeightFormat::U5Min,
        DType::Q6K => WeightFormat::U6,
        DType::Q8_0 | DType::Q2K | DType::Q3K | DType::Iq4Nl | DType::Iq4Xs => WeightFormat::I8,
    }
}

/// Packs the rows in `raw`, bytes of a weight file, into `matrix` from row group `first_group` on.
///
/// # Panics
/// When `raw` is not a whole number of rows of `dtype`, when the matrix has too few rows for them,
/// or when its format is not [`format_of`] the type.
pub(crate) fn pack(
    pool: &ThreadPool,
    dtype: DType,
    raw: &[u8],
    matrix: &mut Matrix,
    first_group: usize,
) {
    let (columns, group_bytes) = (matrix.columns, matrix.format.group_bytes(matrix.columns));
    let row_bytes = dtype.row_bytes(columns);
    assert!(
        raw.len().is_multiple_of(row_bytes) && matrix.format == format_of(dtype),
        "bytes of another matrix"
    );
    let rows = raw.len() / row_bytes;
    assert!(first_group * LANES + rows <= matrix.rows, "more rows than the matrix has");
    let groups = rows.div_ceil(LANES);
    let packed = DisjointSlice::new(matrix.groups_mut());
    let chunk = groups.div_ceil(4 * pool.threads()).max(1);
    pool.run(groups.div_ceil(chunk), |task| {
        for group in task * chunk..((task + 1) * chunk).min(groups) {
            #[allow(unsafe_code)]
            // SAFETY: groups do not overlap, and each belongs to one task.
            let out = unsafe { packed.slice_mut((first_group + group) * group_bytes, group_bytes) };
            let first = group * LANES;
            let raw = &raw[first * row_bytes..(first + LANES).min(rows) * row_bytes];
            for (lane, row) in raw.chunks_exact(row_bytes).enumerate() {
                pack_row(dtype, row, columns, lane, out);
            }
        }
    });
}

/// Writes one row into its lane of a group, which is zeroed.
fn pack_row(dtype: DType, row: &[u8], columns: usize, lane: usize, out: &mut [u8]) {
    let format = format_of(dtype);
    if let Some(width) = format.float_bytes() {
        for (column, value) in row.chunks_exact(width).enumerate() {
            out[(column * LANES + lane) * width..][..width].copy_from_slice(value);
        }
        return;
    }
    let (codes, scales) = out.split_at_mut(columns / QUANT_BLOCK * format.code_bytes());
    let mut block_out = 0;
    let (values, bytes) = dtype.block();
    for block in row.chunks_exact(bytes) {
        if matches!(dtype, DType::Q4_0 | DType::Q4_1) {
            // The file pairs column i with column i + 16, as the kernels do: four bytes move at
            // once.
            let (header, nibbles) = block.split_at(bytes - 16);
            let codes = &mut codes[block_out * format.code_bytes()..][..format.code_bytes()];
            for (quarter, four) in nibbles.chunks_exact(4).enumerate() {
                codes[quarter * 32 + lane * 4..][..4].copy_from_slice(four);
            }
            let scales = &mut scales[block_out * format.scale_bytes()..][..format.scale_bytes()];
            for (index, half) in header.chunks_exact(2).enumerate() {
                scales[(index * LANES + lane) * 2..][..2].copy_from_slice(half);
            }
            block_out += 1;
            continue;
        }
        for part in 0..values / QUANT_BLOCK {
            let unpacked = UnpackedBlock::new(dtype, block, part);
            unpacked.write_codes(
                format,
                &mut codes[block_out * format.code_bytes()..][..format.code_bytes()],
                lane,
            );
            let scales = &mut scales[block_out * format.scale_bytes()..][..format.scale_bytes()];
            // Codes by themselves have no scales, and scales by themselves have zeros for codes:
            // a matrix may be packed from one and then from the other.
            let count = match dtype {
                DType::Mxfp4Codes => 0,
                _ => format.scale_bytes() / (2 * LANES),
            };
            for (index, scale) in unpacked.scales.iter().take(count).enumerate() {
                scales[(index * LANES + lane) * 2..][..2]
                    .copy_from_slice(&f16::from_f32(*scale).to_le_bytes());
            }
            block_out += 1;
        }
    }
}

#[cfg(test)]
mod tests;
