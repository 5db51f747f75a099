//! The decoder on the processor, by the kernels of this crate.

mod attention;
mod feed_forward;
mod matmul;
mod rows;

pub(crate) use attention::MAX_HEAD_DIM;

use super::rope::{RopeFrequencies, RopeTables};
use super::segment::{BatchRow, Segment};
use super::taps;
use crate::config::Config;
use crate::kernel::activations::QuantizedActivations;
use crate::kernel::vector;
use crate::pool::{DisjointSlice, ThreadPool};
use crate::weights::{BlockWeights, Weights};
use attention::AttentionLayer;
use feed_forward::FeedForwardScratch;
use matmul::{Product, multiply};
use rows::{add_rows, for_each_row, norm_rows, quantize_rows};
use std::sync::Arc;

/// A decoder's weights in the kernels' layout.
#[derive(Debug)]
pub(super) struct CpuDecoder {
    config: Arc<Config>,
    frequencies: RopeFrequencies,
    weights: Weights,
}

/// Buffers of a pass, kept between passes.
#[derive(Debug, Default)]
pub(super) struct CpuScratch {
    /// The residual stream, `[row][hidden_size]`.
    stream: Vec<f32>,
    /// What a layer adds to it, `[row][hidden_size]`.
    delta: Vec<f32>,
    /// `[row][queries, keys, values]`.
    projected: Vec<f32>,
    rope: RopeTables,
    hidden: QuantizedActivations,
    attention: QuantizedActivations,
    feed_forward: FeedForwardScratch,
    /// `[row][vocab_size]`.
    logits: Vec<f32>,
}

impl CpuDecoder {
    pub(super) fn new(config: Arc<Config>, frequencies: RopeFrequencies, weights: Weights) -> Self {
        Self { config, frequencies, weights }
    }

    /// See [`super::Decoder::run`].
    pub(super) fn run(
        &self,
        pool: &ThreadPool,
        scratch: &mut CpuScratch,
        segments: &mut [Segment<'_>],
    ) {
        let config = &*self.config;
        let rows = BatchRow::all(segments);
        scratch.stream.resize(rows.len() * config.hidden_size, 0.0);
        scratch.delta.resize(rows.len() * config.hidden_size, 0.0);
        scratch.projected.resize(rows.len() * (config.query_size() + 2 * config.kv_size()), 0.0);
        scratch.rope.fill(&self.frequencies, &rows);
        for (row, state) in rows.iter().zip(scratch.stream.chunks_exact_mut(config.hidden_size)) {
            self.weights.embedding.dequantize_row(row.token as usize, state);
            if config.embedding_scale != 1.0 {
                state.iter_mut().for_each(|value| *value *= config.embedding_scale);
            }
        }
        for segment in segments.iter_mut() {
            segment.resize_projections();
        }
        taps::apply(0, config.hidden_size, segments, &mut scratch.stream);
        for (index, block) in self.weights.blocks.iter().enumerate() {
            self.attention_layer(pool, scratch, segments, &rows, index, block);
            self.feed_forward_layer(pool, scratch, rows.len(), block);
            taps::apply(index + 1, config.hidden_size, segments, &mut scratch.stream);
        }
    }

    /// stream ← stream + attention(norm(stream)), with the norms and the factor of the description.
    fn attention_layer(
        &self,
        pool: &ThreadPool,
        scratch: &mut CpuScratch,
        segments: &[Segment<'_>],
        rows: &[BatchRow],
        index: usize,
        block: &BlockWeights,
    ) {
        let config = &*self.config;
        let (query_size, kv_size) = (config.query_size(), config.kv_size());
        norm_rows(
            pool,
            config,
            rows.len(),
            &scratch.stream,
            block.attention_norm.as_deref(),
            &mut scratch.hidden,
        );
        let projected = DisjointSlice::new(&mut scratch.projected);
        let stride = query_size + 2 * kv_size;
        multiply(
            pool,
            &scratch.hidden.all_rows(),
            &[
                Product::of(&block.query, projected, stride, 0),
                Product::of(&block.key, projected, stride, query_size),
                Product::of(&block.value, projected, stride, query_size + kv_size),
            ],
        );
        let is_windowed = config.is_windowed(index);
        let rope = scratch.rope.in_block(is_windowed);
        let layer = AttentionLayer { config, block, index, is_windowed, rope };
        layer.prepare(pool, segments, rows, &mut scratch.projected);
        scratch.attention.resize(rows.len(), query_size);
        layer.attend(pool, segments, rows, &scratch.projected, &mut scratch.attention);
        quantize_rows(pool, &mut scratch.attention);
        let delta = DisjointSlice::new(&mut scratch.delta);
        let product = Product::of(&block.attention_output, delta, config.hidden_size, 0);
        multiply(pool, &scratch.attention.all_rows(), &[product]);
        add_rows(
            pool,
            config,
            rows.len(),
            &mut scratch.stream,
            &mut scratch.delta,
            block.post_attention_norm.as_deref(),
        );
    }

    /// stream ← stream + feed_forward(norm(stream)), likewise.
    fn feed_forward_layer(
        &self,
        pool: &ThreadPool,
        scratch: &mut CpuScratch,
        rows: usize,
        block: &BlockWeights,
    ) {
        let config = &*self.config;
        norm_rows(
            pool,
            config,
            rows,
            &scratch.stream,
            block.feed_forward_norm.as_deref(),
            &mut scratch.hidden,
        );
        feed_forward::run(
            pool,
            config,
            &block.feed_forward,
            &scratch.hidden,
            &mut scratch.feed_forward,
            &mut scratch.delta,
        );
        add_rows(
            pool,
            config,
            rows,
            &mut scratch.stream,
            &mut scratch.delta,
            block.post_feed_forward_norm.as_deref(),
        );
    }

    /// See [`super::Decoder::logits`].
    pub(super) fn logits<'a>(
        &self,
        pool: &ThreadPool,
        scratch: &'a mut CpuScratch,
        rows: &[usize],
    ) -> &'a [f32] {
        let (config, weights) = (&*self.config, &self.weights);
        let matrix = weights.output.as_ref().unwrap_or(&weights.embedding);
        scratch.hidden.resize(rows.len(), config.hidden_size);
        let writer = scratch.hidden.writer();
        let (stream, norm) = (&scratch.stream, &weights.final_norm);
        for_each_row(pool, rows.len(), |index| {
            let row = &stream[rows[index] * config.hidden_size..][..config.hidden_size];
            #[allow(unsafe_code)]
            // SAFETY: each row belongs to one task.
            unsafe {
                vector::rms_norm(row, norm, config.norm_epsilon, writer.values(index));
                writer.quantize(index);
            }
        });
        scratch.logits.resize(rows.len() * matrix.rows, 0.0);
        let logits = DisjointSlice::new(&mut scratch.logits);
        multiply(
            pool,
            &scratch.hidden.all_rows(),
            &[Product { matrix, bias: None, out: logits, stride: matrix.rows, offset: 0 }],
        );
        if config.logit_scale != 1.0 {
            scratch.logits.iter_mut().for_each(|logit| *logit *= config.logit_scale);
        }
        if let Some(cap) = config.logit_cap {
            vector::soft_cap(&mut scratch.logits, cap);
        }
        &scratch.logits
    }
}
