//! The decoder: one forward pass over a batch of pieces of sequences.

mod attention;
#[cfg(any(test, feature = "cuda"))]
mod device;
pub(crate) mod hooks;
mod multiply;
mod rope;

use crate::config::{Config, Rope};
use crate::kernel::acts::Acts;
use crate::kernel::vector;
use crate::kv::{Block, Layout, Precision};
use crate::pool::{Pool, Shards};
use crate::weights::{BlockWeights, Weights};
pub(crate) use attention::MAX_HEAD_WIDTH;
use hooks::{Hooks, StateSums};
use multiply::{Output, multiply, multiply_gated};
use rope::{Frequencies, Rotation};
use std::sync::Arc;

/// A piece of one sequence in a batch.
pub(crate) struct Segment<'a> {
    /// Tokens to feed, at least one.
    pub(crate) tokens: &'a [u32],
    /// Position of the first of them.
    pub(crate) start: usize,
    /// Tokens of the sequence's prompt: where the response begins.
    pub(crate) prompt_tokens: usize,
    /// Cache blocks, enough for all positions up to the last token fed.
    pub(crate) blocks: &'a [Arc<Block>],
    pub(crate) hooks: &'a Hooks,
    /// First token of the piece whose activations are projected on the probes.
    pub(crate) read_from: usize,
    /// `[token read][probe]`, filled here.
    pub(crate) projections: Vec<f32>,
    /// Where hidden states are summed up, if they are asked for.
    pub(crate) states: Option<&'a mut StateSums>,
}

/// A model's weights with what is derived from them.
#[derive(Debug)]
pub(crate) struct Decoder {
    pub(crate) config: Config,
    vocabulary: usize,
    bytes: usize,
    cache: Layout,
    backend: Backend,
    frequencies: Frequencies,
    windowed_frequencies: Option<Frequencies>,
}

/// Buffers of a pass, kept between passes.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// The residual stream, `[row][hidden]`.
    stream: Vec<f32>,
    /// What a layer adds to it, `[row][hidden]`.
    delta: Vec<f32>,
    /// Queries, keys and values, `[row][…]`.
    projected: Vec<f32>,
    rotation: Rotation,
    windowed_rotation: Rotation,
    hidden_acts: Acts,
    attention_acts: Acts,
    feed_forward_acts: Acts,
    logits: Vec<f32>,
    #[cfg(any(test, feature = "cuda"))]
    device: device::State,
}

/// Where a decoder runs.
#[derive(Clone, Debug)]
pub(crate) enum Placement {
    /// On the processor, by the kernels of this crate.
    Processor,
    #[cfg(any(test, feature = "cuda"))]
    Device(candle_core::Device),
}

#[derive(Debug)]
enum Backend {
    Processor(Weights),
    #[cfg(any(test, feature = "cuda"))]
    Device(device::DeviceDecoder),
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

impl Segment<'_> {
    fn make_room_for_projections(&mut self) {
        let read = self.tokens.len().saturating_sub(self.read_from);
        self.projections.resize(read * self.hooks.probes(), 0.0);
    }
}

