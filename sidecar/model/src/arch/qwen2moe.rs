//! Qwen2's mixtures of experts, as Qwen1.5-MoE: Qwen2 with experts in each block, and beside them a
//! layer that every token goes through, by a weight of its own.

use super::description::{Architecture, ExpertDefaults, GgufDefaults, HfDefaults};
use super::qwen2;

pub(super) const ARCHITECTURE: Architecture = Architecture {
    gguf: GgufDefaults { names: &["qwen2moe"], ..qwen2::ARCHITECTURE.gguf },
    hf: HfDefaults {
        names: &["qwen2_moe"],
        block_tensors: &[
            ("mlp.shared_expert.gate_proj.weight", "ffn_gate_shexp.weight"),
            ("mlp.shared_expert.up_proj.weight", "ffn_up_shexp.weight"),
            ("mlp.shared_expert.down_proj.weight", "ffn_down_shexp.weight"),
            ("mlp.shared_expert_gate.weight", "ffn_gate_inp_shexp.weight"),
        ],
        ..qwen2::ARCHITECTURE.hf
    },
    experts: Some(ExpertDefaults {
        is_normalized: false,
        is_normalized_in_hf: false,
        has_shared: true,
        is_length_of_all: true,
    }),
    ..qwen2::ARCHITECTURE
};
