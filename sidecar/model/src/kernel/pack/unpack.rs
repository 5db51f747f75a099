//! Unpacking the quantized types of ggml to codes and scales.
//!
//! The layouts are those of ggml's `ggml-common.h`.

use crate::kernel::format::WeightFormat;
use crate::kernel::layout::QUANT_BLOCK;
use crate::tensor::DType;
use half::f16;

/// 32 weights of one row.
pub(super) struct UnpackedBlock {
    /// Unsigned; two's complement for [`WeightFormat::I8`].
    codes: [u8; QUANT_BLOCK],
    /// Scale and minimum, or two scales.
    pub(super) scales: [f32; 2],
}

impl UnpackedBlock {
    /// The 32 values number `part` of `block`, a block of the file.
    ///
    /// # Panics
    /// For types whose blocks are copied as they are.
    pub(super) fn new(dtype: DType, block: &[u8], part: usize) -> Self {
        let mut codes = [0_u8; QUANT_BLOCK];
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
                look_up(&block[2..18], &mut codes);
                [half(0), 0.0]
            }
            DType::Iq4Xs => {
                look_up(&block[8 + 16 * part..][..16], &mut codes);
                let low = block[4 + part / 2] >> (part % 2 * 4) & 15;
                let high = u16::from_le_bytes([block[2], block[3]]) >> (2 * part) & 3;
                [half(0) * (f32::from(low) + f32::from(high) * 16.0 - 32.0), 0.0]
            }
            DType::Mxfp4 => {
                for (column, code) in codes.iter_mut().enumerate() {
                    let packed = block[1 + column % 16];
                    *code = if column < 16 { packed & 15 } else { packed >> 4 };
                }
                [half_power(block[0]), 0.0]
            }
            DType::Mxfp4Codes => {
                for (column, code) in codes.iter_mut().enumerate() {
                    let packed = block[column / 2];
                    *code = if column.is_multiple_of(2) { packed & 15 } else { packed >> 4 };
                }
                [0.0; 2]
            }
            DType::Mxfp4Scales => [half_power(block[0]), 0.0],
            DType::F32 | DType::F16 | DType::Bf16 | DType::Q4_0 | DType::Q4_1 => {
                unreachable!("copied without unpacking")
            }
        };
        Self { codes, scales }
    }

    /// Writes the codes into one lane of a zeroed block. A column group of one lane is a 32-bit
    /// word; codes have so few bits that shifting the word keeps each within its byte.
    pub(super) fn write_codes(&self, format: WeightFormat, block: &mut [u8], lane: usize) {
        let mut put = |vector: usize, word: u32| {
            for (byte, more) in
                block[vector * 32 + lane * 4..][..4].iter_mut().zip(word.to_le_bytes())
            {
                *byte |= more;
            }
        };
        for (group, &codes) in self.codes.as_chunks().0.iter().enumerate() {
            let codes = u32::from_le_bytes(codes);
            if format == WeightFormat::I8 {
                put(group, codes);
                continue;
            }
            put(group % 4, (codes & 0x0f0f_0f0f) << (group / 4 * 4));
            let high = codes >> 4 & 0x0f0f_0f0f;
            match format {
                WeightFormat::U5 | WeightFormat::U5Min => put(4, high << group),
                WeightFormat::U6 => put(4 + group / 4, high << (group % 4 * 2)),
                _ => {}
            }
        }
    }
}

/// Half of the power of two with this exponent of 8 bits: [`crate::kernel::format::E2M1`] has twice
/// the numbers.
fn half_power(exponent: u8) -> f32 {
    2.0_f32.powi(i32::from(exponent) - 128)
}

/// Looks up 32 codes of 4 bits in the codebook of IQ4_NL and IQ4_XS: signed numbers of 8 bits.
fn look_up(packed: &[u8], codes: &mut [u8; QUANT_BLOCK]) {
    const CODEBOOK: [i8; 16] =
        [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
    for (column, code) in codes.iter_mut().enumerate() {
        let byte = packed[column % 16];
        *code =
            CODEBOOK[usize::from(if column < 16 { byte & 15 } else { byte >> 4 })].cast_unsigned();
    }
}

/// The 6-bit scale and minimum of 32 values of a Q4_K or Q5_K block.
fn scale_and_minimum(packed: &[u8], part: usize) -> (u8, u8) {
    if part < 4 {
        (packed[part] & 63, packed[part + 4] & 63)
    } else {
        let low = packed[part + 4];
        (low & 15 | (packed[part - 4] >> 6) << 4, low >> 4 | (packed[part] >> 6) << 4)
    }
}

/// 32 values of a Q2_K block: 16 bytes of nibbles (scales and minima), 64 bytes of codes, the scale
/// of the scales, the scale of the minima.
fn q2k(block: &[u8], part: usize) -> [f32; QUANT_BLOCK] {
    let half = |at: usize| f16::from_le_bytes([block[at], block[at + 1]]).to_f32();
    let (scale, minimum) = (half(80), half(82));
    std::array::from_fn(|column| {
        let code = block[16 + part / 4 * 32 + column] >> (part % 4 * 2) & 3;
        let packed = block[2 * part + column / 16];
        scale * f32::from(packed & 15) * f32::from(code) - minimum * f32::from(packed >> 4)
    })
}

/// 32 values of a Q3_K block: 32 bytes of high bits, 64 of low bits, 12 of 6-bit scales, the scale
/// of the scales.
fn q3k(block: &[u8], part: usize) -> [f32; QUANT_BLOCK] {
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
