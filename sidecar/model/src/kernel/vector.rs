//! Functions over vectors of activations, compiled twice: for any processor and for AVX2. Sums run
//! in eight lanes, in an order that does not depend on the processor.
#![allow(unsafe_code, clippy::inline_always)]

use super::LANES;

/// Compiles a function for AVX2 too, and picks at run time.
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
                if super::has_avx2() {
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
    /// out ← x / √(mean(x²) + ε) · weight. Where the mean is beyond all numbers, so is the result:
    /// NaN, not zero.
    rms_norm(x: &[f32], weight: &[f32], epsilon: f32, out: &mut [f32]) {
        #[allow(clippy::cast_precision_loss)]
        let mean = dot(x, x) / x.len() as f32;
        let scale = if mean.is_finite() { 1.0 / (mean + epsilon).sqrt() } else { f32::NAN };
        for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
            *out = x * scale * weight;
        }
    }
}

/// eˣ within 2 ulp; 0 below −87, capped above 88. By reduction to 2ⁿ · eʳ with |r| ≤ ln 2 / 2 and a
/// polynomial in r.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2²³: adding it leaves the nearest integer in the low bits
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
    // `clamp` passes NaN on; what underflows is exactly 0, so that a masked score weighs nothing.
    if x < -87.3 { 0.0 } else { result }
}

dispatched! {
    /// x ← e^(x − shift), and their sum.
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
    /// Largest value; −∞ for an empty slice. NaN is passed over.
    largest(x: &[f32]) -> f32 {
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
    log_sum_exp(x: &[f32], largest: f32) -> f32 {
        let mut lanes = [0.0_f32; LANES];
        let (chunks, rest) = x.as_chunks::<LANES>();
        for chunk in chunks {
            for lane in 0..LANES {
                lanes[lane] += exp(chunk[lane] - largest);
            }
        }
        let sum = rest.iter().fold(fold(lanes), |sum, x| sum + exp(x - largest));
        largest + sum.ln()
    }
}

/// tanh within 2 ulp of 1; NaN stays NaN. As 1 − 2 / (e^2y + 1).
#[inline(always)]
fn tanh(y: f32) -> f32 {
    1.0 - 2.0 / (exp(2.0 * y) + 1.0)
}

dispatched! {
    /// x ← cap · tanh(x / cap): x where it is small, and never beyond ± cap.
    soft_cap(x: &mut [f32], cap: f32) {
        for x in x {
            *x = cap * tanh(*x / cap);
        }
    }
}

/// The gate of a gated feed-forward layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// x · σ(x).
    Silu,
    /// GELU by its tanh approximation.
    Gelu,
}

dispatched! {
    /// gate ← activation(gate) · up.
    gated(kind: Gate, gate: &mut [f32], up: &[f32]) {
        match kind {
            Gate::Silu => {
                for (gate, up) in gate.iter_mut().zip(up) {
                    *gate = *gate / (1.0 + exp(-*gate)) * up;
                }
            }
            Gate::Gelu => {
                for (gate, up) in gate.iter_mut().zip(up) {
                    let x = *gate;
                    let inner = 0.797_884_6 * (x + 0.044_715 * x * x * x);
                    // tanh(y) = 1 − 2 / (e^2y + 1), so (1 + tanh) / 2 = 1 − 1 / (e^2y + 1)
                    *gate = x * (1.0 - 1.0 / (exp(2.0 * inner) + 1.0)) * up;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn exp_is_close(x in -87.0_f32..88.0) {
            let (found, expected) = (f64::from(exp(x)), f64::from(x).exp());
            prop_assert!((found / expected - 1.0).abs() < 4e-7, "exp({}) = {} for {}", x, found, expected);
        }

        #[test]
        fn sums_are_close(values in prop::collection::vec((-10.0_f32..10.0, -10.0_f32..10.0), 1..100)) {
            let (a, b): (Vec<_>, Vec<_>) = values.iter().copied().unzip();
            let exact: f64 = values.iter().map(|&(a, b)| f64::from(a) * f64::from(b)).sum();
            prop_assert!((f64::from(dot(&a, &b)) - exact).abs() < 1e-3);
            let top = largest(&a);
            prop_assert_eq!(top, a.iter().copied().fold(f32::MIN, f32::max));
            let exact = a.iter().map(|&a| f64::from(a).exp()).sum::<f64>().ln();
            prop_assert!((f64::from(log_sum_exp(&a, top)) - exact).abs() < 1e-4);
        }

        #[test]
        fn soft_caps_are_close(x in -300.0_f32..300.0, cap in 0.5_f32..100.0) {
            let mut found = [x];
            soft_cap(&mut found, cap);
            let (wide, cap) = (f64::from(x), f64::from(cap));
            prop_assert!((f64::from(found[0]) - cap * (wide / cap).tanh()).abs() < 1e-6 * cap);
        }

        #[test]
        fn gates_are_close(x in -20.0_f32..20.0, up in -3.0_f32..3.0) {
            let (wide, wide_up) = (f64::from(x), f64::from(up));
            let silu = wide / (1.0 + (-wide).exp()) * wide_up;
            let gelu = 0.5 * wide * (1.0 + (0.797_884_560_8 * (wide + 0.044_715 * wide.powi(3))).tanh()) * wide_up;
            for (kind, expected) in [(Gate::Silu, silu), (Gate::Gelu, gelu)] {
                let mut gate = [x];
                gated(kind, &mut gate, &[up]);
                prop_assert!((f64::from(gate[0]) - expected).abs() < 1e-5 * (1.0 + expected.abs()));
            }
        }
    }

    #[test]
    fn soft_caps_keep_what_is_no_number() {
        let mut values = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0];
        soft_cap(&mut values, 30.0);
        assert!(values[0].is_nan());
        assert_eq!(values[1..], [30.0, -30.0, 0.0]);
    }

    #[test]
    fn masked_scores_weigh_nothing() {
        let mut scores = [f32::NEG_INFINITY, 0.0, -200.0];
        assert_eq!(exp_sum(&mut scores, 0.0), 1.0);
        assert_eq!(scores, [0.0, 1.0, 0.0]);
    }

    #[test]
    fn norms_divide_by_the_root_mean_square() {
        let mut out = [0.0; 2];
        rms_norm(&[3.0, 4.0], &[1.0, 2.0], 0.0, &mut out);
        let root = 12.5_f32.sqrt();
        assert!((out[0] - 3.0 / root).abs() < 1e-6 && (out[1] - 8.0 / root).abs() < 1e-6);
    }
}
