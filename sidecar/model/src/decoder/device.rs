//! The decoder on a device of candle's: the same description, batches, cache blocks and taps, in
//! tensors.
//!
//! The residual stream is F32. Matrices, keys and values are F32 on the processor, which is how
//! this is tested without a GPU, and BF16 on CUDA.

mod attention;
mod taps;

use super::rope::Rotation;
use super::{Config, Decoder, Place, Scratch, Segment};
use crate::config::Pairs;
use crate::kernel::attend::TOKENS;
use crate::kernel::matrix::Matrix;
use crate::kernel::vector::Gate;
use crate::pool::{Pool, Shards};
use crate::weights::{Projection, Weights};
use attention::Batch;
use candle_core::{D, DType, Device, Result, Tensor};
use taps::Taps;

/// A decoder's weights on a device.
#[derive(Debug)]
pub(crate) struct DeviceDecoder {
    device: Device,
    dtype: DType,
    embedding: Tensor,
    blocks: Vec<Block>,
    final_norm: Tensor,
    /// Transposed, as all matrices here: `[columns][rows]`.
    output: Tensor,
}

#[derive(Debug)]
struct Linear {
    matrix: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// `[rows][columns]` in F32 to `[rows][…]` in F32.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let product = matmul(x, &self.matrix)?;
        self.bias.as_ref().map_or(Ok(product.clone()), |bias| product.broadcast_add(bias))
    }
}

fn matmul(x: &Tensor, transposed: &Tensor) -> Result<Tensor> {
    x.to_dtype(transposed.dtype())?.matmul(transposed)?.to_dtype(DType::F32)
}

#[derive(Debug)]
struct Block {
    attention_norm: Tensor,
    query: Linear,
    key: Linear,
    value: Linear,
    query_norm: Option<Tensor>,
    key_norm: Option<Tensor>,
    attention_output: Tensor,
    post_attention_norm: Option<Tensor>,
    feed_forward_norm: Tensor,
    gate: Tensor,
    up: Tensor,
    down: Tensor,
    post_feed_forward_norm: Option<Tensor>,
}

/// What lies on the device between passes.
#[derive(Debug, Default)]
pub(super) struct State {
    /// For each block of the decoder, keys and values of all cache blocks, `[cache block ·
    /// token][key head · value]`.
    cache: Vec<(Tensor, Tensor)>,
    /// Cache blocks that these have room for.
    room: usize,
    /// The residual stream after the last pass.
    stream: Option<Tensor>,
    taps: taps::Vectors,
}

impl State {
    /// Makes room for cache blocks with numbers below `blocks`.
    fn reserve(&mut self, decoder: &DeviceDecoder, config: &Config, blocks: usize) -> Result<()> {
        if blocks <= self.room {
            return Ok(());
        }
        let room = blocks.next_power_of_two().max(64);
        let width = config.kv_heads * config.head_width;
        let zeros = || Tensor::zeros((room * TOKENS, width), decoder.dtype, &decoder.device);
        let mut cache = Vec::new();
        for index in 0..config.layers {
            let (keys, values) = (zeros()?, zeros()?);
            if let Some((old_keys, old_values)) = self.cache.get(index) {
                keys.slice_set(old_keys, 0, 0)?;
                values.slice_set(old_values, 0, 0)?;
            }
            cache.push((keys, values));
        }
        (self.cache, self.room) = (cache, room);
        Ok(())
    }
}

impl DeviceDecoder {
    /// Copies weights to the device, in plain numbers.
    pub(super) fn new(weights: &Weights, pool: &Pool, device: Device) -> Result<Self> {
        let dtype = if device.is_cuda() { DType::BF16 } else { DType::F32 };
        let upload = Upload { pool, device: &device, dtype };
        let blocks = weights.blocks.iter().map(|block| {
            Ok(Block {
                attention_norm: upload.vector(&block.attention_norm)?,
                query: upload.linear(&block.query)?,
                key: upload.linear(&block.key)?,
                value: upload.linear(&block.value)?,
                query_norm: upload.optional(block.query_norm.as_ref())?,
                key_norm: upload.optional(block.key_norm.as_ref())?,
                attention_output: upload.matrix(&block.attention_output)?.t()?,
                post_attention_norm: upload.optional(block.post_attention_norm.as_ref())?,
                feed_forward_norm: upload.vector(&block.feed_forward_norm)?,
                gate: upload.matrix(&block.gate)?.t()?,
                up: upload.matrix(&block.up)?.t()?,
                down: upload.matrix(&block.down)?.t()?,
                post_feed_forward_norm: upload.optional(block.post_feed_forward_norm.as_ref())?,
            })
        });
        let blocks = blocks.collect::<Result<_>>()?;
        let embedding = upload.matrix(&weights.embedding)?;
        let output = match &weights.output {
            Some(output) => upload.matrix(output)?.t()?,
            None => embedding.t()?,
        };
        let final_norm = upload.vector(&weights.final_norm)?;
        Ok(Self { dtype, embedding, blocks, final_norm, output, device })
    }

