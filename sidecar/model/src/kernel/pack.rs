//! From the blocks of a weight file to the kernels' layout.
//!
//! A group is 8 rows. A block of it is 8 rows × 32 columns, in 8 *column groups* of 4 columns: byte
//! `4 · row + column % 4` of a 32-byte vector belongs to that row and column. Nibbles of column
//! group g and g + 4 share a byte. All of a group's codes come first, then all of its scales.

use super::matrix::{Format, Matrix};
use super::{BLOCK, LANES};
use crate::pool::{Pool, Shards};
use crate::tensor::DType;
use half::f16;

/// How a matrix stored as `dtype` is held. Formats without a kernel of their own are held in 8
/// bits, which loses little: their codes have fewer.
pub(crate) fn format_of(dtype: DType) -> Format {
    match dtype {
        DType::F32 => Format::F32,
        DType::F16 => Format::F16,
        DType::Bf16 => Format::Bf16,
        DType::Q4_0 => Format::U4,
        DType::Q4_1 | DType::Q4K => Format::U4Min,
        DType::Q5_0 => Format::U5,
        DType::Q5_1 | DType::Q5K => Format::U5Min,
        DType::Q6K => Format::U6,
        DType::Q8_0 | DType::Q2K | DType::Q3K | DType::Iq4Nl | DType::Iq4Xs => Format::I8,
    }
}

/// Packs rows from the bytes of a weight file into `matrix`, from its row group `first_group` on.
///
/// # Panics
/// When `raw` is not a whole number of rows of `dtype`, or there are more than the matrix has.
pub(crate) fn pack(pool: &Pool, dtype: DType, raw: &[u8], matrix: &mut Matrix, first_group: usize) {
    let (columns, group_bytes) = (matrix.columns, matrix.format.group_bytes(matrix.columns));
    let row_bytes = row_bytes(dtype, columns);
    assert!(
        raw.len().is_multiple_of(row_bytes) && matrix.format == format_of(dtype),
        "bytes of another matrix"
    );
    let rows = raw.len() / row_bytes;
    assert!(first_group * LANES + rows <= matrix.rows, "more rows than the matrix has");
    let groups = rows.div_ceil(LANES);
    let shards = Shards::new(matrix.groups_mut());
    let chunk = groups.div_ceil(4 * pool.threads()).max(1);
    pool.run(groups.div_ceil(chunk), |task| {
        for group in task * chunk..((task + 1) * chunk).min(groups) {
            #[allow(unsafe_code)]
            // SAFETY: each group has bytes of its own.
            let out = unsafe { shards.part((first_group + group) * group_bytes, group_bytes) };
            let first = group * LANES;
            let raw = &raw[first * row_bytes..(first + LANES).min(rows) * row_bytes];
            for (lane, row) in raw.chunks_exact(row_bytes).enumerate() {
                pack_row(dtype, row, columns, lane, out);
            }
        }
    });
}

/// Bytes of one row.
pub(crate) fn row_bytes(dtype: DType, columns: usize) -> usize {
    let (values, bytes) = dtype.block();
    columns / values * bytes
}

