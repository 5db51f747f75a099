//! Dot products of quantized weights with quantized activations.
#![allow(unsafe_code, clippy::cast_possible_wrap, clippy::cast_possible_truncation)]

use super::codes::{Codes, Six};
use super::registers::{broadcast, load_f16, store};
use crate::kernel::activations::ActivationRow;
use crate::kernel::format::WeightFormat;
use crate::kernel::layout::{QUANT_BLOCK, Tile};
use std::arch::x86_64::*;

/// Distance of the prefetch in bytes.
const PREFETCH: usize = 2048;

/// Prefetches the codes and scales some blocks ahead, in this group or the next: with a single row
/// of activations the kernel waits for weights to arrive from memory.
#[inline]
#[target_feature(enable = "sse")]
fn prefetch(
    format: WeightFormat,
    codes: *const u8,
    scales: *const u8,
    block: usize,
    blocks: usize,
) {
    let (code_bytes, scale_bytes) = (format.code_bytes(), format.scale_bytes());
    let later = block + PREFETCH.div_ceil(code_bytes);
    let (index, skip) = if later < blocks {
        (later, 0)
    } else {
        (later - blocks, format.group_bytes(blocks * QUANT_BLOCK))
    };
    let codes = codes.wrapping_add(skip + index * code_bytes);
    for line in (0..code_bytes).step_by(64) {
        _mm_prefetch::<_MM_HINT_T0>(codes.wrapping_add(line).cast());
    }
    _mm_prefetch::<_MM_HINT_T0>(scales.wrapping_add(skip + index * scale_bytes).cast());
}

/// Adds the products of `FLUSH` groups, from `first` on, to `sums` in 32 bits.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn add_products<const C: usize, K: Codes>(
    block: *const u8,
    x: [*const i8; C],
    first: usize,
    sums: &mut [__m256i; C],
) {
    let mut narrow = [_mm256_setzero_si256(); C];
    for group in first..first + K::FLUSH {
        // SAFETY: a block has 8 groups of 4 columns.
        unsafe {
            let weights = K::load(block, group);
            for c in 0..C {
                let product = _mm256_maddubs_epi16(weights, broadcast(x[c].add(4 * group)));
                narrow[c] = _mm256_add_epi16(narrow[c], product);
            }
        }
    }
    for c in 0..C {
        sums[c] = _mm256_add_epi32(sums[c], _mm256_madd_epi16(narrow[c], _mm256_set1_epi16(1)));
    }
}

/// Formats with unsigned codes and one scale a block: code − `OFFSET`, or with a minimum.
///
/// # Safety
/// As [`super::tile`], with `C` rows of activations; `codes` and `scales` belong to one group.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn unsigned<const C: usize, K: Codes, const OFFSET: i32, const MINIMUM: bool>(
    codes: *const u8,
    scales: *const u8,
    blocks: usize,
    rows: &[ActivationRow<'_>],
    out: &mut Tile,
) {
    let mut total = [_mm256_setzero_ps(); C];
    for b in 0..blocks {
        // SAFETY: there are `blocks` blocks of codes, of scales, and of each activation row.
        unsafe {
            let block = codes.add(b * K::BYTES);
            if C == 1 {
                prefetch(K::FORMATS[usize::from(!MINIMUM)], codes, scales, b, blocks);
            }
            let mut x = [std::ptr::null(); C];
            for c in 0..C {
                x[c] = rows[c].codes.as_ptr().add(b * QUANT_BLOCK);
            }
            let mut sums = [_mm256_setzero_si256(); C];
            let mut first = 0;
            while first < 8 {
                add_products::<C, K>(block, x, first, &mut sums);
                first += K::FLUSH;
            }
            let scale = load_f16(scales.add(b * if MINIMUM { 32 } else { 16 }));
            for c in 0..C {
                let row = &rows[c];
                if OFFSET != 0 {
                    let halves = row.half_sums.as_ptr().add(2 * b);
                    let offset = OFFSET * (*halves + *halves.add(1));
                    sums[c] = _mm256_sub_epi32(sums[c], _mm256_set1_epi32(offset));
                }
                let dot = _mm256_mul_ps(
                    _mm256_cvtepi32_ps(sums[c]),
                    _mm256_set1_ps(*row.scales.as_ptr().add(b)),
                );
                total[c] = _mm256_fmadd_ps(dot, scale, total[c]);
            }
            if MINIMUM {
                let minimum = load_f16(scales.add(b * 32 + 16));
                for c in 0..C {
                    let sum = _mm256_set1_ps(*rows[c].scaled_sums.as_ptr().add(b));
                    total[c] = _mm256_fmadd_ps(minimum, sum, total[c]);
                }
            }
        }
    }
    for c in 0..C {
        store(&mut out[c], total[c]);
    }
}

