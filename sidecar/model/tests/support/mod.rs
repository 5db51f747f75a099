//! Tiny models with random weights: writers of GGUF files and of Hugging Face folders, and a
//! decoder in f64 that shares no code with the engine.

pub use personaguard_tiny_model::gguf;

pub mod adapter;
pub mod agree;
pub mod gpt_oss;
pub mod hf;
pub mod loading;
pub mod mxfp4;
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
    /// The last of as many blocks has no window; 1 where all have one.
    pub window_period: usize,
    /// RoPE base of blocks with a window, where it is another.
    pub window_base: Option<f64>,
    pub rope_factors: bool,
    /// YaRN of this factor, from [`YARN_CONTEXT`].
    pub yarn: Option<f64>,
    pub tied: bool,
    /// Caps of attention scores and of logits, low enough to take effect.
    pub caps: Option<[f32; 2]>,
    /// Whether queries, keys and values have biases.
    pub biases: bool,
    /// Whether queries and keys are normalised, and over what.
    pub qk_norms: Option<QkNorms>,
    /// Whether what layers read from the residual stream is normalised, and whether what they add.
    pub norms: [bool; 2],
    /// What the reader of a folder adds to factors of norms.
    pub norm_offset: f32,
    /// Whether the feed-forward layers have GELU, and not SiLU.
    pub gelu: bool,
    /// Factors on embeddings, attention scores and what layers add, and a divisor of logits, in
    /// this order.
    pub multipliers: Option<[f32; 4]>,
    /// LongRoPE, from [`LONG_ROPE_CONTEXT`], with the factors for short contexts or for long ones.
    pub long_rope: Option<LongRope>,
    /// How many values of a head RoPE turns; all where it is not said.
    pub rotated: Option<usize>,
    pub stored: Stored,
    /// Of a mixture, their number, and to how many of them a token goes.
    pub experts: Option<[usize; 2]>,
    /// Whether the weights of the experts of a token are scaled to a sum of 1.
    pub normalized_experts: bool,
    /// Of a mixture, the size of a layer beside the experts that every token goes through.
    pub shared_expert: Option<usize>,
    /// Whether the matrices of experts are in MXFP4.
    pub mxfp4: bool,
    /// Whether the output of attention, the router and experts have biases.
    pub further_biases: bool,
    /// Whether some attention goes to nothing.
    pub sinks: bool,
    /// Whether the feed-forward layers have gpt-oss's activation.
    pub clamped: bool,
    /// Whether YaRN's bounds are whole pairs.
    pub rounded_yarn: bool,
    /// Whether RoPE turns neighbouring values of a GGUF file's heads, and not halves of them.
    pub interleaved: bool,
}

/// What a norm of queries and keys takes together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QkNorms {
    Head,
    AllHeads,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LongRope {
    Short,
    Long,
}

/// Which matrices files store as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    Apart,
    /// Queries, keys and values, and gate and up.
    Together,
    /// Gate and up of a folder, under Granite 4's names.
    Granite4,
    /// Gate and up of a GGUF file's experts.
    ExpertsTogether,
    /// The matrices of a GGUF file's experts one by one, as in old files.
    ExpertsApart,
}

