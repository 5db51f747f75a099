//! Phi-3 and Phi-4: Llama with queries, keys and values in one matrix, gate and up in another, and
//! heads that may be rotated in part.

use super::description::{Architecture, GgufDefaults, HfDefaults, WindowDefaults, WindowRope};
use super::llama;
use crate::config::RopeLayout;

const WINDOW: WindowDefaults = WindowDefaults { period: 1, tokens: None, rope: WindowRope::Same };

pub(super) const ARCHITECTURE: Architecture = Architecture {
    gguf: GgufDefaults {
        names: &["phi3"],
        rope_layout: RopeLayout::NeoX,
        window: Some(WINDOW),
        block_tensors: &[("ffn_up.weight", "ffn_gate_up.weight")],
        ..llama::ARCHITECTURE.gguf
    },
    hf: HfDefaults { names: &["phi3"], window: Some(WINDOW), ..llama::ARCHITECTURE.hf },
    ..llama::ARCHITECTURE
};
