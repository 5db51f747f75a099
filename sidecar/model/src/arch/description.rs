//! What an architecture's files leave unsaid.

use crate::config::{NormPlacement, RopeLayout};
use crate::kernel::vector::ActivationFn;

/// An architecture: its names, and what the engine assumes where its files say nothing.
///
/// Tensors have almost the same names in all GGUF files; these are the engine's own names for them.
#[derive(Debug)]
pub(crate) struct Architecture {
    pub(crate) gguf: GgufDefaults,
    pub(crate) hf: HfDefaults,
    /// See [`crate::config::Config::norms`].
    pub(crate) norms: NormPlacement,
    /// Of feed-forward layers that are mixtures of experts.
    pub(crate) experts: Option<ExpertDefaults>,
    /// Activation function of the feed-forward layers.
    pub(crate) activation: ActivationFn,
    /// Whether embeddings are multiplied by √hidden_size.
    pub(crate) scales_embeddings: bool,
    /// See [`crate::config::Config::score_cap`].
    pub(crate) score_cap: Option<f32>,
    /// See [`crate::config::Config::logit_cap`].
    pub(crate) logit_cap: Option<f32>,
}

/// An architecture in GGUF files.
#[derive(Debug)]
pub(crate) struct GgufDefaults {
    /// Values of `general.architecture`.
    pub(crate) names: &'static [&'static str],
    pub(crate) rope_layout: RopeLayout,
    pub(crate) rope_base: f64,
    /// `None` where no block has a sliding window, whatever the file says.
    pub(crate) window: Option<WindowDefaults>,
    /// Whether YaRN's bounds are rounded to whole pairs. No key of the file says it.
    pub(crate) rounds_yarn: bool,
    /// Number of blocks of the one model whose attention scale is 1 / √(hidden_size / heads)
    /// instead of 1 / √head_dim. No key of the file tells it apart.
    pub(crate) layers_scaled_by_hidden_size: Option<usize>,
    /// Names of a block's tensors that differ from the engine's: theirs, and the engine's.
    pub(crate) block_tensors: &'static [(&'static str, &'static str)],
}

/// An architecture in `config.json` and safetensors.
#[derive(Debug)]
pub(crate) struct HfDefaults {
    /// Values of `model_type`.
    pub(crate) names: &'static [&'static str],
    pub(crate) rope_base: f64,
    /// `None` where a file that asks for sliding windows is refused.
    pub(crate) window: Option<WindowDefaults>,
    /// `head_dim`; `None` for hidden_size / heads.
    pub(crate) head_dim: Option<usize>,
    /// `query_pre_attn_scalar`, by whose root attention scores are divided; `None` where the key
    /// has no meaning and the scale is 1 / √head_dim.
    pub(crate) query_pre_attn_scalar: Option<f64>,
    /// Whether the file gives factors, as `embedding_multiplier`, `attention_multiplier`,
    /// `residual_multiplier` and `logits_scaling`; 1 where it leaves one out.
    pub(crate) has_multipliers: bool,
    /// See [`crate::config::Config::norm_offset`].
    pub(crate) norm_offset: f32,
    /// `tie_word_embeddings`: whether the output matrix is the embedding.
    pub(crate) tied_embeddings: bool,
    /// Names of a block's tensors that differ from [`BLOCK_TENSORS`]: theirs, and GGUF's.
    pub(crate) block_tensors: &'static [(&'static str, &'static str)],
}

/// Mixtures of experts as an architecture has them.
#[derive(Debug)]
pub(crate) struct ExpertDefaults {
    /// See [`crate::config::Experts::is_normalized`]; where a GGUF file does not say it.
    pub(crate) is_normalized: bool,
    /// The same, where a folder does not say it.
    pub(crate) is_normalized_in_hf: bool,
    /// See [`crate::config::Experts::has_shared`].
    pub(crate) has_shared: bool,
    /// Whether `feed_forward_length` of a GGUF file, where it is the only one, is of all experts
    /// together that a token goes through.
    pub(crate) is_length_of_all: bool,
}

