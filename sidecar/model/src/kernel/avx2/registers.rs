//! Loads and stores that several kernels use.
#![allow(unsafe_code, clippy::cast_possible_wrap, clippy::cast_possible_truncation)]

use crate::kernel::layout::LANES;
use std::arch::x86_64::*;

/// 4 codes of one activation row, repeated for each row of weights.
///
/// # Safety
/// The processor has AVX2; `codes` points to 4 codes.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) unsafe fn broadcast(codes: *const i8) -> __m256i {
    // SAFETY: the caller has 4 codes there.
    _mm256_set1_epi32(unsafe { codes.cast::<i32>().read_unaligned() })
}

/// 8 values in f16, widened.
///
/// # Safety
/// The processor has AVX2 and F16C; `values` points to 8 values.
#[inline]
#[target_feature(enable = "avx2,f16c")]
pub(super) unsafe fn load_f16(values: *const u8) -> __m256 {
    // SAFETY: the caller has 8 values there.
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(values.cast()) })
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn store(out: &mut [f32; LANES], sums: __m256) {
    // SAFETY: it holds 8 values.
    unsafe { _mm256_storeu_ps(out.as_mut_ptr(), sums) };
}
