//! Unsigned codes of 4, 5 and 6 bits, unpacked to bytes.
#![allow(unsafe_code, clippy::cast_possible_wrap, clippy::cast_possible_truncation)]

use crate::kernel::format::{E2M1, WeightFormat};
use std::arch::x86_64::*;

/// How the unsigned codes of one block are packed.
pub(super) trait Codes {
    /// Bytes of a block's codes.
    const BYTES: usize;
    /// The formats with these codes: with a minimum, and without.
    const FORMATS: [WeightFormat; 2];
    /// How many products can be added in 16 bits: 2 · 127 · largest code · `FLUSH` ≤ 32767.
    const FLUSH: usize;

    /// Codes of 8 rows × 4 columns, from column 4 · `group` on.
    ///
    /// # Safety
    /// The processor has AVX2, `block` points to a block of this kind, and `group` is below 8.
    unsafe fn load(block: *const u8, group: usize) -> __m256i;
}

/// 4 bits.
pub(super) struct Four;
/// 4 bits of floating-point numbers, looked up: 12 more than twice each, which is 24 at most.
pub(super) struct Float;
/// 5 bits.
pub(super) struct Five;
/// 6 bits.
pub(super) struct Six;

#[inline]
#[target_feature(enable = "avx2")]
unsafe fn nibbles(block: *const u8, group: usize) -> __m256i {
    // SAFETY: a block starts with 4 vectors of nibbles.
    let packed = unsafe { _mm256_loadu_si256(block.add(group % 4 * 32).cast()) };
    let shifted = if group < 4 { packed } else { _mm256_srli_epi16::<4>(packed) };
    _mm256_and_si256(shifted, _mm256_set1_epi8(15))
}

impl Codes for Four {
    const BYTES: usize = WeightFormat::U4.code_bytes();
    const FORMATS: [WeightFormat; 2] = [WeightFormat::U4Min, WeightFormat::U4];
    const FLUSH: usize = 8;
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn load(block: *const u8, group: usize) -> __m256i {
        // SAFETY: the caller's block is of this kind.
        unsafe { nibbles(block, group) }
    }
}

impl Codes for Float {
    const BYTES: usize = WeightFormat::E2m1.code_bytes();
    const FORMATS: [WeightFormat; 2] = [WeightFormat::E2m1, WeightFormat::E2m1];
    const FLUSH: usize = 4;
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn load(block: *const u8, group: usize) -> __m256i {
        const TABLE: [i8; 16] = {
            let mut table = E2M1;
            let mut code = 0;
            while code < table.len() {
                table[code] += 12;
                code += 1;
            }
            table
        };
        // SAFETY: the caller's block is of this kind; the table has 16 bytes.
        unsafe {
            let table = _mm256_broadcastsi128_si256(_mm_loadu_si128(TABLE.as_ptr().cast()));
            _mm256_shuffle_epi8(table, nibbles(block, group))
        }
    }
}

impl Codes for Five {
    const BYTES: usize = WeightFormat::U5.code_bytes();
    const FORMATS: [WeightFormat; 2] = [WeightFormat::U5Min, WeightFormat::U5];
    const FLUSH: usize = 4;
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn load(block: *const u8, group: usize) -> __m256i {
        // SAFETY: the nibbles are followed by one vector, whose bit `group` is the fifth bit.
        let (low, bits) =
            unsafe { (nibbles(block, group), _mm256_loadu_si256(block.add(128).cast())) };
        let bits = match group {
            0 => _mm256_slli_epi16::<4>(bits),
            1 => _mm256_slli_epi16::<3>(bits),
            2 => _mm256_slli_epi16::<2>(bits),
            3 => _mm256_slli_epi16::<1>(bits),
            4 => bits,
            5 => _mm256_srli_epi16::<1>(bits),
            6 => _mm256_srli_epi16::<2>(bits),
            _ => _mm256_srli_epi16::<3>(bits),
        };
        _mm256_or_si256(low, _mm256_and_si256(bits, _mm256_set1_epi8(16)))
    }
}

impl Codes for Six {
    const BYTES: usize = WeightFormat::U6.code_bytes();
    const FORMATS: [WeightFormat; 2] = [WeightFormat::U6, WeightFormat::U6];
    const FLUSH: usize = 2;
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn load(block: *const u8, group: usize) -> __m256i {
        // SAFETY: the nibbles are followed by two vectors: the high bit pairs of groups 0..4, and
        // those of groups 4..8.
        let (low, bits) = unsafe {
            (nibbles(block, group), _mm256_loadu_si256(block.add(128 + group / 4 * 32).cast()))
        };
        let bits = match group % 4 {
            0 => _mm256_slli_epi16::<4>(bits),
            1 => _mm256_slli_epi16::<2>(bits),
            2 => bits,
            _ => _mm256_srli_epi16::<2>(bits),
        };
        _mm256_or_si256(low, _mm256_and_si256(bits, _mm256_set1_epi8(48)))
    }
}
