//! Qwen3, dense models only: Qwen2 with norms of queries and keys in place of biases.

use super::description::{Architecture, GgufDefaults, HfDefaults};
use super::qwen2;

pub(super) const ARCHITECTURE: Architecture = Architecture {
    gguf: GgufDefaults { names: &["qwen3"], ..qwen2::ARCHITECTURE.gguf },
    hf: HfDefaults { names: &["qwen3"], ..qwen2::ARCHITECTURE.hf },
    ..qwen2::ARCHITECTURE
};
