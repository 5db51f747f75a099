//! GGUF control vectors: architecture `controlvector`, one F32 tensor `direction.N` per layer.
//!
//! N counts blocks from 0, and llama.cpp adds a direction to the output of its block, so
//! `direction.N` belongs to this project's layer ℓ = N + 1. The format has no direction for block
//! 0. The embedding output and layer 1 can therefore not be exported.

mod reader;

use super::error::ImportError;
use personaguard_persona::LayerMatrix;
use personaguard_persona::f32_tensors::{check_finite, from_bytes, to_bytes};
use personaguard_persona::vector_file::limits::{MAX_FILE_BYTES, MAX_HIDDEN, MAX_LAYERS};
use reader::{INT32, Reader, STRING, UINT32};
use std::collections::BTreeMap;

const MAGIC: &[u8; 4] = b"GGUF";
const VERSION: u32 = 3;
/// Alignment of tensor data in bytes, if the file does not give another.
const ALIGNMENT: usize = 32;
/// GGUF's number for the tensor type F32.
const F32: u32 = 0;

/// Imports the control vectors of a model with `layers` layers. Layers that have no direction in
/// the file become zero vectors.
///
/// # Errors
/// If the file is not a control vector, or has a direction for a layer that the model lacks.
pub(super) fn import_gguf(file: &[u8], layers: u32) -> Result<LayerMatrix, ImportError> {
    import(file, layers).map_err(|problem| ImportError::new("GGUF", problem))
}

fn import(file: &[u8], layers: u32) -> Result<LayerMatrix, String> {
    if file.len() > MAX_FILE_BYTES {
        return Err(format!("it has more than {MAX_FILE_BYTES} bytes"));
    }
    let directions = read(file)?;
    let hidden = directions.values().next().map(Vec::len).ok_or("it has no direction")?;
    if let Some(block) = directions.keys().find(|block| **block >= layers) {
        return Err(format!(
            "it has a direction for block {block}, and the model has blocks 0 to {}",
            layers.saturating_sub(1)
        ));
    }
    let row = |layer: u32| {
        let direction = layer.checked_sub(1).and_then(|block| directions.get(&block));
        direction.cloned().unwrap_or_else(|| vec![0.0; hidden])
    };
    let rows: Vec<Vec<f32>> = (0..=layers).map(row).collect();
    LayerMatrix::from_rows(&rows).ok_or_else(|| "its directions differ in length".to_owned())
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

/// The directions of a control vector, by block.
fn read(file: &[u8]) -> Result<BTreeMap<u32, Vec<f32>>, String> {
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
    let infos: Vec<TensorInfo> =
        (0..tensors).map(|_| read_info(&mut reader)).collect::<Result<_, _>>()?;
    let data = reader.position().next_multiple_of(alignment);
    let mut directions = BTreeMap::new();
    for TensorInfo { block, hidden, offset } in infos {
        let start = data.checked_add(offset).ok_or("it has an offset that is too large")?;
        let bytes = file
            .get(start..)
            .and_then(|rest| rest.get(..hidden * 4))
            .ok_or("its tensor data is truncated")?;
        let values = from_bytes(bytes);
        check_finite(&values).map_err(|problem| format!("direction.{block} {problem}"))?;
        if directions.insert(block, values).is_some() {
            return Err(format!("it has direction.{block} twice"));
        }
    }
    Ok(directions)
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
                    return Err("it is a model, not a control vector".to_owned());
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
    /// Position within the tensor data, in bytes.
    offset: usize,
}

fn read_info(reader: &mut Reader<'_>) -> Result<TensorInfo, String> {
    let name = reader.string()?;
    let block = name.strip_prefix("direction.").and_then(|number| number.parse::<u32>().ok());
    let block = block.ok_or("it has a tensor that is not named direction.N")?;
    if reader.u32()? != 1 {
        return Err(format!("direction.{block} is not one-dimensional"));
    }
    let hidden = usize::try_from(reader.u64()?).ok().filter(|n| (1..=MAX_HIDDEN).contains(n));
    let hidden = hidden.ok_or_else(|| format!("direction.{block} is empty or too long"))?;
    if reader.u32()? != F32 {
        return Err(format!("direction.{block} is not F32"));
    }
    let offset =
        usize::try_from(reader.u64()?).map_err(|_| "it has an offset that is too large")?;
    Ok(TensorInfo { block, hidden, offset })
}

#[cfg(test)]
mod tests;
