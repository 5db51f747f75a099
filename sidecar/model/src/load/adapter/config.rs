//! An adapter's configuration.

mod patterns;

use super::refusal::{MERGE, unsupported};
use crate::error::LoadError;
use patterns::Patterns;
use serde_json::Value;

const CONFIG: &str = "adapter_config.json";

/// Settings that change what is added, and are not supported.
const UNSUPPORTED: [&str; 11] = [
    "fan_in_fan_out",
    "modules_to_save",
    "layer_replication",
    "megatron_config",
    "trainable_token_indices",
    "use_qalora",
    "alora_invocation_tokens",
    "lora_bias",
    "target_parameters",
    "use_bdlora",
    "arrow_config",
];

/// Values of `init_lora_weights` under which the base model stays as it is. All others of PEFT
/// (`pissa`, `pissa_niter_N`, `olora`, `corda`, `loftq`, `eva` …), and those that are yet to come,
/// may take something out of the base weights that only comes back with the adapter: such an
/// adapter is for another base.
const INITIAL_NAMES: [&str; 2] = ["gaussian", "orthogonal"];

/// Checks that the adapter is for the base model as it is published.
fn check_base(config: &Value) -> Result<(), LoadError> {
    let value = match config.get("init_lora_weights") {
        None | Some(Value::Null | Value::Bool(_)) => return Ok(()),
        Some(Value::String(name)) if INITIAL_NAMES.contains(&name.as_str()) => return Ok(()),
        Some(Value::String(name)) => name.chars().take(40).collect(),
        Some(_) => "a value that is no name".to_owned(),
    };
    Err(unsupported(format!(
        "{CONFIG} has init_lora_weights {value}, under which the adapter may belong to a changed \
         base model: save it again with PEFT's save_pretrained(…, \
         path_initial_model_for_weight_conversion=…), which converts it to one for the base model \
         itself, or give the merged model as --tuned"
    )))
}

/// The factor s of a delta, which depends on its module and its rank.
pub(super) struct Scale {
    alpha: f64,
    /// α of some modules.
    alphas: Patterns,
    rank: Option<f64>,
    /// Ranks of some modules.
    ranks: Patterns,
    /// Whether the adapter has magnitudes, of DoRA.
    pub(super) has_magnitudes: bool,
    /// Whether α is divided by √rank instead of the rank.
    by_root: bool,
}

impl Scale {
    /// Reads the scale out of `adapter_config.json`.
    ///
    /// # Errors
    /// The adapter is not a LoRA adapter, or has settings that are not supported.
    pub(super) fn read(config: &Value) -> Result<Self, LoadError> {
        let is_set = |key: &str| match config.get(key) {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::Object(map)) => !map.is_empty(),
            Some(Value::Array(list)) => !list.is_empty(),
            Some(_) => true,
        };
        if config.get("peft_type").and_then(Value::as_str) != Some("LORA") {
            return Err(unsupported(format!(
                "{CONFIG} is not of peft_type LORA: adapters of other kinds cannot be added"
            )));
        }
        if config.get("bias").is_some_and(|bias| *bias != "none") {
            return Err(unsupported(format!("{CONFIG} also trains biases: {MERGE}")));
        }
        if let Some(key) = UNSUPPORTED.into_iter().find(|key| is_set(key)) {
            return Err(unsupported(format!("{CONFIG} sets {key}: {MERGE}")));
        }
        check_base(config)?;
        let alpha = config.get("lora_alpha").and_then(Value::as_f64);
        let alpha = alpha.filter(|alpha| alpha.is_finite());
        let alpha = alpha.ok_or_else(|| {
            unsupported(format!("{CONFIG} has no lora_alpha: give the one that was saved with it"))
        })?;
        let alphas = Patterns::read(config, "alpha_pattern")?;
        if let Some(pattern) = alphas.unclear() {
            let pattern: String = pattern.chars().take(80).collect();
            return Err(unsupported(format!(
                "{CONFIG} has in alpha_pattern the regular expression {pattern}, where names of \
                 modules are read: {MERGE}"
            )));
        }
        Ok(Self {
            alpha,
            alphas,
            rank: config.get("r").and_then(Value::as_f64),
            ranks: Patterns::read(config, "rank_pattern")?,
            has_magnitudes: is_set("use_dora"),
            by_root: is_set("use_rslora"),
        })
    }

    /// The factor of a module's delta.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    pub(super) fn of(&self, module: &str, rank: usize) -> f32 {
        let rank = rank as f64;
        let alpha = self.alphas.of(module).unwrap_or(self.alpha);
        (alpha / if self.by_root { rank.sqrt() } else { rank }) as f32
    }

    /// Checks that a module's tensors have the rank that the configuration says.
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn check_rank(&self, module: &str, rank: usize) -> Result<(), LoadError> {
        let (said, key) = match (self.ranks.of(module), self.ranks.unclear()) {
            (Some(rank), _) => (rank, "rank_pattern"),
            (None, Some(_)) => return Ok(()),
            (None, None) => match self.rank {
                Some(rank) => (rank, "r"),
                None => return Ok(()),
            },
        };
        if said == rank as f64 {
            return Ok(());
        }
        Err(unsupported(format!(
            "{module} has rank {rank}, and {CONFIG} says {said} ({key}): they belong to different \
             adapters"
        )))
    }
}

#[cfg(test)]
mod tests;
