//! A LoRA adapter as PEFT writes it: a folder with `adapter_config.json` and
//! `adapter_model.safetensors`. What it adds to a matrix W of shape `[rows][columns]` is s · B · A,
//! with A `[rank][columns]`, B `[rows][rank]` and s = α / rank, or α / √rank where `use_rslora` is
//! set (Hu et al., arXiv 2106.09685; Kalajdzievski, arXiv 2312.03732).

use super::folder::translate;
use super::safetensors;
use crate::model::LoadError;
use crate::tensor::TensorInfo;
use crate::weights::{Sha, floats};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::Path;

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";
/// Longest file that is read: an adapter is small beside its model.
const MAX_BYTES: u64 = 8 << 30;
/// Largest rank.
const MAX_RANK: usize = 1 << 14;

/// What is added to the matrices of a model, by the names that GGUF gives them.
#[derive(Debug, Default)]
pub(crate) struct Adapter {
    deltas: HashMap<String, Delta>,
}

/// What is added to one matrix.
#[derive(Debug, Default)]
struct Delta {
    rank: usize,
    scale: f32,
    /// `[rank][columns]`.
    a: Vec<f32>,
    /// `[rows][rank]`.
    b: Vec<f32>,
}

impl Adapter {
    /// Reads an adapter's folder. Returns a digest of its files, too.
    pub(crate) fn open(path: &Path, gemma: bool) -> Result<(Self, Sha), LoadError> {
        let config = read(path, CONFIG)?;
        let weights = read(path, WEIGHTS)?;
        let sha = Sha256::new_with_prefix(Sha256::digest(&config))
            .chain_update(Sha256::digest(&weights))
            .finalize();
        let json: Value = serde_json::from_slice(&config).map_err(|error| LoadError::Corrupt {
            what: format!("{CONFIG} is no JSON: {error}"),
        })?;
        let scale_of = scale(&json)?;
        let found = safetensors::read(&mut weights.as_slice(), weights.len() as u64, WEIGHTS)?;
        let mut adapter = Self::default();
        for (name, info) in found {
            let (target, side) = target(&name, gemma)?;
            let from = usize::try_from(info.offset).unwrap_or(usize::MAX);
            let raw = weights.get(from..from.saturating_add(info.bytes));
            let values = floats(&name, info.dtype, raw.unwrap_or_default())?;
            let delta = adapter.deltas.entry(target).or_default();
            let rank = if side == Side::A { info.rows } else { info.columns };
            if rank == 0 || rank > MAX_RANK || (delta.rank != 0 && delta.rank != rank) {
                return Err(unsupported(format!(
                    "tensor {name} of rank {rank}, which its other half contradicts"
                )));
            }
            delta.rank = rank;
            delta.scale = scale_of(rank);
            match side {
                Side::A => delta.a = values,
                Side::B => delta.b = values,
            }
        }
        if adapter.deltas.is_empty() {
            return Err(unsupported(format!("{WEIGHTS} holds no tensors")));
        }
        Ok((adapter, sha.into()))
    }

    /// Takes what is added to a matrix, if anything is.
    pub(crate) fn take(
        &mut self,
        name: &str,
        info: &TensorInfo,
    ) -> Result<Option<Addend>, LoadError> {
        let Some(delta) = self.deltas.remove(name) else { return Ok(None) };
        if (delta.a.len(), delta.b.len()) != (delta.rank * info.columns, info.rows * delta.rank) {
            return Err(unsupported(format!(
                "what is to be added to {name} is not of its shape, {} × {}: is it for another model?",
                info.rows, info.columns
            )));
        }
        Ok(Some(Addend { delta, columns: info.columns }))
    }

    /// An error where something was not taken: the model has no such matrix.
    pub(crate) fn finish(&self) -> Result<(), LoadError> {
        match self.deltas.keys().min() {
            Some(name) => Err(unsupported(format!(
                "this model has no {name} to add to: is it for another model?"
            ))),
            None => Ok(()),
        }
    }
}

