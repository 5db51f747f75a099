//! Tiny models with random weights: writers of GGUF files and of Hugging Face folders, and a
//! decoder in f64 that shares no code with the engine.

pub use personaguard_tiny_model::gguf;

pub mod adapter;
pub mod agree;
pub mod hf;
pub mod loading;
pub mod reference;
pub mod tensors;

use gguf::Writer;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::HashMap;

/// What a tiny model is made from.
#[derive(Clone, Debug)]
pub struct Shape {
    pub architecture: &'static str,
    pub layers: usize,
    pub hidden: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub width: usize,
    pub feed_forward: usize,
    pub window: Option<usize>,
    pub rope_factors: bool,
    /// YaRN of this factor, from [`YARN_CONTEXT`].
    pub yarn: Option<f64>,
    pub tied: bool,
    /// Caps of attention scores and of logits, low enough to take effect.
    pub caps: Option<[f32; 2]>,
    /// Whether queries, keys and values have biases.
    pub biases: bool,
    /// Whether queries and keys are normalised.
    pub qk_norms: bool,
    /// Whether RoPE turns neighbouring values of a GGUF file's heads, and not halves of them.
    pub interleaved: bool,
}

impl Shape {
    /// A small model of an architecture. What is not said of an architecture here is that it has
    /// nothing special, so that the engine's own description of it is put to the test.
    pub fn of(architecture: &'static str) -> Self {
        Self {
            architecture,
            layers: match architecture {
                "gemma3" => 7,
                "gemma2" => 4,
                _ => 3,
            },
            hidden: 64,
            heads: 4,
            kv_heads: 2,
            width: 16,
            feed_forward: 96,
            window: architecture.starts_with("gemma").then_some(5),
            rope_factors: false,
            yarn: None,
            tied: architecture != "qwen3",
            caps: (architecture == "gemma2").then_some([3.0, 4.0]),
            biases: architecture == "qwen2",
            qk_norms: ["qwen3", "gemma3"].contains(&architecture),
            interleaved: ["llama", "mistral"].contains(&architecture),
        }
    }

    pub fn is_gemma(&self) -> bool {
        self.architecture.starts_with("gemma")
    }
}

pub const VOCABULARY: usize = 260;
pub const EPSILON: f64 = 1e-5;
pub const BASE: f64 = 50_000.0;
/// Context of training, in tokens, that YaRN stretches.
pub const YARN_CONTEXT: u32 = 256;

/// A model: weights by tensor name, `[row][column]`, and the GGUF file.
pub struct Tiny {
    pub shape: Shape,
    pub tensors: HashMap<String, Vec<f32>>,
    pub file: Vec<u8>,
}

/// A model with weights from a seed, all in F32.
pub fn tiny(shape: &Shape, seed: u64) -> Tiny {
    tiny_with(shape, seed, |_| {})
}

