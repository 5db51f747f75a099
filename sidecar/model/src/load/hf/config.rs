//! A decoder's description from `config.json`.

use super::json::{Fields, out_of_range};
use super::rope;
use crate::arch::Architecture;
use crate::config::{Config, Experts, SlidingWindow};
use crate::error::LoadError;
use crate::kernel::vector::ActivationFn;
use serde_json::Value;

/// Reads the description in `config.json`, and which architecture it is of.
pub(super) fn read(json: &Value) -> Result<(&'static Architecture, Config), LoadError> {
    let fields = Fields::new(json);
    let Some(model_type) = fields.text("model_type") else {
        return Err(LoadError::corrupt("config.json names no model_type"));
    };
    // What a model is built of may stand in the part for text.
    let text = Fields::inside(json.get("text_config"));
    let is_set = |key: &str| fields.is_set(key) || text.is_set(key);
    let architecture = Architecture::from_hf(model_type, is_set)?;
    if let Some(quantization) = fields.get("quantization_config")
        && !(Fields::new(quantization).text("quant_method") == Some("mxfp4")
            && has_packed_experts(architecture))
    {
        return Err(LoadError::unsupported(format!(
            "{model_type} with weights quantized for another program; use the original ones, or a \
             GGUF file"
        )));
    }
    if fields.is_set("clip_qkv") {
        return Err(LoadError::beyond("clamped queries, keys and values"));
    }
    let hidden_size = fields.size("hidden_size", 1 << 17)?;
    let heads = fields.size("num_attention_heads", 1 << 12)?;
    let kv_heads = fields.size_or("num_key_value_heads", heads, 1 << 12)?;
    let head_dim = architecture.hf.head_dim.unwrap_or(hidden_size / heads);
    let head_dim = fields.size_or("head_dim", head_dim, 1 << 12)?;
    if !heads.is_multiple_of(kv_heads) || !head_dim.is_multiple_of(8) {
        return Err(LoadError::beyond(format!(
            "{heads} heads of {head_dim} values over {kv_heads} key heads"
        )));
    }
    let activation = match fields.text("hidden_activation").or_else(|| fields.text("hidden_act")) {
        None => architecture.activation,
        // Which of the two does not depend on what the file says.
        Some("silu") if architecture.activation == ActivationFn::ClampedSwiglu => {
            match fields.number("swiglu_limit")? {
                None => ActivationFn::ClampedSwiglu,
                Some(limit) if limit == f64::from(ActivationFn::LIMIT) => {
                    ActivationFn::ClampedSwiglu
                }
                Some(limit) => return Err(LoadError::beyond(format!("swiglu_limit {limit}"))),
            }
        }
        Some("silu") => ActivationFn::Silu,
        Some("gelu_pytorch_tanh") => ActivationFn::GeluTanh,
        Some(other) => return Err(LoadError::beyond(format!("activation {other}"))),
    };
    let rope = rope::read(fields, architecture, head_dim)?;
    let scaled_dim = match architecture.hf.query_pre_attn_scalar {
        Some(default) => fields.number("query_pre_attn_scalar")?.unwrap_or(default),
        #[allow(clippy::cast_precision_loss)]
        None => head_dim as f64,
    };
    let multiplier = |key: &str| match architecture.hf.has_multipliers {
        true => fields.factor(key, 1.0),
        false => Ok(1.0),
    };
    let layers = fields.size("num_hidden_layers", 1 << 10)?;
    let experts = experts(fields, architecture)?;
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    let config = Config {
        layers,
        hidden_size,
        heads,
        kv_heads,
        head_dim,
        feed_forward_size: match &experts {
            Some(_) if fields.get("moe_intermediate_size").is_some() => {
                fields.size("moe_intermediate_size", 1 << 20)?
            }
            _ => fields.size("intermediate_size", 1 << 20)?,
        },
        experts,
        context_length: fields.size("max_position_embeddings", 1 << 24)?,
        norm_epsilon: fields.number("rms_norm_eps")?.unwrap_or(1e-6) as f32,
        norms: architecture.norms,
        norm_offset: architecture.hf.norm_offset,
        activation,
        embedding_scale: match architecture.scales_embeddings {
            true => (hidden_size as f32).sqrt(),
            false => multiplier("embedding_multiplier")?,
        },
        attention_scale: match architecture.hf.has_multipliers {
            true => multiplier("attention_multiplier")?,
            false => (1.0 / scaled_dim.sqrt()) as f32,
        },
        residual_scale: multiplier("residual_multiplier")?,
        logit_scale: 1.0 / multiplier("logits_scaling")?,
        score_cap: fields.cap("attn_logit_softcapping", architecture.score_cap)?,
        logit_cap: fields.cap("final_logit_softcapping", architecture.logit_cap)?,
        window: window(fields, architecture, rope.base)?,
        rope,
    };
    check_layer_types(fields, &config)?;
    Ok((architecture, config))
}

