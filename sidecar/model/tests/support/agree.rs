//! A model in the engine against the decoder in f64.

use super::reference::{dot, logprobs};
use super::{BASE, LongRope, Shape, Stored, Tiny};
use personaguard_model::{Capture, Engine, Intervention, Positions, ScoreRequest, Tap};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::sync::Arc;

pub fn vector(hidden: usize, seed: u64) -> Vec<f32> {
    let mut random = StdRng::seed_from_u64(seed);
    (0..hidden).map(|_| random.random_range(-1.0..1.0)).collect()
}

pub fn tokens(count: usize, seed: u64) -> Vec<u32> {
    let mut random = StdRng::seed_from_u64(seed);
    (0..count).map(|_| random.random_range(0..256)).collect()
}

/// The name of an architecture's shape.
fn own_name(gguf: &'static str, hf: &'static str) -> &'static str {
    if hf == "mixtral" { hf } else { gguf }
}

pub fn shapes() -> Vec<Shape> {
    let mut shapes: Vec<Shape> = personaguard_model::architectures()
        .map(|(gguf, hf)| Shape::of(own_name(gguf, hf)))
        .collect();
    shapes.push(Shape { rope_factors: true, ..Shape::of("llama") });
    shapes.push(Shape { yarn: Some(8.0), ..Shape::of("llama") });
    shapes.push(Shape { yarn: Some(4.0), width: 32, ..Shape::of("qwen2") });
    shapes.push(Shape { window: Some(7), kv_heads: 4, ..Shape::of("llama") });
    shapes.push(Shape { heads: 7, kv_heads: 1, width: 24, hidden: 40, ..Shape::of("qwen2") });
    for architecture in ["phi3", "llama"] {
        shapes.push(Shape { long_rope: Some(LongRope::Long), ..Shape::of(architecture) });
    }
    shapes.push(Shape { stored: Stored::Granite4, ..Shape::of("granite") });
    shapes.push(Shape { stored: Stored::ExpertsApart, ..Shape::of("mixtral") });
    shapes.push(Shape { stored: Stored::ExpertsTogether, ..Shape::of("gpt-oss") });
    shapes.push(Shape { further_biases: true, biases: true, ..Shape::of("llama") });
    shapes.push(Shape { window: Some(7), ..Shape::of("mixtral") });
    // OLMo 3.
    let window = Shape { window: Some(5), window_period: 4, ..Shape::of("olmo2") };
    shapes.push(Shape { layers: 5, window_base: Some(BASE), yarn: Some(8.0), ..window });
    shapes
}

/// The largest difference, relative to the largest value.
fn relative(found: &[f32], expected: &[f64]) -> f64 {
    let largest = expected.iter().fold(1e-9_f64, |largest, value| largest.max(value.abs()));
    found.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max) / largest
}

/// Checks that hidden states at every layer, projections and probabilities, steered and capped, are
/// those of the f64 decoder. `tolerance` is that of hidden states and projections, relative to the
/// largest value; where keys and values are f16, these cause most of the difference.
pub async fn agrees(tiny: &Tiny, engine: &Engine, tolerance: f64) {
    let shape = &tiny.shape;
    {
        let (prompt, response) = (tokens(41, 1), tokens(9, 2));
        let all = [prompt.clone(), response.clone()].concat();
        let direction = vector(shape.hidden, 3);
        let push = vector(shape.hidden, 4);
        let wide: Vec<f64> = direction.iter().map(|&v| f64::from(v)).collect();
        let norm = dot(&wide, &wide).sqrt();
        // Steering of the prompt's embeddings, after block 1 on the response, and a cap after block
        // 2 everywhere.
        let cap = 0.5;
        let change = |layer: usize, position: usize, x: &mut [f64]| {
            if layer == 0 && position < 41 {
                x.iter_mut().zip(&push).for_each(|(x, &v)| *x += 0.5 * f64::from(v));
            }
            if layer == 1 && position >= 41 {
                x.iter_mut().zip(&push).for_each(|(x, &v)| *x += 2.0 * f64::from(v));
            }
            if layer == 2 {
                let over = (dot(x, &wide) / norm - cap).max(0.0);
                x.iter_mut().zip(&wide).for_each(|(x, v)| *x -= over * v / norm);
            }
        };
        let expected = tiny.run(&all, &change);
        let score = engine
            .score(ScoreRequest {
                prompt,
                response: response.clone(),
                taps: (0..=shape.layers)
                    .map(|layer| Tap::new(layer, &direction).unwrap())
                    .collect(),
                interventions: Arc::new([
                    Intervention::add(0, &push, 0.5, Positions::Prompt).unwrap(),
                    Intervention::add(1, &push, 2.0, Positions::Response).unwrap(),
                    Intervention::cap(2, &direction, None, Some(cap as f32), Positions::All)
                        .unwrap(),
                ]),
                capture: Capture::PromptAndResponse,
                skip_logprobs: false,
                is_background: false,
            })
            .await
            .unwrap();
        let states = score.states.as_ref().unwrap();
        for layer in 0..=shape.layers {
            let off = relative(&states.prompt_last[layer], &expected.states[layer][40]);
            assert!(off < tolerance, "{shape:?} layer {layer}: prompt_last off by {off}");
            let mean: Vec<f64> = (0..shape.hidden)
                .map(|d| {
                    expected.states[layer][41..].iter().map(|state| state[d]).sum::<f64>() / 9.0
                })
                .collect();
            let off = relative(&states.response_mean[layer], &mean);
            assert!(off < tolerance, "{shape:?} layer {layer}: response_mean off by {off}");
            let project = |position: usize| dot(&expected.states[layer][position], &wide) / norm;
            let found: Vec<f32> = std::iter::once(&score.prompt)
                .chain(&score.response)
                .map(|read| read[layer])
                .collect();
            let projections: Vec<f64> = (40..50).map(project).collect();
            let off = relative(&found, &projections);
            assert!(off < tolerance, "{shape:?} layer {layer}: projections off by {off}");
        }
        let mut normed = vec![0.0; shape.hidden];
        for x in &expected.normed[..41] {
            normed.iter_mut().zip(x).for_each(|(sum, x)| *sum += x / 41.0);
        }
        let off = relative(&states.prompt_normed, &normed);
        assert!(off < tolerance, "{shape:?}: prompt_normed off by {off}");
        for (position, (&token, found)) in response.iter().zip(&score.logprobs).enumerate() {
            let expected = logprobs(&expected.logits[40 + position])[token as usize];
            assert!(
                (f64::from(*found) - expected).abs() < 2e-2_f64.max(5.0 * tolerance),
                "{shape:?} token {position}: {found} for {expected}"
            );
        }
    }
}