/// [`WeightFormat::U6`]: one scale for each half block.
///
/// # Safety
/// As [`unsigned`].
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn six<const C: usize>(
    codes: *const u8,
    scales: *const u8,
    blocks: usize,
    rows: &[ActivationRow<'_>],
    out: &mut Tile,
) {
    let mut total = [_mm256_setzero_ps(); C];
    for b in 0..blocks {
        if C == 1 {
            prefetch(WeightFormat::U6, codes, scales, b, blocks);
        }
        for half in 0..2 {
            // SAFETY: there are `blocks` blocks of codes, of scales, and of each activation row.
            unsafe {
                let block = codes.add(b * Six::BYTES);
                let mut x = [std::ptr::null(); C];
                for c in 0..C {
                    x[c] = rows[c].codes.as_ptr().add(b * QUANT_BLOCK);
                }
                let mut sums = [_mm256_setzero_si256(); C];
                add_products::<C, Six>(block, x, 4 * half, &mut sums);
                add_products::<C, Six>(block, x, 4 * half + 2, &mut sums);
                let scale = load_f16(scales.add(b * 32 + half * 16));
                for c in 0..C {
                    let offset =
                        _mm256_set1_epi32(32 * *rows[c].half_sums.as_ptr().add(2 * b + half));
                    let dot = _mm256_cvtepi32_ps(_mm256_sub_epi32(sums[c], offset));
                    let dot = _mm256_mul_ps(dot, _mm256_set1_ps(*rows[c].scales.as_ptr().add(b)));
                    total[c] = _mm256_fmadd_ps(dot, scale, total[c]);
                }
            }
        }
    }
    for c in 0..C {
        store(&mut out[c], total[c]);
    }
}

/// [`WeightFormat::I8`]: the weight's sign moves to the activation, so that one factor is unsigned.
/// 2 · 128 · 127 fits into 16 bits.
///
/// # Safety
/// As [`unsigned`].
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn signed<const C: usize>(
    codes: *const u8,
    scales: *const u8,
    blocks: usize,
    rows: &[ActivationRow<'_>],
    out: &mut Tile,
) {
    let mut total = [_mm256_setzero_ps(); C];
    for b in 0..blocks {
        // SAFETY: there are `blocks` blocks of codes, of scales, and of each activation row.
        unsafe {
            let mut sums = [_mm256_setzero_si256(); C];
            if C == 1 {
                prefetch(WeightFormat::I8, codes, scales, b, blocks);
            }
            for group in 0..8 {
                let weights = _mm256_loadu_si256(codes.add(b * 256 + group * 32).cast());
                let magnitude = _mm256_abs_epi8(weights);
                for c in 0..C {
                    let x = broadcast(rows[c].codes.as_ptr().add(b * QUANT_BLOCK + 4 * group));
                    let product = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(x, weights));
                    sums[c] =
                        _mm256_add_epi32(sums[c], _mm256_madd_epi16(product, _mm256_set1_epi16(1)));
                }
            }
            let scale = load_f16(scales.add(b * 16));
            for c in 0..C {
                let dot = _mm256_mul_ps(
                    _mm256_cvtepi32_ps(sums[c]),
                    _mm256_set1_ps(*rows[c].scales.as_ptr().add(b)),
                );
                total[c] = _mm256_fmadd_ps(dot, scale, total[c]);
            }
        }
    }
    for c in 0..C {
        store(&mut out[c], total[c]);
    }
}
