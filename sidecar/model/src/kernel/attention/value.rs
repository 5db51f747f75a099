//! The types in which keys and values are stored.
#![allow(unsafe_code)]

use half::f16;

/// A number as the KV cache stores it: f16 or f32.
pub(crate) trait CacheValue: Copy + Send + Sync + 'static {
    fn from_f32(value: f32) -> Self;

    fn to_f32(self) -> f32;

    /// 8 values, widened to f32.
    ///
    /// # Safety
    /// The processor has AVX2 and F16C; `values` points to 8 values.
    #[cfg(target_arch = "x86_64")]
    unsafe fn load(values: *const Self) -> std::arch::x86_64::__m256;
}

impl CacheValue for f16 {
    fn from_f32(value: f32) -> Self {
        Self::from_f32(value)
    }

    fn to_f32(self) -> f32 {
        Self::to_f32(self)
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn load(values: *const Self) -> std::arch::x86_64::__m256 {
        use std::arch::x86_64::{_mm_loadu_si128, _mm256_cvtph_ps};
        // SAFETY: the caller has 8 values there; f16 is two bytes without padding.
        _mm256_cvtph_ps(unsafe { _mm_loadu_si128(values.cast()) })
    }
}

impl CacheValue for f32 {
    fn from_f32(value: f32) -> Self {
        value
    }

    fn to_f32(self) -> f32 {
        self
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn load(values: *const Self) -> std::arch::x86_64::__m256 {
        // SAFETY: the caller has 8 values there.
        unsafe { std::arch::x86_64::_mm256_loadu_ps(values) }
    }
}
