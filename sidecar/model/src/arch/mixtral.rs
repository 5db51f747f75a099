//! Mixtral: Mistral with experts in each block. GGUF files of it say that they are Llama.

use super::description::{Architecture, ExpertDefaults, GgufDefaults, HfDefaults};
use super::{llama, mistral};

pub(super) const ARCHITECTURE: Architecture = Architecture {
    gguf: GgufDefaults { names: &["llama"], ..llama::ARCHITECTURE.gguf },
    hf: HfDefaults {
        names: &["mixtral"],
        block_tensors: &[
            ("block_sparse_moe.gate.weight", "ffn_gate_inp.weight"),
            ("block_sparse_moe.w1.weight", "ffn_gate.weight"),
            ("block_sparse_moe.w2.weight", "ffn_down.weight"),
            ("block_sparse_moe.w3.weight", "ffn_up.weight"),
        ],
        ..mistral::ARCHITECTURE.hf
    },
    experts: Some(ExpertDefaults {
        is_normalized: true,
        is_normalized_in_hf: true,
        has_shared: false,
        is_length_of_all: false,
    }),
    ..llama::ARCHITECTURE
};
