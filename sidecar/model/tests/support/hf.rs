//! A writer of Hugging Face folders.

use super::{
    BASE, CONTEXT, EPSILON, LONG_ROPE_CONTEXT, QkNorms, Shape, Stored, Tiny, VOCABULARY,
    YARN_CONTEXT, gpt_oss, together,
};
use half::{bf16, f16};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Clone, Copy, Debug)]
pub enum Dtype {
    F32,
    F16,
    Bf16,
}

impl Dtype {
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
        }
    }

    /// A value's bytes, and the value after rounding.
    pub fn store(self, value: f32) -> (Vec<u8>, f32) {
        match self {
            Self::F32 => (value.to_le_bytes().to_vec(), value),
            Self::F16 => {
                (f16::from_f32(value).to_le_bytes().to_vec(), f16::from_f32(value).to_f32())
            }
            Self::Bf16 => {
                (bf16::from_f32(value).to_le_bytes().to_vec(), bf16::from_f32(value).to_f32())
            }
        }
    }
}

/// Tensors of a file by name: type, shape and bytes.
type Tensors = BTreeMap<String, (&'static str, Vec<usize>, Vec<u8>)>;

/// Writes the model as a folder. The model's own tensors are rounded as the folder's are.
pub fn folder(tiny: &mut Tiny, dtype: Dtype, shards: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let shape = tiny.shape.clone();
    let mut files: Vec<Tensors> = vec![BTreeMap::new(); shards];
    let mut names: Vec<String> =
        tiny.tensors.keys().filter(|name| *name != "rope_freqs.weight").cloned().collect();
    names.sort();
    let mut stored = Vec::new();
    let mut whole = Vec::new();
    let is_gpt_oss = shape.architecture == "gpt-oss";
    let of_experts = |name: &str| {
        is_gpt_oss && name.split('.').nth(3).is_some_and(|part| part.parse::<usize>().is_ok())
    };
    for name in &names {
        let values = tiny.tensors.get_mut(name).unwrap();
        let norm = if name.contains("norm") { shape.norm_offset } else { 0.0 };
        let mut bytes: Vec<Vec<u8>> = Vec::new();
        for value in values.iter_mut() {
            let (stored, rounded) = dtype.store(*value - norm);
            *value = rounded + norm;
            bytes.push(stored);
        }
        let columns = columns(name, &shape);
        if shape.interleaved && (name.contains("attn_q.") || name.contains("attn_k.")) {
            // Hugging Face rotates value i with i + width / 2, GGUF's llama value 2i with 2i + 1.
            let half = shape.width / 2;
            let row = if name.ends_with("bias") { 1 } else { columns };
            let rows: Vec<_> = bytes.chunks(row).map(<[Vec<u8>]>::to_vec).collect();
            let from = |row: usize| {
                let (head, at) = (row / shape.width, row % shape.width);
                head * shape.width + if at < half { 2 * at } else { 2 * (at - half) + 1 }
            };
            bytes = (0..rows.len()).flat_map(|row| rows[from(row)].clone()).collect();
        }
        if !of_experts(name) {
            stored.push((hf_name(name, &shape), columns, bytes));
        }
    }
    if is_gpt_oss {
        whole = gpt_oss::experts(tiny, dtype);
    }
    let gate_and_up = &["mlp.gate_proj.weight", "mlp.up_proj.weight"][..];
    let attention =
        &["self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight"][..];
    let groups: &[(&[&str], &str)] = match shape.stored {
        Stored::Apart | Stored::ExpertsApart | Stored::ExpertsTogether => &[],
        Stored::Together => {
            &[(attention, "self_attn.qkv_proj.weight"), (gate_and_up, "mlp.gate_up_proj.weight")]
        }
        Stored::Granite4 => &[
            (gate_and_up, "shared_mlp.input_linear.weight"),
            (&["mlp.down_proj.weight"], "shared_mlp.output_linear.weight"),
        ],
    };
    for (index, (name, columns, bytes)) in together(&stored, groups).into_iter().enumerate() {
        let size = if columns == bytes.len() {
            vec![columns]
        } else {
            vec![bytes.len() / columns, columns]
        };
        files[index % shards].insert(name, (dtype.name(), size, bytes.concat()));
    }
    for (index, (name, tensor)) in whole.into_iter().enumerate() {
        files[index % shards].insert(name, tensor);
    }
    let mut map = BTreeMap::new();
    for (index, tensors) in files.iter().enumerate() {
        let file = match shards {
            1 => "model.safetensors".to_owned(),
            _ => format!("model-{:05}-of-{shards:05}.safetensors", index + 1),
        };
        map.extend(tensors.keys().map(|name| (name.clone(), file.clone())));
        std::fs::write(folder.path().join(file), safetensors(tensors)).unwrap();
    }
    if shards > 1 {
        write(folder.path(), "model.safetensors.index.json", &json!({ "weight_map": map }));
    }
    write(folder.path(), "config.json", &config(&shape));
    write(folder.path(), "tokenizer.json", &byte_tokenizer());
    folder
}

pub fn write(folder: &Path, name: &str, json: &Value) {
    std::fs::write(folder.join(name), json.to_string()).unwrap();
}

fn columns(name: &str, shape: &Shape) -> usize {
    let part = name.split('.').nth(2).unwrap_or_default();
    match part {
        "attn_q" if name.ends_with("bias") => shape.heads * shape.width,
        "attn_k" | "attn_v" if name.ends_with("bias") => shape.kv_heads * shape.width,
        "attn_output" if name.ends_with("weight") => shape.heads * shape.width,
        "ffn_down" if name.ends_with("weight") => shape.feed_forward,
        "ffn_gate" | "ffn_up" if name.ends_with("bias") => shape.feed_forward,
        "ffn_gate_inp" if name.ends_with("bias") => {
            shape.experts.map_or(shape.hidden, |[count, _]| count)
        }
        "ffn_down_shexp" => shape.shared_expert.unwrap_or(shape.hidden),
        "attn_sinks" => shape.heads,
        "attn_q_norm" | "attn_k_norm" if shape.qk_norms == Some(QkNorms::Head) => shape.width,
        "attn_q_norm" => shape.heads * shape.width,
        "attn_k_norm" => shape.kv_heads * shape.width,
        _ => shape.hidden,
    }
}

fn hf_name(name: &str, shape: &Shape) -> String {
    let Some(rest) = name.strip_prefix("blk.") else {
        let known = match name {
            "token_embd.weight" => "model.embed_tokens.weight",
            "output_norm.weight" => "model.norm.weight",
            "output.weight" => "lm_head.weight",
            other => panic!("{other}"),
        };
        return known.to_owned();
    };
    let (layer, part) = rest.split_once('.').unwrap();
    let (part, kind) = part.split_once('.').unwrap();
    let part = match part {
        "attn_norm" => "input_layernorm",
        "attn_q" => "self_attn.q_proj",
        "attn_k" => "self_attn.k_proj",
        "attn_v" => "self_attn.v_proj",
        "attn_output" => "self_attn.o_proj",
        "attn_q_norm" => "self_attn.q_norm",
        "attn_k_norm" => "self_attn.k_norm",
        "ffn_norm" if shape.norms == [true, true] => "pre_feedforward_layernorm",
        "ffn_norm" | "post_attention_norm" => "post_attention_layernorm",
        "post_ffw_norm" => "post_feedforward_layernorm",
        "ffn_gate_inp" if shape.architecture == "mixtral" => "block_sparse_moe.gate",
        "ffn_gate_inp" if shape.architecture == "gpt-oss" => "mlp.router",
        "ffn_gate_inp" => "mlp.gate",
        "ffn_gate" if shape.architecture == "mixtral" => "block_sparse_moe.w1",
        "ffn_up" if shape.architecture == "mixtral" => "block_sparse_moe.w3",
        "ffn_down" if shape.architecture == "mixtral" => "block_sparse_moe.w2",
        "ffn_gate_shexp" => "mlp.shared_expert.gate_proj",
        "ffn_up_shexp" => "mlp.shared_expert.up_proj",
        "ffn_down_shexp" => "mlp.shared_expert.down_proj",
        "ffn_gate_inp_shexp" => "mlp.shared_expert_gate",
        "attn_sinks" => return format!("model.layers.{layer}.self_attn.sinks"),
        "ffn_gate" => "mlp.gate_proj",
        "ffn_up" => "mlp.up_proj",
        "ffn_down" => "mlp.down_proj",
        other => panic!("{other}"),
    };
    // Of a mixture, the expert's number comes first.
    match (kind.split_once('.'), part.split_once('.')) {
        (Some((expert, kind)), Some((before, part))) => {
            format!("model.layers.{layer}.{before}.experts.{expert}.{part}.{kind}")
        }
        _ => format!("model.layers.{layer}.{part}.{kind}"),
    }
}

fn safetensors(tensors: &Tensors) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    header.insert("__metadata__".into(), json!({"format": "pt"}));
    for (name, (dtype, shape, bytes)) in tensors {
        let offsets = [data.len(), data.len() + bytes.len()];
        header
            .insert(name.clone(), json!({"dtype": dtype, "shape": shape, "data_offsets": offsets}));
        data.extend(bytes);
    }
    let header = Value::Object(header).to_string();
    [(header.len() as u64).to_le_bytes().as_slice(), header.as_bytes(), &data].concat()
}

