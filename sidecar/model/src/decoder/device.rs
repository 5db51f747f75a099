//! The decoder on a device of candle's: the same description, batches, cache blocks and taps, in
//! tensors.
//!
//! The residual stream is F32. Matrices, keys and values are BF16 on CUDA, and F32 on candle's CPU
//! device, with which this is tested on machines without a GPU.

mod attention;
mod feed_forward;
mod ops;
mod taps;
mod weights;

use super::rope::{RopeFrequencies, RopeTables};
use super::segment::{BatchRow, Segment};
use crate::config::Config;
use crate::kernel::layout::BLOCK_SIZE;
use crate::pool::ThreadPool;
use crate::weights::Weights;
use attention::BatchAttention;
use candle_core::{DType, Device, Result, Tensor};
use feed_forward::feed_forward;
use ops::{RopeTensors, add, matmul, norm_and_rotate, optional_norm, rms_norm, scaled, soft_cap};
use std::sync::Arc;
use taps::{TapVectors, Taps};
use weights::DeviceWeights;

/// A decoder's weights on a device.
#[derive(Debug)]
pub(super) struct DeviceDecoder {
    config: Arc<Config>,
    frequencies: RopeFrequencies,
    device: Device,
    weights: DeviceWeights,
}

/// What stays between passes.
#[derive(Debug, Default)]
pub(super) struct DeviceScratch {
    rope: RopeTables,
    cache: DeviceCache,
    /// The residual stream after the last pass.
    stream: Option<Tensor>,
    tap_vectors: TapVectors,
    /// `[row][vocab_size]`.
    logits: Vec<f32>,
}

/// Keys and values of all cache blocks.
#[derive(Debug, Default)]
struct DeviceCache {
    /// For each block of the decoder, keys and values, `[cache block · token][KV head · value]`.
    blocks: Vec<(Tensor, Tensor)>,
    /// Cache blocks for which there is room.
    capacity: usize,
}

impl DeviceDecoder {
    /// Uploads the weights.
    pub(super) fn new(
        config: Arc<Config>,
        frequencies: RopeFrequencies,
        weights: &Weights,
        pool: &ThreadPool,
        device: Device,
    ) -> Result<Self> {
        let weights = DeviceWeights::new(weights, pool, &device)?;
        Ok(Self { config, frequencies, device, weights })
    }