/// One row into its lane of a group.
fn pack_row(dtype: DType, row: &[u8], columns: usize, lane: usize, out: &mut [u8]) {
    let format = format_of(dtype);
    if let Some(width) = format.dense_bytes() {
        for (column, value) in row.chunks_exact(width).enumerate() {
            out[(column * LANES + lane) * width..][..width].copy_from_slice(value);
        }
        return;
    }
    let (codes, scales) = out.split_at_mut(columns / BLOCK * format.code_bytes());
    let mut block_out = 0;
    let (values, bytes) = dtype.block();
    for block in row.chunks_exact(bytes) {
        if matches!(dtype, DType::Q4_0 | DType::Q4_1) {
            // The file pairs column i with i + 16, as the kernels do: whole runs of four bytes
            // move.
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
        for part in 0..values / BLOCK {
            let unpacked = Unpacked::of(dtype, block, part);
            unpacked.place(
                format,
                &mut codes[block_out * format.code_bytes()..][..format.code_bytes()],
                lane,
            );
            let scales = &mut scales[block_out * format.scale_bytes()..][..format.scale_bytes()];
            let count = format.scale_bytes() / (2 * LANES);
            for (index, scale) in unpacked.scales.iter().take(count).enumerate() {
                scales[(index * LANES + lane) * 2..][..2]
                    .copy_from_slice(&f16::from_f32(*scale).to_le_bytes());
            }
            block_out += 1;
        }
    }
}

/// 32 values: unsigned codes (two's complement for [`Format::I8`]), and scale and minimum, or two
/// scales.
struct Unpacked {
    codes: [u8; BLOCK],
    scales: [f32; 2],
}

impl Unpacked {
    /// Block `part` of 32 values within a block of the file.
    fn of(dtype: DType, block: &[u8], part: usize) -> Self {
        let mut codes = [0_u8; BLOCK];
        let half = |at: usize| f16::from_le_bytes([block[at], block[at + 1]]).to_f32();
        let scales = match dtype {
            DType::Q5_0 | DType::Q5_1 => {
                let header = if dtype == DType::Q5_0 { 2 } else { 4 };
                let bits = u32::from_le_bytes([
                    block[header],
                    block[header + 1],
                    block[header + 2],
                    block[header + 3],
                ]);
                for (column, code) in codes.iter_mut().enumerate() {
                    let packed = block[header + 4 + column % 16];
                    let nibble = if column < 16 { packed & 15 } else { packed >> 4 };
                    *code = nibble | ((bits >> column & 1) as u8) << 4;
                }
                [half(0), if dtype == DType::Q5_1 { half(2) } else { 0.0 }]
            }
            DType::Q8_0 => {
                codes.copy_from_slice(&block[2..34]);
                [half(0), 0.0]
            }
            DType::Q4K | DType::Q5K => {
                let (scale, minimum) = scale_and_minimum(&block[4..16], part);
                let quants = if dtype == DType::Q4K { &block[16..144] } else { &block[48..176] };
                for (column, code) in codes.iter_mut().enumerate() {
                    let packed = quants[part / 2 * 32 + column];
                    *code = if part.is_multiple_of(2) { packed & 15 } else { packed >> 4 };
                    if dtype == DType::Q5K {
                        *code |= (block[16 + column] >> part & 1) << 4;
                    }
                }
                [half(0) * f32::from(scale), -half(2) * f32::from(minimum)]
            }
            DType::Q6K => {
                let (n, quarter) = (part / 4, part % 4);
                for (column, code) in codes.iter_mut().enumerate() {
                    let packed = block[64 * n + 32 * (quarter % 2) + column];
                    let low = if quarter < 2 { packed & 15 } else { packed >> 4 };
                    *code = low | (block[128 + 32 * n + column] >> (2 * quarter) & 3) << 4;
                }
                let scale = |index: usize| f32::from(block[192 + index].cast_signed()) * half(208);
                [scale(8 * n + 2 * quarter), scale(8 * n + 2 * quarter + 1)]
            }
            DType::Q2K | DType::Q3K => {
                let values = if dtype == DType::Q2K { q2k(block, part) } else { q3k(block, part) };
                let largest =
                    values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
                let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
                for (code, value) in codes.iter_mut().zip(values) {
                    #[allow(clippy::cast_possible_truncation)]
                    let rounded = (value * inverse).round_ties_even() as i8;
                    *code = rounded.cast_unsigned();
                }
                [largest / 127.0, 0.0]
            }
            DType::Iq4Nl => {
                codebook(&block[2..18], &mut codes);
                [half(0), 0.0]
            }
            DType::Iq4Xs => {
                codebook(&block[8 + 16 * part..][..16], &mut codes);
                let low = block[4 + part / 2] >> (part % 2 * 4) & 15;
                let high = u16::from_le_bytes([block[2], block[3]]) >> (2 * part) & 3;
                [half(0) * (f32::from(low) + f32::from(high) * 16.0 - 32.0), 0.0]
            }
            DType::F32 | DType::F16 | DType::Bf16 | DType::Q4_0 | DType::Q4_1 => {
                unreachable!("packed elsewhere")
            }
        };
        Self { codes, scales }
    }

    /// Writes the codes into one lane of a zeroed block: a column group of a lane is one word.
    /// Codes have few bits, so that what a shift moves stays within its byte.
    fn place(&self, format: Format, block: &mut [u8], lane: usize) {
        let mut put = |vector: usize, word: u32| {
            for (byte, more) in
                block[vector * 32 + lane * 4..][..4].iter_mut().zip(word.to_le_bytes())
            {
                *byte |= more;
            }
        };
        for (group, &codes) in self.codes.as_chunks().0.iter().enumerate() {
            let codes = u32::from_le_bytes(codes);
            if format == Format::I8 {
                put(group, codes);
                continue;
            }
            put(group % 4, (codes & 0x0f0f_0f0f) << (group / 4 * 4));
            let high = codes >> 4 & 0x0f0f_0f0f;
            match format {
                Format::U5 | Format::U5Min => put(4, high << group),
                Format::U6 => put(4 + group / 4, high << (group % 4 * 2)),
                _ => {}
            }
        }
    }
}

/// 32 codes of 4 bits, by what they stand for in IQ4_NL and IQ4_XS: numbers of 8 bits.
fn codebook(packed: &[u8], codes: &mut [u8; BLOCK]) {
    const MEANT: [i8; 16] =
        [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
    for (column, code) in codes.iter_mut().enumerate() {
        let byte = packed[column % 16];
        *code = MEANT[usize::from(if column < 16 { byte & 15 } else { byte >> 4 })].cast_unsigned();
    }
}

/// The 6-bit scale and minimum of a part of a Q4_K or Q5_K block.
fn scale_and_minimum(packed: &[u8], part: usize) -> (u8, u8) {
    if part < 4 {
        (packed[part] & 63, packed[part + 4] & 63)
    } else {
        let low = packed[part + 4];
        (low & 15 | (packed[part - 4] >> 6) << 4, low >> 4 | (packed[part] >> 6) << 4)
    }
}

/// 32 values of a Q2_K block: 16 bytes of scale and minimum nibbles, 64 of codes, scale, scale of
/// minima.
fn q2k(block: &[u8], part: usize) -> [f32; BLOCK] {
    let half = |at: usize| f16::from_le_bytes([block[at], block[at + 1]]).to_f32();
    let (scale, minimum) = (half(80), half(82));
    std::array::from_fn(|column| {
        let code = block[16 + part / 4 * 32 + column] >> (part % 4 * 2) & 3;
        let packed = block[2 * part + column / 16];
        scale * f32::from(packed & 15) * f32::from(code) - minimum * f32::from(packed >> 4)
    })
}

/// 32 values of a Q3_K block: 32 bytes of high bits, 64 of low bits, 12 of 6-bit scales, scale.
fn q3k(block: &[u8], part: usize) -> [f32; BLOCK] {
    let scale = f16::from_le_bytes([block[108], block[109]]).to_f32();
    let packed = &block[96..108];
    std::array::from_fn(|column| {
        let low = i16::from(block[32 + part / 4 * 32 + column] >> (part % 4 * 2) & 3);
        let high = i16::from(block[column] >> part & 1);
        let index = 2 * part + column / 16;
        let nibble = if index < 8 { packed[index] & 15 } else { packed[index - 8] >> 4 };
        let local = i16::from(nibble | (packed[8 + index % 4] >> (index / 4 * 2) & 3) << 4) - 32;
        scale * f32::from(local) * f32::from(low + 4 * high - 4)
    })
}

#[cfg(test)]
mod tests;