impl Shape {
    /// A small model of an architecture. What is not said of an architecture here is that it has
    /// nothing special, so that the engine's own description of it is put to the test.
    pub fn of(architecture: &'static str) -> Self {
        Self {
            architecture,
            layers: match architecture {
                "gemma3" => 7,
                "gemma2" | "gpt-oss" => 4,
                _ => 3,
            },
            hidden: 64,
            heads: 4,
            kv_heads: 2,
            width: 16,
            feed_forward: 96,
            window: match architecture {
                "gemma2" | "gemma3" | "gpt-oss" => Some(5),
                "phi3" => Some(9),
                _ => None,
            },
            window_period: match architecture {
                "gemma3" => 6,
                "gemma2" | "gpt-oss" => 2,
                _ => 1,
            },
            window_base: (architecture == "gemma3").then_some(10_000.0),
            rope_factors: false,
            yarn: (architecture == "gpt-oss").then_some(8.0),
            tied: architecture != "qwen3",
            caps: (architecture == "gemma2").then_some([3.0, 4.0]),
            biases: ["qwen2", "qwen2moe", "gpt-oss"].contains(&architecture),
            qk_norms: match architecture {
                "qwen3" | "qwen3moe" | "gemma3" => Some(QkNorms::Head),
                "olmo2" | "olmoe" => Some(QkNorms::AllHeads),
                _ => None,
            },
            norms: match architecture {
                "gemma2" | "gemma3" => [true, true],
                "olmo2" => [false, true],
                _ => [true, false],
            },
            norm_offset: if architecture.starts_with("gemma") { 1.0 } else { 0.0 },
            gelu: architecture.starts_with("gemma"),
            multipliers: (architecture == "granite").then_some([1.5, 0.3, 0.4, 2.5]),
            long_rope: None,
            rotated: (architecture == "phi3").then_some(12),
            stored: if architecture == "phi3" { Stored::Together } else { Stored::Apart },
            experts: ["qwen2moe", "qwen3moe", "olmoe", "mixtral", "gpt-oss"]
                .contains(&architecture)
                .then_some([6, 2]),
            normalized_experts: ["qwen3moe", "mixtral", "gpt-oss"].contains(&architecture),
            shared_expert: (architecture == "qwen2moe").then_some(160),
            mxfp4: false,
            further_biases: architecture == "gpt-oss",
            sinks: architecture == "gpt-oss",
            clamped: architecture == "gpt-oss",
            rounded_yarn: architecture != "gpt-oss",
            interleaved: ["llama", "mistral", "mixtral", "granite"].contains(&architecture),
        }
    }

    /// How many values of a head RoPE turns.
    pub fn rotated(&self) -> usize {
        self.rotated.unwrap_or(self.width)
    }

    /// LongRoPE's divisors of frequencies for short contexts, and for long ones.
    pub fn long_rope_factors(&self) -> [Vec<f32>; 2] {
        let pairs = || (0..self.rotated() / 2).map(|pair| pair as f32);
        [pairs().map(|pair| 1.0 + 0.1 * pair).collect(), pairs().map(|pair| 2.0 + pair).collect()]
    }

    /// What GGUF files call the architecture.
    pub fn gguf_name(&self) -> &'static str {
        if self.architecture == "mixtral" { "llama" } else { self.architecture }
    }

    /// Whether files give experts a size of their own.
    pub fn has_expert_size(&self) -> bool {
        ["qwen2moe", "qwen3moe"].contains(&self.architecture)
    }

    /// Factor on embeddings.
    pub fn embedding_factor(&self) -> f64 {
        match self.multipliers {
            Some([embedding, ..]) => f64::from(embedding),
            None if self.architecture.starts_with("gemma") => {
                f64::from((self.hidden as f32).sqrt())
            }
            None => 1.0,
        }
    }
}

pub const VOCABULARY: usize = 260;
pub const EPSILON: f64 = 1e-5;
pub const BASE: f64 = 50_000.0;
/// Context of training, in tokens, that YaRN stretches.
pub const YARN_CONTEXT: u32 = 256;
/// Longest context, in tokens.
pub const CONTEXT: u32 = 512;
/// Context of training, in tokens, in models with LongRoPE.
pub const LONG_ROPE_CONTEXT: u32 = 64;

