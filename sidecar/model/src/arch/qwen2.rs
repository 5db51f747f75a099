//! Qwen2 and Qwen2.5: Llama with biases on queries, keys and values.

use super::description::{Architecture, GgufDefaults, HfDefaults};
use super::llama;
use crate::config::RopeLayout;

pub(super) const ARCHITECTURE: Architecture = Architecture {
    gguf: GgufDefaults {
        names: &["qwen2"],
        rope_layout: RopeLayout::NeoX,
        rope_base: 1_000_000.0,
        window: None,
        ..llama::ARCHITECTURE.gguf
    },
    hf: HfDefaults { names: &["qwen2"], ..llama::ARCHITECTURE.hf },
    ..llama::ARCHITECTURE
};
