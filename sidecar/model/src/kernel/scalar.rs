//! The reference for every matrix kernel, and what runs where there is no SIMD kernel for the
//! processor.

use super::acts::Row;
use super::matrix::Format;
use super::{BLOCK, LANES, Tile};
use half::{bf16, f16};

/// Quantises one row of activations, block by block: code = value / scale rounded to even, scale =
/// largest / 127.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
pub(crate) fn quantise(
    plain: &[f32],
    codes: &mut [i8],
    scales: &mut [f32],
    sums: &mut [f32],
    halves: &mut [i32],
) {
    for (block, values) in plain.as_chunks::<BLOCK>().0.iter().enumerate() {
        let largest = values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        let scale = largest / 127.0;
        let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
        let mut sum = [0_i32; 2];
        for (column, value) in values.iter().enumerate() {
            let code = (value * inverse).round_ties_even() as i8;
            codes[block * BLOCK + column] = code;
            sum[column / 16] += i32::from(code);
        }
        scales[block] = scale;
        sums[block] = scale * (sum[0] + sum[1]) as f32;
        halves[2 * block] = sum[0];
        halves[2 * block + 1] = sum[1];
    }
}

/// Dot products of one group of [`LANES`] weight rows with each activation row.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn tile(format: Format, columns: usize, group: &[u8], rows: &[Row<'_>], out: &mut Tile) {
    if let Some(width) = format.dense_bytes() {
        for (row, out) in rows.iter().zip(out) {
            *out = [0.0; LANES];
            for (column, weights) in group.chunks_exact(width * LANES).take(columns).enumerate() {
                for (lane, weight) in weights.chunks_exact(width).enumerate() {
                    out[lane] += dense(format, weight) * row.plain[column];
                }
            }
        }
        return;
    }
    let blocks = columns / BLOCK;
    let (codes, scales) = group.split_at(blocks * format.code_bytes());
    for (row, out) in rows.iter().zip(out) {
        *out = [0.0; LANES];
        for block in 0..blocks {
            let codes = &codes[block * format.code_bytes()..][..format.code_bytes()];
            let scales = &scales[block * format.scale_bytes()..][..format.scale_bytes()];
            let x = &row.codes[block * BLOCK..][..BLOCK];
            for (lane, out) in out.iter_mut().enumerate() {
                let mut halves = [0_i32; 2];
                for (column, &x) in x.iter().enumerate() {
                    halves[column / 16] += code(format, codes, lane, column) * i32::from(x);
                }
                let scale = |index: usize| half_at(scales, index * LANES + lane);
                let dot = match format {
                    Format::U6 => halves[0] as f32 * scale(0) + halves[1] as f32 * scale(1),
                    _ => (halves[0] + halves[1]) as f32 * scale(0),
                };
                *out += dot * row.scales[block];
                if format.has_minimum() {
                    *out += scale(1) * row.sums[block];
                }
            }
        }
    }
}

/// One weight row in plain numbers.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn dequantise(format: Format, group: &[u8], lane: usize, out: &mut [f32]) {
    if let Some(width) = format.dense_bytes() {
        for (column, out) in out.iter_mut().enumerate() {
            *out = dense(format, &group[(column * LANES + lane) * width..][..width]);
        }
        return;
    }
    let (codes, scales) = group.split_at(out.len() / BLOCK * format.code_bytes());
    for (block, out) in out.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
        let codes = &codes[block * format.code_bytes()..][..format.code_bytes()];
        let scales = &scales[block * format.scale_bytes()..][..format.scale_bytes()];
        let scale = |index: usize| half_at(scales, index * LANES + lane);
        let minimum = if format.has_minimum() { scale(1) } else { 0.0 };
        for (column, out) in out.iter_mut().enumerate() {
            let index = if matches!(format, Format::U6) { column / 16 } else { 0 };
            *out = code(format, codes, lane, column) as f32 * scale(index) + minimum;
        }
    }
}

fn half_at(bytes: &[u8], index: usize) -> f32 {
    f16::from_le_bytes([bytes[2 * index], bytes[2 * index + 1]]).to_f32()
}

fn dense(format: Format, bytes: &[u8]) -> f32 {
    match (format, bytes) {
        (Format::F16, &[a, b]) => f16::from_le_bytes([a, b]).to_f32(),
        (Format::Bf16, &[a, b]) => bf16::from_le_bytes([a, b]).to_f32(),
        (_, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]),
        _ => f32::NAN,
    }
}

/// The weight's code, its offset taken off.
fn code(format: Format, codes: &[u8], lane: usize, column: usize) -> i32 {
    let (group, byte) = (column / 4, lane * 4 + column % 4);
    let nibble = || {
        let packed = codes[group % 4 * 32 + byte];
        i32::from(if group < 4 { packed & 15 } else { packed >> 4 })
    };
    match format {
        Format::U4 => nibble() - 8,
        Format::U4Min => nibble(),
        Format::U5 | Format::U5Min => {
            let high = i32::from(codes[128 + byte] >> group & 1);
            nibble() + 16 * high - if format == Format::U5 { 16 } else { 0 }
        }
        Format::U6 => {
            let high = i32::from(codes[128 + group / 4 * 32 + byte] >> (group % 4 * 2) & 3);
            nibble() + 16 * high - 32
        }
        _ => i32::from(codes[group * 32 + byte].cast_signed()),
    }
}
