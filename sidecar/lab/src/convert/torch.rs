//! `.pt` files of the paper's repository: a zip archive with one saved tensor, float32, shape
//! `[layers + 1, hidden]`.
//!
//! The archive's pickle is parsed as data; none of its code runs.

use super::error::ImportError;
use super::flat::matrix;
use super::pickle::{self, Value};
use personaguard_persona::LayerMatrix;
use personaguard_persona::f32_tensors::from_bytes;
use personaguard_persona::vector_file::limits::MAX_FILE_BYTES;
use std::io::{Cursor, Read as _};
use zip::ZipArchive;

/// Longest pickle that is read, in bytes; that of a tensor has a few hundred.
const MAX_PICKLE: u64 = 64 << 10;

/// Imports a tensor that was saved by `torch.save`, version 1.6 or later.
///
/// # Errors
/// If the file is anything else, or its tensor is not two-dimensional, contiguous, finite float32.
pub(super) fn import_torch(file: &[u8]) -> Result<LayerMatrix, ImportError> {
    import(file).map_err(|problem| ImportError::new(".pt", problem))
}

fn import(file: &[u8]) -> Result<LayerMatrix, String> {
    if file.len() > MAX_FILE_BYTES {
        return Err(format!("it has more than {MAX_FILE_BYTES} bytes"));
    }
    let mut archive = ZipArchive::new(Cursor::new(file)).map_err(|_| {
        "it is not a zip archive; if torch before 1.6 wrote it, load and save it with a newer one"
    })?;
    let root = archive
        .file_names()
        .find_map(|name| name.ok()?.strip_suffix("data.pkl").map(str::to_owned))
        .ok_or("it has no data.pkl")?;
    let pickle = read(&mut archive, &format!("{root}data.pkl"), MAX_PICKLE)?;
    let tensor = describe(pickle::parse(&pickle)?)?;
    let storage = format!("{root}data/{}", tensor.storage);
    let values = from_bytes(&read(&mut archive, &storage, MAX_FILE_BYTES as u64)?);
    let count = tensor.rows.saturating_mul(tensor.hidden);
    let end = tensor.offset.saturating_add(count);
    let values =
        values.get(tensor.offset..end).ok_or("its data is shorter than its shape requires")?;
    matrix(tensor.rows, tensor.hidden, values)
}

/// One file of the archive, of at most `limit` bytes.
fn read(
    archive: &mut ZipArchive<Cursor<&[u8]>>,
    name: &str,
    limit: u64,
) -> Result<Vec<u8>, String> {
    let entry = archive.by_name(name).map_err(|error| format!("cannot read {name}: {error}"))?;
    let mut bytes = Vec::new();
    entry
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot read {name}: {error}"))?;
    if bytes.len() as u64 > limit {
        Err(format!("{name} has more than {limit} bytes"))
    } else {
        Ok(bytes)
    }
}

/// Where a tensor's values are.
struct Tensor {
    /// Name of the file in the archive's folder `data`.
    storage: String,
    /// Index of the first value in it.
    offset: usize,
    rows: usize,
    hidden: usize,
}

/// Reads the arguments of `torch._utils._rebuild_tensor_v2(storage, offset, shape, stride, …)`.
fn describe(value: Value) -> Result<Tensor, String> {
    const OTHER: &str = "it holds something else than one tensor: save the tensor alone, with \
                         torch.save(tensor, file)";
    let Value::Applied(name, arguments) = value else { return Err(OTHER.into()) };
    let [
        Value::Persistent(storage),
        Value::Int(offset),
        Value::Tuple(shape),
        Value::Tuple(stride),
        ..,
    ] = arguments.as_slice()
    else {
        return Err(OTHER.into());
    };
    if name != "torch._utils _rebuild_tensor_v2" {
        return Err(OTHER.into());
    }
    let Value::Tuple(storage) = storage.as_ref() else { return Err(OTHER.into()) };
    let [Value::Text(kind), Value::Global(element), Value::Text(key), ..] = storage.as_slice()
    else {
        return Err(OTHER.into());
    };
    if kind != "storage" || element != "torch FloatStorage" {
        return Err("its values are not float32: convert with tensor.float() before saving".into());
    }
    let size = |value: &Value| match value {
        Value::Int(value) => usize::try_from(*value).ok(),
        _ => None,
    };
    let ([rows, hidden], [outer, inner]) = (shape.as_slice(), stride.as_slice()) else {
        return Err("its tensor does not have two dimensions, [layers + 1, hidden]".into());
    };
    match (size(rows), size(hidden), size(outer), size(inner), usize::try_from(*offset).ok()) {
        (Some(rows), Some(hidden), Some(outer), Some(1), Some(offset)) if outer == hidden => {
            Ok(Tensor { storage: key.clone(), offset, rows, hidden })
        }
        _ => Err("its tensor is not contiguous: save tensor.contiguous()".into()),
    }
}

#[cfg(test)]
mod tests;
