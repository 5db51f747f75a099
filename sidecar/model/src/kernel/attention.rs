//! Attention of a few queries to one block of keys and values, by the online softmax.
//!
//! Keys are stored transposed, `[head value][token]`, so that scores of 8 tokens are the lanes of a
//! vector; values are `[token][head value]`. Both are f16, or both f32. Blocks are visited in order
//! from the start of the sequence, whatever the batch.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
mod value;

#[cfg(target_arch = "x86_64")]
use super::cpu::has_avx2;
use super::layout::BLOCK_SIZE;
use super::vector;
pub(crate) use value::CacheValue;

/// Most queries in one call.
pub(crate) const MAX_QUERIES: usize = 6;

/// State of one query's online softmax (arXiv 1805.02867) over the blocks so far.
#[derive(Clone, Debug)]
pub(crate) struct SoftmaxState {
    /// Largest score.
    max: f32,
    /// Sum of e^(score − max).
    sum: f32,
}

impl SoftmaxState {
    /// With a sink, some of the attention goes to nothing, as if to a token of that score whose
    /// value is zero.
    pub(crate) fn new(sink: Option<f32>) -> Self {
        match sink {
            None => Self { max: f32::NEG_INFINITY, sum: 0.0 },
            Some(score) => Self { max: score, sum: 1.0 },
        }
    }

    /// Turns the weighted sum in `out` into the weighted mean.
    pub(crate) fn finish(&self, out: &mut [f32]) {
        let inverse = 1.0 / self.sum;
        out.iter_mut().for_each(|value| *value *= inverse);
    }
}

/// Attends to one block: adds its values, weighted by e^(score − max), to `out`, `[query][width]`.
///
/// `width` is the head's, a multiple of 8. `queries` is `[query][width]`, already scaled; `keys` is
/// `[width][BLOCK_SIZE]`, `values` `[BLOCK_SIZE][width]`; `visible[query]` is the range of the
/// block's tokens that the query sees. With a `cap`, scores are soft-capped.
#[allow(clippy::too_many_arguments, reason = "a kernel: slices of the caller's buffers")]
pub(crate) fn attend_block<T: CacheValue>(
    width: usize,
    cap: Option<f32>,
    queries: &[f32],
    keys: &[T],
    values: &[T],
    visible: &[(usize, usize)],
    states: &mut [SoftmaxState],
    out: &mut [f32],
) {
    let count = states.len();
    assert!(count <= MAX_QUERIES && visible.len() == count && width.is_multiple_of(8));
    assert!(queries.len() >= count * width && out.len() >= count * width);
    assert!(keys.len() >= width * BLOCK_SIZE && values.len() >= width * BLOCK_SIZE);
    let mut weights = [[0.0_f32; BLOCK_SIZE]; MAX_QUERIES];
    scores(width, queries, keys, &mut weights[..count]);
    let last = visible.iter().map(|&(_, end)| end).max().unwrap_or(0).min(BLOCK_SIZE);
    for (index, state) in states.iter_mut().enumerate() {
        let (start, end) = (visible[index].0.min(last), visible[index].1.min(last));
        let weights = &mut weights[index];
        if let Some(cap) = cap {
            vector::soft_cap(weights, cap);
        }
        weights[..start].fill(f32::NEG_INFINITY);
        weights[end.max(start)..].fill(f32::NEG_INFINITY);
        let max = vector::max(weights);
        if max == f32::NEG_INFINITY {
            // Nothing is visible, or no score is finite: the block has no weight.
            weights.fill(0.0);
            continue;
        }
        let max = if max > state.max { max } else { state.max };
        if max > state.max && state.sum > 0.0 {
            let mut shrink = [state.max];
            vector::exp_sum(&mut shrink, max);
            state.sum *= shrink[0];
            out[index * width..][..width].iter_mut().for_each(|value| *value *= shrink[0]);
        }
        state.max = max;
        state.sum += vector::exp_sum(weights, max);
    }
    // Tokens after `last` may hold anything, including NaN: they are not read.
    accumulate(width, &weights[..count], values, last, out);
}

fn scores<T: CacheValue>(width: usize, queries: &[f32], keys: &[T], out: &mut [[f32; BLOCK_SIZE]]) {
    #[cfg(target_arch = "x86_64")]
    if has_avx2() {
        // SAFETY: the processor has AVX2, FMA and F16C; `attend_block` checks the lengths.
        return unsafe {
            match out.len() {
                1 => avx2::scores::<T, 1>(width, queries, keys, out),
                2 => avx2::scores::<T, 2>(width, queries, keys, out),
                3 => avx2::scores::<T, 3>(width, queries, keys, out),
                4 => avx2::scores::<T, 4>(width, queries, keys, out),
                5 => avx2::scores::<T, 5>(width, queries, keys, out),
                6 => avx2::scores::<T, 6>(width, queries, keys, out),
                _ => {}
            }
        };
    }
    scores_scalar(width, queries, keys, out);
}

fn accumulate<T: CacheValue>(
    width: usize,
    weights: &[[f32; BLOCK_SIZE]],
    values: &[T],
    tokens: usize,
    out: &mut [f32],
) {
    #[cfg(target_arch = "x86_64")]
    if has_avx2() {
        // SAFETY: as in `scores`.
        return unsafe {
            match weights.len() {
                1 => avx2::accumulate::<T, 1>(width, weights, values, tokens, out),
                2 => avx2::accumulate::<T, 2>(width, weights, values, tokens, out),
                3 => avx2::accumulate::<T, 3>(width, weights, values, tokens, out),
                4 => avx2::accumulate::<T, 4>(width, weights, values, tokens, out),
                5 => avx2::accumulate::<T, 5>(width, weights, values, tokens, out),
                6 => avx2::accumulate::<T, 6>(width, weights, values, tokens, out),
                _ => {}
            }
        };
    }
    accumulate_scalar(width, weights, values, tokens, out);
}

fn scores_scalar<T: CacheValue>(
    width: usize,
    queries: &[f32],
    keys: &[T],
    out: &mut [[f32; BLOCK_SIZE]],
) {
    for (query, out) in queries.chunks_exact(width).zip(out) {
        *out = [0.0; BLOCK_SIZE];
        for (value, keys) in query.iter().zip(keys.chunks_exact(BLOCK_SIZE)) {
            for (out, key) in out.iter_mut().zip(keys) {
                *out += value * key.to_f32();
            }
        }
    }
}

fn accumulate_scalar<T: CacheValue>(
    width: usize,
    weights: &[[f32; BLOCK_SIZE]],
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

#[cfg(test)]
mod tests;
