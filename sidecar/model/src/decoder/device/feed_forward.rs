//! One feed-forward layer, or a mixture of experts, in tensors. Which experts a row goes through is
//! chosen on the host.

use super::weights::{DeviceFeedForward, DeviceGated, DeviceMixture};
use crate::config::{Config, Experts};
use crate::decoder::route::{route, sigmoid};
use crate::kernel::vector::ActivationFn;
use candle_core::{Result, Tensor};

/// layer(x), `[row][hidden_size]`.
pub(super) fn feed_forward(
    config: &Config,
    layer: &DeviceFeedForward,
    x: &Tensor,
) -> Result<Tensor> {
    match (layer, &config.experts) {
        (DeviceFeedForward::One(layer), _) => gated(config, layer, x),
        (DeviceFeedForward::Experts(mixture), Some(experts)) => mix(config, experts, mixture, x),
        (DeviceFeedForward::Experts(_), None) => candle_core::bail!("experts unasked for"),
    }
}

/// The same, of a mixture of experts.
fn mix(config: &Config, experts: &Experts, mixture: &DeviceMixture, x: &Tensor) -> Result<Tensor> {
    let scores: Vec<Vec<f32>> = mixture.router.forward(x)?.to_vec2()?;
    let mut chosen = vec![(Vec::new(), Vec::new()); experts.count];
    for (row, scores) in (0_u32..).zip(&scores) {
        for (expert, weight) in route(scores, experts) {
            let (rows, weights) = &mut chosen[expert];
            rows.push(row);
            weights.push(weight);
        }
    }
    let mut sum = match &mixture.shared {
        None => x.zeros_like()?,
        Some(shared) => {
            let weights: Vec<f32> = x.matmul(&shared.gate)?.flatten_all()?.to_vec1()?;
            let weights: Vec<f32> = weights.into_iter().map(sigmoid).collect();
            let weights = Tensor::from_vec(weights, (scores.len(), 1), x.device())?;
            gated(config, &shared.layer, x)?.broadcast_mul(&weights)?
        }
    };
    for (layer, (rows, weights)) in mixture.experts.iter().zip(chosen) {
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
    let (gate, up) = (layer.gate.forward(x)?, layer.up.forward(x)?);
    let product = match config.activation {
        ActivationFn::Silu => gate.silu()? * up,
        ActivationFn::GeluTanh => gate.gelu()? * up,
        ActivationFn::ClampedSwiglu => {
            let limit = f64::from(ActivationFn::LIMIT);
            let gate = gate.minimum(limit)?;
            let slope = f64::from(ActivationFn::SLOPE);
            let sigmoid = ((gate.affine(-slope, 0.0)?.exp()? + 1.0)?).recip()?;
            (gate * sigmoid)? * (up.clamp(-limit, limit)? + 1.0)?
        }
    };
    layer.down.forward(&product?)
}