impl Decoder {
    pub(crate) fn new(
        config: Config,
        weights: Weights,
        #[cfg_attr(
            not(any(test, feature = "cuda")),
            allow(unused_variables, reason = "unpacks for a device")
        )]
        pool: &Pool,
        placement: &Placement,
    ) -> Result<Self, DeviceError> {
        let frequencies = Frequencies::new(&config.rope, weights.rope_factors.as_deref());
        let window_base = config.window.as_ref().and_then(|window| window.base);
        let windowed_frequencies = window_base.map(|base| {
            Frequencies::new(&Rope::plain(config.rope.pairs, config.rope.width, base), None)
        });
        let (vocabulary, bytes) = (weights.embedding.rows, weights.bytes());
        let cache = Layout::new(
            &config,
            if weights.are_exact() { Precision::Full } else { Precision::Half },
        );
        let (backend, bytes) = match placement {
            Placement::Processor => (Backend::Processor(weights), bytes),
            #[cfg(any(test, feature = "cuda"))]
            Placement::Device(to) => {
                let device = device::DeviceDecoder::new(&weights, pool, to.clone())?;
                let bytes = device.bytes();
                (Backend::Device(device), bytes)
            }
        };

        Ok(Self { config, vocabulary, bytes, cache, backend, frequencies, windowed_frequencies })
    }

    /// Number of tokens that the weights know.
    pub(crate) fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// What the blocks of its KV cache hold.
    pub(crate) fn cache_layout(&self) -> Layout {
        self.cache
    }

    /// Bytes of the weights, about.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Feeds all segments. Afterwards their keys and values are in the cache, their projections are
    /// filled, and [`Self::logits`] may be asked about their rows; row numbers run through all
    /// segments.
    pub(crate) fn run(
        &self,
        pool: &Pool,
        scratch: &mut Scratch,
        segments: &mut [Segment<'_>],
    ) -> Result<(), DeviceError> {
        match &self.backend {
            Backend::Processor(weights) => self.run_here(weights, pool, scratch, segments),
            #[cfg(any(test, feature = "cuda"))]
            Backend::Device(device) => device.run(self, scratch, segments)?,
        }
        Ok(())
    }

    /// Stores keys and values of a block's first `tokens` in another block, which nobody else uses.
    /// Not while segments are fed.
    pub(crate) fn copy_beginning(
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
            // SAFETY: blocks are written while segments are fed, and here; nobody else uses `to`.
            Backend::Processor(_) => unsafe { to.copy_beginning(from, tokens) },
            #[cfg(any(test, feature = "cuda"))]
            Backend::Device(device) => {
                device.copy_beginning(&self.config, scratch, from.number, to.number, tokens)?
            }
        }
        Ok(())
    }

    fn run_here(
        &self,
        weights: &Weights,
        pool: &Pool,
        scratch: &mut Scratch,
        segments: &mut [Segment<'_>],
    ) {
        let config = &self.config;
        let places = Place::of(segments);
        let rows = places.len();
        scratch.stream.resize(rows * config.hidden, 0.0);
        scratch.delta.resize(rows * config.hidden, 0.0);
        scratch.projected.resize(rows * config.projected_width(), 0.0);
        scratch.rotation.fill(&self.frequencies, &places);
        if let Some(frequencies) = &self.windowed_frequencies {
            scratch.windowed_rotation.fill(frequencies, &places);
        }
        for (place, row) in places.iter().zip(scratch.stream.chunks_exact_mut(config.hidden)) {
            weights.embedding.dequantise_row(place.token as usize, row);
            if config.embedding_scale != 1.0 {
                row.iter_mut().for_each(|value| *value *= config.embedding_scale);
            }
        }
        for segment in segments.iter_mut() {
            segment.make_room_for_projections();
        }
        hooks::apply(0, config.hidden, segments, &mut scratch.stream);
        for (index, block) in weights.blocks.iter().enumerate() {
            self.attention_layer(pool, scratch, segments, &places, index, block);
            self.feed_forward_layer(pool, scratch, rows, block);
            hooks::apply(index + 1, config.hidden, segments, &mut scratch.stream);
        }
    }

    /// stream ← stream + attention(norm(stream)).
    fn attention_layer(
        &self,
        pool: &Pool,
        scratch: &mut Scratch,
        segments: &[Segment<'_>],
        places: &[Place],
        index: usize,
        block: &BlockWeights,
    ) {
        let (config, rows) = (&self.config, places.len());
        let (inner, kv) = (config.heads * config.head_width, config.kv_heads * config.head_width);
        let width = config.projected_width();
        norm_rows(
            pool,
            config,
            rows,
            &scratch.stream,
            &block.attention_norm,
            &mut scratch.hidden_acts,
        );
        let projected = Shards::new(&mut scratch.projected);
        let output = |matrix, offset| Output { matrix, out: projected, stride: width, offset };
        multiply(
            pool,
            &scratch.hidden_acts,
            &[
                output(&block.query.matrix, 0),
                output(&block.key.matrix, inner),
                output(&block.value.matrix, inner + kv),
            ],
        );
        let windowed = config.is_windowed(index);
        let rotation = match windowed && self.windowed_frequencies.is_some() {
            true => &scratch.windowed_rotation,
            false => &scratch.rotation,
        };
        let layer = attention::Layer { config, block, index, windowed, rotation };
        layer.prepare(pool, segments, places, &mut scratch.projected);
        scratch.attention_acts.resize(rows, inner);
        layer.attend(pool, segments, places, &scratch.projected, &mut scratch.attention_acts);
        quantise_rows(pool, &mut scratch.attention_acts);
        let delta = Shards::new(&mut scratch.delta);
        let output = Output {
            matrix: &block.attention_output,
            out: delta,
            stride: config.hidden,
            offset: 0,
        };
        multiply(pool, &scratch.attention_acts, &[output]);
        add_rows(
            pool,
            config,
            rows,
            &mut scratch.stream,
            &mut scratch.delta,
            block.post_attention_norm.as_deref(),
        );
    }

    /// stream ← stream + down(gate(norm(stream)) · up(norm(stream))).
    fn feed_forward_layer(
        &self,
        pool: &Pool,
        scratch: &mut Scratch,
        rows: usize,
        block: &BlockWeights,
    ) {
        let config = &self.config;
        norm_rows(
            pool,
            config,
            rows,
            &scratch.stream,
            &block.feed_forward_norm,
            &mut scratch.hidden_acts,
        );
        scratch.feed_forward_acts.resize(rows, config.feed_forward);
        multiply_gated(
            pool,
            &scratch.hidden_acts,
            [&block.gate, &block.up],
            config.gate,
            &scratch.feed_forward_acts.writer(),
        );
        quantise_rows(pool, &mut scratch.feed_forward_acts);
        let delta = Shards::new(&mut scratch.delta);
        let output = Output { matrix: &block.down, out: delta, stride: config.hidden, offset: 0 };
        multiply(pool, &scratch.feed_forward_acts, &[output]);
        add_rows(
            pool,
            config,
            rows,
            &mut scratch.stream,
            &mut scratch.delta,
            block.post_feed_forward_norm.as_deref(),
        );
    }

    /// Logits of the next token, `[row][vocabulary]`, after these rows of the last [`Self::run`].
    pub(crate) fn logits<'a>(
        &self,
        pool: &Pool,
        scratch: &'a mut Scratch,
        rows: &[usize],
    ) -> Result<&'a [f32], DeviceError> {
        match &self.backend {
            Backend::Processor(weights) => self.logits_here(weights, pool, scratch, rows),
            #[cfg(any(test, feature = "cuda"))]
            Backend::Device(device) => device.logits(&self.config, scratch, rows)?,
        }
        Ok(&scratch.logits)
    }

    fn logits_here(&self, weights: &Weights, pool: &Pool, scratch: &mut Scratch, rows: &[usize]) {
        let config = &self.config;
        let matrix = weights.output.as_ref().unwrap_or(&weights.embedding);
        scratch.hidden_acts.resize(rows.len(), config.hidden);
        let writer = scratch.hidden_acts.writer();
        let (stream, norm) = (&scratch.stream, &weights.final_norm);
        in_rows(pool, rows.len(), |index| {
            let row = &stream[rows[index] * config.hidden..][..config.hidden];
            #[allow(unsafe_code)]
            // SAFETY: each task has rows of its own.
            unsafe {
                vector::rms_norm(row, norm, config.norm_epsilon, writer.plain(index));
                writer.quantise(index);
            }
        });
        scratch.logits.resize(rows.len() * matrix.rows, 0.0);
        let logits = Shards::new(&mut scratch.logits);
        multiply(
            pool,
            &scratch.hidden_acts,
            &[Output { matrix, out: logits, stride: matrix.rows, offset: 0 }],
        );
        if let Some(cap) = config.logit_cap {
            vector::soft_cap(&mut scratch.logits, cap);
        }
    }
}