    /// See [`Decoder::run`].
    pub(super) fn run(
        &self,
        decoder: &Decoder,
        scratch: &mut Scratch,
        segments: &mut [Segment<'_>],
    ) -> Result<()> {
        let config = &decoder.config;
        let places = Place::of(segments);
        scratch.rotation.fill(&decoder.frequencies, &places);
        if let Some(frequencies) = &decoder.windowed_frequencies {
            scratch.windowed_rotation.fill(frequencies, &places);
        }
        let rotation = Tables::new(&scratch.rotation, places.len(), &self.device)?;
        let windowed = match &decoder.windowed_frequencies {
            Some(_) => Some(Tables::new(&scratch.windowed_rotation, places.len(), &self.device)?),
            None => None,
        };
        let batch = Batch::new(config, segments, &self.device)?;
        let state = &mut scratch.device;
        state.reserve(self, config, batch.cache_blocks)?;
        let tokens: Vec<u32> = places.iter().map(|place| place.token).collect();
        let embedded =
            self.embedding.index_select(&self.vector_of(tokens)?, 0)?.to_dtype(DType::F32)?;
        let mut taps = Taps::new(config, segments, &self.device, &mut state.taps);
        let mut stream =
            taps.apply(0, segments, (embedded * f64::from(config.embedding_scale))?)?;
        for (index, (block, cache)) in self.blocks.iter().zip(&state.cache).enumerate() {
            let is_windowed = config.is_windowed(index);
            let tables = windowed.as_ref().filter(|_| is_windowed).unwrap_or(&rotation);
            let x = rms_norm(&stream, &block.attention_norm, config)?;
            let query =
                heads(config, &block.query.forward(&x)?, block.query_norm.as_ref(), tables)?;
            let query = (query * f64::from(config.attention_scale))?;
            let key = heads(config, &block.key.forward(&x)?, block.key_norm.as_ref(), tables)?;
            let mixed = batch.attend(
                config,
                is_windowed,
                cache,
                &query,
                &key,
                &block.value.forward(&x)?,
            )?;
            let delta = matmul(&mixed, &block.attention_output)?;
            stream = add(&stream, &delta, block.post_attention_norm.as_ref(), config)?;
            let x = rms_norm(&stream, &block.feed_forward_norm, config)?;
            let gate = matmul(&x, &block.gate)?;
            let gate = match config.gate {
                Gate::Silu => gate.silu()?,
                Gate::Gelu => gate.gelu()?,
            };
            let delta = matmul(&(gate * matmul(&x, &block.up)?)?, &block.down)?;
            stream = add(&stream, &delta, block.post_feed_forward_norm.as_ref(), config)?;
            stream = taps.apply(index + 1, segments, stream)?;
        }
        taps.finish(segments)?;
        state.stream = Some(stream);
        Ok(())
    }

    /// See [`Decoder::copy_beginning`]; blocks by their numbers.
    pub(super) fn copy_beginning(
        &self,
        config: &Config,
        scratch: &mut Scratch,
        from: usize,
        to: usize,
        tokens: usize,
    ) -> Result<()> {
        let state = &mut scratch.device;
        state.reserve(self, config, from.max(to) + 1)?;
        for cache in state.cache.iter().flat_map(|(keys, values)| [keys, values]) {
            let beginning = cache.narrow(0, from * TOKENS, tokens)?.force_contiguous()?;
            cache.slice_set(&beginning, 0, to * TOKENS)?;
        }
        Ok(())
    }

    /// See [`Decoder::logits`].
    pub(super) fn logits(
        &self,
        config: &Config,
        scratch: &mut Scratch,
        rows: &[usize],
    ) -> Result<()> {
        let Some(stream) = &scratch.device.stream else {
            candle_core::bail!("no pass was made yet")
        };
        let rows = rows.iter().filter_map(|&row| u32::try_from(row).ok()).collect();
        let x =
            rms_norm(&stream.index_select(&self.vector_of(rows)?, 0)?, &self.final_norm, config)?;
        scratch.logits =
            soft_cap(matmul(&x, &self.output)?, config.logit_cap)?.flatten_all()?.to_vec1()?;
        Ok(())
    }

    fn vector_of(&self, numbers: Vec<u32>) -> Result<Tensor> {
        let count = numbers.len();
        Tensor::from_vec(numbers, count, &self.device)
    }

    /// Bytes of the weights on the device, about.
    pub(super) fn bytes(&self) -> usize {
        let of = |tensor: &Tensor| tensor.elem_count() * tensor.dtype().size_in_bytes();
        let block = |b: &Block| {
            [
                &b.query.matrix,
                &b.key.matrix,
                &b.value.matrix,
                &b.attention_output,
                &b.gate,
                &b.up,
                &b.down,
            ]
            .map(of)
            .iter()
            .sum::<usize>()
        };
        of(&self.embedding) + of(&self.output) + self.blocks.iter().map(block).sum::<usize>()
    }
}

/// Cosines and sines, `[row][1][pair]`.
struct Tables {
    cosines: Tensor,
    sines: Tensor,
}

impl Tables {
    fn new(rotation: &Rotation, rows: usize, device: &Device) -> Result<Self> {
        let (cosines, sines) = rotation.tables();
        let shape = (rows, 1, cosines.len() / rows.max(1));
        Ok(Self {
            cosines: Tensor::from_slice(cosines, shape, device)?,
            sines: Tensor::from_slice(sines, shape, device)?,
        })
    }
}

/// `[row][head · value]` normed and rotated, in the same shape.
fn heads(config: &Config, x: &Tensor, norm: Option<&Tensor>, tables: &Tables) -> Result<Tensor> {
    let (rows, all) = x.dims2()?;
    let (width, pairs) = (config.head_width, config.rope.width / 2);
    let x = x.reshape((rows, all / width, width))?;
    let x = norm.map_or(Ok(x.clone()), |norm| rms_norm(&x, norm, config))?;
    let turn = |a: &Tensor, b: &Tensor| -> Result<[Tensor; 2]> {
        let (cosines, sines) = (&tables.cosines, &tables.sines);
        Ok([
            (a.broadcast_mul(cosines)? - b.broadcast_mul(sines)?)?,
            (a.broadcast_mul(sines)? + b.broadcast_mul(cosines)?)?,
        ])
    };
    let turned = match config.rope.pairs {
        Pairs::Halves => {
            let [a, b] = turn(&x.narrow(2, 0, pairs)?, &x.narrow(2, pairs, pairs)?)?;
            Tensor::cat(&[a, b], 2)?
        }
        Pairs::Neighbours => {
            let split = x.narrow(2, 0, 2 * pairs)?.reshape((rows, all / width, pairs, 2))?;
            let [a, b] =
                turn(&split.narrow(3, 0, 1)?.squeeze(3)?, &split.narrow(3, 1, 1)?.squeeze(3)?)?;
            Tensor::stack(&[a, b], 3)?.flatten(2, 3)?
        }
    };
    let turned = match width - 2 * pairs {
        0 => turned,
        rest => Tensor::cat(&[turned, x.narrow(2, 2 * pairs, rest)?], 2)?,
    };
    turned.reshape((rows, all))
}

/// cap · tanh(x / cap), where there is a cap.
fn soft_cap(x: Tensor, cap: Option<f32>) -> Result<Tensor> {
    let Some(cap) = cap.map(f64::from) else { return Ok(x) };
    (x / cap)?.tanh()? * cap
}

fn rms_norm(x: &Tensor, weight: &Tensor, config: &Config) -> Result<Tensor> {
    let scale = (x.sqr()?.mean_keepdim(D::Minus1)? + f64::from(config.norm_epsilon))?.sqrt()?;
    x.broadcast_div(&scale)?.broadcast_mul(weight)
}

/// stream + delta, or + norm(delta).
fn add(stream: &Tensor, delta: &Tensor, norm: Option<&Tensor>, config: &Config) -> Result<Tensor> {
    stream + norm.map_or(Ok(delta.clone()), |norm| rms_norm(delta, norm, config))?
}

struct Upload<'a> {
    pool: &'a Pool,
    device: &'a Device,
    dtype: DType,
}