/// LongRoPE's factor on rotated values.
pub fn long_rope_length() -> f64 {
    let [context, trained] = [CONTEXT, LONG_ROPE_CONTEXT].map(f64::from);
    (1.0 + (context / trained).ln() / trained.ln()).sqrt()
}

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
    let arch = shape.gguf_name();
    writer.text("general.architecture", arch);
    writer.text("general.name", "tiny");
    for (key, value) in [
        ("block_count", shape.layers),
        ("context_length", CONTEXT as usize),
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
    if let Some([embedding, attention, residual, logits]) = shape.multipliers {
        writer.float(&format!("{arch}.embedding_scale"), embedding);
        writer.float(&format!("{arch}.attention.scale"), attention);
        writer.float(&format!("{arch}.residual_scale"), residual);
        writer.float(&format!("{arch}.logit_scale"), logits);
    }
    writer.float(&format!("{arch}.attention.layer_norm_rms_epsilon"), EPSILON as f32);
    writer.float(&format!("{arch}.rope.freq_base"), BASE as f32);
    if let Some(factor) = shape.yarn {
        writer.text(&format!("{arch}.rope.scaling.type"), "yarn");
        writer.float(&format!("{arch}.rope.scaling.factor"), factor as f32);
        writer.int(&format!("{arch}.rope.scaling.original_context_length"), YARN_CONTEXT);
    }
    if let Some([count, used]) = shape.experts {
        writer.int(&format!("{arch}.expert_count"), count as u32);
        writer.int(&format!("{arch}.expert_used_count"), used as u32);
        if shape.has_expert_size() {
            // What one layer would have in their place.
            writer.int(&format!("{arch}.feed_forward_length"), 100);
            writer.int(&format!("{arch}.expert_feed_forward_length"), shape.feed_forward as u32);
        }
    }
    if let Some(rotated) = shape.rotated {
        writer.int(&format!("{arch}.rope.dimension_count"), rotated as u32);
    }
    if shape.long_rope.is_some() {
        writer.int(&format!("{arch}.rope.scaling.original_context_length"), LONG_ROPE_CONTEXT);
        writer.float(&format!("{arch}.rope.scaling.attn_factor"), long_rope_length() as f32);
        for (name, factors) in ["short", "long"].iter().zip(shape.long_rope_factors()) {
            let name = format!("rope_factors_{name}.weight");
            writer.tensor_f32(&name, 1, factors.len(), &factors);
        }
    }
    writer.byte_tokenizer(VOCABULARY);
    more(&mut writer);

    let mut tensors = HashMap::new();
    let mut stored = Vec::new();
    if shape.rope_factors {
        let factors = llama3_factors(shape.width);
        writer.tensor_f32("rope_freqs.weight", 1, factors.len(), &factors);
        tensors.insert("rope_freqs.weight".to_owned(), factors);
    }
    let mut add = |name: String, rows: usize, columns: usize, middle: f32, spread: f32| {
        let values: Vec<f32> = match shape.mxfp4 && mxfp4::is_packed(&name) {
            true => mxfp4::values(rows * columns, &mut random),
            false => {
                (0..rows * columns).map(|_| middle + random.random_range(-spread..spread)).collect()
            }
        };
        stored.push((name.clone(), columns, values.clone()));
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
        let [before, after] = shape.norms;
        if before {
            block("attn_norm.weight", 1, shape.hidden, 1.0, 0.3);
        }
        block("attn_q.weight", inner, shape.hidden, 0.0, 0.3);
        block("attn_k.weight", kv, shape.hidden, 0.0, 0.3);
        block("attn_v.weight", kv, shape.hidden, 0.0, 0.3);
        block("attn_output.weight", shape.hidden, inner, 0.0, 0.2);
        if before {
            block("ffn_norm.weight", 1, shape.hidden, 1.0, 0.3);
        }
        // Without a mixture there is one layer, of no number.
        let experts = shape.experts.map(|[count, _]| {
            block("ffn_gate_inp.weight", count, shape.hidden, 0.0, 0.5);
            (0..count).map(|expert| format!(".{expert}")).collect()
        });
        for expert in experts.unwrap_or_else(|| vec![String::new()]) {
            let mut layer = |part: &str, rows, columns, spread| {
                block(&format!("{part}{expert}.weight"), rows, columns, 0.0, spread);
            };
            layer("ffn_gate", shape.feed_forward, shape.hidden, 0.3);
            layer("ffn_up", shape.feed_forward, shape.hidden, 0.3);
            layer("ffn_down", shape.hidden, shape.feed_forward, 0.2);
            if shape.further_biases {
                // Large enough to come to the bounds of the activation.
                block(&format!("ffn_gate{expert}.bias"), 1, shape.feed_forward, 0.0, 8.0);
                block(&format!("ffn_up{expert}.bias"), 1, shape.feed_forward, 0.0, 8.0);
                block(&format!("ffn_down{expert}.bias"), 1, shape.hidden, 0.0, 0.5);
            }
        }
        if shape.further_biases {
            block("attn_output.bias", 1, shape.hidden, 0.0, 0.5);
        }
        if let Some([count, _]) = shape.experts.filter(|_| shape.further_biases) {
            block("ffn_gate_inp.bias", 1, count, 0.0, 0.5);
        }
        if let Some(size) = shape.shared_expert {
            block("ffn_gate_shexp.weight", size, shape.hidden, 0.0, 0.3);
            block("ffn_up_shexp.weight", size, shape.hidden, 0.0, 0.3);
            block("ffn_down_shexp.weight", shape.hidden, size, 0.0, 0.2);
            block("ffn_gate_inp_shexp.weight", 1, shape.hidden, 0.0, 0.3);
        }
        if shape.sinks {
            block("attn_sinks.weight", 1, shape.heads, 1.0, 2.0);
        }
        if shape.biases {
            block("attn_q.bias", 1, inner, 0.0, 0.5);
            block("attn_k.bias", 1, kv, 0.0, 0.5);
            block("attn_v.bias", 1, kv, 0.0, 0.5);
        }
        if let Some(over) = shape.qk_norms {
            let [query, key] = match over {
                QkNorms::Head => [shape.width; 2],
                QkNorms::AllHeads => [inner, kv],
            };
            block("attn_q_norm.weight", 1, query, 1.0, 0.3);
            block("attn_k_norm.weight", 1, key, 1.0, 0.3);
        }
        if after {
            block("post_attention_norm.weight", 1, shape.hidden, 1.0, 0.3);
            block("post_ffw_norm.weight", 1, shape.hidden, 1.0, 0.3);
        }
    }
    if shape.stored == Stored::Together {
        let gate_and_up = (&["ffn_gate.weight", "ffn_up.weight"][..], "ffn_up.weight");
        let attention = &["attn_q.weight", "attn_k.weight", "attn_v.weight"][..];
        stored = together(&stored, &[(attention, "attn_qkv.weight"), gate_and_up]);
    }
    if let Some([count, _]) = shape.experts.filter(|_| shape.stored != Stored::ExpertsApart) {
        let kinds: &[&str] = if shape.further_biases { &["weight", "bias"] } else { &["weight"] };
        let groups: &[&[&str]] = match shape.stored {
            Stored::ExpertsTogether => &[&["ffn_gate", "ffn_up"], &["ffn_down"]],
            _ => &[&["ffn_gate"], &["ffn_up"], &["ffn_down"]],
        };
        for (group, kind) in groups.iter().flat_map(|group| kinds.iter().map(move |k| (group, k))) {
            let of = |expert| group.iter().map(move |part| format!("{part}.{expert}.{kind}"));
            let parts: Vec<String> = (0..count).flat_map(of).collect();
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            let whole = if group.len() == 2 { "ffn_gate_up" } else { group[0] };
            stored = together(&stored, &[(&parts, &format!("{whole}_exps.{kind}"))]);
        }
    }
    for (name, columns, values) in stored {
        let rows = values.len() / columns;
        let name = match arch {
            "gpt-oss" => name.replace("ffn_norm", "post_attention_norm"),
            _ => name,
        };
        match shape.mxfp4 && mxfp4::is_packed(&name) {
            true => writer.tensor(&name, rows, columns, 39, &mxfp4::blocks(&values)),
            false => writer.tensor_f32(&name, rows, columns, &values),
        }
    }
    Tiny { shape: shape.clone(), tensors, file: writer.finish() }
}

/// A tensor's name, columns and values.
pub type Stack<V> = (String, usize, Vec<V>);

/// Stacks tensors whose names end with parts, in their order, in place of the first.
pub fn together<V: Clone>(tensors: &[Stack<V>], groups: &[(&[&str], &str)]) -> Vec<Stack<V>> {
    let mut all = Vec::new();
    for (name, columns, values) in tensors {
        let group = groups.iter().find(|(parts, _)| parts.iter().any(|part| name.ends_with(part)));
        let Some((parts, whole)) = group else {
            all.push((name.clone(), *columns, values.clone()));
            continue;
        };
        let Some(before) = name.strip_suffix(parts[0]) else { continue };
        let values = parts.iter().flat_map(|part| {
            let part = format!("{before}{part}");
            tensors.iter().find(|(name, ..)| *name == part).unwrap().2.clone()
        });
        all.push((format!("{before}{whole}"), *columns, values.collect()));
    }
    all
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