fn config(shape: &Shape) -> Value {
    let [embedding, attention, residual, logits] =
        shape.multipliers.map_or([None; 4], |factors| factors.map(Some));
    let architecture = match (shape.architecture, shape.window) {
        ("llama", Some(_)) => "mistral",
        (other, _) => other,
    };
    let mut known = personaguard_model::architectures();
    let is_it = |(gguf, hf): &(&str, &str)| [*gguf, *hf].contains(&architecture);
    let (_, model_type) = known.find(is_it).unwrap();
    let says_experts = ["mixtral", "gpt-oss"].contains(&architecture);
    let is_granite_4 = shape.stored == Stored::Granite4;
    let model_type = if is_granite_4 { "granitemoehybrid" } else { model_type };
    let long_rope = || {
        let [short, long] = shape.long_rope_factors();
        json!({"type": "longrope", "short_factor": short, "long_factor": long})
    };
    let llama3 = json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64});
    let yarn = |factor: f64| {
        let truncate = (!shape.rounded_yarn).then_some(false);
        json!({"type": "yarn", "factor": factor, "truncate": truncate,
        "original_max_position_embeddings": YARN_CONTEXT})
    };
    json!({
        "model_type": model_type,
        "hidden_size": shape.hidden, "num_hidden_layers": shape.layers,
        "intermediate_size": if shape.has_expert_size() { 100 } else { shape.feed_forward },
        "num_attention_heads": shape.heads, "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.width,
        "max_position_embeddings": CONTEXT, "vocab_size": VOCABULARY, "rms_norm_eps": EPSILON,
        "rope_theta": BASE,
        "rope_scaling": shape.yarn.map(yarn).or(shape.rope_factors.then_some(llama3))
            .or(shape.long_rope.map(|_| long_rope())),
        "original_max_position_embeddings": shape.long_rope.map(|_| LONG_ROPE_CONTEXT),
        "partial_rotary_factor": shape.rotated.map(|rotated| rotated as f64 / shape.width as f64),
        "layer_types": is_granite_4.then(|| vec!["attention"; shape.layers]),
        "position_embedding_type": is_granite_4.then_some("rope"),
        "num_local_experts": shape.experts.filter(|_| says_experts).map(|[count, _]| count)
            .or(is_granite_4.then_some(0)),
        "num_experts": shape.experts.filter(|_| !says_experts).map(|[count, _]| count),
        "hidden_act": shape.clamped.then_some("silu"),
        "swiglu_limit": shape.clamped.then_some(7.0),
        "quantization_config": shape.mxfp4.then(|| json!({"quant_method": "mxfp4"})),
        "num_experts_per_tok": shape.experts.map(|[_, used]| used),
        "moe_intermediate_size": shape.has_expert_size().then_some(shape.feed_forward),
        "norm_topk_prob": shape.experts.filter(|_| !says_experts)
            .map(|_| shape.normalized_experts),
        "sliding_window": shape.window, "query_pre_attn_scalar": shape.gelu.then_some(shape.width),
        "embedding_multiplier": embedding, "attention_multiplier": attention,
        "residual_multiplier": residual, "logits_scaling": logits,
        "attn_logit_softcapping": shape.caps.map(|[score, _]| score),
        "final_logit_softcapping": shape.caps.map(|[_, logit]| logit),
        "tie_word_embeddings": shape.tied, "eos_token_id": 256,
    })
}

/// 256 bytes without merges, then special tokens.
pub fn byte_tokenizer() -> Value {
    let printable = (33..=126_u32).chain(161..=172).chain(174..=255).chain(256..=323);
    let words = printable.filter_map(char::from_u32).map(String::from).zip(0..);
    let special = |id: usize| {
        json!({"id": id, "content": format!("<|control {id}|>"), "special": true,
            "normalized": false,
            "lstrip": false, "rstrip": false, "single_word": false})
    };
    json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "post_processor": null,
        "added_tokens": (256..VOCABULARY).map(special).collect::<Vec<_>>(),
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
        "use_regex": true},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true,
        "use_regex": true},
        "model": {"type": "BPE", "vocab": words.collect::<std::collections::HashMap<String,
        u32>>(), "merges": []},
    })
}
