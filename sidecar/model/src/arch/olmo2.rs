//! OLMo 2: Llama with norms after each layer instead of before, and norms of queries and keys over
//! all heads. OLMo 3: the same with a sliding window, without scaled RoPE, in three of four blocks.

use super::description::{Architecture, GgufDefaults, HfDefaults, WindowDefaults, WindowRope};
use super::llama;
use crate::config::{NormPlacement, RopeLayout};

/// Of OLMo 3, whose files say that they have windows.
const WINDOW: WindowDefaults =
    WindowDefaults { period: 4, tokens: None, rope: WindowRope::Unscaled };

pub(super) const ARCHITECTURE: Architecture = Architecture {
    gguf: GgufDefaults {
        names: &["olmo2"],
        rope_layout: RopeLayout::NeoX,
        window: Some(WINDOW),
        ..llama::ARCHITECTURE.gguf
    },
    hf: HfDefaults {
        names: &["olmo2", "olmo3"],
        window: Some(WINDOW),
        block_tensors: &[("post_attention_layernorm.weight", "post_attention_norm.weight")],
        ..llama::ARCHITECTURE.hf
    },
    norms: NormPlacement::After,
    ..llama::ARCHITECTURE
};