/// The description of the part for text, where the model has others, too. What that part leaves
/// out, the whole may say; beyond that it has defaults.
pub(super) fn text_part(json: Value) -> Value {
    const INHERITED: [&str; 6] = [
        "tie_word_embeddings",
        "eos_token_id",
        "bos_token_id",
        "vocab_size",
        "quantization_config",
        "rope_theta",
    ];
    let is_known = |json: &Value| {
        Fields::new(json)
            .text("model_type")
            .is_some_and(|name| Architecture::from_hf(name, |_| false).is_ok())
    };
    let text = json.get("text_config").filter(|text| !is_known(&json) && is_known(text));
    let Some(Value::Object(mut text)) = text.cloned() else { return json };
    for key in INHERITED {
        if let Some(value) = json.get(key).filter(|_| !text.contains_key(key)) {
            text.insert(key.to_owned(), value.clone());
        }
    }
    if text.get("model_type").and_then(Value::as_str) == Some("gemma3_text") {
        for (key, default) in [
            ("num_attention_heads", 8_u32),
            ("num_key_value_heads", 4),
            ("max_position_embeddings", 131_072),
            ("sliding_window", 4096),
        ] {
            text.entry(key).or_insert(default.into());
        }
    }
    Value::Object(text)
}

/// Whether the output matrix is the embedding, even if the files hold another.
pub(super) fn is_tied(json: &Value, architecture: &Architecture) -> bool {
    Fields::new(json).bool("tie_word_embeddings").unwrap_or(architecture.hf.tied_embeddings)
}

/// Mixtures of experts, where the architecture has them.
fn experts(fields: Fields<'_>, architecture: &Architecture) -> Result<Option<Experts>, LoadError> {
    let Some(defaults) = &architecture.experts else { return Ok(None) };
    let is_empty = |list: &Value| list.as_array().is_some_and(Vec::is_empty);
    let every = fields.size_or("decoder_sparse_step", 1, 1 << 10)?;
    if every != 1 || fields.get("mlp_only_layers").is_some_and(|list| !is_empty(list)) {
        return Err(LoadError::beyond("a mixture of experts in some blocks only"));
    }
    let key = if fields.get("num_experts").is_some() { "num_experts" } else { "num_local_experts" };
    let count = fields.size(key, 1 << 12)?;
    if count < 2 {
        return Err(out_of_range(key));
    }
    let used = ["num_experts_per_tok", "experts_per_token"];
    let used = used.into_iter().find(|key| fields.get(key).is_some()).unwrap_or(used[0]);
    Ok(Some(Experts {
        count,
        used: fields.size(used, count)?,
        is_normalized: fields.bool("norm_topk_prob").unwrap_or(defaults.is_normalized_in_hf),
        has_shared: defaults.has_shared,
    }))
}

/// Whether experts of this architecture may be stored as MXFP4.
fn has_packed_experts(architecture: &Architecture) -> bool {
    architecture.hf.block_tensors.iter().any(|(_, engine)| engine.ends_with(".codes"))
}

fn window(
    fields: Fields<'_>,
    architecture: &Architecture,
    rope_base: f64,
) -> Result<Option<SlidingWindow>, LoadError> {
    let Some(defaults) = &architecture.hf.window else {
        return match fields.bool("use_sliding_window") {
            Some(true) if fields.get("sliding_window").is_some() => {
                Err(LoadError::unsupported("sliding windows in some blocks of this model type"))
            }
            _ => Ok(None),
        };
    };
    if fields.get("sliding_window").is_none() {
        return Ok(None);
    }
    let tokens = fields.size("sliding_window", 1 << 24)?;
    let Some(rope_base) = defaults.rope.base(rope::windowed_base(fields)?, rope_base) else {
        return Ok(Some(SlidingWindow { tokens, period: defaults.period, rope_base: None }));
    };
    let period = fields.size_or("_sliding_window_pattern", defaults.period, 1 << 10)?;
    let period = fields.size_or("sliding_window_pattern", period, 1 << 10)?;
    Ok(Some(SlidingWindow { tokens, period, rope_base: Some(rope_base) }))
}

/// Some files list which blocks have a sliding window.
fn check_layer_types(fields: Fields<'_>, config: &Config) -> Result<(), LoadError> {
    let Some(types) = fields.get("layer_types").and_then(Value::as_array) else { return Ok(()) };
    let is_windowed = |index: usize| config.is_windowed(index);
    // Models that may be hybrids say by another word which blocks have attention. These rotate only
    // where the file says so.
    let rotates = fields.text("position_embedding_type") == Some("rope");
    let fits = |(index, name): (usize, &Value)| match name.as_str() {
        Some("sliding_attention") => is_windowed(index),
        Some("full_attention") => !is_windowed(index),
        Some("attention") => !is_windowed(index) && rotates,
        _ => false,
    };
    match types.len() == config.layers && types.iter().enumerate().all(fits) {
        true => Ok(()),
        false => Err(LoadError::beyond(
            "layer_types in an order that is not this model type's usual one",
        )),
    }
}

#[cfg(test)]
mod tests;
