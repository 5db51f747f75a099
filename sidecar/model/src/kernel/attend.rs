//! Attention of a few queries over one block of keys and values, by the online softmax.
//!
//! Keys are held transposed, `[head value][token]`, so that scores of 8 tokens are the lanes of a
//! vector; values are `[token][head value]`. Both are f16, or both f32. Blocks are visited in order
//! from the sequence's start, whatever the batch.
#![allow(unsafe_code)]
// Indices name registers: iterators over several arrays at once would hide that.
#![allow(clippy::needless_range_loop)]

use super::vector;
use half::f16;

/// Tokens in a block of the KV cache.
pub(crate) const TOKENS: usize = 32;
/// Most queries of one call.
pub(crate) const QUERIES: usize = 6;

/// A number as the cache holds it.
pub(crate) trait Cached: Copy + Send + Sync + 'static {
    fn from_f32(value: f32) -> Self;

    fn to_f32(self) -> f32;

    /// Eight numbers, widened.
    ///
    /// # Safety
    /// AVX2 and F16C; there are 8 numbers at `values`.
    #[cfg(target_arch = "x86_64")]
    unsafe fn load(values: *const Self) -> std::arch::x86_64::__m256;
}

impl Cached for f16 {
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

impl Cached for f32 {
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

/// What the online softmax has seen so far of one query.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    /// Largest score.
    largest: f32,
    /// Sum of e^(score − largest).
    weight: f32,
}

impl Query {
    pub(crate) fn new() -> Self {
        Self { largest: f32::NEG_INFINITY, weight: 0.0 }
    }

