//! Matrix kernels for x86 with AVX2, FMA and F16C. The reference for each is in [`super::scalar`].
//!
//! A vector holds 8 weight rows × 4 columns as bytes, so that one broadcast of 4 activation codes
//! meets all rows and no horizontal sum is needed. `maddubs` multiplies unsigned by signed bytes
//! and adds pairs in 16 bits; as codes have few bits, several such products fit into 16 bits before
//! they must be widened.
#![allow(unsafe_code, clippy::cast_possible_wrap, clippy::cast_possible_truncation)]

mod codes;
mod float;
mod integer;
mod registers;

use super::activations::ActivationRow;
use super::format::WeightFormat;
use super::layout::{QUANT_BLOCK, TILE_ROWS, Tile};
use codes::{Five, Float, Four};
use float::float;
use integer::{signed, six, unsigned};

/// See [`super::matrix::Matrix::tile`].
///
/// # Safety
/// The processor has AVX2, FMA and F16C. `group` holds [`super::layout::LANES`] rows of `columns`
/// columns in `format`, each row of activations `columns` values. At most [`TILE_ROWS`] rows.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn tile(
    format: WeightFormat,
    columns: usize,
    group: &[u8],
    rows: &[ActivationRow<'_>],
    out: &mut Tile,
) {
    debug_assert!(group.len() >= format.group_bytes(columns));
    // SAFETY: the caller's contract is that of each kernel.
    unsafe {
        match rows.len() {
            1 => rows_of::<1>(format, columns, group, rows, out),
            2 => rows_of::<2>(format, columns, group, rows, out),
            3 => rows_of::<3>(format, columns, group, rows, out),
            TILE_ROWS => rows_of::<TILE_ROWS>(format, columns, group, rows, out),
            _ => {}
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn rows_of<const C: usize>(
    format: WeightFormat,
    columns: usize,
    group: &[u8],
    rows: &[ActivationRow<'_>],
    out: &mut Tile,
) {
    let (codes, blocks) = (group.as_ptr(), columns / QUANT_BLOCK);
    // SAFETY: the scales of all blocks follow their codes.
    unsafe {
        let scales = codes.add(blocks * format.code_bytes());
        match format {
            WeightFormat::U4 => unsigned::<C, Four, 8, false>(codes, scales, blocks, rows, out),
            WeightFormat::U4Min => unsigned::<C, Four, 0, true>(codes, scales, blocks, rows, out),
            WeightFormat::E2m1 => unsigned::<C, Float, 12, false>(codes, scales, blocks, rows, out),
            WeightFormat::U5 => unsigned::<C, Five, 16, false>(codes, scales, blocks, rows, out),
            WeightFormat::U5Min => unsigned::<C, Five, 0, true>(codes, scales, blocks, rows, out),
            WeightFormat::U6 => six::<C>(codes, scales, blocks, rows, out),
            WeightFormat::I8 => signed::<C>(codes, scales, blocks, rows, out),
            WeightFormat::F16 | WeightFormat::Bf16 | WeightFormat::F32 => {
                float::<C>(format, columns, codes, rows, out);
            }
        }
    }
}
