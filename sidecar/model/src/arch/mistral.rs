//! Mistral: Llama with a sliding window in every block, where the file gives one.

use super::description::{Architecture, GgufDefaults, HfDefaults, WindowDefaults, WindowRope};
use super::llama;

pub(super) const ARCHITECTURE: Architecture = Architecture {
    gguf: GgufDefaults { names: &["mistral", "mistral3"], ..llama::ARCHITECTURE.gguf },
    hf: HfDefaults {
        names: &["mistral"],
        window: Some(WindowDefaults { period: 1, tokens: None, rope: WindowRope::Same }),
        ..llama::ARCHITECTURE.hf
    },
    ..llama::ARCHITECTURE
};
