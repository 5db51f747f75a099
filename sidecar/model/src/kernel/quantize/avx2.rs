//! Quantization of activations with AVX2.
#![allow(unsafe_code, clippy::cast_possible_wrap, clippy::cast_possible_truncation)]

use crate::kernel::layout::QUANT_BLOCK;
use std::arch::x86_64::*;

/// See [`super::quantize`]. On finite values it agrees bit for bit with the scalar reference.
///
/// # Safety
/// The processor has AVX2, FMA and F16C.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn quantize(
    values: &[f32],
    codes: &mut [i8],
    scales: &mut [f32],
    scaled_sums: &mut [f32],
    half_sums: &mut [i32],
) {
    let blocks = values.as_chunks::<QUANT_BLOCK>().0;
    assert!(
        codes.len() >= blocks.len() * QUANT_BLOCK
            && scales.len() >= blocks.len()
            && scaled_sums.len() >= blocks.len()
    );
    assert!(half_sums.len() >= 2 * blocks.len());
    for (b, block) in blocks.iter().enumerate() {
        let load = |i: usize| {
            // SAFETY: a block has four vectors.
            unsafe { _mm256_loadu_ps(block.as_ptr().add(8 * i)) }
        };
        let vectors = [load(0), load(1), load(2), load(3)];
        let sign = _mm256_set1_ps(-0.0);
        let absolute = vectors.map(|v| _mm256_andnot_ps(sign, v));
        let largest = _mm256_max_ps(
            _mm256_max_ps(absolute[0], absolute[1]),
            _mm256_max_ps(absolute[2], absolute[3]),
        );
        let largest =
            _mm_max_ps(_mm256_castps256_ps128(largest), _mm256_extractf128_ps::<1>(largest));
        let largest = _mm_max_ps(largest, _mm_movehl_ps(largest, largest));
        let largest = _mm_cvtss_f32(_mm_max_ss(largest, _mm_movehdup_ps(largest)));
        let scale = largest / 127.0;
        let inverse = _mm256_set1_ps(if largest > 0.0 { 127.0 / largest } else { 0.0 });
        let whole = vectors.map(|v| _mm256_cvtps_epi32(_mm256_mul_ps(v, inverse)));
        let low = horizontal_sum(_mm256_add_epi32(whole[0], whole[1]));
        let high = horizontal_sum(_mm256_add_epi32(whole[2], whole[3]));
        let packed = _mm256_packs_epi16(
            _mm256_packs_epi32(whole[0], whole[1]),
            _mm256_packs_epi32(whole[2], whole[3]),
        );
        // Packing works within 128-bit halves: restore the order of the eight groups of four.
        let ordered =
            _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
        // SAFETY: checked above.
        unsafe { _mm256_storeu_si256(codes.as_mut_ptr().add(b * QUANT_BLOCK).cast(), ordered) };
        scales[b] = scale;
        #[allow(clippy::cast_precision_loss)]
        {
            scaled_sums[b] = scale * (low + high) as f32;
        }
        half_sums[2 * b] = low;
        half_sums[2 * b + 1] = high;
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn horizontal_sum(sums: __m256i) -> i32 {
    let sums = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
    let sums = _mm_add_epi32(sums, _mm_shuffle_epi32::<0b01_00_11_10>(sums));
    _mm_cvtsi128_si32(_mm_add_epi32(sums, _mm_shuffle_epi32::<0b00_00_00_01>(sums)))
}
