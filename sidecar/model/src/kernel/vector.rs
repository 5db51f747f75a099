//! Functions over vectors of f32, compiled twice: for any processor and for AVX2. Sums run in eight
//! lanes, in an order that does not depend on the processor.
#![allow(unsafe_code, clippy::inline_always)]

#[cfg(target_arch = "x86_64")]
use super::cpu::has_avx2;
use super::layout::LANES;

/// Also compiles a function for AVX2, and chooses between the two at run time.
macro_rules! dispatched {
    ($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),*) $(-> $result:ty)? $body:block) => {
        $(#[$doc])*
        pub(crate) fn $name($($arg: $type),*) $(-> $result)? {
            #[inline(always)]
            fn body($($arg: $type),*) $(-> $result)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                fn wide($($arg: $type),*) $(-> $result)? {
                    body($($arg),*)
                }
                if has_avx2() {
                    // SAFETY: the processor has AVX2.
                    return unsafe { wide($($arg),*) };
                }
            }
            body($($arg),*)
        }
    };
}

#[inline(always)]
fn fold(lanes: [f32; LANES]) -> f32 {
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (b + f)) + ((c + g) + (d + h))
}

dispatched! {
    /// ⟨a, b⟩ over the shorter length.
    dot(a: &[f32], b: &[f32]) -> f32 {
        let length = a.len().min(b.len());
        let (a, b) = (&a[..length], &b[..length]);
        let mut lanes = [[0.0_f32; LANES]; 2];
        let (chunks_a, rest_a) = a.as_chunks::<{ 2 * LANES }>();
        let (chunks_b, rest_b) = b.as_chunks::<{ 2 * LANES }>();
        for (a, b) in chunks_a.iter().zip(chunks_b) {
            for (half, lanes) in lanes.iter_mut().enumerate() {
                for lane in 0..LANES {
                    lanes[lane] += a[half * LANES + lane] * b[half * LANES + lane];
                }
            }
        }
        let mut sum = [0.0; LANES];
        for lane in 0..LANES {
            sum[lane] = lanes[0][lane] + lanes[1][lane];
        }
        rest_a.iter().zip(rest_b).fold(fold(sum), |sum, (a, b)| sum + a * b)
    }
}

dispatched! {
    /// y ← y + factor · x.
    add_scaled(y: &mut [f32], factor: f32, x: &[f32]) {
        for (y, x) in y.iter_mut().zip(x) {
            *y += factor * x;
        }
    }
}

dispatched! {
    /// out ← x / √(mean(x²) + ε) · weight (arXiv 1910.07467). Where the mean of the squares is not
    /// finite, the result is NaN, not zero.
    rms_norm(x: &[f32], weight: &[f32], epsilon: f32, out: &mut [f32]) {
        let scale = rms_scale(x, epsilon);
        for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
            *out = x * scale * weight;
        }
    }
}

dispatched! {
    /// x ← x / √(mean(x²) + ε) · weight, as [`rms_norm`].
    rms_norm_in_place(x: &mut [f32], weight: &[f32], epsilon: f32) {
        let scale = rms_scale(x, epsilon);
        for (x, weight) in x.iter_mut().zip(weight) {
            *x = *x * scale * weight;
        }
    }
}

/// 1 / √(mean(x²) + ε); NaN where the mean is not finite.
#[inline(always)]
fn rms_scale(x: &[f32], epsilon: f32) -> f32 {
    #[allow(clippy::cast_precision_loss)]
    let mean = dot(x, x) / x.len() as f32;
    if mean.is_finite() { 1.0 / (mean + epsilon).sqrt() } else { f32::NAN }
}

/// eˣ within 2 ulp; 0 below −87.3, capped above 88. Reduced to 2ⁿ · eʳ with |r| ≤ ln 2 / 2, and
/// Cephes' polynomial for eʳ (`expf`).
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // 1.5 · 2²³: adding it leaves the nearest integer in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let clamped = x.clamp(-87.3, 88.3);
    let shifted = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = clamped - n * 0.693_145_75 - n * 1.428_606_8e-6;
    let p = 1.987_569_1e-4_f32;
    let p = p * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let value = p * r * r + r + 1.0;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    let result = value * power;
    // `clamp` keeps NaN. What underflows is exactly 0, so that a masked score has no weight.
    if x < -87.3 { 0.0 } else { result }
}

