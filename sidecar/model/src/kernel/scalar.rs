//! The reference for every matrix kernel, and the fallback where there is no SIMD kernel for the
//! processor.

use super::activations::ActivationRow;
use super::format::{E2M1, WeightFormat};
use super::layout::{LANES, QUANT_BLOCK, Tile};
use half::{bf16, f16};

/// Dot products of one group of [`LANES`] rows of weights with each row of activations. `group` is
/// laid out as in [`super::matrix::Matrix::group`].
#[allow(clippy::cast_precision_loss)]
pub(super) fn tile(
    format: WeightFormat,
    columns: usize,
    group: &[u8],
    rows: &[ActivationRow<'_>],
    out: &mut Tile,
) {
    if let Some(width) = format.float_bytes() {
        for (row, out) in rows.iter().zip(out) {
            *out = [0.0; LANES];
            for (column, weights) in group.chunks_exact(width * LANES).take(columns).enumerate() {
                for (lane, weight) in weights.chunks_exact(width).enumerate() {
                    out[lane] += float_at(format, weight) * row.values[column];
                }
            }
        }
        return;
    }
    let blocks = columns / QUANT_BLOCK;
    let (codes, scales) = group.split_at(blocks * format.code_bytes());
    for (row, out) in rows.iter().zip(out) {
        *out = [0.0; LANES];
        for block in 0..blocks {
            let codes = &codes[block * format.code_bytes()..][..format.code_bytes()];
            let scales = &scales[block * format.scale_bytes()..][..format.scale_bytes()];
            let x = &row.codes[block * QUANT_BLOCK..][..QUANT_BLOCK];
            for (lane, out) in out.iter_mut().enumerate() {
                let mut half_dots = [0_i32; 2];
                for (column, &x) in x.iter().enumerate() {
                    half_dots[column / 16] += code_at(format, codes, lane, column) * i32::from(x);
                }
                let scale = |index: usize| f16_at(scales, index * LANES + lane);
                let dot = match format {
                    WeightFormat::U6 => {
                        half_dots[0] as f32 * scale(0) + half_dots[1] as f32 * scale(1)
                    }
                    _ => (half_dots[0] + half_dots[1]) as f32 * scale(0),
                };
                *out += dot * row.scales[block];
                if format.has_minimum() {
                    *out += scale(1) * row.scaled_sums[block];
                }
            }
        }
    }
}

/// Weights of row `lane` of a group, as floating-point numbers; `out` has one for each column.
#[allow(clippy::cast_precision_loss)]
pub(super) fn dequantize(format: WeightFormat, group: &[u8], lane: usize, out: &mut [f32]) {
    if let Some(width) = format.float_bytes() {
        for (column, out) in out.iter_mut().enumerate() {
            *out = float_at(format, &group[(column * LANES + lane) * width..][..width]);
        }
        return;
    }
    let (codes, scales) = group.split_at(out.len() / QUANT_BLOCK * format.code_bytes());
    for (block, out) in out.as_chunks_mut::<QUANT_BLOCK>().0.iter_mut().enumerate() {
        let codes = &codes[block * format.code_bytes()..][..format.code_bytes()];
        let scales = &scales[block * format.scale_bytes()..][..format.scale_bytes()];
        let scale = |index: usize| f16_at(scales, index * LANES + lane);
        let minimum = if format.has_minimum() { scale(1) } else { 0.0 };
        for (column, out) in out.iter_mut().enumerate() {
            let index = if matches!(format, WeightFormat::U6) { column / 16 } else { 0 };
            *out = code_at(format, codes, lane, column) as f32 * scale(index) + minimum;
        }
    }
}

fn f16_at(bytes: &[u8], index: usize) -> f32 {
    f16::from_le_bytes([bytes[2 * index], bytes[2 * index + 1]]).to_f32()
}

fn float_at(format: WeightFormat, bytes: &[u8]) -> f32 {
    match (format, bytes) {
        (WeightFormat::F16, &[a, b]) => f16::from_le_bytes([a, b]).to_f32(),
        (WeightFormat::Bf16, &[a, b]) => bf16::from_le_bytes([a, b]).to_f32(),
        (_, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]),
        _ => f32::NAN,
    }
}

/// The code of one weight in a block, with its format's offset subtracted.
fn code_at(format: WeightFormat, codes: &[u8], lane: usize, column: usize) -> i32 {
    let (column_group, byte) = (column / 4, lane * 4 + column % 4);
    let nibble = || {
        let packed = codes[column_group % 4 * 32 + byte];
        if column_group < 4 { packed & 15 } else { packed >> 4 }
    };
    let low = || i32::from(nibble());
    match format {
        WeightFormat::U4 => low() - 8,
        WeightFormat::U4Min => low(),
        WeightFormat::E2m1 => i32::from(E2M1[usize::from(nibble())]),
        WeightFormat::U5 | WeightFormat::U5Min => {
            let high = i32::from(codes[128 + byte] >> column_group & 1);
            low() + 16 * high - if format == WeightFormat::U5 { 16 } else { 0 }
        }
        WeightFormat::U6 => {
            let high =
                i32::from(codes[128 + column_group / 4 * 32 + byte] >> (column_group % 4 * 2) & 3);
            low() + 16 * high - 32
        }
        _ => i32::from(codes[column_group * 32 + byte].cast_signed()),
    }
}
