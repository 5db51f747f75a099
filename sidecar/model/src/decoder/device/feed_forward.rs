//! One feed-forward layer, or a mixture of experts, in tensors. Which experts a row goes through is
//! chosen on the host.

use super::ops::matmul;
use super::weights::{DeviceFeedForward, DeviceGated};
use crate::config::Config;
use crate::decoder::route::route;
use crate::kernel::vector::ActivationFn;
use candle_core::{Result, Tensor};

/// layer(x), `[row][hidden_size]`.
pub(super) fn feed_forward(
    config: &Config,
    layer: &DeviceFeedForward,
    x: &Tensor,
) -> Result<Tensor> {
    let (router, layers, experts) = match (layer, &config.experts) {
        (DeviceFeedForward::One(layer), _) => return gated(config, layer, x),
        (DeviceFeedForward::Experts { router, experts }, Some(settings)) => {
            (router, experts, settings)
        }
        (DeviceFeedForward::Experts { .. }, None) => candle_core::bail!("experts unasked for"),
    };
    let scores: Vec<Vec<f32>> = matmul(x, router)?.to_vec2()?;
    let mut chosen = vec![(Vec::new(), Vec::new()); experts.count];
    for (row, scores) in (0_u32..).zip(&scores) {
        for (expert, weight) in route(scores, experts) {
            let (rows, weights) = &mut chosen[expert];
            rows.push(row);
            weights.push(weight);
        }
    }
    let mut sum = x.zeros_like()?;
    for (layer, (rows, weights)) in layers.iter().zip(chosen) {
        let count = rows.len();
        if count == 0 {
            continue;
        }
        let rows = Tensor::from_vec(rows, count, x.device())?;
        let weights = Tensor::from_vec(weights, (count, 1), x.device())?;
        let given = gated(config, layer, &x.index_select(&rows, 0)?)?;
        sum = sum.index_add(&rows, &given.broadcast_mul(&weights)?, 0)?;
    }
    Ok(sum)
}

/// down(activation(gate(x)) · up(x)).
fn gated(config: &Config, layer: &DeviceGated, x: &Tensor) -> Result<Tensor> {
    let gate = matmul(x, &layer.gate)?;
    let gate = match config.activation {
        ActivationFn::Silu => gate.silu()?,
        ActivationFn::GeluTanh => gate.gelu()?,
    };
    matmul(&(gate * matmul(x, &layer.up)?)?, &layer.down)
}