dispatched! {
    /// x ← e^(x − shift). Returns the sum of the results.
    exp_sum(x: &mut [f32], shift: f32) -> f32 {
        let mut lanes = [0.0_f32; LANES];
        let (chunks, rest) = x.as_chunks_mut::<LANES>();
        for chunk in chunks {
            for lane in 0..LANES {
                chunk[lane] = exp(chunk[lane] - shift);
                lanes[lane] += chunk[lane];
            }
        }
        let mut sum = fold(lanes);
        for x in rest {
            *x = exp(*x - shift);
            sum += *x;
        }
        sum
    }
}

dispatched! {
    /// The largest value; −∞ for an empty slice. NaN is ignored.
    max(x: &[f32]) -> f32 {
        let mut lanes = [f32::NEG_INFINITY; LANES];
        let (chunks, rest) = x.as_chunks::<LANES>();
        for chunk in chunks {
            for lane in 0..LANES {
                lanes[lane] = if chunk[lane] > lanes[lane] { chunk[lane] } else { lanes[lane] };
            }
        }
        lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a })
    }
}

dispatched! {
    /// ln Σ eˣ, given the largest x.
    log_sum_exp(x: &[f32], max: f32) -> f32 {
        let mut lanes = [0.0_f32; LANES];
        let (chunks, rest) = x.as_chunks::<LANES>();
        for chunk in chunks {
            for lane in 0..LANES {
                lanes[lane] += exp(chunk[lane] - max);
            }
        }
        let sum = rest.iter().fold(fold(lanes), |sum, x| sum + exp(x - max));
        max + sum.ln()
    }
}

/// tanh y = 1 − 2 / (e^2y + 1), within 2 ulp of 1. NaN stays NaN.
#[inline(always)]
fn tanh(y: f32) -> f32 {
    1.0 - 2.0 / (exp(2.0 * y) + 1.0)
}

dispatched! {
    /// x ← cap · tanh(x / cap): close to x where it is small, and never beyond ± cap.
    soft_cap(x: &mut [f32], cap: f32) {
        for x in x {
            *x = cap * tanh(*x / cap);
        }
    }
}

/// Activation function of a gated feed-forward layer (arXiv 2002.05202).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ActivationFn {
    /// x · σ(x).
    Silu,
    /// GELU in its tanh approximation (arXiv 1606.08415): x / 2 · (1 + tanh(√(2/π) (x + 0.044715
    /// x³))).
    GeluTanh,
    /// gpt-oss's: x · σ(1.702 x) with x of at most [`Self::LIMIT`], and in place of the factor,
    /// which is kept within ± [`Self::LIMIT`], one more than it.
    ClampedSwiglu,
}

impl ActivationFn {
    /// Bound of [`Self::ClampedSwiglu`].
    pub(crate) const LIMIT: f32 = 7.0;
    /// Slope of the sigmoid in [`Self::ClampedSwiglu`].
    pub(crate) const SLOPE: f32 = 1.702;
}

dispatched! {
    /// gate ← activation(gate) · up.
    gated(function: ActivationFn, gate: &mut [f32], up: &[f32]) {
        match function {
            ActivationFn::Silu => {
                for (gate, up) in gate.iter_mut().zip(up) {
                    *gate = *gate / (1.0 + exp(-*gate)) * up;
                }
            }
            ActivationFn::GeluTanh => {
                for (gate, up) in gate.iter_mut().zip(up) {
                    let x = *gate;
                    let inner = 0.797_884_6 * (x + 0.044_715 * x * x * x);
                    // tanh(y) = 1 − 2 / (e^2y + 1), so (1 + tanh) / 2 = 1 − 1 / (e^2y + 1)
                    *gate = x * (1.0 - 1.0 / (exp(2.0 * inner) + 1.0)) * up;
                }
            }
            ActivationFn::ClampedSwiglu => {
                const LIMIT: f32 = ActivationFn::LIMIT;
                for (gate, up) in gate.iter_mut().zip(up) {
                    // `clamp` keeps NaN, `min` does not.
                    let x = gate.clamp(f32::NEG_INFINITY, LIMIT);
                    let sigmoid = 1.0 / (1.0 + exp(-ActivationFn::SLOPE * x));
                    *gate = x * sigmoid * (up.clamp(-LIMIT, LIMIT) + 1.0);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
