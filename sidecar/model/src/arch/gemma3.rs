//! Gemma 3, text only: norms of queries and keys in place of soft caps, and a sliding window, with
//! its own RoPE base, in five of every six blocks.

use super::description::{Architecture, GgufDefaults, HfDefaults, WindowDefaults, WindowRope};
use super::gemma2;

const WINDOW: WindowDefaults =
    WindowDefaults { period: 6, tokens: None, rope: WindowRope::OwnBase(10_000.0) };

pub(super) const ARCHITECTURE: Architecture = Architecture {
    gguf: GgufDefaults {
        names: &["gemma3"],
        rope_base: 1_000_000.0,
        window: Some(WINDOW),
        // Gemma 3 27B.
        layers_scaled_by_hidden_size: Some(62),
        ..gemma2::ARCHITECTURE.gguf
    },
    hf: HfDefaults {
        names: &["gemma3_text"],
        rope_base: 1_000_000.0,
        window: Some(WINDOW),
        ..gemma2::ARCHITECTURE.hf
    },
    score_cap: None,
    logit_cap: None,
    ..gemma2::ARCHITECTURE
};
