//! GGUF control vectors: architecture `controlvector`, one tensor `direction.N` per layer. Other
//! tensors, which some tools add, are passed over.
//!
//! N counts blocks from 0, and llama.cpp adds a direction to the output of its block, so
//! `direction.N` belongs to this project's layer ℓ = N + 1. The format has no direction for block
//! 0. The embedding output and layer 1 can therefore not be exported.

mod reader;

use super::choice::{Choice, Directions};
use super::error::ImportError;
use super::found::Float;
use personaguard_persona::LayerMatrix;
use personaguard_persona::f32_tensors::{check_finite, to_bytes};
use personaguard_persona::vector_file::limits::{MAX_FILE_BYTES, MAX_HIDDEN, MAX_LAYERS};
use reader::{INT32, Reader, STRING, UINT32};
use std::collections::BTreeMap;

const MAGIC: &[u8; 4] = b"GGUF";
const VERSION: u32 = 3;
/// Alignment of tensor data in bytes, if the file does not give another.
const ALIGNMENT: usize = 32;
/// GGUF's number for the tensor type F32.
const F32: u32 = 0;
/// GGUF's numbers for tensor types that are read.
const FLOATS: [(u32, Float); 4] =
    [(F32, Float::F32), (1, Float::F16), (28, Float::F64), (30, Float::Bf16)];
/// How many dimensions a tensor has at most.
const MAX_DIMENSIONS: u32 = 4;

/// Reads the control vectors of a model with `hidden` values a layer.
///
/// # Errors
/// If the file is not a control vector, or one for another model.
pub(super) fn control_vectors(file: &[u8], hidden: usize) -> Result<Choice, ImportError> {
    import(file, hidden).map_err(|problem| ImportError::new("GGUF", problem))
}

fn import(file: &[u8], hidden: usize) -> Result<Choice, String> {
    if file.len() > MAX_FILE_BYTES {
        return Err(format!("it has more than {MAX_FILE_BYTES} bytes"));
    }
    let (directions, passed_over) = read(file)?;
    let (block, first) = directions.first_key_value().ok_or(
        "it has no tensor direction.N, as repeng and llama.cpp name them: rename its tensors",
    )?;
    if first.len() != hidden {
        return Err(format!(
            "its direction.{block} has {} values, and the model's layers {hidden}: it belongs to \
             another model",
            first.len()
        ));
    }
    let by_layer = directions.into_iter().map(|(block, row)| (block.saturating_add(1), row));
    Ok(Choice { directions: Directions::ByLayer(by_layer.collect()), passed_over })
}

/// Exports the vectors of layer 2 and later, for llama.cpp's `--control-vector`. `architecture` is
/// that of the model, such as `llama`.
#[must_use]
pub(super) fn export_gguf(vectors: &LayerMatrix, architecture: &str) -> Vec<u8> {
    let rows: Vec<(u32, &[f32])> = (2..=vectors.layers())
        .filter_map(|layer| Some((layer - 1, vectors.layer(layer)?)))
        .collect();
    let mut file = MAGIC.to_vec();
    file.extend(VERSION.to_le_bytes());
    file.extend((rows.len() as u64).to_le_bytes());
    file.extend(3_u64.to_le_bytes());
    let string = |file: &mut Vec<u8>, string: &str| {
        file.extend((string.len() as u64).to_le_bytes());
        file.extend(string.as_bytes());
    };
    for (key, value) in
        [("general.architecture", "controlvector"), ("controlvector.model_hint", architecture)]
    {
        string(&mut file, key);
        file.extend(STRING.to_le_bytes());
        string(&mut file, value);
    }
    string(&mut file, "controlvector.layer_count");
    file.extend(INT32.to_le_bytes());
    file.extend((rows.len() as u32).to_le_bytes());
    let size = (vectors.hidden() * 4).next_multiple_of(ALIGNMENT);
    for (index, (block, row)) in rows.iter().enumerate() {
        string(&mut file, &format!("direction.{block}"));
        let dimensions = 1_u32;
        file.extend(dimensions.to_le_bytes());
        file.extend((row.len() as u64).to_le_bytes());
        file.extend(F32.to_le_bytes());
        file.extend(((index * size) as u64).to_le_bytes());
    }
    for (_, row) in rows {
        file.resize(file.len().next_multiple_of(ALIGNMENT), 0);
        file.extend(to_bytes(row));
    }
    file
}

