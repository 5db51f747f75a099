//! Gemma, the first: Gemma 2 without norms after layers, soft caps and sliding windows.

use super::description::{Architecture, GgufDefaults, HfDefaults};
use super::gemma2;
use crate::config::NormPlacement;

pub(super) const ARCHITECTURE: Architecture = Architecture {
    gguf: GgufDefaults {
        names: &["gemma"],
        window: None,
        layers_scaled_by_hidden_size: None,
        ..gemma2::ARCHITECTURE.gguf
    },
    hf: HfDefaults {
        names: &["gemma"],
        window: None,
        query_pre_attn_scalar: None,
        block_tensors: &[],
        ..gemma2::ARCHITECTURE.hf
    },
    norms: NormPlacement::Before,
    score_cap: None,
    logit_cap: None,
    ..gemma2::ARCHITECTURE
};
