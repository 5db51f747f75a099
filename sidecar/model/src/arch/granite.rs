//! Granite 3 and 4, dense models without state-space layers only: Llama with factors on embeddings,
//! attention scores, what layers add, and logits.

use super::description::{Architecture, GgufDefaults, HfDefaults};
use super::llama;

pub(super) const ARCHITECTURE: Architecture = Architecture {
    gguf: GgufDefaults { names: &["granite"], ..llama::ARCHITECTURE.gguf },
    hf: HfDefaults {
        names: &["granite", "granitemoehybrid"],
        has_multipliers: true,
        // Granite 4.
        block_tensors: &[
            ("shared_mlp.input_linear.weight", "ffn_gate_up.weight"),
            ("shared_mlp.output_linear.weight", "ffn_down.weight"),
        ],
        ..llama::ARCHITECTURE.hf
    },
    ..llama::ARCHITECTURE
};
