//! A LoRA adapter in PEFT's format: a folder with `adapter_config.json` and
//! `adapter_model.safetensors`.
//!
//! It adds s · B · A to a matrix W of shape `[rows][columns]`, with A `[rank][columns]`, B
//! `[rows][rank]`, and s = α / rank (Hu et al., arXiv 2106.09685), or α / √rank where `use_rslora`
//! is set (Kalajdzievski, arXiv 2312.03732).

mod config;
mod delta;

use super::files::Sha256Digest;
use super::hf::block_tensor;
use super::safetensors;
use crate::arch::Architecture;
use crate::error::LoadError;
use crate::tensor::{TensorInfo, decode_floats, not_finite};
use config::{Scale, unsupported};
use delta::Delta;
pub(crate) use delta::MatrixDelta;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::Path;

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";
/// Longest file that is read; an adapter is small beside its model.
const MAX_BYTES: u64 = 8 << 30;
/// Largest rank.
const MAX_RANK: usize = 1 << 14;

/// What an adapter adds to a model's matrices, by GGUF's names for them.
#[derive(Debug, Default)]
pub(crate) struct Adapter {
    deltas: HashMap<String, Delta>,
}

impl Adapter {
    /// Reads the adapter in the folder `path`, for a model of this architecture. Also returns a
    /// digest of its files.
    pub(crate) fn open(
        path: &Path,
        architecture: &Architecture,
    ) -> Result<(Self, Sha256Digest), LoadError> {
        let config = read(path, CONFIG)?;
        let weights = read(path, WEIGHTS)?;
        let digest = Sha256::new_with_prefix(Sha256::digest(&config))
            .chain_update(Sha256::digest(&weights))
            .finalize();
        let json = serde_json::from_slice(&config)
            .map_err(|error| LoadError::corrupt(format!("{CONFIG} is not JSON: {error}")))?;
        let scale = Scale::read(&json)?;
        let tensors = safetensors::read(&mut weights.as_slice(), weights.len() as u64, WEIGHTS)?;
        let mut adapter = Self::default();
        for (name, info) in tensors {
            let (target, factor) = target(&name, architecture)?;
            let from = usize::try_from(info.offset).unwrap_or(usize::MAX);
            let raw = weights.get(from..from.saturating_add(info.bytes));
            let values = decode_floats(&name, info.dtype, raw.unwrap_or_default())?;
            if values.iter().any(|value| !value.is_finite()) {
                return Err(not_finite(&name));
            }
            let delta = adapter.deltas.entry(target).or_default();
            let rank = match factor {
                Factor::A => info.rows,
                Factor::B => info.columns,
            };
            if rank == 0 || rank > MAX_RANK || (delta.rank != 0 && delta.rank != rank) {
                return Err(unsupported(format!(
                    "tensor {name} has rank {rank}, which its other factor contradicts"
                )));
            }
            delta.rank = rank;
            delta.scale = scale.of_rank(rank);
            if !delta.scale.is_finite() {
                return Err(unsupported(format!("its scale, lora_alpha / {rank}, is no number")));
            }
            match factor {
                Factor::A => delta.a = values,
                Factor::B => delta.b = values,
            }
        }
        if adapter.deltas.is_empty() {
            return Err(unsupported(format!("{WEIGHTS} holds no tensors")));
        }
        Ok((adapter, digest.into()))
    }

    /// Takes out what is added to the matrix `name`, if anything is.
    pub(crate) fn take(
        &mut self,
        name: &str,
        info: &TensorInfo,
    ) -> Result<Option<MatrixDelta>, LoadError> {
        let Some(delta) = self.deltas.remove(name) else { return Ok(None) };
        MatrixDelta::new(delta, info.rows, info.columns).map(Some).ok_or_else(|| {
            unsupported(format!(
                "what it adds to {name} is not of its shape, {} × {}: is it for another model?",
                info.rows, info.columns
            ))
        })
    }

    /// Checks that everything was taken out.
    ///
    /// # Errors
    /// The adapter adds to a matrix that the model does not have.
    pub(crate) fn check_all_taken(&self) -> Result<(), LoadError> {
        match self.deltas.keys().min() {
            Some(name) => Err(unsupported(format!(
                "this model has no {name} to add to: is it for another model?"
            ))),
            None => Ok(()),
        }
    }
}

/// The factors of a matrix's delta.
#[derive(Clone, Copy)]
enum Factor {
    A,
    B,
}

/// The matrix that a tensor belongs to, by its name in GGUF, and which factor it is.
fn target(name: &str, architecture: &Architecture) -> Result<(String, Factor), LoadError> {
    let (module, factor) =
        match (name.strip_suffix(".lora_A.weight"), name.strip_suffix(".lora_B.weight")) {
            (Some(module), _) => (Some(module), Factor::A),
            (_, module) => (module, Factor::B),
        };
    module
        .map(|module| module.strip_prefix("base_model.model.").unwrap_or(module))
        .and_then(|module| block_tensor(&format!("{module}.weight"), architecture))
        .filter(|target| !target.contains("norm"))
        .map(|target| (target, factor))
        .ok_or_else(|| {
            unsupported(format!(
                "tensor {name}: an adapter may add only to linear layers of the decoder's blocks"
            ))
        })
}

fn read(folder: &Path, name: &str) -> Result<Vec<u8>, LoadError> {
    use std::io::Read as _;
    let path = folder.join(name);
    let file = std::fs::File::open(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
            unsupported(format!("{} holds no {name}", folder.display()))
        }
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
