//! Parts of models that this engine does not have, so that a refusal names what is missing.

use super::description::Architecture;

/// A part, and the settings by which files show it.
pub(super) struct Part {
    pub(super) name: &'static str,
    /// Whether a model of this architecture with such a setting has the part, and cannot be run.
    /// Granite's files have those of state-space layers also where there are none.
    pub(super) is_missing_in: fn(&Architecture) -> bool,
    /// In GGUF files, behind the architecture's name.
    pub(super) gguf: &'static [&'static str],
    /// In `config.json`.
    pub(super) hf: &'static [&'static str],
}

pub(super) const MISSING: [Part; 7] = [
    Part {
        name: "a mixture of experts",
        is_missing_in: |architecture| architecture.experts.is_none(),
        gguf: &["expert_count"],
        hf: &["num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"],
    },
    Part {
        name: "latent attention",
        is_missing_in: |_| true,
        gguf: &["attention.key_length_mla", "attention.kv_lora_rank"],
        hf: &["kv_lora_rank"],
    },
    Part {
        name: "inputs to each layer",
        is_missing_in: |_| true,
        gguf: &["embedding_length_per_layer_input"],
        hf: &["hidden_size_per_layer_input"],
    },
    Part {
        name: "several residual streams (AltUp)",
        is_missing_in: |_| true,
        gguf: &["altup.num_inputs"],
        hf: &["altup_num_inputs"],
    },
    Part {
        name: "keys and values that blocks share",
        is_missing_in: |_| true,
        gguf: &["attention.shared_kv_layers"],
        hf: &["num_kv_shared_layers"],
    },
    Part {
        name: "state-space or convolution layers",
        is_missing_in: |_| false,
        gguf: &["ssm.state_size", "ssm.conv_kernel", "shortconv.l_cache", "wkv.head_size"],
        hf: &["mamba_d_state", "ssm_state_size", "state_size", "conv_L_cache"],
    },
    Part {
        name: "an encoder",
        is_missing_in: |_| true,
        gguf: &["decoder_start_token_id"],
        hf: &["is_encoder_decoder"],
    },
];
