//! OLMoE: Llama with experts in each block, and norms of queries and keys over all heads.

use super::description::{Architecture, ExpertDefaults, GgufDefaults, HfDefaults};
use super::llama;
use crate::config::RopeLayout;

pub(super) const ARCHITECTURE: Architecture = Architecture {
    gguf: GgufDefaults {
        names: &["olmoe"],
        rope_layout: RopeLayout::NeoX,
        window: None,
        ..llama::ARCHITECTURE.gguf
    },
    hf: HfDefaults { names: &["olmoe"], ..llama::ARCHITECTURE.hf },
    experts: Some(ExpertDefaults {
        is_normalized: false,
        is_normalized_in_hf: false,
        has_shared: false,
        is_length_of_all: false,
    }),
    ..llama::ARCHITECTURE
};