/// The directions of a control vector, by block; and how many other tensors there are.
fn read(file: &[u8]) -> Result<(BTreeMap<u32, Vec<f32>>, usize), String> {
    let mut reader = Reader::new(file);
    if reader.take(4)? != MAGIC {
        return Err("it is not a GGUF file".to_owned());
    }
    let version = reader.u32()?;
    if !(2..=3).contains(&version) {
        return Err(format!("its GGUF version is {version}; versions 2 and 3 can be read"));
    }
    let (tensors, entries) = (reader.u64()?, reader.u64()?);
    if tensors > MAX_LAYERS as u64 || entries > 1000 {
        return Err("it has too many tensors or metadata entries for a control vector".to_owned());
    }
    let alignment = read_alignment(&mut reader, entries)?;
    let infos: Vec<Option<TensorInfo>> =
        (0..tensors).map(|_| read_info(&mut reader)).collect::<Result<_, _>>()?;
    let data = reader.position().next_multiple_of(alignment);
    let passed_over = infos.iter().filter(|info| info.is_none()).count();
    let mut directions = BTreeMap::new();
    for TensorInfo { block, hidden, float, offset } in infos.into_iter().flatten() {
        let start = data.checked_add(offset).ok_or("it has an offset that is too large")?;
        let bytes = file
            .get(start..)
            .and_then(|rest| rest.get(..hidden * float.size()))
            .ok_or("its tensor data is cut short: bytes are missing, fetch them again")?;
        let values = float.widen(bytes);
        check_finite(&values).map_err(|problem| format!("direction.{block} {problem}"))?;
        if directions.insert(block, values).is_some() {
            return Err(format!("it has direction.{block} twice"));
        }
    }
    Ok((directions, passed_over))
}

/// Reads the metadata: checks that the file is a control vector, and returns the alignment.
fn read_alignment(reader: &mut Reader<'_>, entries: u64) -> Result<usize, String> {
    let mut alignment = ALIGNMENT;
    for _ in 0..entries {
        let key = reader.string()?.to_owned();
        let kind = reader.u32()?;
        match (key.as_str(), kind) {
            ("general.architecture", STRING) => {
                if reader.string()? != "controlvector" {
                    return Err(
                        "it is a model, not a control vector: give the model as --model".to_owned()
                    );
                }
            }
            ("general.alignment", UINT32) => {
                alignment = reader.u32()? as usize;
                if !alignment.is_power_of_two() || alignment > 1 << 16 {
                    return Err("its alignment is not a power of two up to 65536".to_owned());
                }
            }
            _ => reader.skip(kind, 0)?,
        }
    }
    Ok(alignment)
}

/// A tensor `direction.N`.
struct TensorInfo {
    /// N.
    block: u32,
    /// Number of values.
    hidden: usize,
    float: Float,
    /// Position within the tensor data, in bytes.
    offset: usize,
}

/// Reads what describes a tensor; `None` for one that is no direction.
fn read_info(reader: &mut Reader<'_>) -> Result<Option<TensorInfo>, String> {
    let name = reader.string()?;
    let number =
        name.strip_prefix("direction.").map(|rest| rest.strip_suffix(".weight").unwrap_or(rest));
    let block = number.and_then(|number| number.parse::<u32>().ok());
    let dimensions = reader.u32()?;
    if dimensions > MAX_DIMENSIONS {
        return Err(format!("it has a tensor of {dimensions} dimensions"));
    }
    let sizes: Vec<u64> = (0..dimensions).map(|_| reader.u64()).collect::<Result<_, _>>()?;
    let (kind, offset) = (reader.u32()?, reader.u64()?);
    let Some(block) = block else { return Ok(None) };
    let mut large = sizes.iter().copied().filter(|size| *size != 1);
    let (Some(hidden), None) = (large.next(), large.next()) else {
        return Err(format!("direction.{block} has shape {sizes:?}, not one row"));
    };
    let hidden = usize::try_from(hidden).ok().filter(|n| (1..=MAX_HIDDEN).contains(n));
    let hidden = hidden.ok_or_else(|| format!("direction.{block} is empty or too long"))?;
    let float = FLOATS.into_iter().find(|(number, _)| *number == kind).map(|(_, float)| float);
    let float = float.ok_or_else(|| {
        format!("direction.{block} is quantised (type {kind}): write it as F32, F16 or BF16")
    })?;
    let offset = usize::try_from(offset).map_err(|_| "it has an offset that is too large")?;
    Ok(Some(TensorInfo { block, hidden, float, offset }))
}

#[cfg(test)]
pub(super) mod tests;
