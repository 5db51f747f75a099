//! A writer of LoRA adapters in PEFT's format.

use super::Tiny;
use super::agree::vector;
use super::hf;
use personaguard_model::{LoadError, LoadOptions, Model};
use serde_json::{Value, json};
use std::path::Path;

pub const RANK: usize = 3;
pub const ALPHA: f64 = 6.0;
/// Modules, and GGUF's names for them.
pub const MODULES: [(&str, &str); 7] = [
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
];

/// Name, shape, values.
pub type Tensor = (String, [usize; 2], Vec<f32>);

pub fn write(folder: &Path, config: &Value, tensors: &[Tensor]) {
    hf::write(folder, "adapter_config.json", config);
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, shape, values) in tensors {
        let offsets = [data.len(), data.len() + 4 * values.len()];
        header
            .insert(name.clone(), json!({"dtype": "F32", "shape": shape, "data_offsets": offsets}));
        data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }
    let header = Value::Object(header).to_string();
    let file = [(header.len() as u64).to_le_bytes().as_slice(), header.as_bytes(), &data].concat();
    std::fs::write(folder.join("adapter_model.safetensors"), file).unwrap();
}

pub fn config() -> Value {
    json!({"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, "bias": "none",
        "fan_in_fan_out": false,
        "rank_pattern": {}, "alpha_pattern": {}, "modules_to_save": null, "use_dora": false,
        "use_rslora": false,
        "target_modules": ["q_proj"], "task_type": "CAUSAL_LM", "lora_dropout": 0.05})
}

/// An adapter of every linear layer of every block. The same is merged, in f64, into the tiny
/// model's tensors.
pub fn adapt(tiny: &mut Tiny, scale: f64) -> Vec<Tensor> {
    let mut tensors = Vec::new();
    let shape = tiny.shape.clone();
    for block in 0..shape.layers {
        for (module, part) in MODULES {
            let weight = tiny.tensors.get_mut(&format!("blk.{block}.{part}.weight")).unwrap();
            let columns = match part {
                "attn_output" => shape.heads * shape.width,
                "ffn_down" => shape.feed_forward,
                _ => shape.hidden,
            };
            let rows = weight.len() / columns;
            let seed = (block * 100 + part.len()) as u64;
            let a: Vec<f32> =
                vector(RANK * columns, seed).iter().map(|value| value * 0.12).collect();
            let b: Vec<f32> =
                vector(rows * RANK, seed + 50).iter().map(|value| value * 0.12).collect();
            for row in 0..rows {
                // Hugging Face rotates value i with i + width / 2, GGUF's llama value 2i with 2i +
                // 1.
                let (head, at, half) = (row / shape.width, row % shape.width, shape.width / 2);
                let to = match shape.interleaved && ["attn_q", "attn_k"].contains(&part) {
                    true => {
                        head * shape.width + if at < half { 2 * at } else { 2 * (at - half) + 1 }
                    }
                    false => row,
                };
                for column in 0..columns {
                    let sum: f64 = (0..RANK)
                        .map(|k| f64::from(b[row * RANK + k]) * f64::from(a[k * columns + column]))
                        .sum();
                    let value = &mut weight[to * columns + column];
                    *value = (f64::from(*value) + scale * sum) as f32;
                }
            }
            let name = |side: &str| {
                format!("base_model.model.model.layers.{block}.{module}.lora_{side}.weight")
            };
            tensors.push((name("A"), [RANK, columns], a));
            tensors.push((name("B"), [rows, RANK], b));
        }
    }
    tensors
}

pub fn load(base: &Path, adapter: &Path) -> Result<Model, LoadError> {
    let options = LoadOptions {
        threads: Some(2),
        adapter: Some(adapter.to_path_buf()),
        ..LoadOptions::default()
    };
    Model::load(base, &options)
}
