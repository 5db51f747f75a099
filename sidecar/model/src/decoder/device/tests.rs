//! The device's decoder on candle's CPU device, in F32, against the f64 decoder that shares no code
//! with it, and against the CPU's own kernels.

use crate::decoder::Placement;
use crate::support::agree::{agrees, shapes};
use crate::support::{Shape, Tiny, tiny};
use crate::{
    Engine, EngineOptions, Event, GenerateRequest, Intervention, LoadOptions, Model, Positions, Tap,
};
use std::io::Write;
use std::sync::Arc;

fn engine(tiny: &Tiny, placement: &Placement) -> Engine {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&tiny.file).unwrap();
    let options = LoadOptions { threads: Some(2), ..LoadOptions::default() };
    let model = Model::load_on(file.path(), &options, placement).unwrap();
    Engine::start(Arc::new(model), EngineOptions::default()).unwrap()
}

fn on_device(tiny: &Tiny) -> Engine {
    engine(tiny, &Placement::Device(candle_core::Device::Cpu))
}

#[tokio::test]
async fn the_device_agrees_with_the_reference() {
    for (index, shape) in shapes().into_iter().enumerate() {
        let tiny = tiny(&shape, index as u64);
        agrees(&tiny, &on_device(&tiny), 1e-4).await;
    }
}

fn request(hidden: usize, index: usize) -> GenerateRequest {
    let vector = |seed: usize| -> Vec<f32> {
        (0..hidden).map(|d| ((d * 37 + seed * 11) % 101) as f32 / 50.0 - 1.0).collect()
    };
    let taps = (0..3).map(|layer| Tap::new(layer, &vector(layer)).unwrap()).collect();
    let steer =
        Intervention::add(1 + index % 2, &vector(7), 0.1 * index as f32, Positions::All).unwrap();
    let prompt = (0..3 + 29 * index).map(|i| ((i * 7919 + index * 31) % 256) as u32).collect();
    GenerateRequest {
        prompt,
        max_tokens: 12,
        taps,
        interventions: Arc::new([steer]),
        ..Default::default()
    }
}

fn run(engine: &Engine, request: GenerateRequest) -> (Vec<u32>, Vec<f32>) {
    let mut generation = engine.submit(request).unwrap();
    let (mut ids, mut read) = (Vec::new(), Vec::new());
    while let Some(event) = generation.blocking_next() {
        match event {
            Event::Prefill(prompt) => read.extend(prompt.projections),
            Event::Token(token) => {
                ids.push(token.id);
                read.extend(token.projections);
            }
            Event::End(_) => {}
            Event::Failed(error) => panic!("{error}"),
        }
    }
    (ids, read)
}

/// Many requests together, each with its own steering: prompts in pieces, responses decoded
/// together, prefixes reused.
#[test]
fn requests_together_on_the_device_are_those_alone_on_the_cpu() {
    for shape in
        ["gemma3", "llama", "olmo2", "phi3", "qwen3moe", "gpt-oss", "qwen2moe"].map(Shape::of)
    {
        let tiny = tiny(&shape, 7);
        let here = engine(&tiny, &Placement::Cpu);
        let there = on_device(&tiny);
        let expected: Vec<_> =
            (0..8).map(|index| run(&here, request(shape.hidden, index))).collect();
        for round in 0..2 {
            std::thread::scope(|scope| {
                for (index, expected) in expected.iter().enumerate() {
                    let (there, shape) = (&there, &shape);
                    scope.spawn(move || {
                        let found = run(there, request(shape.hidden, index));
                        assert_eq!(found.0, expected.0, "{shape:?} request {index} round {round}");
                        let largest = expected
                            .1
                            .iter()
                            .fold(0.0_f32, |largest, value| largest.max(value.abs()));
                        for (a, b) in found.1.iter().zip(&expected.1) {
                            assert!((a - b).abs() < 2e-3 * largest, "request {index}: {a} for {b}");
                        }
                    });
                }
            });
        }
    }
}
