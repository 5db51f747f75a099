//! Operations on tensors.

use crate::config::{Config, RopeLayout};
use crate::decoder::rope::RopeTable;
use candle_core::{D, DType, Device, Result, Tensor};

/// Product with a transposed matrix, `[columns][rows]`, in F32.
pub(super) fn matmul(x: &Tensor, transposed: &Tensor) -> Result<Tensor> {
    x.to_dtype(transposed.dtype())?.matmul(transposed)?.to_dtype(DType::F32)
}

/// Cosines and sines, `[row][1][pair]`.
pub(super) struct RopeTensors {
    cosines: Tensor,
    sines: Tensor,
}

impl RopeTensors {
    pub(super) fn new(table: &RopeTable, rows: usize, device: &Device) -> Result<Self> {
        let (cosines, sines) = table.cosines_and_sines();
        let shape = (rows, 1, cosines.len() / rows.max(1));
        Ok(Self {
            cosines: Tensor::from_slice(cosines, shape, device)?,
            sines: Tensor::from_slice(sines, shape, device)?,
        })
    }
}

/// Applies RoPE to `[row][head · value]`, and before that a norm, of each head or of all as one by
/// its width.
pub(super) fn norm_and_rotate(
    config: &Config,
    x: &Tensor,
    norm: Option<&Tensor>,
    rope: &RopeTensors,
) -> Result<Tensor> {
    let (rows, size) = x.dims2()?;
    let (head_dim, pairs) = (config.head_dim, config.rope.dims / 2);
    let x = match norm {
        Some(norm) => {
            let width = norm.elem_count();
            rms_norm(&x.reshape((rows, size / width, width))?, norm, config)?
        }
        None => x.clone(),
    };
    let x = x.reshape((rows, size / head_dim, head_dim))?;
    let turn = |a: &Tensor, b: &Tensor| -> Result<[Tensor; 2]> {
        let (cosines, sines) = (&rope.cosines, &rope.sines);
        Ok([
            (a.broadcast_mul(cosines)? - b.broadcast_mul(sines)?)?,
            (a.broadcast_mul(sines)? + b.broadcast_mul(cosines)?)?,
        ])
    };
    let turned = match config.rope.layout {
        RopeLayout::NeoX => {
            let [a, b] = turn(&x.narrow(2, 0, pairs)?, &x.narrow(2, pairs, pairs)?)?;
            Tensor::cat(&[a, b], 2)?
        }
        RopeLayout::Interleaved => {
            let split = x.narrow(2, 0, 2 * pairs)?.reshape((rows, size / head_dim, pairs, 2))?;
            let [a, b] =
                turn(&split.narrow(3, 0, 1)?.squeeze(3)?, &split.narrow(3, 1, 1)?.squeeze(3)?)?;
            Tensor::stack(&[a, b], 3)?.flatten(2, 3)?
        }
    };
    let turned = match head_dim - 2 * pairs {
        0 => turned,
        rest => Tensor::cat(&[turned, x.narrow(2, 2 * pairs, rest)?], 2)?,
    };
    turned.reshape((rows, size))
}

/// x · factor.
pub(super) fn scaled(x: Tensor, factor: f32) -> Result<Tensor> {
    if factor == 1.0 { Ok(x) } else { x * f64::from(factor) }
}

/// cap · tanh(x / cap), where there is a cap.
pub(super) fn soft_cap(x: Tensor, cap: Option<f32>) -> Result<Tensor> {
    let Some(cap) = cap.map(f64::from) else { return Ok(x) };
    (x / cap)?.tanh()? * cap
}

/// x / √(mean(x²) + ε) · weight.
pub(super) fn rms_norm(x: &Tensor, weight: &Tensor, config: &Config) -> Result<Tensor> {
    let scale = (x.sqr()?.mean_keepdim(D::Minus1)? + f64::from(config.norm_epsilon))?.sqrt()?;
    x.broadcast_div(&scale)?.broadcast_mul(weight)
}

/// The same where there is a norm, or x.
pub(super) fn optional_norm(
    x: &Tensor,
    weight: Option<&Tensor>,
    config: &Config,
) -> Result<Tensor> {
    weight.map_or(Ok(x.clone()), |weight| rms_norm(x, weight, config))
}

/// stream + scale · delta; with a norm, stream + scale · norm(delta).
pub(super) fn add(
    stream: &Tensor,
    delta: &Tensor,
    norm: Option<&Tensor>,
    config: &Config,
) -> Result<Tensor> {
    stream + scaled(optional_norm(delta, norm, config)?, config.residual_scale)?
}
