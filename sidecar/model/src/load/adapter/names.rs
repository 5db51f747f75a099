//! Names of an adapter's tensors, in the forms that versions of PEFT and trainers wrote.

use super::refusal::{MERGE, unsupported};
use crate::arch::Architecture;
use crate::error::LoadError;
use crate::load::hf::block_tensor;

/// Parts of names that wrappers around modules leave: torch.compile, FSDP, gradient checkpoints,
/// data parallelism.
const WRAPPERS: [&str; 4] =
    ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "module"];
/// Parts of names before a text decoder's `layers`: PEFT's own, and those of multimodal models.
const BEFORE_LAYERS: [&str; 6] =
    ["base_model", "model", "language_model", "text_model", "llm", "decoder"];

/// What a tensor is to a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    A,
    B,
    /// Of DoRA: the lengths of the matrix's rows.
    Magnitude,
}

/// A tensor's name, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TensorName {
    /// The matrix that it belongs to, by its name in GGUF.
    pub(super) target: String,
    /// The module, as patterns of the configuration name it.
    pub(super) module: String,
    pub(super) part: Part,
    /// The adapter's own name, where the tensor has it.
    pub(super) adapter: Option<String>,
}

impl TensorName {
    /// Takes a name apart.
    ///
    /// # Errors
    /// It is not one of PEFT's, or the tensor belongs to something that cannot be added to.
    pub(super) fn read(name: &str, architecture: &Architecture) -> Result<Self, LoadError> {
        let all: Vec<&str> = name.split('.').filter(|part| !WRAPPERS.contains(part)).collect();
        let at = all.iter().position(|part| part_of(part).is_some());
        let (Some(at), Some(part)) = (at, at.and_then(|at| part_of(all[at]))) else {
            return Err(foreign(name));
        };
        let (path, rest) = (&all[..at], &all[at + 1..]);
        let adapter = match rest {
            [.., "bias"] => {
                return Err(unsupported(format!("tensor {name} is a trained bias: {MERGE}")));
            }
            [own @ .., "weight"] => own,
            // Some versions wrote magnitudes without `weight`.
            own if part == Part::Magnitude => own,
            _ => return Err(foreign(name)),
        };
        let other = || {
            unsupported(format!(
                "tensor {name}: an adapter may add only to linear layers of the decoder's blocks; \
                 {MERGE}"
            ))
        };
        let layers = path.iter().position(|part| *part == "layers").ok_or_else(other)?;
        if !path[..layers].iter().all(|part| BEFORE_LAYERS.contains(part)) {
            return Err(other());
        }
        let target =
            block_tensor(&format!("model.{}.weight", path[layers..].join(".")), architecture)
                .filter(|target| !target.contains("norm"))
                .ok_or_else(other)?;
        let module = match path {
            ["base_model", "model", module @ ..] => module,
            module => module,
        };
        Ok(Self {
            target,
            module: module.join("."),
            part,
            adapter: (!adapter.is_empty()).then(|| adapter.join(".")),
        })
    }
}

fn part_of(part: &str) -> Option<Part> {
    match part {
        "lora_A" => Some(Part::A),
        "lora_B" => Some(Part::B),
        "lora_magnitude_vector" => Some(Part::Magnitude),
        _ => None,
    }
}

/// The error for a tensor that is no factor of a linear layer.
fn foreign(name: &str) -> LoadError {
    let has = |part: &str| name.contains(part);
    let why = if has("lora_embedding_") {
        format!("adds to an embedding: {MERGE}")
    } else if has("lora_a") || has("lora_b") || has("lora_down") || has("lora_up") {
        "is not named as PEFT's save_pretrained names tensors: another tool wrote the adapter; \
         convert it with that tool, or merge it there and give the merged model as --tuned"
            .to_owned()
    } else if has("modules_to_save") || name.ends_with(".weight") || name.ends_with(".bias") {
        format!("is a module of the model, saved whole (modules_to_save): {MERGE}")
    } else {
        format!("is no factor of a LoRA adapter: {MERGE}")
    };
    unsupported(format!("tensor {name} {why}"))
}

#[cfg(test)]
mod tests;