    /// See [`super::Decoder::run`].
    pub(super) fn run(
        &self,
        scratch: &mut DeviceScratch,
        segments: &mut [Segment<'_>],
    ) -> Result<()> {
        let (config, weights) = (&*self.config, &self.weights);
        let rows = BatchRow::all(segments);
        scratch.rope.fill(&self.frequencies, &rows);
        let rope = RopeTensors::new(scratch.rope.full(), rows.len(), &self.device)?;
        let windowed_rope = match scratch.rope.windowed() {
            Some(table) => Some(RopeTensors::new(table, rows.len(), &self.device)?),
            None => None,
        };
        let attention = BatchAttention::new(config, segments, &self.device)?;
        scratch.cache.reserve(config, weights.dtype, &self.device, attention.cache_blocks)?;
        let tokens: Vec<u32> = rows.iter().map(|row| row.token).collect();
        let embedded =
            weights.embedding.index_select(&self.vector_of(tokens)?, 0)?.to_dtype(DType::F32)?;
        let mut taps =
            Taps::new(config.hidden_size, segments, &self.device, &mut scratch.tap_vectors);
        let mut stream =
            taps.apply(0, segments, (embedded * f64::from(config.embedding_scale))?)?;
        for (index, (block, cache)) in weights.blocks.iter().zip(&scratch.cache.blocks).enumerate()
        {
            let is_windowed = config.is_windowed(index);
            let rope = windowed_rope.as_ref().filter(|_| is_windowed).unwrap_or(&rope);
            let x = optional_norm(&stream, block.attention_norm.as_ref(), config)?;
            let query = norm_and_rotate(
                config,
                &block.query.forward(&x)?,
                block.query_norm.as_ref(),
                rope,
            )?;
            let query = (query * f64::from(config.attention_scale))?;
            let key =
                norm_and_rotate(config, &block.key.forward(&x)?, block.key_norm.as_ref(), rope)?;
            let value = block.value.forward(&x)?;
            let sinks = block.attention_sinks.as_ref();
            let mixed =
                attention.attend(config, is_windowed, cache, sinks, [&query, &key, &value])?;
            let delta = block.attention_output.forward(&mixed)?;
            stream = add(&stream, &delta, block.post_attention_norm.as_ref(), config)?;
            let x = optional_norm(&stream, block.feed_forward_norm.as_ref(), config)?;
            let delta = feed_forward(config, &block.feed_forward, &x)?;
            stream = add(&stream, &delta, block.post_feed_forward_norm.as_ref(), config)?;
            stream = taps.apply(index + 1, segments, stream)?;
        }
        taps.finish(segments)?;
        scratch.stream = Some(stream);
        Ok(())
    }

    /// See [`super::Decoder::logits`].
    pub(super) fn logits<'a>(
        &self,
        scratch: &'a mut DeviceScratch,
        rows: &[usize],
    ) -> Result<&'a [f32]> {
        let Some(stream) = &scratch.stream else { candle_core::bail!("there was no pass yet") };
        let rows = rows.iter().filter_map(|&row| u32::try_from(row).ok()).collect();
        let states = stream.index_select(&self.vector_of(rows)?, 0)?;
        let x = rms_norm(&states, &self.weights.final_norm, &self.config)?;
        let logits = scaled(matmul(&x, &self.weights.output)?, self.config.logit_scale)?;
        let logits = soft_cap(logits, self.config.logit_cap)?;
        scratch.logits = logits.flatten_all()?.to_vec1()?;
        Ok(&scratch.logits)
    }

    /// See [`super::Decoder::copy_prefix`]; blocks by their numbers.
    pub(super) fn copy_prefix(
        &self,
        scratch: &mut DeviceScratch,
        from: usize,
        to: usize,
        tokens: usize,
    ) -> Result<()> {
        let cache = &mut scratch.cache;
        cache.reserve(&self.config, self.weights.dtype, &self.device, from.max(to) + 1)?;
        for tensor in cache.blocks.iter().flat_map(|(keys, values)| [keys, values]) {
            let prefix = tensor.narrow(0, from * BLOCK_SIZE, tokens)?.force_contiguous()?;
            tensor.slice_set(&prefix, 0, to * BLOCK_SIZE)?;
        }
        Ok(())
    }

    /// Approximate bytes of the weights on the device.
    pub(super) fn bytes(&self) -> usize {
        self.weights.bytes()
    }

    fn vector_of(&self, numbers: Vec<u32>) -> Result<Tensor> {
        let count = numbers.len();
        Tensor::from_vec(numbers, count, &self.device)
    }
}

impl DeviceCache {
    /// Makes room for cache blocks with numbers below `blocks`.
    fn reserve(
        &mut self,
        config: &Config,
        dtype: DType,
        device: &Device,
        blocks: usize,
    ) -> Result<()> {
        if blocks <= self.capacity {
            return Ok(());
        }
        let capacity = blocks.next_power_of_two().max(64);
        let zeros = || Tensor::zeros((capacity * BLOCK_SIZE, config.kv_size()), dtype, device);
        let mut grown = Vec::new();
        for index in 0..config.layers {
            let (keys, values) = (zeros()?, zeros()?);
            if let Some((old_keys, old_values)) = self.blocks.get(index) {
                keys.slice_set(old_keys, 0, 0)?;
                values.slice_set(old_values, 0, 0)?;
            }
            grown.push((keys, values));
        }
        (self.blocks, self.capacity) = (grown, capacity);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