/// The same, with further entries in the header. Of two for one key, the later counts.
pub fn tiny_with(shape: &Shape, seed: u64, more: impl FnOnce(&mut Writer)) -> Tiny {
    let mut random = StdRng::seed_from_u64(seed);
    let mut writer = Writer::default();
    let arch = shape.architecture;
    writer.text("general.architecture", arch);
    writer.text("general.name", "tiny");
    for (key, value) in [
        ("block_count", shape.layers),
        ("context_length", 512),
        ("embedding_length", shape.hidden),
        ("feed_forward_length", shape.feed_forward),
        ("attention.head_count", shape.heads),
        ("attention.head_count_kv", shape.kv_heads),
        ("attention.key_length", shape.width),
        ("attention.value_length", shape.width),
    ] {
        writer.int(&format!("{arch}.{key}"), value as u32);
    }
    if let Some(window) = shape.window {
        writer.int(&format!("{arch}.attention.sliding_window"), window as u32);
    }
    if let Some([score, logit]) = shape.caps {
        writer.float(&format!("{arch}.attn_logit_softcapping"), score);
        writer.float(&format!("{arch}.final_logit_softcapping"), logit);
    }
    writer.float(&format!("{arch}.attention.layer_norm_rms_epsilon"), EPSILON as f32);
    writer.float(&format!("{arch}.rope.freq_base"), BASE as f32);
    if let Some(factor) = shape.yarn {
        writer.text(&format!("{arch}.rope.scaling.type"), "yarn");
        writer.float(&format!("{arch}.rope.scaling.factor"), factor as f32);
        writer.int(&format!("{arch}.rope.scaling.original_context_length"), YARN_CONTEXT);
    }
    writer.byte_tokenizer(VOCABULARY);
    more(&mut writer);

    let mut tensors = HashMap::new();
    if shape.rope_factors {
        let factors = llama3_factors(shape.width);
        writer.tensor_f32("rope_freqs.weight", 1, factors.len(), &factors);
        tensors.insert("rope_freqs.weight".to_owned(), factors);
    }
    let mut add = |name: String, rows: usize, columns: usize, middle: f32, spread: f32| {
        let values: Vec<f32> =
            (0..rows * columns).map(|_| middle + random.random_range(-spread..spread)).collect();
        writer.tensor_f32(&name, rows, columns, &values);
        tensors.insert(name, values);
    };
    let (inner, kv) = (shape.heads * shape.width, shape.kv_heads * shape.width);
    add("token_embd.weight".into(), VOCABULARY, shape.hidden, 0.0, 1.0);
    add("output_norm.weight".into(), 1, shape.hidden, 1.0, 0.3);
    if !shape.tied {
        add("output.weight".into(), VOCABULARY, shape.hidden, 0.0, 0.3);
    }
    for layer in 0..shape.layers {
        let mut block = |part: &str, rows, columns, middle, spread| {
            add(format!("blk.{layer}.{part}"), rows, columns, middle, spread);
        };
        block("attn_norm.weight", 1, shape.hidden, 1.0, 0.3);
        block("attn_q.weight", inner, shape.hidden, 0.0, 0.3);
        block("attn_k.weight", kv, shape.hidden, 0.0, 0.3);
        block("attn_v.weight", kv, shape.hidden, 0.0, 0.3);
        block("attn_output.weight", shape.hidden, inner, 0.0, 0.2);
        block("ffn_norm.weight", 1, shape.hidden, 1.0, 0.3);
        block("ffn_gate.weight", shape.feed_forward, shape.hidden, 0.0, 0.3);
        block("ffn_up.weight", shape.feed_forward, shape.hidden, 0.0, 0.3);
        block("ffn_down.weight", shape.hidden, shape.feed_forward, 0.0, 0.2);
        if shape.biases {
            block("attn_q.bias", 1, inner, 0.0, 0.5);
            block("attn_k.bias", 1, kv, 0.0, 0.5);
            block("attn_v.bias", 1, kv, 0.0, 0.5);
        }
        if shape.qk_norms {
            block("attn_q_norm.weight", 1, shape.width, 1.0, 0.3);
            block("attn_k_norm.weight", 1, shape.width, 1.0, 0.3);
        }
        if shape.is_gemma() {
            block("post_attention_norm.weight", 1, shape.hidden, 1.0, 0.3);
            block("post_ffw_norm.weight", 1, shape.hidden, 1.0, 0.3);
        }
    }
    Tiny { shape: shape.clone(), tensors, file: writer.finish() }
}

/// Llama 3's scaling by its published rule: by 8, beginning at waves of 16 positions, in full from
/// 64 positions on.
fn llama3_factors(width: usize) -> Vec<f32> {
    let factor = |pair: usize| {
        let wave = 2.0 * std::f64::consts::PI / BASE.powf(-2.0 * pair as f64 / width as f64);
        let smooth = ((64.0 / wave - 1.0) / 3.0).clamp(0.0, 1.0);
        (1.0 / ((1.0 - smooth) / 8.0 + smooth)) as f32
    };
    (0..width / 2).map(factor).collect()
}
