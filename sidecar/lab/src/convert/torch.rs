//! `.pt` files: a zip archive with a saved tensor, as in the paper's repository, or with tensors in
//! dictionaries and lists.
//!
//! The archive's pickle is parsed as data; none of its code runs.

use super::error::ImportError;
use super::found::{Float, Found};
use super::pickle::{self, Value};
use personaguard_persona::vector_file::limits::MAX_FILE_BYTES;
use std::io::{Cursor, Read as _};
use zip::ZipArchive;

/// Longest pickle that is read, in bytes; that of a tensor has a few hundred.
const MAX_PICKLE: u64 = 64 << 10;
/// How many tensors a file has at most.
const MAX_TENSORS: usize = 10_000;

/// The tensors that were saved by `torch.save`, version 1.6 or later.
///
/// # Errors
/// If the file is anything else, or holds no tensor.
pub(super) fn torch(file: &[u8]) -> Result<Vec<Found>, ImportError> {
    read_all(file).map_err(|problem| ImportError::new(".pt", problem))
}

fn read_all(file: &[u8]) -> Result<Vec<Found>, String> {
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
    let mut tensors = Vec::new();
    collect(&pickle::parse(&pickle)?, String::new(), &mut tensors)?;
    if tensors.is_empty() {
        return Err("it holds something else than tensors: save the tensor alone, with \
                    torch.save(tensor, file), or a dictionary of tensors"
            .into());
    }
    let mut budget = MAX_FILE_BYTES;
    let found = tensors.into_iter().map(|(name, tensor)| {
        let values = tensor.values(&mut archive, &root, &mut budget);
        Found { name, shape: tensor.shape, values }
    });
    Ok(found.collect())
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
    /// Type of the values, or the name of one that is not read.
    float: Result<Float, String>,
    /// Index of the first value in the storage.
    offset: usize,
    shape: Vec<usize>,
    stride: Vec<usize>,
}

/// Finds the tensors in a value, with the keys that lead to them.
fn collect(value: &Value, name: String, found: &mut Vec<(String, Tensor)>) -> Result<(), String> {
    if found.len() >= MAX_TENSORS {
        return Err(format!("it has more than {MAX_TENSORS} tensors"));
    }
    match value {
        Value::Applied(function, arguments) => match (function.as_str(), arguments.as_slice()) {
            ("torch._utils _rebuild_tensor_v2", arguments) => {
                found.extend(Tensor::read(arguments).map(|tensor| (name, tensor)));
                Ok(())
            }
            ("torch._utils _rebuild_parameter", [tensor, ..]) => collect(tensor, name, found),
            _ => Ok(()),
        },
        Value::Dictionary(entries) => entries.iter().try_for_each(|(key, value)| {
            let key = match key {
                Value::Text(key) => key.clone(),
                Value::Int(key) => key.to_string(),
                _ => return Ok(()),
            };
            let name = if name.is_empty() { key } else { format!("{name}.{key}") };
            collect(value, name, found)
        }),
        Value::List(items) | Value::Tuple(items) => {
            (0..).zip(items).try_for_each(|(index, item): (usize, _)| {
                collect(item, format!("{name}[{index}]"), found)
            })
        }
        _ => Ok(()),
    }
}

impl Tensor {
    /// Reads the arguments of `torch._utils._rebuild_tensor_v2(storage, offset, shape, stride, …)`.
    fn read(arguments: &[Value]) -> Option<Self> {
        let [
            Value::Persistent(storage),
            Value::Int(offset),
            Value::Tuple(shape),
            Value::Tuple(stride),
            ..,
        ] = arguments
        else {
            return None;
        };
        let Value::Tuple(storage) = storage.as_ref() else { return None };
        let [Value::Text(kind), Value::Global(element), Value::Text(key), ..] = storage.as_slice()
        else {
            return None;
        };
        let float = match (kind.as_str(), element.as_str()) {
            ("storage", "torch FloatStorage") => Ok(Float::F32),
            ("storage", "torch HalfStorage") => Ok(Float::F16),
            ("storage", "torch BFloat16Storage") => Ok(Float::Bf16),
            ("storage", "torch DoubleStorage") => Ok(Float::F64),
            _ => Err("is not of floating-point numbers: convert with tensor.float() before \
                      saving"
                .to_owned()),
        };
        let sizes = |values: &[Value]| -> Option<Vec<usize>> {
            let size = |value: &Value| match value {
                Value::Int(value) => usize::try_from(*value).ok(),
                _ => None,
            };
            values.iter().map(size).collect()
        };
        let (shape, stride) = (sizes(shape)?, sizes(stride)?);
        (shape.len() == stride.len()).then_some(Self {
            storage: key.clone(),
            float,
            offset: usize::try_from(*offset).ok()?,
            shape,
            stride,
        })
    }

    /// The values in row-major order, whatever the strides. `budget` is how many bytes may still be
    /// read, of all tensors together.
    fn values(
        &self,
        archive: &mut ZipArchive<Cursor<&[u8]>>,
        root: &str,
        budget: &mut usize,
    ) -> Result<Vec<f32>, String> {
        let float = self.float.clone()?;
        let fail = |problem: String| format!("cannot be read: {problem}");
        let name = format!("{root}data/{}", self.storage);
        let bytes = read(archive, &name, *budget as u64).map_err(fail)?;
        let stored = float.widen(&bytes);
        let count = self.shape.iter().try_fold(1_usize, |count, size| count.checked_mul(*size));
        let count = count.filter(|count| *count <= stored.len());
        let short = || "is longer than its data: bytes are missing".to_owned();
        let mut places = vec![self.offset];
        for (size, stride) in self.shape.iter().zip(&self.stride) {
            if places.len().saturating_mul(*size) > count.ok_or_else(short)? {
                return Err(short());
            }
            let steps = |start: usize| {
                (0..*size).map(move |step| start.saturating_add(step.saturating_mul(*stride)))
            };
            places = places.into_iter().flat_map(steps).collect();
        }
        *budget = budget.saturating_sub(bytes.len());
        places.into_iter().map(|place| stored.get(place).copied().ok_or_else(short)).collect()
    }
}

#[cfg(test)]
pub(super) mod tests;