    /// Turns the sum in `out` into the weighted mean.
    pub(crate) fn finish(&self, out: &mut [f32]) {
        let inverse = 1.0 / self.weight;
        out.iter_mut().for_each(|value| *value *= inverse);
    }
}

/// Adds one block to `out`, `[query][width]`, the sums of values weighted by e^(score − largest).
///
/// `queries` is `[query][width]`, scaled; `keys` is `[width][TOKENS]`, `values` `[TOKENS][width]`;
/// `visible[query]` is the range of the block's tokens that the query sees. `width` is a multiple
/// of 8. With a `cap`, scores are soft-capped.
#[allow(clippy::too_many_arguments, reason = "a kernel: slices of the caller's buffers")]
pub(crate) fn attend<T: Cached>(
    width: usize,
    cap: Option<f32>,
    queries: &[f32],
    keys: &[T],
    values: &[T],
    visible: &[(usize, usize)],
    states: &mut [Query],
    out: &mut [f32],
) {
    let count = states.len();
    assert!(count <= QUERIES && visible.len() == count && width.is_multiple_of(8));
    assert!(queries.len() >= count * width && out.len() >= count * width);
    assert!(keys.len() >= width * TOKENS && values.len() >= width * TOKENS);
    let mut weights = [[0.0_f32; TOKENS]; QUERIES];
    scores(width, queries, keys, &mut weights[..count]);
    let last = visible.iter().map(|&(_, end)| end).max().unwrap_or(0).min(TOKENS);
    for (index, state) in states.iter_mut().enumerate() {
        let (start, end) = (visible[index].0.min(last), visible[index].1.min(last));
        let weights = &mut weights[index];
        if let Some(cap) = cap {
            vector::soft_cap(weights, cap);
        }
        weights[..start].fill(f32::NEG_INFINITY);
        weights[end.max(start)..].fill(f32::NEG_INFINITY);
        let largest = vector::largest(weights);
        if largest == f32::NEG_INFINITY {
            // Nothing visible, or nothing finite: the latter reaches the output as a weight of
            // zero.
            weights.fill(0.0);
            continue;
        }
        let top = if largest > state.largest { largest } else { state.largest };
        if top > state.largest && state.weight > 0.0 {
            let mut shrink = [state.largest];
            vector::exp_sum(&mut shrink, top);
            state.weight *= shrink[0];
            out[index * width..][..width].iter_mut().for_each(|value| *value *= shrink[0]);
        }
        state.largest = top;
        state.weight += vector::exp_sum(weights, top);
    }
    // Tokens after `last` may hold anything, also what is not finite: they are not read.
    accumulate(width, &weights[..count], values, last, out);
}

fn scores<T: Cached>(width: usize, queries: &[f32], keys: &[T], out: &mut [[f32; TOKENS]]) {
    #[cfg(target_arch = "x86_64")]
    if super::has_avx2() {
        // SAFETY: the processor has AVX2, FMA and F16C; lengths are checked by `attend`.
        return unsafe {
            match out.len() {
                1 => x86::scores::<T, 1>(width, queries, keys, out),
                2 => x86::scores::<T, 2>(width, queries, keys, out),
                3 => x86::scores::<T, 3>(width, queries, keys, out),
                4 => x86::scores::<T, 4>(width, queries, keys, out),
                5 => x86::scores::<T, 5>(width, queries, keys, out),
                6 => x86::scores::<T, 6>(width, queries, keys, out),
                _ => {}
            }
        };
    }
    scores_scalar(width, queries, keys, out);
}

fn accumulate<T: Cached>(
    width: usize,
    weights: &[[f32; TOKENS]],
    values: &[T],
    tokens: usize,
    out: &mut [f32],
) {
    #[cfg(target_arch = "x86_64")]
    if super::has_avx2() {
        // SAFETY: as in `scores`.
        return unsafe {
            match weights.len() {
                1 => x86::accumulate::<T, 1>(width, weights, values, tokens, out),
                2 => x86::accumulate::<T, 2>(width, weights, values, tokens, out),
                3 => x86::accumulate::<T, 3>(width, weights, values, tokens, out),
                4 => x86::accumulate::<T, 4>(width, weights, values, tokens, out),
                5 => x86::accumulate::<T, 5>(width, weights, values, tokens, out),
                6 => x86::accumulate::<T, 6>(width, weights, values, tokens, out),
                _ => {}
            }
        };
    }
    accumulate_scalar(width, weights, values, tokens, out);
}

fn scores_scalar<T: Cached>(width: usize, queries: &[f32], keys: &[T], out: &mut [[f32; TOKENS]]) {
    for (query, out) in queries.chunks_exact(width).zip(out) {
        *out = [0.0; TOKENS];
        for (value, keys) in query.iter().zip(keys.chunks_exact(TOKENS)) {
            for (out, key) in out.iter_mut().zip(keys) {
                *out += value * key.to_f32();
            }
        }
    }
}

fn accumulate_scalar<T: Cached>(
    width: usize,
    weights: &[[f32; TOKENS]],
    values: &[T],
    tokens: usize,
    out: &mut [f32],
) {
    for (weights, out) in weights.iter().zip(out.chunks_exact_mut(width)) {
        for (weight, values) in weights[..tokens].iter().zip(values.chunks_exact(width)) {
            for (out, value) in out.iter_mut().zip(values) {
                *out += weight * value.to_f32();
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Cached, TOKENS};
    use std::arch::x86_64::*;

    /// # Safety
    /// AVX2, FMA, F16C; `queries` holds `M` × `width` values, `keys` `width` × 32, `out` `M` rows.
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) unsafe fn scores<T: Cached, const M: usize>(
        width: usize,
        queries: &[f32],
        keys: &[T],
        out: &mut [[f32; TOKENS]],
    ) {
        for half in 0..2 {
            let mut sums = [[_mm256_setzero_ps(); 2]; M];
            for d in 0..width {
                // SAFETY: the caller's lengths.
                unsafe {
                    let keys = keys.as_ptr().add(d * TOKENS + half * 16);
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

    /// # Safety
    /// AVX2, FMA, F16C; `weights` holds `M` rows, `values` `tokens` × `width` values, `out` `M` ×
    /// `width`.
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) unsafe fn accumulate<T: Cached, const M: usize>(
        width: usize,
        weights: &[[f32; TOKENS]],
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

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn columns<T: Cached, const M: usize, const V: usize>(
        width: usize,
        d: usize,
        weights: &[[f32; TOKENS]],
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    fn random(count: usize, rng: &mut StdRng) -> Vec<f32> {
        (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
    }

    #[test]
    fn blocks_in_turn_give_the_softmax_over_all_tokens() {
        let mut rng = StdRng::seed_from_u64(4);
        for (width, count, cap) in
            [(8, 1, None), (64, 3, Some(2.0)), (24, 5, None), (128, 6, None), (16, 2, Some(0.5))]
        {
            let queries = random(count * width, &mut rng);
            let tokens = 3 * TOKENS;
            // `[token][value]` in f16, as the cache would round them.
            let round =
                |values: Vec<f32>| -> Vec<f16> { values.into_iter().map(f16::from_f32).collect() };
            let (keys, values) =
                (round(random(tokens * width, &mut rng)), round(random(tokens * width, &mut rng)));
            let visible: Vec<(usize, usize)> = (0..count).map(|m| (3 * m, 70 + m)).collect();
            let mut states = vec![Query::new(); count];
            let mut out = vec![0.0; count * width];
            for block in 0..3 {
                let first = block * TOKENS;
                let mut transposed = vec![f16::ZERO; width * TOKENS];
                for token in 0..TOKENS {
                    for d in 0..width {
                        transposed[d * TOKENS + token] = keys[(first + token) * width + d];
                    }
                }
                let mut block_values = values[first * width..][..TOKENS * width].to_vec();
                if block == 2 {
                    // What nobody sees may be anything.
                    block_values[(70 + count) * width - first * width..].fill(f16::NAN);
                }
                let clip = |at: usize| at.saturating_sub(first).min(TOKENS);
                let ranges: Vec<_> = visible.iter().map(|&(a, b)| (clip(a), clip(b))).collect();
                attend(
                    width,
                    cap,
                    &queries,
                    &transposed,
                    &block_values,
                    &ranges,
                    &mut states,
                    &mut out,
                );
            }
            for m in 0..count {
                states[m].finish(&mut out[m * width..][..width]);
                let range = visible[m].0..visible[m].1;
                let score = |t: usize| -> f64 {
                    let score = (0..width)
                        .map(|d| f64::from(queries[m * width + d]) * keys[t * width + d].to_f64())
                        .sum();
                    cap.map(f64::from).map_or(score, |cap| cap * (score / cap).tanh())
                };
                let weight: f64 = range.clone().map(|t| score(t).exp()).sum();
                for d in 0..width {
                    let expected: f64 = range
                        .clone()
                        .map(|t| score(t).exp() * values[t * width + d].to_f64())
                        .sum::<f64>()
                        / weight;
                    assert!(
                        (f64::from(out[m * width + d]) - expected).abs() < 1e-5,
                        "{width} × {count}"
                    );
                }
            }
        }
    }

    #[test]
    fn kernels_agree_with_the_scalar_reference() {
        agree::<f16>();
        agree::<f32>();
    }

    fn agree<T: Cached>() {
        let mut rng = StdRng::seed_from_u64(5);
        for (width, count) in [(8, 1), (40, 2), (64, 3), (64, 4), (128, 5), (80, 6)] {
            let queries = random(count * width, &mut rng);
            let cached: Vec<T> =
                random(width * TOKENS, &mut rng).into_iter().map(T::from_f32).collect();
            let (mut found, mut expected) = ([[0.0; TOKENS]; QUERIES], [[0.0; TOKENS]; QUERIES]);
            scores(width, &queries, &cached, &mut found[..count]);
            scores_scalar(width, &queries, &cached, &mut expected[..count]);
            for (found, expected) in found.as_flattened().iter().zip(expected.as_flattened()) {
                assert!((found - expected).abs() < 1e-4);
            }
            let (mut sums, mut sums_expected) = (queries.clone(), queries.clone());
            accumulate(width, &found[..count], &cached, 29, &mut sums);
            accumulate_scalar(width, &found[..count], &cached, 29, &mut sums_expected);
            for (found, expected) in sums.iter().zip(sums_expected) {
                assert!((found - expected).abs() < 1e-3);
            }
        }
    }
}
