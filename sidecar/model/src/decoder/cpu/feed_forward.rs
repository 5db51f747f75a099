//! One feed-forward layer, or a mixture of experts.

use super::matmul::{Product, multiply, multiply_gated};
use super::rows::quantize_rows;
use crate::config::{Config, Experts};
use crate::decoder::route::{route, sigmoid};
use crate::kernel::activations::{ActivationRow, QuantizedActivations};
use crate::kernel::vector;
use crate::pool::{DisjointSlice, ThreadPool};
use crate::weights::{FeedForward, Gated, Mixture, Projection};

/// Buffers of a layer, kept between layers.
#[derive(Debug, Default)]
pub(super) struct FeedForwardScratch {
    /// Between the two matrices.
    inner: QuantizedActivations,
    /// The router's, `[row][expert]`.
    scores: Vec<f32>,
    /// What one expert gives, `[row][hidden_size]`.
    of_expert: Vec<f32>,
}

/// out ← layer(hidden), `[row][hidden_size]`.
pub(super) fn run(
    pool: &ThreadPool,
    config: &Config,
    layer: &FeedForward,
    hidden: &QuantizedActivations,
    scratch: &mut FeedForwardScratch,
    out: &mut [f32],
) {
    match (layer, &config.experts) {
        (FeedForward::Experts(mixture), Some(experts)) => {
            mix(pool, config, experts, mixture, hidden, scratch, out);
        }
        (FeedForward::One(layer), _) => {
            gated(pool, config, layer, &hidden.all_rows(), &mut scratch.inner, out);
        }
        // Weights are read by the description.
        (FeedForward::Experts(_), None) => {}
    }
}

/// The same, of a mixture of experts.
fn mix(
    pool: &ThreadPool,
    config: &Config,
    experts: &Experts,
    mixture: &Mixture,
    hidden: &QuantizedActivations,
    scratch: &mut FeedForwardScratch,
    out: &mut [f32],
) {
    let chosen = choose(pool, experts, &mixture.router, hidden, &mut scratch.scores);
    out.fill(0.0);
    let shared = mixture.shared.iter().map(|shared| {
        let of = |row| (row, sigmoid(vector::dot(&shared.gate, hidden.row(row).values)));
        (&shared.layer, (0..hidden.rows).map(of).collect())
    });
    for (layer, chosen) in mixture.experts.iter().zip(chosen).chain(shared) {
        let rows: Vec<_> = chosen.iter().map(|&(row, _)| hidden.row(row)).collect();
        scratch.of_expert.resize(rows.len() * config.hidden_size, 0.0);
        gated(pool, config, layer, &rows, &mut scratch.inner, &mut scratch.of_expert);
        let given = scratch.of_expert.chunks_exact(config.hidden_size);
        for (&(row, weight), given) in chosen.iter().zip(given) {
            let out = &mut out[row * config.hidden_size..][..config.hidden_size];
            vector::add_scaled(out, weight, given);
        }
    }
}

/// For each expert, the rows that go through it, and its weight in each.
fn choose(
    pool: &ThreadPool,
    experts: &Experts,
    router: &Projection,
    hidden: &QuantizedActivations,
    scores: &mut Vec<f32>,
) -> Vec<Vec<(usize, f32)>> {
    scores.resize(hidden.rows * experts.count, 0.0);
    let product = Product::of(router, DisjointSlice::new(scores), experts.count, 0);
    multiply(pool, &hidden.all_rows(), &[product]);
    let mut chosen = vec![Vec::new(); experts.count];
    for (row, scores) in scores.chunks_exact(experts.count).enumerate() {
        for (expert, weight) in route(scores, experts) {
            chosen[expert].push((row, weight));
        }
    }
    chosen
}

/// out ← down(activation(gate(x)) · up(x)), for rows x.
fn gated(
    pool: &ThreadPool,
    config: &Config,
    layer: &Gated,
    rows: &[ActivationRow<'_>],
    inner: &mut QuantizedActivations,
    out: &mut [f32],
) {
    if rows.is_empty() {
        return;
    }
    inner.resize(rows.len(), layer.gate.matrix.rows);
    multiply_gated(pool, rows, [&layer.gate, &layer.up], config.activation, &inner.writer());
    quantize_rows(pool, inner);
    let product = Product::of(&layer.down, DisjointSlice::new(out), config.hidden_size, 0);
    multiply(pool, &inner.all_rows(), &[product]);
}
