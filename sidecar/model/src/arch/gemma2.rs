//! Gemma 2: norms before and after each layer, soft caps, and a sliding window in every other
//! block.

use super::description::{Architecture, GgufDefaults, HfDefaults, WindowDefaults, WindowRope};
use crate::config::{NormPlacement, RopeLayout};
use crate::kernel::vector::ActivationFn;

pub(super) const ARCHITECTURE: Architecture = Architecture {
    gguf: GgufDefaults {
        names: &["gemma2"],
        rope_layout: RopeLayout::NeoX,
        rope_base: 10_000.0,
        window: Some(WindowDefaults { period: 2, tokens: Some(4096), rope: WindowRope::Same }),
        rounds_yarn: true,
        // Gemma 2 27B.
        layers_scaled_by_hidden_size: Some(46),
        block_tensors: &[],
    },
    hf: HfDefaults {
        names: &["gemma2"],
        rope_base: 10_000.0,
        window: Some(WindowDefaults { period: 2, tokens: None, rope: WindowRope::Same }),
        head_dim: Some(256),
        query_pre_attn_scalar: Some(256.0),
        has_multipliers: false,
        norm_offset: 1.0,
        tied_embeddings: true,
        block_tensors: &[("post_attention_layernorm.weight", "post_attention_norm.weight")],
    },
    norms: NormPlacement::BeforeAndAfter,
    experts: None,
    activation: ActivationFn::GeluTanh,
    scales_embeddings: true,
    score_cap: Some(50.0),
    logit_cap: Some(30.0),
};