impl Config {
    /// Queries, keys and values of one row.
    fn projected_width(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_width
    }
}

/// One row of a batch.
#[derive(Clone, Copy, Debug)]
struct Place {
    segment: usize,
    position: usize,
    token: u32,
}

impl Place {
    fn of(segments: &[Segment<'_>]) -> Vec<Self> {
        let of = |(segment, piece): (usize, &Segment<'_>)| {
            let start = piece.start;
            let place = move |(offset, &token)| Self { segment, position: start + offset, token };
            piece.tokens.iter().enumerate().map(place).collect::<Vec<_>>()
        };
        segments.iter().enumerate().flat_map(of).collect()
    }
}

/// Rows below which it costs more to share them out than to work on them.
const FEW_ROWS: usize = 4;

/// Calls `work` for each row, on all threads where there are many.
fn in_rows(pool: &Pool, rows: usize, work: impl Fn(usize) + Sync) {
    if rows < FEW_ROWS {
        (0..rows).for_each(work);
        return;
    }
    let chunk = rows.div_ceil(4 * pool.threads()).max(1);
    pool.run(rows.div_ceil(chunk), |task| {
        (task * chunk..((task + 1) * chunk).min(rows)).for_each(&work)
    });
}

/// acts ← quantised norm(stream).
fn norm_rows(
    pool: &Pool,
    config: &Config,
    rows: usize,
    stream: &[f32],
    norm: &[f32],
    acts: &mut Acts,
) {
    acts.resize(rows, config.hidden);
    let writer = acts.writer();
    in_rows(pool, rows, |row| {
        #[allow(unsafe_code)]
        // SAFETY: each task has rows of its own.
        unsafe {
            vector::rms_norm(
                &stream[row * config.hidden..][..config.hidden],
                norm,
                config.norm_epsilon,
                writer.plain(row),
            );
            writer.quantise(row);
        }
    });
}

fn quantise_rows(pool: &Pool, acts: &mut Acts) {
    let rows = acts.rows;
    let writer = acts.writer();
    in_rows(pool, rows, |row| {
        #[allow(unsafe_code)]
        // SAFETY: each task has rows of its own.
        unsafe {
            writer.quantise(row);
        }
    });
}

/// stream ← stream + delta, or + norm(delta).
fn add_rows(
    pool: &Pool,
    config: &Config,
    rows: usize,
    stream: &mut [f32],
    delta: &mut [f32],
    norm: Option<&[f32]>,
) {
    let (stream, delta) = (Shards::new(stream), Shards::new(delta));
    in_rows(pool, rows, |row| {
        #[allow(unsafe_code)]
        // SAFETY: each task has rows of its own.
        let (stream, delta) = unsafe {
            (
                stream.part(row * config.hidden, config.hidden),
                delta.part(row * config.hidden, config.hidden),
            )
        };
        if let Some(norm) = norm {
            let plain = delta.to_vec();
            vector::rms_norm(&plain, norm, config.norm_epsilon, delta);
        }
        vector::add_scaled(stream, 1.0, delta);
    });
}
