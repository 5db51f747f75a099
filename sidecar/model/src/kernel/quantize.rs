//! Quantization of activations to 8 bits.

#[cfg(target_arch = "x86_64")]
mod avx2;

#[cfg(target_arch = "x86_64")]
use super::cpu::has_avx2;
use super::layout::QUANT_BLOCK;

/// Quantizes one row of activations, block by block: scale = largest magnitude / 127, code = value
/// / scale, rounded to nearest, ties to even.
///
/// `values` and `codes` have one element a column, `scales` and `scaled_sums` one a block,
/// `half_sums` two a block; see [`super::activations::QuantizedActivations`].
pub(super) fn quantize(
    values: &[f32],
    codes: &mut [i8],
    scales: &mut [f32],
    scaled_sums: &mut [f32],
    half_sums: &mut [i32],
) {
    #[cfg(target_arch = "x86_64")]
    if has_avx2() {
        #[allow(unsafe_code)]
        // SAFETY: the processor has AVX2, FMA and F16C.
        return unsafe { avx2::quantize(values, codes, scales, scaled_sums, half_sums) };
    }
    scalar(values, codes, scales, scaled_sums, half_sums);
}

/// The reference for [`quantize`], and the fallback where there is no SIMD kernel.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
pub(super) fn scalar(
    values: &[f32],
    codes: &mut [i8],
    scales: &mut [f32],
    scaled_sums: &mut [f32],
    half_sums: &mut [i32],
) {
    for (block, values) in values.as_chunks::<QUANT_BLOCK>().0.iter().enumerate() {
        let largest = values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        let scale = largest / 127.0;
        let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
        let mut sum = [0_i32; 2];
        for (column, value) in values.iter().enumerate() {
            let code = (value * inverse).round_ties_even() as i8;
            codes[block * QUANT_BLOCK + column] = code;
            sum[column / 16] += i32::from(code);
        }
        scales[block] = scale;
        scaled_sums[block] = scale * (sum[0] + sum[1]) as f32;
        half_sums[2 * block] = sum[0];
        half_sums[2 * block + 1] = sum[1];
    }
}
