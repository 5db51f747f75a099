//! A decoder's weights as tensors.

use super::ops::matmul;
use crate::kernel::matrix::Matrix;
use crate::pool::{DisjointSlice, ThreadPool};
use crate::weights::{BlockWeights, FeedForward, Gated, Mixture, Projection, Shared, Weights};
use candle_core::{DType, Device, Result, Tensor};

/// A decoder's weights. Matrices are transposed, `[columns][rows]`, except the embedding.
#[derive(Debug)]
pub(super) struct DeviceWeights {
    /// Type of matrices, keys and values.
    pub(super) dtype: DType,
    pub(super) embedding: Tensor,
    pub(super) blocks: Vec<DeviceBlock>,
    pub(super) final_norm: Tensor,
    pub(super) output: Tensor,
}

/// Weights of one block.
#[derive(Debug)]
pub(super) struct DeviceBlock {
    pub(super) attention_norm: Option<Tensor>,
    pub(super) query: Linear,
    pub(super) key: Linear,
    pub(super) value: Linear,
    pub(super) query_norm: Option<Tensor>,
    pub(super) key_norm: Option<Tensor>,
    /// `[query head]`.
    pub(super) attention_sinks: Option<Tensor>,
    pub(super) attention_output: Linear,
    pub(super) post_attention_norm: Option<Tensor>,
    pub(super) feed_forward_norm: Option<Tensor>,
    pub(super) feed_forward: DeviceFeedForward,
    pub(super) post_feed_forward_norm: Option<Tensor>,
}

/// See [`FeedForward`].
#[derive(Debug)]
pub(super) enum DeviceFeedForward {
    One(DeviceGated),
    Experts(DeviceMixture),
}

/// See [`Mixture`].
#[derive(Debug)]
pub(super) struct DeviceMixture {
    pub(super) router: Linear,
    pub(super) experts: Vec<DeviceGated>,
    pub(super) shared: Option<DeviceShared>,
}

/// See [`Shared`].
#[derive(Debug)]
pub(super) struct DeviceShared {
    pub(super) layer: DeviceGated,
    /// `[hidden_size][1]`, in F32.
    pub(super) gate: Tensor,
}

/// See [`Gated`].
#[derive(Debug)]
pub(super) struct DeviceGated {
    pub(super) gate: Linear,
    pub(super) up: Linear,
    pub(super) down: Linear,
}

impl DeviceFeedForward {
    fn linears(&self) -> impl Iterator<Item = &Linear> {
        let (router, layers, shared) = match self {
            Self::One(layer) => (None, std::slice::from_ref(layer), None),
            Self::Experts(DeviceMixture { router, experts, shared }) => {
                (Some(router), experts.as_slice(), shared.as_ref().map(|shared| &shared.layer))
            }
        };
        let layers = layers.iter().chain(shared);
        layers.flat_map(|layer| [&layer.gate, &layer.up, &layer.down]).chain(router)
    }
}

#[derive(Debug)]
pub(super) struct Linear {
    matrix: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// `[row][columns]` to `[row][rows]`, both in F32.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let product = matmul(x, &self.matrix)?;
        self.bias.as_ref().map_or(Ok(product.clone()), |bias| product.broadcast_add(bias))
    }
}

impl DeviceWeights {
    /// Dequantizes and uploads the weights.
    pub(super) fn new(weights: &Weights, pool: &ThreadPool, device: &Device) -> Result<Self> {
        let dtype = if device.is_cuda() { DType::BF16 } else { DType::F32 };
        let upload = Upload { pool, device, dtype };
        let blocks = weights.blocks.iter().map(|block| upload.block(block));
        let blocks = blocks.collect::<Result<_>>()?;
        let embedding = upload.matrix(&weights.embedding)?;
        let output = match &weights.output {
            Some(output) => upload.matrix(output)?.t()?,
            None => embedding.t()?,
        };
        let final_norm = upload.vector(&weights.final_norm)?;
        Ok(Self { dtype, embedding, blocks, final_norm, output })
    }

    /// Approximate bytes.
    pub(super) fn bytes(&self) -> usize {
        let of = |tensor: &Tensor| tensor.elem_count() * tensor.dtype().size_in_bytes();
        let block = |b: &DeviceBlock| {
            let attention = [&b.query, &b.key, &b.value, &b.attention_output];
            let all = attention.into_iter().chain(b.feed_forward.linears());
            all.map(|linear| of(&linear.matrix)).sum::<usize>()
        };
        of(&self.embedding) + of(&self.output) + self.blocks.iter().map(block).sum::<usize>()
    }
}

struct Upload<'a> {
    pool: &'a ThreadPool,
    device: &'a Device,
    dtype: DType,
}

impl Upload<'_> {
    fn block(&self, block: &BlockWeights) -> Result<DeviceBlock> {
        Ok(DeviceBlock {
            attention_norm: self.optional(block.attention_norm.as_ref())?,
            query: self.linear(&block.query)?,
            key: self.linear(&block.key)?,
            value: self.linear(&block.value)?,
            query_norm: self.optional(block.query_norm.as_ref())?,
            key_norm: self.optional(block.key_norm.as_ref())?,
            attention_sinks: self.optional(block.attention_sinks.as_ref())?,
            attention_output: self.linear(&block.attention_output)?,
            post_attention_norm: self.optional(block.post_attention_norm.as_ref())?,
            feed_forward_norm: self.optional(block.feed_forward_norm.as_ref())?,
            feed_forward: match &block.feed_forward {
                FeedForward::One(layer) => DeviceFeedForward::One(self.gated(layer)?),
                FeedForward::Experts(mixture) => DeviceFeedForward::Experts(self.mixture(mixture)?),
            },
            post_feed_forward_norm: self.optional(block.post_feed_forward_norm.as_ref())?,
        })
    }

    fn gated(&self, layer: &Gated) -> Result<DeviceGated> {
        Ok(DeviceGated {
            gate: self.linear(&layer.gate)?,
            up: self.linear(&layer.up)?,
            down: self.linear(&layer.down)?,
        })
    }

    fn mixture(&self, mixture: &Mixture) -> Result<DeviceMixture> {
        let shared = |shared: &Shared| -> Result<DeviceShared> {
            Ok(DeviceShared {
                layer: self.gated(&shared.layer)?,
                gate: self.vector(&shared.gate)?.unsqueeze(1)?,
            })
        };
        Ok(DeviceMixture {
            router: self.linear(&mixture.router)?,
            experts: mixture.experts.iter().map(|it| self.gated(it)).collect::<Result<_>>()?,
            shared: mixture.shared.as_ref().map(shared).transpose()?,
        })
    }

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
        let parts = DisjointSlice::new(&mut values);
        let chunk = rows.div_ceil(4 * self.pool.threads()).max(1);
        self.pool.run(rows.div_ceil(chunk), |task| {
            for row in task * chunk..((task + 1) * chunk).min(rows) {
                #[allow(unsafe_code)]
                // SAFETY: each row belongs to one task.
                let out = unsafe { parts.slice_mut(row * columns, columns) };
                matrix.dequantize_row(row, out);
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