/// What is added to one matrix, of the right shape.
#[derive(Debug)]
pub(crate) struct Addend {
    delta: Delta,
    columns: usize,
}

impl Addend {
    /// Adds to whole rows, from row `first` on.
    pub(crate) fn add_to(&self, values: &mut [f32], first: usize) {
        let Delta { rank, scale, a, b } = &self.delta;
        for (row, values) in values.chunks_exact_mut(self.columns).enumerate() {
            let factors = &b[(first + row) * rank..][..*rank];
            for (factor, a) in factors.iter().zip(a.chunks_exact(self.columns)) {
                values.iter_mut().zip(a).for_each(|(value, a)| *value += scale * factor * a);
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    A,
    B,
}

/// The matrix that a tensor is for, and which half of the addition it is.
fn target(name: &str, gemma: bool) -> Result<(String, Side), LoadError> {
    let unknown = || {
        unsupported(format!("tensor {name}: linear layers of the decoder's blocks are added to"))
    };
    let (module, side) =
        match (name.strip_suffix(".lora_A.weight"), name.strip_suffix(".lora_B.weight")) {
            (Some(module), _) => (module, Side::A),
            (_, Some(module)) => (module, Side::B),
            _ => return Err(unknown()),
        };
    let module = module.strip_prefix("base_model.model.").unwrap_or(module);
    let weight = format!("{module}.weight");
    match translate(&weight, gemma, false) {
        Some(target) if target.starts_with("blk.") && !target.contains("norm") => {
            Ok((target, side))
        }
        _ => Err(unknown()),
    }
}

/// The factor of an addition by its rank.
fn scale(config: &Value) -> Result<impl Fn(usize) -> f32 + use<>, LoadError> {
    let is_set = |key: &str| match config.get(key) {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Object(map)) => !map.is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        Some(_) => true,
    };
    if config.get("peft_type").and_then(Value::as_str) != Some("LORA") {
        return Err(unsupported(format!("{CONFIG} is not of peft_type LORA")));
    }
    if config.get("bias").is_some_and(|bias| *bias != "none") {
        return Err(unsupported(format!(
            "{CONFIG} trains biases, too: merge it by PEFT's merge_and_unload"
        )));
    }
    for key in [
        "use_dora",
        "fan_in_fan_out",
        "rank_pattern",
        "alpha_pattern",
        "modules_to_save",
        "layer_replication",
        "megatron_config",
        "trainable_token_indices",
        "use_qalora",
        "alora_invocation_tokens",
        "lora_bias",
    ] {
        if is_set(key) {
            return Err(unsupported(format!(
                "{CONFIG} sets {key}: merge it by PEFT's merge_and_unload"
            )));
        }
    }
    let alpha = config.get("lora_alpha").and_then(Value::as_f64).filter(|alpha| alpha.is_finite());
    let alpha = alpha.ok_or_else(|| unsupported(format!("{CONFIG} has no lora_alpha")))?;
    let root = is_set("use_rslora");
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    Ok(move |rank: usize| {
        let rank = rank as f64;
        (alpha / if root { rank.sqrt() } else { rank }) as f32
    })
}

fn unsupported(what: impl std::fmt::Display) -> LoadError {
    LoadError::Unsupported { what: format!("the adapter: {what}") }
}

fn read(folder: &Path, name: &str) -> Result<Vec<u8>, LoadError> {
    use std::io::Read as _;
    let path = folder.join(name);
    let missing = || unsupported(format!("{} holds no {name}", folder.display()));
    let file = std::fs::File::open(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => missing(),
        _ => LoadError::Io { path: path.clone(), source: error },
    })?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| LoadError::Io { path, source })?;
    match bytes.len() as u64 > MAX_BYTES {
        true => Err(unsupported(format!("{name} is longer than {MAX_BYTES} bytes"))),
        false => Ok(bytes),
    }
}
