//! The decoder: one forward pass over a batch of pieces of sequences.

mod cpu;
#[cfg(any(test, feature = "cuda"))]
mod device;
mod rope;
mod route;
mod segment;
mod taps;

pub(crate) use cpu::MAX_HEAD_DIM;
pub(crate) use segment::Segment;

use crate::config::Config;
use crate::kv::{Block, Layout, Precision};
use crate::pool::ThreadPool;
use crate::residual::LastNorm;
use crate::weights::Weights;
use cpu::{CpuDecoder, CpuScratch};
use rope::RopeFrequencies;
use std::sync::Arc;

/// A model's weights where they are computed with.
#[derive(Debug)]
pub(crate) struct Decoder {
    config: Arc<Config>,
    vocab_size: usize,
    bytes: usize,
    cache_layout: Layout,
    last_norm: LastNorm,
    backend: Backend,
}

/// Where a decoder runs.
#[derive(Clone, Debug)]
pub(crate) enum Placement {
    /// On the processor, by the kernels of this crate.
    Cpu,
    /// On a device of candle's.
    #[cfg(any(test, feature = "cuda"))]
    Device(candle_core::Device),
}

#[derive(Debug)]
enum Backend {
    Cpu(CpuDecoder),
    #[cfg(any(test, feature = "cuda"))]
    Device(device::DeviceDecoder),
}

/// Buffers of a pass, kept between passes.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    cpu: CpuScratch,
    #[cfg(any(test, feature = "cuda"))]
    device: device::DeviceScratch,
}

/// Why a device gave up.
#[derive(Debug, thiserror::Error)]
#[error("the device failed: {0}")]
pub(crate) struct DeviceError(String);

#[cfg(any(test, feature = "cuda"))]
impl From<candle_core::Error> for DeviceError {
    fn from(error: candle_core::Error) -> Self {
        Self(error.to_string())
    }
}

impl Decoder {
    /// Moves the weights to where they are computed with. No context is longer than
    /// `context_length` tokens.
    pub(crate) fn new(
        config: Config,
        weights: Weights,
        context_length: usize,
        #[cfg_attr(
            not(any(test, feature = "cuda")),
            allow(unused_variables, reason = "unpacks weights for a device")
        )]
        pool: &ThreadPool,
        placement: &Placement,
    ) -> Result<Self, DeviceError> {
        let config = Arc::new(config);
        let frequencies =
            RopeFrequencies::new(&config, weights.rope_factors.as_ref(), context_length);
        let vocab_size = weights.embedding.rows;
        let precision = if weights.are_all_f32() { Precision::F32 } else { Precision::F16 };
        let cache_layout = Layout::new(&config, precision);
        let last_norm = LastNorm {
            factors: weights.final_norm.as_slice().into(),
            epsilon: config.norm_epsilon,
        };
        let (backend, bytes) = match placement {
            Placement::Cpu => {
                let bytes = weights.bytes();
                (Backend::Cpu(CpuDecoder::new(config.clone(), frequencies, weights)), bytes)
            }
            #[cfg(any(test, feature = "cuda"))]
            Placement::Device(device) => {
                let decoder = device::DeviceDecoder::new(
                    config.clone(),
                    frequencies,
                    &weights,
                    pool,
                    device.clone(),
                )?;
                let bytes = decoder.bytes();
                (Backend::Device(decoder), bytes)
            }
        };
        Ok(Self { config, vocab_size, bytes, cache_layout, last_norm, backend })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// The norm behind the last block.
    pub(crate) fn last_norm(&self) -> &LastNorm {
        &self.last_norm
    }

    /// Number of tokens that the weights know.
    pub(crate) fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// Dimensions of the blocks of its KV cache.
    pub(crate) fn cache_layout(&self) -> Layout {
        self.cache_layout
    }

    /// Approximate bytes of the weights.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Computes all segments: stores their keys and values in the cache and fills their
    /// projections. Afterwards [`Self::logits`] may be asked about their rows, which are numbered
    /// through all segments.
    pub(crate) fn run(
        &self,
        pool: &ThreadPool,
        scratch: &mut Scratch,
        segments: &mut [Segment<'_>],
    ) -> Result<(), DeviceError> {
        match &self.backend {
            Backend::Cpu(decoder) => decoder.run(pool, &mut scratch.cpu, segments),
            #[cfg(any(test, feature = "cuda"))]
            Backend::Device(decoder) => decoder.run(&mut scratch.device, segments)?,
        }
        Ok(())
    }

    /// Logits of the next token, `[row][vocab_size]`, after these rows of the last [`Self::run`].
    pub(crate) fn logits<'a>(
        &self,
        pool: &ThreadPool,
        scratch: &'a mut Scratch,
        rows: &[usize],
    ) -> Result<&'a [f32], DeviceError> {
        Ok(match &self.backend {
            Backend::Cpu(decoder) => decoder.logits(pool, &mut scratch.cpu, rows),
            #[cfg(any(test, feature = "cuda"))]
            Backend::Device(decoder) => decoder.logits(&mut scratch.device, rows)?,
        })
    }

    /// Copies keys and values of the first `tokens` of a block to another, which nobody else uses.
    /// Not while segments are computed.
    pub(crate) fn copy_prefix(
        &self,
        #[cfg_attr(
            not(any(test, feature = "cuda")),
            allow(unused_variables, reason = "holds a device's cache")
        )]
        scratch: &mut Scratch,
        from: &Block,
        to: &Block,
        tokens: usize,
    ) -> Result<(), DeviceError> {
        match &self.backend {
            #[allow(unsafe_code)]
            // SAFETY: blocks are written only while segments are computed, and here; nobody else
            // uses `to`.
            Backend::Cpu(_) => unsafe { to.copy_prefix(from, tokens) },
            #[cfg(any(test, feature = "cuda"))]
            Backend::Device(decoder) => {
                decoder.copy_prefix(&mut scratch.device, from.number, to.number, tokens)?;
            }
        }
        Ok(())
    }
}
