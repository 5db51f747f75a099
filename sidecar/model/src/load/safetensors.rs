//! The header of a safetensors file, read under bounds:
//! <https://github.com/huggingface/safetensors#format>.

use crate::error::LoadError;
use crate::tensor::{DType, Order, TensorInfo};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::Read;

/// Longest header, as in the format's own library.
const MAX_HEADER_BYTES: u64 = 100 << 20;

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

/// Where each tensor of `file` lies, which is `length` bytes long; `name` is named in errors.
pub(super) fn read(
    file: &mut impl Read,
    length: u64,
    name: &str,
) -> Result<Vec<(String, TensorInfo)>, LoadError> {
    read_chosen(file, length, name, |tensor, _| Ok(Some(tensor.to_owned())))
}

/// What a header says of a tensor.
pub(super) struct Described<'a> {
    pub(super) dtype: &'a str,
    pub(super) shape: &'a [usize],
}

/// The same, of the tensors that `choose` gives a name, under that name. Others may be of any type
/// and shape.
pub(super) fn read_chosen(
    file: &mut impl Read,
    length: u64,
    name: &str,
    mut choose: impl FnMut(&str, Described<'_>) -> Result<Option<String>, LoadError>,
) -> Result<Vec<(String, TensorInfo)>, LoadError> {
    let corrupt = |what: String| LoadError::corrupt(format!("{name} {what}"));
    let mut size = [0; 8];
    let incomplete = |what: String| LoadError::incomplete(format!("{name} {what}"));
    file.read_exact(&mut size).map_err(|_| incomplete("is shorter than a header".into()))?;
    let size = u64::from_le_bytes(size);
    if size > MAX_HEADER_BYTES {
        return Err(corrupt(format!("claims a header of {size} bytes: it is not safetensors")));
    }
    if size == 0 || size.saturating_add(8) > length {
        return Err(incomplete(format!("claims a header of {size} bytes, and has {length}")));
    }
    let mut header = Vec::new();
    file.take(size)
        .read_to_end(&mut header)
        .map_err(|error| corrupt(format!("could not be read: {error}")))?;
    let mut entries: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&header)
        .map_err(|error| corrupt(format!("has a header that is not JSON: {error}")))?;
    entries.remove("__metadata__");
    let start = size + 8;
    let mut found = Vec::new();
    for (tensor, entry) in entries {
        let broken = |what: &str| corrupt(format!("has a tensor {tensor} {what}"));
        let entry = Entry::deserialize(entry)
            .map_err(|error| broken(&format!("that is not described: {error}")))?;
        let described = Described { dtype: &entry.dtype, shape: &entry.shape };
        let chosen = match choose(&tensor, described)? {
            Some(chosen) => {
                let info = info(&entry, &tensor, &chosen, start)?;
                Some((chosen, info))
            }
            None => None,
        };
        let [from, to] = entry.data_offsets;
        if start.saturating_add(to) > length {
            return Err(incomplete(format!(
                "has a tensor {tensor} beyond the end of the file, which is cut short"
            )));
        }
        let Some((chosen, info)) = chosen else { continue };
        if info.bytes as u64 != to.saturating_sub(from) {
            return Err(broken("that is not as long as its shape says"));
        }
        found.push((chosen, info));
    }
    Ok(found)
}

/// `chosen` is the engine's name for the tensor.
fn info(entry: &Entry, tensor: &str, chosen: &str, start: u64) -> Result<TensorInfo, LoadError> {
    let shape = entry.shape.as_slice();
    let packed = match (entry.dtype.as_str(), shape) {
        ("U8", &[experts, rows, blocks, 16]) if chosen.ends_with("_exps.codes") => {
            Some((DType::Mxfp4Codes, experts, rows, blocks))
        }
        ("U8", &[experts, rows, blocks]) if chosen.ends_with("_exps.scales") => {
            Some((DType::Mxfp4Scales, experts, rows, blocks))
        }
        _ => None,
    };
    if let Some((dtype, experts, rows, blocks)) = packed {
        let size = experts.checked_mul(rows).zip(blocks.checked_mul(dtype.block().0));
        let (rows, columns) = size.ok_or_else(|| impossible(tensor))?;
        return sized(entry, tensor, start, dtype, Order::Rows, [rows, columns]);
    }
    let dtype = match entry.dtype.as_str() {
        "F32" => DType::F32,
        "F16" => DType::F16,
        "BF16" => DType::Bf16,
        other => {
            return Err(LoadError::unsupported(format!(
                "tensor {tensor} is {other}; F32, F16 and BF16 are read from safetensors: save it \
                 in one of them, as with model.to(torch.bfloat16)"
            )));
        }
    };
    let (rows, columns, order) = match *shape {
        [columns] => (1, columns, Order::Rows),
        [rows, columns] => (rows, columns, Order::Rows),
        [experts, columns, rows] if chosen.ends_with("_exps.weight") => {
            let rows = experts.checked_mul(rows).ok_or_else(|| impossible(tensor))?;
            (rows, columns, Order::Columns)
        }
        _ => {
            return Err(LoadError::unsupported(format!(
                "tensor {tensor} has {} dimensions; matrices and vectors are read: split it into \
                 those",
                shape.len()
            )));
        }
    };
    sized(entry, tensor, start, dtype, order, [rows, columns])
}

fn sized(
    entry: &Entry,
    tensor: &str,
    start: u64,
    dtype: DType,
    order: Order,
    [rows, columns]: [usize; 2],
) -> Result<TensorInfo, LoadError> {
    let bytes = columns.checked_mul(dtype.block().1).map(|_| dtype.row_bytes(columns));
    match bytes.and_then(|row_bytes| row_bytes.checked_mul(rows)) {
        Some(bytes) if bytes > 0 => Ok(TensorInfo {
            rows,
            columns,
            dtype,
            order,
            offset: start.saturating_add(entry.data_offsets[0]),
            bytes,
        }),
        _ => Err(impossible(tensor)),
    }
}

fn impossible(tensor: &str) -> LoadError {
    LoadError::corrupt(format!("tensor {tensor} has an impossible size"))
}