/// Sliding windows as an architecture has them.
#[derive(Debug)]
pub(crate) struct WindowDefaults {
    /// See [`crate::config::SlidingWindow::period`].
    pub(crate) period: usize,
    /// The window where the file gives none; `None` for no window then.
    pub(crate) tokens: Option<usize>,
    pub(crate) rope: WindowRope,
}

/// How blocks with a sliding window rotate.
#[derive(Clone, Copy, Debug)]
pub(crate) enum WindowRope {
    /// As all other blocks.
    Same,
    /// With the file's base, but never scaled.
    Unscaled,
    /// Never scaled, and with this base where the file gives none for them.
    OwnBase(f64),
}

impl WindowRope {
    /// See [`crate::config::SlidingWindow::rope_base`]. `own` is what the file gives for these
    /// blocks, `base` what it gives for others.
    pub(crate) fn base(self, own: Option<f64>, base: f64) -> Option<f64> {
        match self {
            Self::Same => None,
            Self::Unscaled => Some(own.unwrap_or(base)),
            Self::OwnBase(default) => Some(own.unwrap_or(default)),
        }
    }
}

/// Names of a block's tensors: those of Hugging Face, without `model.layers.N.`, and those of GGUF,
/// without `blk.N.`.
const BLOCK_TENSORS: [(&str, &str); 23] = [
    ("input_layernorm.weight", "attn_norm.weight"),
    ("self_attn.q_proj.weight", "attn_q.weight"),
    ("self_attn.q_proj.bias", "attn_q.bias"),
    ("self_attn.k_proj.weight", "attn_k.weight"),
    ("self_attn.k_proj.bias", "attn_k.bias"),
    ("self_attn.v_proj.weight", "attn_v.weight"),
    ("self_attn.v_proj.bias", "attn_v.bias"),
    ("self_attn.qkv_proj.weight", "attn_qkv.weight"),
    ("self_attn.q_norm.weight", "attn_q_norm.weight"),
    ("self_attn.k_norm.weight", "attn_k_norm.weight"),
    ("self_attn.o_proj.weight", "attn_output.weight"),
    ("self_attn.o_proj.bias", "attn_output.bias"),
    ("post_attention_layernorm.weight", "ffn_norm.weight"),
    ("pre_feedforward_layernorm.weight", "ffn_norm.weight"),
    ("post_feedforward_layernorm.weight", "post_ffw_norm.weight"),
    ("mlp.gate_up_proj.weight", "ffn_gate_up.weight"),
    ("mlp.gate.weight", "ffn_gate_inp.weight"),
    ("mlp.gate_proj.weight", "ffn_gate.weight"),
    ("mlp.gate_proj.bias", "ffn_gate.bias"),
    ("mlp.up_proj.weight", "ffn_up.weight"),
    ("mlp.up_proj.bias", "ffn_up.bias"),
    ("mlp.down_proj.weight", "ffn_down.weight"),
    ("mlp.down_proj.bias", "ffn_down.bias"),
];

impl GgufDefaults {
    /// The engine's name for a tensor.
    pub(crate) fn tensor(&self, name: String) -> String {
        let Some((block, part)) = split_block(&name) else { return name };
        let known = self.block_tensors.iter().find(|(theirs, _)| *theirs == part);
        known.map_or(name.clone(), |(_, engine)| format!("blk.{block}.{engine}"))
    }
}

/// The number of the block that a tensor belongs to, and the rest of its name, in GGUF.
pub(crate) fn split_block(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix("blk.")?.split_once('.')
}

impl HfDefaults {
    /// GGUF's name for a block's tensor, both without the block's prefix; `None` where this
    /// architecture has no such tensor.
    pub(crate) fn block_tensor(&self, name: &str) -> Option<&'static str> {
        let mut names = self.block_tensors.iter().chain(&BLOCK_TENSORS);
        names.find(|(theirs, _)| *theirs == name).map(|(_, gguf)| *gguf)
    }
}
