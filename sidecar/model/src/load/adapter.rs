//! A LoRA adapter in PEFT's format: a folder with `adapter_config.json` and
//! `adapter_model.safetensors`.
//!
//! It adds s · B · A to a matrix W of shape `[rows][columns]`, with A `[rank][columns]`, B
//! `[rows][rank]`, and s = α / rank (Hu et al., arXiv 2106.09685), or α / √rank where `use_rslora`
//! is set (Kalajdzievski, arXiv 2312.03732). With `use_dora`, rows of the sum are brought to
//! lengths that were trained (DoRA: Liu et al., arXiv 2402.09353).

mod config;
mod delta;
mod names;
mod refusal;

use super::files::Sha256Digest;
use super::{fused, safetensors};
use crate::arch::Architecture;
use crate::config::Config;
use crate::error::LoadError;
use crate::tensor::{TensorInfo, decode_floats, not_finite};
use config::Scale;
use delta::Delta;
pub(crate) use delta::MatrixDelta;
use names::{Part, TensorName};
use refusal::unsupported;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
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
    deltas: BTreeMap<String, Delta>,
}

impl Adapter {
    /// Reads the adapter in the folder `path`, for a model of this architecture and description.
    /// Also returns a digest of its files.
    pub(crate) fn open(
        path: &Path,
        architecture: &Architecture,
        config: &Config,
    ) -> Result<(Self, Sha256Digest), LoadError> {
        let settings = read(path, CONFIG)?;
        let weights = read(path, WEIGHTS)?;
        let digest = Sha256::new_with_prefix(Sha256::digest(&settings))
            .chain_update(Sha256::digest(&weights))
            .finalize();
        let json = serde_json::from_slice(&settings)
            .map_err(|error| LoadError::corrupt(format!("{CONFIG} is not JSON: {error}")))?;
        let scale = Scale::read(&json)?;
        let tensors = safetensors::read(&mut weights.as_slice(), weights.len() as u64, WEIGHTS)?;
        let mut adapter = Self::default();
        let mut own_name = None;
        for (name, info) in tensors {
            let TensorName { target, module, part, adapter: own } =
                TensorName::read(&name, architecture)?;
            if *own_name.get_or_insert_with(|| own.clone()) != own {
                return Err(unsupported(format!(
                    "{WEIGHTS} holds several adapters, by tensor {name}: save one of them alone, \
                     with PEFT's save_pretrained(…, selected_adapters=[…])"
                )));
            }
            let from = usize::try_from(info.offset).unwrap_or(usize::MAX);
            let raw = weights.get(from..from.saturating_add(info.bytes));
            let values = decode_floats(&name, info.dtype, raw.unwrap_or_default())?;
            if values.iter().any(|value| !value.is_finite()) {
                return Err(not_finite(&name));
            }
            let delta = adapter.deltas.entry(target).or_default();
            delta.module = module;
            let (place, rank) = match part {
                Part::A => (&mut delta.a, info.rows),
                Part::B => (&mut delta.b, info.columns),
                Part::Magnitude => (&mut delta.magnitudes, delta.rank),
            };
            if !place.is_empty() {
                return Err(unsupported(format!(
                    "tensor {name} is there twice, under different names"
                )));
            }
            *place = values;
            if part == Part::Magnitude {
                continue;
            }
            if rank == 0 || rank > MAX_RANK || (delta.rank != 0 && delta.rank != rank) {
                return Err(unsupported(format!(
                    "tensor {name} has rank {rank}, which its other factor contradicts: \
                     they belong to different adapters"
                )));
            }
            delta.rank = rank;
        }
        for delta in adapter.deltas.values_mut() {
            let (module, rank) = (&delta.module, delta.rank);
            if delta.magnitudes.is_empty() == scale.has_magnitudes {
                return Err(unsupported(format!(
                    "{CONFIG} {} use_dora, and {module} has {} lora_magnitude_vector: they \
                     belong to different adapters",
                    if scale.has_magnitudes { "sets" } else { "does not set" },
                    if scale.has_magnitudes { "no" } else { "a" }
                )));
            }
            if rank == 0 {
                return Err(unsupported(format!("{module} has neither lora_A nor lora_B")));
            }
            scale.check_rank(module, rank)?;
            delta.scale = scale.of(module, rank);
            if !delta.scale.is_finite() {
                return Err(unsupported(format!(
                    "its scale, lora_alpha / {rank}, is no number: mend it in \
                     {CONFIG}"
                )));
            }
        }
        if adapter.deltas.is_empty() {
            return Err(unsupported(format!(
                "{WEIGHTS} holds no tensors: save it again, once its parts are \
                 gathered from all processes"
            )));
        }
        Ok((adapter.apart(config)?, digest.into()))
    }

    /// The same, where deltas of matrices that are stored as one are apart, as the matrices are.
    fn apart(self, config: &Config) -> Result<Self, LoadError> {
        let mut apart = Self::default();
        for (name, delta) in self.deltas {
            let module = delta.module.clone();
            let deltas = match fused::parts(&name, config) {
                None => vec![(name, delta)],
                Some(parts) => delta.split(parts).ok_or_else(|| other_shape(&name))?,
            };
            for (name, delta) in deltas {
                if apart.deltas.insert(name, delta).is_some() {
                    return Err(unsupported(format!(
                        "it adds to {module}, and also to a part of the same matrix"
                    )));
                }
            }
        }
        Ok(apart)
    }

    /// Takes out what is added to the matrix `name`, if anything is.
    pub(crate) fn take(
        &mut self,
        name: &str,
        info: &TensorInfo,
    ) -> Result<Option<MatrixDelta>, LoadError> {
        let Some(delta) = self.deltas.remove(name) else { return Ok(None) };
        MatrixDelta::new(delta, info.rows, info.columns).map(Some).ok_or_else(|| other_shape(name))
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

/// The error for a delta that does not fit its matrix.
fn other_shape(name: &str) -> LoadError {
    unsupported(format!("what it adds to {name} is not of its shape: is it for another model?"))
}

fn read(folder: &Path, name: &str) -> Result<Vec<u8>, LoadError> {
    use std::io::Read as _;
    let path = folder.join(name);
    let file = std::fs::File::open(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
            unsupported(format!("{} holds no {name}{}", folder.display(), near(folder, name)))
        }
        _ => LoadError::Io { path: path.clone(), source: error },
    })?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| LoadError::Io { path, source })?;
    if bytes.starts_with(b"version https://git-lfs") {
        return Err(unsupported(format!(
            "{name} is a Git LFS pointer, not the file itself: run `git lfs pull`"
        )));
    }
    match bytes.len() as u64 > MAX_BYTES {
        true => Err(unsupported(format!("{name} is longer than {MAX_BYTES} bytes"))),
        false => Ok(bytes),
    }
}

/// What a folder holds in place of a file, and what to do.
fn near(folder: &Path, name: &str) -> String {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    let inside = names.iter().find(|inside| folder.join(inside).join(name).is_file());
    if let Some(inside) = inside {
        return format!(", but its folder {inside} does: give that");
    }
    let has = |wanted: &str| names.iter().any(|name| name == wanted);
    if name == WEIGHTS && has("adapter_model.bin") {
        return ", but adapter_model.bin: load and save the adapter with PEFT, which writes \
                safetensors"
            .to_owned();
    }
    let weights = names.iter().find(|other| name == WEIGHTS && other.ends_with(".safetensors"));
    weights.map_or_else(
        || ": give what PEFT's save_pretrained wrote".to_owned(),
        |weights| format!(", but {weights}: if that is the adapter, rename it"),
    )
}
