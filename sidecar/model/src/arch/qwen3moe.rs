//! Qwen3's mixtures of experts: Qwen3 with experts in each block.

use super::description::{Architecture, ExpertDefaults, GgufDefaults, HfDefaults};
use super::qwen3;

pub(super) const ARCHITECTURE: Architecture = Architecture {
    gguf: GgufDefaults { names: &["qwen3moe"], ..qwen3::ARCHITECTURE.gguf },
    hf: HfDefaults { names: &["qwen3_moe"], ..qwen3::ARCHITECTURE.hf },
    experts: Some(ExpertDefaults {
        is_normalized: true,
        is_normalized_in_hf: false,
        has_shared: false,
        is_length_of_all: true,
    }),
    ..qwen3::ARCHITECTURE
};
