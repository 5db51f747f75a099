//! Attention with AVX2. The reference for each function is in [`super`].
#![allow(unsafe_code)]
// Indices name registers: iterators over several arrays at once would hide that.
#![allow(clippy::needless_range_loop)]

use super::value::CacheValue;
use crate::kernel::layout::BLOCK_SIZE;
use std::arch::x86_64::*;

/// Scores of one block's tokens for `M` queries.
///
/// # Safety
/// The processor has AVX2, FMA and F16C. `queries` has `M` × `width` values, `keys` `width` ×
/// `BLOCK_SIZE`, `out` `M` rows.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn scores<T: CacheValue, const M: usize>(
    width: usize,
    queries: &[f32],
    keys: &[T],
    out: &mut [[f32; BLOCK_SIZE]],
) {
    for half in 0..2 {
        let mut sums = [[_mm256_setzero_ps(); 2]; M];
        for d in 0..width {
            // SAFETY: the caller's lengths.
            unsafe {
                let keys = keys.as_ptr().add(d * BLOCK_SIZE + half * 16);
                let (first, second) = (T::load(keys), T::load(keys.add(8)));
                for m in 0..M {
                    let q = _mm256_set1_ps(*queries.as_ptr().add(m * width + d));
                    sums[m][0] = _mm256_fmadd_ps(q, first, sums[m][0]);
                    sums[m][1] = _mm256_fmadd_ps(q, second, sums[m][1]);
                }
            }
        }
        for m in 0..M {
            // SAFETY: a row has 32 values.
            unsafe {
                let out = out[m].as_mut_ptr().add(half * 16);
                _mm256_storeu_ps(out, sums[m][0]);
                _mm256_storeu_ps(out.add(8), sums[m][1]);
            }
        }
    }
}

/// Adds the first `tokens` values of one block to `out`, weighted for each of `M` queries.
///
/// # Safety
/// The processor has AVX2, FMA and F16C. `weights` has `M` rows, `values` `tokens` × `width`
/// values, `out` `M` × `width`; `width` is a multiple of 8.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn accumulate<T: CacheValue, const M: usize>(
    width: usize,
    weights: &[[f32; BLOCK_SIZE]],
    values: &[T],
    tokens: usize,
    out: &mut [f32],
) {
    let mut d = 0;
    while d + 16 <= width {
        // SAFETY: 16 values from `d` on are in bounds by the caller's lengths.
        unsafe { columns::<T, M, 2>(width, d, weights, values, tokens, out) };
        d += 16;
    }
    if d < width {
        // SAFETY: `width` is a multiple of 8.
        unsafe { columns::<T, M, 1>(width, d, weights, values, tokens, out) };
    }
}

/// The same for 8 · `V` values of the head, from `d` on.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn columns<T: CacheValue, const M: usize, const V: usize>(
    width: usize,
    d: usize,
    weights: &[[f32; BLOCK_SIZE]],
    values: &[T],
    tokens: usize,
    out: &mut [f32],
) {
    let mut sums = [[_mm256_setzero_ps(); V]; M];
    // SAFETY: the caller's lengths.
    unsafe {
        for m in 0..M {
            for v in 0..V {
                sums[m][v] = _mm256_loadu_ps(out.as_ptr().add(m * width + d + 8 * v));
            }
        }
        for t in 0..tokens {
            let mut loaded = [_mm256_setzero_ps(); V];
            for v in 0..V {
                loaded[v] = T::load(values.as_ptr().add(t * width + d + 8 * v));
            }
            for m in 0..M {
                let weight = _mm256_set1_ps(*weights.as_ptr().add(m).cast::<f32>().add(t));
                for v in 0..V {
                    sums[m][v] = _mm256_fmadd_ps(weight, loaded[v], sums[m][v]);
                }
            }
        }
        for m in 0..M {
            for v in 0..V {
                _mm256_storeu_ps(out.as_mut_ptr().add(m * width + d + 8 * v), sums[m][v]);
            }
        }
    }
}