impl Upload<'_> {
    fn vector(&self, values: &[f32]) -> Result<Tensor> {
        Tensor::from_slice(values, values.len(), self.device)
    }

    fn optional(&self, values: Option<&Vec<f32>>) -> Result<Option<Tensor>> {
        values.map(|values| self.vector(values)).transpose()
    }

    /// `[rows][columns]`.
    fn matrix(&self, matrix: &Matrix) -> Result<Tensor> {
        let (rows, columns) = (matrix.rows, matrix.columns);
        let mut values = vec![0.0_f32; rows * columns];
        let shards = Shards::new(&mut values);
        let chunk = rows.div_ceil(4 * self.pool.threads()).max(1);
        self.pool.run(rows.div_ceil(chunk), |task| {
            for row in task * chunk..((task + 1) * chunk).min(rows) {
                #[allow(unsafe_code)]
                // SAFETY: each row belongs to one task.
                let out = unsafe { shards.part(row * columns, columns) };
                matrix.dequantise_row(row, out);
            }
        });
        Tensor::from_vec(values, (rows, columns), &Device::Cpu)?
            .to_dtype(self.dtype)?
            .to_device(self.device)
    }

    fn linear(&self, projection: &Projection) -> Result<Linear> {
        Ok(Linear {
            matrix: self.matrix(&projection.matrix)?.t()?,
            bias: self.optional(projection.bias.as_ref())?,
        })
    }
}

#[cfg(test)]
mod tests;
