//! Llama, and the models that share its architecture, such as SmolLM2.

use super::description::{Architecture, GgufDefaults, HfDefaults, WindowDefaults, WindowRope};
use crate::config::{NormPlacement, RopeLayout};
use crate::kernel::vector::ActivationFn;

pub(super) const ARCHITECTURE: Architecture = Architecture {
    gguf: GgufDefaults {
        names: &["llama"],
        rope_layout: RopeLayout::Interleaved,
        rope_base: 10_000.0,
        // Most GGUF files of Mistral models say that they are Llama.
        window: Some(WindowDefaults { period: 1, tokens: None, rope: WindowRope::Same }),
        rounds_yarn: true,
        layers_scaled_by_hidden_size: None,
        block_tensors: &[],
    },
    hf: HfDefaults {
        names: &["llama"],
        rope_base: 10_000.0,
        window: None,
        head_dim: None,
        query_pre_attn_scalar: None,
        has_multipliers: false,
        norm_offset: 0.0,
        tied_embeddings: false,
        block_tensors: &[],
    },
    norms: NormPlacement::Before,
    experts: None,
    activation: ActivationFn::Silu,
    scales_embeddings: false,
    score_cap: None,
    logit_cap: None,
};
