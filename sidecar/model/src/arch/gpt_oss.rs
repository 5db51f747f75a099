//! gpt-oss: Llama with experts in each block, biases in all layers, a sliding window in every other
//! block, attention that may go to nothing (sinks), and a SwiGLU of its own.

use super::description::{
    Architecture, ExpertDefaults, GgufDefaults, HfDefaults, WindowDefaults, WindowRope,
};
use super::llama;
use crate::config::RopeLayout;
use crate::kernel::vector::ActivationFn;

const WINDOW: WindowDefaults = WindowDefaults { period: 2, tokens: None, rope: WindowRope::Same };

pub(super) const ARCHITECTURE: Architecture = Architecture {
    gguf: GgufDefaults {
        names: &["gpt-oss"],
        rope_layout: RopeLayout::NeoX,
        rope_base: 150_000.0,
        window: Some(WINDOW),
        // As in the model's own code; llama.cpp rounds.
        rounds_yarn: false,
        block_tensors: &[("post_attention_norm.weight", "ffn_norm.weight")],
        ..llama::ARCHITECTURE.gguf
    },
    hf: HfDefaults {
        names: &["gpt_oss"],
        rope_base: 150_000.0,
        window: Some(WINDOW),
        head_dim: Some(64),
        block_tensors: &[
            ("self_attn.sinks", "attn_sinks.weight"),
            ("mlp.router.weight", "ffn_gate_inp.weight"),
            ("mlp.router.bias", "ffn_gate_inp.bias"),
            ("mlp.experts.gate_up_proj", "ffn_gate_up_pairs_exps.weight"),
            ("mlp.experts.gate_up_proj_bias", "ffn_gate_up_pairs_exps.bias"),
            ("mlp.experts.gate_up_proj_blocks", "ffn_gate_up_pairs_exps.codes"),
            ("mlp.experts.gate_up_proj_scales", "ffn_gate_up_pairs_exps.scales"),
            ("mlp.experts.down_proj", "ffn_down_exps.weight"),
            ("mlp.experts.down_proj_bias", "ffn_down_exps.bias"),
            ("mlp.experts.down_proj_blocks", "ffn_down_exps.codes"),
            ("mlp.experts.down_proj_scales", "ffn_down_exps.scales"),
        ],
        ..llama::ARCHITECTURE.hf
    },
    experts: Some(ExpertDefaults {
        is_normalized: true,
        is_normalized_in_hf: true,
        has_shared: false,
        is_length_of_all: false,
    }),
    activation: ActivationFn::ClampedSwiglu,
    ..llama::ARCHITECTURE
};
